//! Files in requests: the golden bodies of each protocol, and what keeps a file out of one.

use std::sync::Arc;

use serde_json::{Value, json};
use verbatim_events::message::Role;
use verbatim_events::model::{EncodedRequest, FileSource, ModelProvider, ModelSettings, Prompt};
use verbatim_events::part::{FileContent, FileKind, Part};

use super::{REQUEST_FILES_MAX_BYTES, TEXT_MAX_BYTES, fill, legible};
use crate::anthropic::Anthropic;
use crate::openai_chat::OpenAiChat;
use crate::openai_responses::OpenAiResponses;
use crate::options::ProviderOptions;
use crate::testing::{self, Shelf, call, file, message, prompt, request, request_to, result, user};

const PNG: &[u8] = b"\x89PNG...";
const PNG_BASE64: &str = "iVBORy4uLg==";
const PDF: &[u8] = b"%PDF-1.7";
const PDF_BASE64: &str = "JVBERi0xLjc=";
const CSV: &[u8] = b"a,\"b\"\n1,\xc3\xa9\n";
const CSV_WORDS: &str = "[attached file \"c.csv\", text/csv]\na,\"b\"\n1,\u{e9}\n";

fn shelf() -> Arc<Shelf> {
    Shelf::with(&[("a", PNG), ("b", PDF), ("c", CSV)])
}

fn options() -> ProviderOptions {
    ProviderOptions { files: Some(shelf()), ..testing::options() }
}

fn png() -> Part {
    file("a", "image/png", PNG)
}

fn csv() -> Part {
    file("c", "text/csv", CSV)
}

/// Somebody shows a file of each kind, and so does a tool.
fn conversation() -> Prompt {
    let pdf = || file("b", "application/pdf", PDF);
    prompt(vec![
        message(Role::User, vec![Part::text("see"), png(), pdf(), csv()]),
        message(Role::Assistant, vec![call("x", "look", json!({}))]),
        message(Role::Tool, vec![result("x", json!("two"), false), png(), csv()]),
    ])
}

/// The body as it is sent.
async fn sent(request: EncodedRequest, source: &Arc<Shelf>) -> Value {
    let filled =
        fill(request.body, Some(source.as_ref())).await.map_err(|error| error.error).expect("every file is there");
    serde_json::from_slice(&filled.body).expect("JSON")
}

async fn check(provider: &dyn ModelProvider, model: &str, list: &str, expected: Value) {
    let (request, _) = request(provider, model, None, None, &conversation());
    let body = sent(request, &shelf()).await;
    assert_eq!(body[list], expected, "{:#}", body[list]);
}

#[tokio::test]
async fn anthropic_is_sent_blocks() {
    let image =
        json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PNG_BASE64 } });
    let document = json!({
        "type": "document",
        "source": { "type": "base64", "media_type": "application/pdf", "data": PDF_BASE64 },
        "title": "b.pdf",
    });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let mark = json!({ "type": "ephemeral" });
    check(
        &Anthropic::new(options()).unwrap(),
        "claude-sonnet-4-5",
        "messages",
        json!([
            { "role": "user", "content": [text("see"), image, document, text(CSV_WORDS)] },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "x", "name": "look", "input": {}, "cache_control": mark },
            ] },
            { "role": "user", "content": [{
                "type": "tool_result",
                "tool_use_id": "x",
                "content": [text("two"), image, text(CSV_WORDS)],
                "cache_control": mark,
            }] },
        ]),
    )
    .await;
}

#[tokio::test]
async fn responses_is_sent_parts() {
    let image = json!({ "type": "input_image", "image_url": format!("data:image/png;base64,{PNG_BASE64}") });
    let document = json!({
        "type": "input_file",
        "filename": "b.pdf",
        "file_data": format!("data:application/pdf;base64,{PDF_BASE64}"),
    });
    let text = |text: &str| json!({ "type": "input_text", "text": text });
    check(
        &OpenAiResponses::new(options()).unwrap(),
        "gpt-5",
        "input",
        json!([
            { "type": "message", "role": "user", "content": [text("see"), image, document, text(CSV_WORDS)] },
            { "type": "function_call", "call_id": "x", "name": "look", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "x", "output": [text("two"), image, text(CSV_WORDS)] },
        ]),
    )
    .await;
}

