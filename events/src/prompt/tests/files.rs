//! Files in prompts: beside the results they came with, and named once they are expired.

use super::*;
use crate::limits::CHAT_FILES_MAX;
use crate::part::FileContent;

fn file(id: &str) -> Part {
    let content = Some(FileContent { digest: Digest::of(id.as_bytes()), size_bytes: 3 });
    Part::File { file_id: id.to_owned(), media_type: "image/png".to_owned(), name: format!("{id}.png"), content }
}

fn nameless(id: &str) -> Part {
    Part::File { file_id: id.to_owned(), media_type: "image/png".to_owned(), name: "a".to_owned(), content: None }
}

#[test]
fn files_stay_with_the_result_they_came_with() {
    let answers = |parts| message(3, Role::Tool, parts);
    let asked = || [user(1, "look"), message(2, Role::Assistant, vec![call("a"), call("b")])];
    let whole = asked().into_iter().chain([answers(vec![result("a", "1"), file("f"), file("g"), result("b", "2")])]);
    let whole = chat(whole);
    let prompt = assemble(&whole, &Offer::default());
    assert_eq!(problems(&prompt), Vec::<String>::new());
    assert_eq!(shown(&prompt.messages)[2], "tool: =a:1 [f] [g] =b:2");
    assert!(Arc::ptr_eq(&prompt.messages[2], whole.history.get(3).expect("the answers")), "nothing needed repair");

    // Answers apart, one of them twice, and a file that only has a name: it is left out as it always was.
    let apart = asked().into_iter().chain([
        answers(vec![result("b", "2"), file("f"), result("b", "3"), file("g")]),
        message(4, Role::Tool, vec![result("a", "1"), nameless("h")]),
    ]);
    let prompt = assemble(&chat(apart), &Offer::default());
    assert_eq!(problems(&prompt), Vec::<String>::new());
    assert_eq!(shown(&prompt.messages)[2..], ["tool: =b:2 [f]", "tool: =a:1"]);
}

#[test]
fn an_expired_file_is_named_and_not_shown() {
    let mut chat = chat([
        message(1, Role::User, vec![Part::text("see"), file("old"), file("new")]),
        message(2, Role::Assistant, vec![call("a")]),
        message(3, Role::Tool, vec![result("a", "1"), file("old")]),
    ]);
    let before = assemble(&chat, &Offer::default());
    let mut files = crate::chat::ChatFiles::default();
    files.show("old");
    (1..CHAT_FILES_MAX).for_each(|number| files.show(&number.to_string()));
    files.show("new");
    chat.outline.files = Arc::new(files);
    let prompt = assemble(&chat, &Offer::default());
    assert_eq!(problems(&prompt), Vec::<String>::new());
    let words = "[attached file \"old.png\", image/png: it is expired and cannot be read any more]";
    assert_eq!(shown(&prompt.messages)[0], format!("user: see {words} [new]"));
    assert_eq!(shown(&prompt.messages)[2], format!("tool: =a:1 {words}"));
    assert!(Arc::ptr_eq(&prompt.messages[1], &before.messages[1]), "what shows no such file is shared");
}
