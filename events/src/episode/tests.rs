use proptest::prelude::*;
use serde_json::json;

use super::*;

fn text(text: &str) -> LivePart {
    LivePart::TextDelta { text: text.to_owned() }
}

fn reasoning(text: &str) -> LivePart {
    LivePart::ReasoningDelta { text: text.to_owned() }
}

fn args(call_id: &str, args: &str) -> LivePart {
    LivePart::ToolArgsDelta { call_id: call_id.to_owned(), name: format!("tool_{call_id}"), args: args.to_owned() }
}

fn thought(text: &str, metadata: Option<Value>) -> Part {
    Part::Reasoning { text: text.to_owned(), metadata }
}

fn called(id: &str, args: Value) -> Part {
    call(id.to_owned(), format!("tool_{id}"), args)
}

fn at_provider(id: &str) -> Part {
    Part::ToolCall {
        call_id: id.to_owned(),
        name: "web_search".to_owned(),
        args: json!({}),
        provider_executed: true,
        metadata: None,
    }
}

fn result(id: &str, result: Value) -> Part {
    Part::ToolResult {
        call_id: id.to_owned(),
        name: "web_search".to_owned(),
        result,
        is_error: false,
        provider_executed: true,
        metadata: None,
    }
}

fn source() -> Part {
    Part::Source { url: "https://example.org".to_owned(), title: "Example".to_owned() }
}

fn whole(part: Part) -> LivePart {
    LivePart::Whole(part)
}

/// What both assemblies make of the pieces, where they agree.
#[track_caller]
fn both(pieces: &[LivePart], parts: &[Part]) {
    assert_eq!(complete(pieces).expect("complete arguments"), parts);
    assert_eq!(interrupted(pieces), parts);
}

#[test]
fn deltas_of_a_kind_join() {
    both(&[text("Hel"), text(""), text("lo")], &[Part::text("Hello")]);
    both(
        &[reasoning("a"), reasoning("b"), text("c"), text("d"), reasoning("e")],
        &[thought("ab", None), Part::text("cd"), thought("e", None)],
    );
}

#[test]
fn another_part_between_splits_them() {
    both(&[text("a"), whole(source()), text("b")], &[Part::text("a"), source(), Part::text("b")]);
    both(&[text("a"), args("1", "{}"), text("b")], &[Part::text("a"), called("1", json!({})), Part::text("b")]);
}

#[test]
fn what_tools_print_is_left_out_and_splits_nothing() {
    let printed = LivePart::ToolOutputDelta { call_id: "1".to_owned(), output: "noise".to_owned() };
    both(&[text("a"), printed, text("b")], &[Part::text("ab")]);
}

#[test]
fn arguments_join_per_call_wherever_they_come() {
    let pieces = [args("1", "{\"a\""), args("2", "[1"), text("x"), args("1", ":1}"), text("y"), args("2", "]")];
    both(&pieces, &[called("1", json!({"a": 1})), called("2", json!([1])), Part::text("xy")]);
}

#[test]
fn a_call_keeps_the_first_name_that_is_one() {
    let named = |name: &str, args: &str| LivePart::ToolArgsDelta {
        call_id: "1".to_owned(),
        name: name.to_owned(),
        args: args.to_owned(),
    };
    both(&[named("", "{"), named("tool_1", "}"), named("other", "")], &[called("1", json!({}))]);
}

#[test]
fn a_whole_call_takes_the_place_of_its_deltas() {
    let pieces = [args("1", "{\"a\":"), text("x"), whole(called("1", json!({"b": 2}))), args("1", "junk")];
    both(&pieces, &[called("1", json!({"b": 2})), Part::text("x")]);
}

#[test]
fn a_second_whole_call_or_result_is_skipped() {
    let pieces = [
        whole(at_provider("1")),
        whole(called("1", json!("again"))),
        whole(result("1", json!("first"))),
        whole(result("1", json!("second"))),
    ];
    both(&pieces, &[at_provider("1"), result("1", json!("first"))]);
}

#[test]
fn a_signature_completes_the_reasoning_before_it() {
    let signed = Some(json!({"signature": "c2ln"}));
    for final_text in ["", "ab"] {
        let pieces = [reasoning("a"), reasoning("b"), whole(thought(final_text, signed.clone())), text("c")];
        both(&pieces, &[thought("ab", signed.clone()), Part::text("c")]);
    }
}

#[test]
fn reasoning_that_stands_for_itself_is_kept_beside_its_neighbours() {
    let hidden = || thought("", Some(json!({"redacted": "eA=="})));
    both(
        &[whole(thought("a", None)), whole(hidden()), reasoning("b"), whole(thought("other", None)), text("c")],
        &[thought("a", None), hidden(), thought("b", None), thought("other", None), Part::text("c")],
    );
}

#[test]
fn a_whole_text_is_the_final_form_of_equal_deltas_and_nothing_else() {
    both(&[text("a"), text("b"), whole(Part::text("ab"))], &[Part::text("ab")]);
    both(&[text("a"), whole(Part::text("b")), text("c")], &[Part::text("a"), Part::text("b"), Part::text("c")]);
}

#[test]
fn a_finished_call_without_arguments_has_an_empty_object() {
    for blank in ["", " \n"] {
        assert_eq!(complete(&[args("1", blank)]), Ok(vec![called("1", json!({}))]));
    }
}