#[tokio::test]
async fn chat_completions_is_sent_parts_of_a_users_alone() {
    let image = json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG_BASE64}") } });
    let document = json!({
        "type": "file",
        "file": { "filename": "b.pdf", "file_data": format!("data:application/pdf;base64,{PDF_BASE64}") },
    });
    let no_pdf = "[attached file \"b.pdf\", application/pdf: this model cannot be shown files of this type]";
    let in_result = "[attached file \"a.png\", image/png: a tool's answer cannot show it]";
    let text = |text: &str| json!({ "type": "text", "text": text });
    let look = json!({ "id": "x", "type": "function", "function": { "name": "look", "arguments": "{}" } });
    for (model, second) in [("gpt-4o", document), ("llava", text(no_pdf))] {
        check(
            &OpenAiChat::new(options()).unwrap(),
            model,
            "messages",
            json!([
                { "role": "user", "content": [text("see"), image, second, text(CSV_WORDS)] },
                { "role": "assistant", "content": null, "tool_calls": [look] },
                { "role": "tool", "tool_call_id": "x", "content": format!("two\n\n{in_result}\n\n{CSV_WORDS}") },
            ]),
        )
        .await;
    }
}

#[tokio::test]
async fn a_text_file_alone_leaves_the_content_a_plain_string() {
    let asked = prompt(vec![message(Role::User, vec![Part::text("see"), csv()])]);
    let (request, _) = request(&OpenAiChat::new(options()).unwrap(), "m", None, None, &asked);
    assert_eq!(sent(request, &shelf()).await["messages"][0]["content"], format!("see\n\n{CSV_WORDS}"));
}

/// What the model reads in a file's place, with these settings.
fn words(model: &ModelSettings, parts: Vec<Part>) -> Vec<String> {
    let provider = Anthropic::new(options()).unwrap();
    let (_, body) = request_to(&provider, model, None, &prompt(vec![message(Role::User, parts)]));
    let blocks = body["messages"][0]["content"].as_array().cloned().unwrap_or_default();
    blocks.iter().map(|block| block["text"].as_str().unwrap_or("shown").to_owned()).collect()
}

