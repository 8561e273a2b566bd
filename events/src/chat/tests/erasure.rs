//! An erased chat looks the same to who could read what was said and to who came too late for it.

use super::support::Story;
use crate::chat::{Outline, evolve};
use crate::command::{Busy, Command};
use crate::event::Event;

fn erased() -> Story {
    let mut story = Story::answered();
    story.send("And a functor?", Busy::Queue);
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    story
}

#[test]
fn nothing_is_left_of_an_erased_chat_but_what_its_end_says() {
    let before = Story::answered();
    let story = erased();
    let outline = &story.chat().outline;
    let created = before.chat().outline.created_at;
    assert_eq!((outline.owner.as_str(), outline.created_at), (before.chat().outline.owner.as_str(), created));
    assert!(outline.erased && outline.title.is_empty() && outline.labels.is_empty() && outline.model.is_none());
    assert!(story.chat().history.is_empty() && story.chat().queue.is_empty());
    assert_eq!(outline.version, story.log.len() as u64);
}

#[test]
fn who_reads_the_end_alone_sees_the_same_chat_as_who_read_everything() {
    let story = erased();
    let last = story.log.last().expect("it ended");
    assert_eq!(evolve(None, last).as_ref(), Ok(story.chat()));
    assert_eq!(Outline::apply(None, last).as_ref(), Ok(&story.chat().outline));
    // Who had read some of it before the key was gone.
    for known in 1..story.log.len() - 1 {
        let chat = story.log[..known].iter().fold(None, |chat, event| Some(evolve(chat, event).unwrap()));
        assert_eq!(evolve(chat, last).as_ref(), Ok(story.chat()), "read up to {known}");
    }
}

#[test]
fn only_an_end_that_says_what_remains_may_follow_what_is_gone() {
    let story = erased();
    let mut last = story.log.last().expect("it ended").clone();
    // A chat cannot begin with its end.
    let first = crate::envelope::Recorded { version: 1, ..last.clone() };
    assert!(evolve(None, &first).is_err());
    // Nothing comes after the end, not even another one.
    let again = crate::envelope::Recorded { version: last.version + 2, ..last.clone() };
    assert!(evolve(story.chat.clone(), &again).is_err());
    let Event::ChatErased(erased) = &mut last.event else { panic!("it ended with something else") };
    erased.remains = None;
    assert!(evolve(None, &last).is_err());
    // What older programs wrote says it in the events before.
    let chat = story.log[..story.log.len() - 1].iter().fold(None, |chat, event| Some(evolve(chat, event).unwrap()));
    assert_eq!(evolve(chat, &last).as_ref(), Ok(story.chat()));
}
