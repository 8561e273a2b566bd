//! What is refused, by which line, and that nothing of it is left.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use verbatim_events::event::{ChatErased, Event};
use verbatim_events::wire;

use super::super::lines::{Lines, Next};
use super::*;

/// The export with one of its lines changed.
fn with_line(entries: &[String], number: usize, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut entries = entries.to_vec();
    let mut value: Value = serde_json::from_str(&entries[number]).expect("JSON");
    change(&mut value);
    entries[number] = value.to_string();
    text_of(&entries)
}

/// The export with another text of a line.
fn with_text(entries: &[String], number: usize, text: String) -> Vec<u8> {
    let mut entries = entries.to_vec();
    entries[number] = text;
    text_of(&entries)
}

/// The first line that fits.
fn line_of(entries: &[String], fits: impl Fn(&Value) -> bool) -> usize {
    let read = |line: &String| serde_json::from_str::<Value>(line).expect("JSON");
    entries.iter().position(|line| fits(&read(line))).expect("such a line")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_whole_or_not_what_it_was_is_refused_by_its_line_and_leaves_nothing() {
    let grown = Grown::new(3).await;
    let (bytes, _) = grown.export(Form::Opened, Filters::default()).await;
    let (sealed, _) = grown.export(Form::Sealed, Filters::default()).await;
    let (entries, as_stored) = (lines(&bytes), lines(&sealed));
    let (last, half) = (entries.len() - 1, entries.len() / 2);
    let plain = line_of(&entries, |line| line["encoding"] == "plain" && line["event_type"] == "message_committed");
    let opened = line_of(&entries, |line| {
        line["encoding"] == "sealed" && line["event_type"] == "message_committed" && line["data"].is_object()
    });
    let erased = line_of(&entries, |line| line["event_type"] == "chat_erased");
    let ciphertext = line_of(&entries, |line| line["sealed"].is_string());
    let settings = line_of(&entries, |line| line["event_type"] == "provider_set");
    let at = |line: usize, problem: &str| (format!("line {}: ", line + 1), problem.to_owned());
    let mut swapped = entries.clone();
    swapped.swap(half, half + 1);
    let mut doubled = entries.clone();
    doubled.insert(half, entries[half].clone());
    let mut without = entries.clone();
    without.remove(half);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let replaced = |line: usize, from: &str, to: &str| {
        assert!(entries[line].contains(from), "{from} in {}", entries[line]);
        with_text(&entries, line, entries[line].replacen(from, to, 1))
    };
    let bomb = |line: usize, data: &str| {
        let rest = entries[line].split_once("\"data\":").expect("data").0;
        with_text(&entries, line, format!("{rest}\"data\":{data}}}"))
    };
    let cases: Vec<(&str, Vec<u8>, (String, String))> = vec![
        ("nothing", Vec::new(), at(0, "there is nothing")),
        ("something else", b"id,name\n1,ann\n".to_vec(), at(0, "no export")),
        ("another format", with_line(&entries, 0, |line| line["verbatim_export"] = json!(2)), at(0, "its format is 2")),
        (
            "an unknown field in the first line",
            with_line(&entries, 0, |line| line["more"] = json!(1)),
            at(0, "unknown field `more`"),
        ),
        ("the first line alone", text_of(&entries[..1]), ("after line 1".to_owned(), "cut".to_owned())),
        ("cut between lines", text_of(&entries[..half]), (format!("after line {half}"), "cut".to_owned())),
        ("cut before the last line", text_of(&entries[..last]), (format!("after line {last}"), "cut".to_owned())),
        ("cut inside a line", bytes[..bytes.len() / 2].to_vec(), ("line ".to_owned(), "cut".to_owned())),
        ("lines swapped", text_of(&swapped), at(half, "out of order")),
        ("a line twice", text_of(&doubled), at(half + 1, "out of order")),
        ("a line missing", text_of(&without), at(half, "lines are missing")),
        ("no JSON", with_text(&entries, half, "{oops}".to_owned()), at(half, "no line of an export")),
        (
            "no text",
            {
                let mut bytes = bytes.clone();
                let place = text_of(&entries[..half]).len() + 20;
                bytes[place] = 0xff;
                bytes
            },
            at(half, ""),
        ),
        (
            "an unknown field",
            with_line(&entries, half, |line| line["more"] = json!(1)),
            at(half, "unknown field `more`"),
        ),
        (
            "an unknown type",
            with_line(&entries, opened, |line| line["event_type"] = json!("dance")),
            at(opened, "no event has this type"),
        ),
        (
            "a schema of the future",
            with_line(&entries, opened, |line| line["schema"] = json!(999)),
            at(opened, "schema 999 is unknown"),
        ),
        ("a plain word changed", replaced(plain, "\"role\":\"", "\"role\":\"x"), at(plain, "it was changed")),
        ("who did it changed", replaced(plain, "\"name\":\"ann\"", "\"name\":\"eve\""), at(plain, "it was changed")),
        ("a time changed", replaced(plain, "\"recorded_at\":\"2", "\"recorded_at\":\"1"), at(plain, "it was changed")),
        ("no hash", replaced(plain, "\"hash\":\"", "\"hash\":\"0"), at(plain, "digest")),
        (
            "a sealed byte changed",
            with_line(&as_stored, opened, |line| {
                let text = line["sealed"].as_str().expect("text").to_owned();
                line["sealed"] = json!(format!("{}{}", if text.starts_with('A') { 'B' } else { 'A' }, &text[1..]));
            }),
            at(opened, "it was changed"),
        ),
        ("no base64", with_line(&as_stored, opened, |line| line["sealed"] = json!("%%")), at(opened, "base64")),
        ("an opened word changed", replaced(opened, "\"text\":\"", "\"text\":\"x"), at(last, "changed on its way")),
        (
            "opened in a sealed export",
            with_text(&as_stored, opened, entries[opened].clone()),
            at(opened, "says that this export is sealed"),
        ),
        ("both", with_line(&entries, ciphertext, |line| line["data"] = json!({})), at(ciphertext, "one of data")),
        (
            "neither",
            with_line(&entries, plain, |line| drop(line.as_object_mut().expect("an object").remove("data"))),
            at(plain, "one of data"),
        ),
        (
            "an erased chat with words",
            with_line(&entries, ciphertext, |line| {
                line.as_object_mut().expect("an object").remove("sealed");
                line["data"] = json!({});
            }),
            at(ciphertext, ""),
        ),
        (
            "a sealed setting",
            with_line(&entries, settings, |line| line["encoding"] = json!("sealed")),
            at(settings, "only chats are sealed"),
        ),
        (
            "a stream of nobody",
            with_line(&entries, settings, |line| line["chat_id"] = json!("00000000-0000-8000-8000-00000000abcd")),
            at(settings, ""),
        ),
        (
            "an erasure missing",
            {
                let mut entries = entries.clone();
                entries.remove(erased);
                text_of(&entries)
            },
            at(erased, "are here"),
        ),
        (
            "a wrong number in the end",
            with_line(&entries, last, |line| line["events"] = json!(1)),
            at(last, "there were 1 events"),
        ),
        (
            "other ends of streams",
            with_line(&entries, last, |line| line["streams"] = json!(1)),
            at(last, "ends of the streams"),
        ),
        ("a line after the end", [&bytes[..], b"{}\n"].concat(), at(last + 1, "ended before this line")),
        ("deep nesting", bomb(opened, &deep), at(opened, "nests deeper")),
        (
            "a line of ten million bytes",
            bomb(plain, &format!("\"{}\"", "a".repeat(10_000_000))),
            at(plain, "it was changed"),
        ),
        ("a line of ten million brackets", with_text(&entries, plain, "[".repeat(10_000_000)), at(plain, "")),
        ("ten million bytes of no line", vec![b'x'; 10_000_000], at(0, "no export")),
    ];
    let place = Place::new();
    place.open().await.close().await;
    // No keys yet, as on a machine where nothing ever was.
    let (files, empty) = (place.files(), place.holds().await);
    for (name, bytes, (line, problem)) in cases {
        let refused = place.import(&bytes).await.expect_err(name).to_string();
        assert!(refused.contains(&line) && refused.contains(&problem), "{name}: {line:?}, {problem:?} in {refused:?}");
        assert!(refused.contains("nothing was imported"), "{name}: {refused}");
        assert_eq!((place.files(), place.holds().await), (files.clone(), empty), "{name}");
    }
    // The way is free for one that is good, and then for no other.
    place.import(&bytes).await.expect("imported");
    let full = place.holds().await;
    assert_eq!((place.files(), full), (files, (entries.len() as u64 - 2, grown.sealed.len() as i64)));
    let refused = place.import(&bytes).await.expect_err("it is not empty").to_string();
    assert!(refused.contains(&format!("holds {} events", full.0)), "{refused}");
    assert_eq!(place.holds().await, full);
}

/// The import of a log that nobody could have made, as if a program had written its export.
async fn forged(grown: &Grown, forge: impl FnOnce(&mut Vec<String>)) -> Result<Imported, String> {
    let (bytes, _) = grown.export(Form::Opened, Filters::default()).await;
    let mut entries = lines(&bytes);
    let header = entries.remove(0);
    entries.pop();
    forge(&mut entries);
    // Positions and trailer as they should be.
    let mut ends = BTreeMap::new();
    for (entry, position) in entries.iter_mut().zip(1..) {
        let value: Value = serde_json::from_str(entry).expect("JSON");
        let (from, to) = (format!("\"position\":{},", value["position"]), format!("\"position\":{position},"));
        *entry = entry.replacen(&from, &to, 1);
        ends.insert(id_of(&value), (version_of(&value), hash_of(&value)));
    }
    let body = text_of(&[vec![header], entries.clone()].concat());
    let trailer = Trailer {
        verbatim_export_end: 1,
        events: entries.len() as u64,
        streams: ends.len() as u64,
        heads: super::super::export::heads(ends.into_iter().map(|(id, (version, hash))| (id, version, hash))),
        sha256: Digest::of(&body),
    };
    let bytes = [body, serde_json::to_vec(&trailer).expect("JSON")].concat();
    Place::new().import(&bytes).await.map_err(|error| error.to_string())
}

fn id_of(value: &Value) -> ChatId {
    value["chat_id"].as_str().expect("an id").parse().expect("an id")
}

fn version_of(value: &Value) -> u64 {
    value["version"].as_u64().expect("a version")
}

fn hash_of(value: &Value) -> Digest {
    value["hash"].as_str().expect("a hash").parse().expect("a hash")
}

/// Changes the first event of a chat.
fn change_first(entries: &mut [String], chat_id: ChatId, change: impl FnOnce(&mut Value)) {
    let first = entries.iter_mut().find(|entry| entry.contains(&format!("\"chat_id\":\"{chat_id}\""))).expect("it");
    let mut value: Value = serde_json::from_str(first).expect("JSON");
    change(&mut value);
    *first = value.to_string();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_whole_but_cannot_have_happened_is_refused() {
    let grown = Grown::new(5).await;
    forged(&grown, |_| {}).await.expect("nothing was forged");
    let sealed = grown.sealed[0];
    // Words that are sealed anew prove nothing of themselves, but a chat that was not made cannot be archived.
    let refused = forged(&grown, |entries| {
        change_first(entries, sealed, |first| {
            (first["event_type"], first["schema"], first["data"]) = (json!("chat_archived"), json!(1), json!({}));
        });
    });
    let refused = refused.await.expect_err("it begins with its archiving");
    let told = ["cannot have happened", "line ", &sealed.to_string()].iter().all(|part| refused.contains(part));
    assert!(told, "{refused}");
    let refused = forged(&grown, |entries| {
        change_first(entries, sealed, |first| first["data"]["parent"] = json!(Uuid::now_v7().to_string()));
    });
    let refused = refused.await.expect_err("nobody made it");
    assert!(refused.contains("was made by chat") && refused.contains("not in the export"), "{refused}");
    let refused = forged(&grown, |entries| entries.retain(|entry| !entry.contains("\"chat_erased\"")));
    let refused = refused.await.expect_err("its key is gone and nobody erased it");
    assert!(refused.contains("nobody erased") && refused.contains(&grown.erased.to_string()), "{refused}");
    let refused = forged(&grown, |entries| {
        let mine = format!("\"chat_id\":\"{sealed}\"");
        let last = entries.iter().rposition(|entry| entry.contains(&mine)).expect("it");
        let before: Value = serde_json::from_str(&entries[last]).expect("JSON");
        let erased = Event::ChatErased(ChatErased { by: "ann".to_owned(), reason: None, remains: None });
        let (version, hash) = (version_of(&before), hash_of(&before));
        let (new, _) = wire::seal(sealed, version, hash, vec![erased], &cause(), now(), &mut Uuid::now_v7).remove(0);
        let entry = json!({
            "position": 0, "chat_id": sealed, "version": new.version, "event_id": new.event_id, "event_type": new.event_type,
            "schema": new.schema, "recorded_at": new.recorded_at, "actor": new.actor, "command_id": new.command_id,
            "causation_id": new.causation_id, "trace_id": new.trace_id, "encoding": "plain", "hash": new.hash,
            "data_base64": STANDARD.encode(&new.data),
        });
        entries.insert(last + 1, entry.to_string());
    });
    let refused = refused.await.expect_err("words of an erased chat");
    assert!(refused.contains("is erased, but the export holds what it said"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_export_without_its_keys_is_refused() {
    let grown = Grown::new(17).await;
    let (sealed, _) = grown.export(Form::Sealed, Filters::default()).await;
    let refused = Place::new().import(&sealed).await.expect_err("there are no keys").to_string();
    assert!(refused.contains("keys.db") && refused.contains("without --sealed"), "{refused}");
    // Other keys are there, but not these.
    let other = Place::new();
    other.open().await.close().await;
    let refused = other.import(&sealed).await.expect_err("these are other keys").to_string();
    assert!(refused.contains("the key to it is gone") && refused.contains("line "), "{refused}");
    assert_eq!(other.holds().await.0, 0);
}

#[test]
fn a_line_is_never_read_beyond_its_bound() {
    let mut lines = Lines::up_to(&b"12345\n123456\n"[..], 5);
    assert_eq!((lines.next().unwrap(), lines.line()), (Next::Line, &b"12345"[..]));
    assert_eq!((lines.next().unwrap(), lines.number()), (Next::TooLong, 2));
    let mut lines = Lines::up_to(&b"12345"[..], 5);
    assert_eq!((lines.next().unwrap(), lines.line()), (Next::Line, &b"12345"[..]));
    assert_eq!(lines.next().unwrap(), Next::End);
    assert_eq!(lines.digest_before(), Digest::of(b"12345"));
}
