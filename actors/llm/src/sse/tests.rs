use proptest::prelude::*;

use super::*;

const SMALL: SseLimits = SseLimits { event_bytes_max: 64, body_bytes_max: 256 };

/// The events of a body that arrives in pieces of the given sizes (the last one repeats), and whether it overflowed.
fn decode(body: &[u8], sizes: &[usize], limits: SseLimits) -> (Vec<(String, String)>, Option<SseOverflow>) {
    let mut decoder = SseDecoder::new(limits);
    let mut events = Vec::new();
    let mut rest = body;
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap_or(&body.len().max(1))));
    let mut overflow = None;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        rest = tail;
        overflow = decoder.feed(piece, &mut events).err();
    }
    events.extend(decoder.finish());
    (events.into_iter().map(|event| (event.name, event.data)).collect(), overflow)
}

/// Checks a body cut at every place, and byte by byte.
#[track_caller]
fn check(body: &[u8], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
    for cut in 0..=body.len() {
        let (events, overflow) = decode(body, &[cut.max(1), body.len().max(1)], SseLimits::default());
        assert_eq!((events, overflow), (expected.clone(), None), "cut at {cut}");
    }
    assert_eq!(decode(body, &[1], SseLimits::default()), (expected, None), "byte by byte");
}

#[test]
fn every_line_end_ends_a_line() {
    let expected = [("", "a"), ("", "b\nc"), ("", "d")];
    check(b"data: a\n\ndata: b\ndata: c\n\ndata: d\n\n", &expected);
    check(b"data: a\r\n\r\ndata: b\r\ndata: c\r\n\r\ndata: d\r\n\r\n", &expected);
    check(b"data: a\r\rdata: b\rdata: c\r\rdata: d\r\r", &expected);
    check(b"data: a\r\n\ndata: b\rdata: c\n\r\ndata: d\n\n", &expected);
}

#[test]
fn names_comments_and_unknown_fields() {
    check(b": ping\n\nevent: error\nid: 7\nretry: 5\nfoo: bar\nfoo\ndata: x\n\n", &[("error", "x")]);
    check(b"event: lost\n\ndata: y\n\n", &[("", "y")]);
    check(b"data\n\n", &[("", "")]);
    check(b"data:a:b\ndata:  c\n\n", &[("", "a:b\n c")]);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_alone() {
    check(b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n", &[("", "a")]);
}

#[test]
fn characters_of_many_bytes_survive_every_cut() {
    check("data: grüße 🦀 日本\n\n".as_bytes(), &[("", "grüße 🦀 日本")]);
    check(b"data: a\xFFb\n\n", &[("", "a\u{FFFD}b")]);
}

#[test]
fn the_last_event_needs_no_blank_line() {
    check(b"data: a\n\ndata: [DONE]", &[("", "a"), ("", "[DONE]")]);
    check(b"data: a\n", &[("", "a")]);
    check(b"event: nothing\n", &[]);
    check(b"", &[]);
}

#[test]
fn an_event_and_the_body_are_bounded() {
    let long_line = format!("data: ok\n\ndata: {}", "x".repeat(80));
    let many_lines = format!("data: ok\n\n{}", "data: yyyyyyyy\n".repeat(8));
    for body in [long_line, many_lines] {
        for size in [1, 7, 1000] {
            let (events, overflow) = decode(body.as_bytes(), &[size], SMALL);
            assert_eq!(events, [(String::new(), "ok".to_owned())]);
            assert_eq!(overflow, Some(SseOverflow::Event(64)));
        }
    }
    let body = "data: yyyyyyyy\n\n".repeat(17);
    for size in [1, 7, 1000] {
        let (events, overflow) = decode(body.as_bytes(), &[size], SMALL);
        assert_eq!((events.len(), overflow), (16, Some(SseOverflow::Body(256))));
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(body in "(data: ?|event:|:|\n|\r|é|x|\u{FEFF}){0,40}", sizes in prop::collection::vec(1usize..9, 1..20)) {
        let whole = decode(body.as_bytes(), &[body.len().max(1)], SMALL);
        prop_assert_eq!(decode(body.as_bytes(), &sizes, SMALL), whole);
    }

    #[test]
    fn any_bytes_are_taken(body in prop::collection::vec(any::<u8>(), 0..600), sizes in prop::collection::vec(1usize..50, 1..20)) {
        let whole = decode(&body, &[body.len().max(1)], SMALL);
        prop_assert_eq!(decode(&body, &sizes, SMALL), whole);
    }
}