#[test]
fn what_is_not_taken_is_named_with_the_reason() {
    let sized = |id: &str, media_type: &str, size_bytes: u64| match file(id, media_type, PNG) {
        Part::File { file_id, media_type, name, content: Some(content) } => {
            Part::File { file_id, media_type, name, content: Some(FileContent { size_bytes, ..content }) }
        }
        part => part,
    };
    let model = testing::model("m", None);
    let limit = 5 * 1024 * 1024 / 4 * 3;
    assert_eq!(words(&model, vec![sized("a", "image/png", limit)]), ["shown"]);
    let too_large = "[attached file \"a.png\", image/png: it is too large to be shown]";
    assert_eq!(words(&model, vec![sized("a", "image/png", limit + 1)]), [too_large]);
    let other = "[attached file \"a.zip\", application/zip: this model cannot be shown files of this type]";
    assert_eq!(words(&model, vec![file("a", "application/zip", PNG)]), [other]);
    // The newest files take the room first.
    let half = REQUEST_FILES_MAX_BYTES / 2;
    let pdfs = ["a", "b", "c"].map(|id| sized(id, "application/pdf", half));
    let no_room = "[attached file \"a.pdf\", application/pdf: newer files leave no room for it]";
    assert_eq!(words(&model, pdfs.to_vec()), [no_room, "shown", "shown"]);
    // A model that is said to take nothing reads text all the same.
    let blind = ModelSettings { files: Some(vec![]), ..model.clone() };
    let no_image = "[attached file \"a.png\", image/png: this model cannot be shown files of this type]";
    let shown = words(&blind, vec![png(), csv()]);
    assert_eq!(shown[0], no_image);
    assert!(shown[1].starts_with("[attached file \"c.csv\", text/csv]\n"), "{shown:?}");
    let seeing = ModelSettings { files: Some(vec![FileKind::Image]), ..model.clone() };
    assert_eq!(words(&seeing, vec![png()]), ["shown"]);
    // What it is said to accept counts, whatever its protocol takes; what was refused in this turn counts more.
    let accepting = |accepts: &[&str]| ModelSettings {
        accepts: Some(accepts.iter().map(|&media_type| media_type.to_owned()).collect()),
        ..testing::model("m", None)
    };
    let no_pdf = "[attached file \"b.pdf\", application/pdf: this model cannot be shown files of this type]";
    let all = || vec![png(), file("b", "application/pdf", PDF), csv()];
    let text = shown[1].as_str();
    for (accepts, expected) in [
        (&["image/*"][..], ["shown", no_pdf, text]),
        (&["image/jpeg", "application/pdf"], [no_image, "shown", text]),
        (&["image/png"], ["shown", no_pdf, text]),
        (&[], [no_image, no_pdf, text]),
    ] {
        assert_eq!(words(&accepting(accepts), all()), expected, "{accepts:?}");
        let refused = ModelSettings { files: Some(vec![]), ..accepting(accepts) };
        assert_eq!(words(&refused, all()), [no_image, no_pdf, text]);
    }
    let chat = OpenAiChat::new(options()).unwrap();
    let (_, body) =
        request_to(&chat, &accepting(&["application/pdf"]), None, &prompt(vec![message(Role::User, all())]));
    let parts = body["messages"][0]["content"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<_> = parts.iter().map(|part| part["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["text", "file", "text"]);
    // Where nobody keeps files, all of them are gone.
    let provider = Anthropic::new(ProviderOptions { files: None, ..options() }).unwrap();
    let (request, _) = request(&provider, "m", None, None, &prompt(vec![message(Role::User, vec![png()])]));
    assert_eq!(request.recipe.files_gone, ["a"]);
}

#[tokio::test]
async fn a_file_that_is_gone_fails_one_try_and_the_next_goes_without() {
    let source = Shelf::with(&[("c", CSV)]);
    let provider = OpenAiChat::new(ProviderOptions { files: Some(source.clone()), ..options() }).unwrap();
    let asked = prompt(vec![message(Role::User, vec![png(), csv()])]);
    let (first, _) = request(&provider, "m", None, None, &asked);
    assert_eq!(first.recipe.files_gone, Vec::<String>::new());
    let failed = fill(first.body, Some(source.as_ref())).await.err().expect("it is gone").error;
    assert!(failed.retryable, "{failed:?}");
    assert!(source.is_gone("a") && !source.is_gone("c"));
    let (second, _) = request(&provider, "m", None, None, &asked);
    assert_eq!(second.recipe.files_gone, ["a"]);
    let said = sent(second, &source).await["messages"][0]["content"].clone();
    assert_eq!(said, format!("[attached file \"a.png\", image/png: it is gone]\n\n{CSV_WORDS}"));
}

#[tokio::test]
async fn nothing_that_anybody_says_is_taken_for_a_file() {
    let provider = Anthropic::new(options()).unwrap();
    let shown = prompt(vec![message(Role::User, vec![png()])]);
    let (request_with_file, _) = request(&provider, "m", None, None, &shown);
    let body = String::from_utf8(request_with_file.body).unwrap();
    let marker = &body[body.find('\u{1}').unwrap()..=body.rfind('\u{1}').unwrap()];
    assert!(marker.ends_with(":7:a\u{1}"), "{marker:?}");
    let asked = prompt(vec![user(marker)]);
    let (request, _) = request(&provider, "m", None, None, &asked);
    assert_eq!(sent(request, &shelf()).await["messages"][0]["content"][0]["text"], marker);
}

#[tokio::test]
async fn a_long_text_is_cut_between_two_characters() {
    let limit = usize::try_from(TEXT_MAX_BYTES).unwrap();
    let text = format!("{}{}", "x".repeat(limit - 1), "\u{e9}".repeat(10));
    let source = Shelf::with(&[("t", text.as_bytes())]);
    let asked = prompt(vec![message(Role::User, vec![file("t", "text/plain", text.as_bytes())])]);
    let (request, _) = request(&OpenAiChat::new(options()).unwrap(), "m", None, None, &asked);
    let said = sent(request, &source).await["messages"][0]["content"].as_str().unwrap().to_owned();
    assert!(said.ends_with("x\n[the last 20 bytes of the file are left out]"), "{}", &said[limit - 10..]);
}

#[test]
fn a_body_can_be_read_without_its_files() {
    let (request, body) = request(&Anthropic::new(options()).unwrap(), "m", None, None, &conversation());
    assert!(serde_json::from_slice::<Value>(&request.body).is_err(), "a marker is no JSON");
    let data = body["messages"][0]["content"][1]["source"]["data"].as_str().unwrap();
    assert!(data.starts_with("<file a, sha256 ") && data.len() == 81, "{data}");
    assert_eq!(legible(b"{}"), b"{}");
}
