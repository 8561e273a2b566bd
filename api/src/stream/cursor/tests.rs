use verbatim_events::event::{AttemptAction, AttemptRecorded, Event};

use super::*;
use crate::wire::samples::{chat_after, created, said, turn_started};

#[test]
fn a_cursor_comes_back_as_it_went() {
    for cursor in [Cursor::Event(0), Cursor::Event(u64::MAX), Cursor::Part { version: 43, attempt: 42, n: 17 }] {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    assert_eq!("43-42-17".parse(), Ok(Cursor::Part { version: 43, attempt: 42, n: 17 }));
}

#[test]
fn anything_else_is_no_cursor() {
    for text in [
        "",
        "-",
        "-1",
        "+1",
        " 1",
        "1 ",
        "a",
        "1-2",
        "1-2-",
        "1--3",
        "1-2-3-4",
        "1-0-1",
        "1-1-0",
        "0x1",
        "1.0",
        "18446744073709551616",
        "٣",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text:?} is no cursor");
    }
}

/// Attempt 4 is open after the events 1 to 4.
fn chat() -> Chat {
    chat_after([
        created(),
        turn_started(),
        Event::MessageCommitted(said("hello")),
        Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::Generate,
            number: 1,
            model: None,
            prompt_digest: None,
            request: None,
            offer: None,
            node: "n".into(),
        }),
    ])
}

#[test]
fn a_cursor_fits_a_chat_that_can_have_given_it_away() {
    // The cursor, the parts said by attempt 4, whether it fits.
    for (text, parts, fits) in [
        ("0", 0, true),
        ("4", 0, true),
        ("5", 0, false),
        ("4-4-3", 3, true),
        ("4-4-4", 3, false),
        ("5-4-1", 3, false),
        ("4-5-1", 3, false),
        // An earlier attempt: it is over, its message tells.
        ("4-3-9", 3, true),
        ("3-4-1", 3, false),
    ] {
        assert_eq!(text.parse::<Cursor>().unwrap().fits(&chat(), parts), fits, "{text} with {parts} parts");
    }
}