#[test]
fn incomplete_arguments_fail_and_name_the_call() {
    let problem = complete(&[text("a"), args("call_7", "{\"a\": ")]).expect_err("incomplete");
    assert!(problem.contains("call \"call_7\"") && problem.contains("not complete JSON"), "{problem}");
    assert!(complete(&[args("1", "{} {}")]).is_err());
}

#[test]
fn arguments_nest_as_deep_as_they_may_and_no_deeper() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let most = nested(crate::limits::VALUE_LEVELS_MAX);
    assert!(complete(&[args("1", &most)]).is_ok());
    let (call, stopped) = (args("call_7", &format!("[{most}]")), text("a"));
    let problem = complete(std::slice::from_ref(&call)).expect_err("one level more");
    assert!(problem.contains("call \"call_7\" nest deeper than 64 levels"), "{problem}");
    assert_eq!(interrupted(&[stopped, call]), [Part::text("a")]);
}

#[test]
fn an_interrupted_answer_loses_calls_that_were_cut() {
    assert_eq!(interrupted(&[text("a"), args("1", "{\"a\""), args("2", "")]), [Part::text("a")]);
}

#[test]
fn an_interrupted_answer_loses_results_without_their_call() {
    let pieces = [whole(result("1", json!(1))), whole(at_provider("2")), whole(result("2", json!(2)))];
    assert_eq!(interrupted(&pieces), [at_provider("2"), result("2", json!(2))]);
    assert_eq!(interrupted(&[text("a"), whole(result("1", json!(1)))]), [Part::text("a")]);
}

#[test]
fn of_an_interrupted_answer_blank_text_is_nothing() {
    assert_eq!(interrupted(&[text(" \n")]), []);
    assert_eq!(interrupted(&[reasoning("thinking"), text("\n")]), []);
    assert_eq!(interrupted(&[text("\n"), whole(source()), text("  ")]), [source()]);
    assert_eq!(interrupted(&[reasoning("a"), text(" b ")]), [thought("a", None), Part::text(" b ")]);
}

#[test]
fn nothing_makes_nothing() {
    both(&[], &[]);
    both(&[text(""), reasoning("")], &[]);
}

#[test]
fn usable_is_what_a_reader_can_use() {
    let file =
        Part::File { file_id: "f".to_owned(), media_type: "image/png".to_owned(), name: "a".to_owned(), content: None };
    for part in [Part::text("a"), called("1", json!({})), at_provider("1"), source(), file] {
        assert!(usable(std::slice::from_ref(&part)), "{part:?}");
    }
    for part in [Part::text(" \t\n"), thought("hm", None), result("1", json!(1))] {
        assert!(!usable(std::slice::from_ref(&part)), "{part:?}");
    }
    assert!(!usable(&[]));
}

fn any_piece() -> impl Strategy<Value = LivePart> {
    let id = prop::sample::select(vec!["1", "2", "3"]);
    let words = prop::sample::select(vec!["", " ", "a", "b\n", "{", "}", "\"x\":1"]);
    prop_oneof![
        words.clone().prop_map(text),
        words.clone().prop_map(reasoning),
        (id.clone(), words.clone()).prop_map(|(id, words)| args(id, words)),
        words.prop_map(|words| whole(Part::text(words))),
        id.clone().prop_map(|id| whole(at_provider(id))),
        id.clone().prop_map(|id| whole(called(id, json!({})))),
        id.prop_map(|id| whole(result(id, json!(1)))),
        Just(whole(source())),
        Just(whole(thought("", Some(json!("sig"))))),
    ]
}

fn words(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

proptest! {
    #[test]
    fn an_interrupted_answer_is_usable_and_sound(pieces in prop::collection::vec(any_piece(), 0..30)) {
        let parts = interrupted(&pieces);
        prop_assert!(parts.is_empty() || usable(&parts));
        let mut calls = BTreeSet::new();
        for part in &parts {
            match part {
                Part::Text { text } => prop_assert!(!text.trim().is_empty()),
                Part::ToolCall { call_id, .. } => prop_assert!(calls.insert(call_id), "a call stands twice"),
                Part::ToolResult { call_id, .. } => prop_assert!(calls.contains(call_id), "a result lacks its call"),
                _ => {}
            }
        }
    }

    /// However the text was cut into pieces, the message says the same.
    #[test]
    fn text_does_not_depend_on_its_pieces(words in "[a-zäß🙂 ]{1,40}", cuts in prop::collection::vec(0..40_usize, 0..6)) {
        let characters: Vec<char> = words.chars().collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(characters.len())).collect();
        cuts.extend([0, characters.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> =
            cuts.windows(2).map(|cut| text(&characters[cut[0]..cut[1]].iter().collect::<String>())).collect();
        prop_assert_eq!(complete(&pieces).expect("text alone"), vec![Part::text(words)]);
    }

    /// A complete answer says every word that was streamed, in order.
    #[test]
    fn no_streamed_text_is_lost(pieces in prop::collection::vec("[a-z]{0,3}".prop_map(|words| text(&words)), 0..20)) {
        let streamed: String = pieces.iter().map(|piece| match piece {
            LivePart::TextDelta { text } => text.as_str(),
            _ => "",
        }).collect();
        prop_assert_eq!(words(&complete(&pieces).expect("text alone")), streamed);
    }
}
