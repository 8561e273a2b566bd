//! The frozen samples: what was once written must be readable for ever, and what is written now must not change its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::samples;
use crate::envelope::Actor;
use crate::error::ErrorKind;
use crate::event::*;
use crate::message::{FinishReason, Origin, Role, Visibility};
use crate::wire::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Every sample by its file's name, without the newline that ends the file.
fn frozen() -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder()).expect("the folder of samples");
    let files = files.map(|file| file.expect("a sample's entry"));
    // The settings' samples lie in a folder of their own.
    let files = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file())).map(|file| {
        let bytes = fs::read(file.path()).expect("a sample");
        let bytes = bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes);
        (file.file_name().into_string().expect("a sample's name"), bytes)
    });
    files.collect()
}

fn file_name(name: &str, schema: u32, variant: &str) -> String {
    format!("{name}.{schema}{variant}.json")
}

/// The samples of the current schema numbers: file name, and the event they hold.
fn current() -> BTreeMap<String, Event> {
    let named = |variant: &'static str| {
        move |event: Event| {
            let kind = stored_type(&event);
            (file_name(kind.name, kind.schema, variant), event)
        }
    };
    let full = samples::full().into_iter().map(named(""));
    full.chain(samples::minimal().into_iter().map(named(".min"))).collect()
}

#[test]
fn every_type_has_a_value() {
    let sampled: Vec<_> = samples::full().iter().map(event_type).collect();
    let declared: Vec<_> = EVENT_TYPES.iter().map(|kind| kind.name).collect();
    assert_eq!(sampled, declared);
}

#[test]
fn every_type_and_schema_number_has_its_sample() {
    let frozen = frozen();
    for (name, schema) in readable_schemas() {
        let file = file_name(name, schema, "");
        assert!(frozen.contains_key(&file), "golden/{file} is missing");
    }
}

#[test]
fn every_sample_belongs_to_a_declared_type_and_schema_number() {
    let declared: BTreeSet<String> = readable_schemas()
        .flat_map(|(name, schema)| ["", ".min"].map(|variant| file_name(name, schema, variant)))
        .collect();
    for file in frozen().keys() {
        assert!(declared.contains(file), "golden/{file} belongs to nothing");
    }
}

#[test]
fn what_is_written_now_is_what_was_frozen() {
    let frozen = frozen();
    for (file, event) in current() {
        let written = String::from_utf8(encode(&event)).expect("JSON is UTF-8");
        match frozen.get(&file) {
            Some(bytes) => {
                assert_eq!(String::from_utf8_lossy(bytes), written, "golden/{file} differs: raise the schema")
            }
            None => panic!("golden/{file} is missing; it would be\n{written}"),
        }
    }
}

#[test]
fn every_sample_is_read() {
    let current = current();
    for (file, bytes) in frozen() {
        let mut pieces = file.split('.');
        let name = pieces.next().expect("a type");
        let schema = pieces.next().and_then(|number| number.parse().ok()).expect("a schema number");
        let event = read(name, schema, &bytes, EVENT_TYPES, upcast::STEPS);
        let event = event.unwrap_or_else(|problem| panic!("golden/{file}: {problem}"));
        assert_eq!(event_type(&event), name, "golden/{file}");
        if let Some(expected) = current.get(&file) {
            assert_eq!(event, *expected, "golden/{file}");
            assert_eq!(encode(&event), bytes, "golden/{file} is not written as it was read");
        }
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    for (file, bytes) in frozen() {
        let kind = EVENT_TYPES.iter().find(|kind| file.starts_with(&format!("{}.{}.", kind.name, kind.schema)));
        let Some(kind) = kind else { continue };
        let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
        value["smuggled"] = json!(1);
        let problem = read_current(kind.name, value.to_string().as_bytes()).expect_err(&file);
        assert!(problem.contains("smuggled"), "{file}: {problem}");
    }
}

/// Stored JSON, and with it every hash and every prompt's digest, depends on keys staying sorted. A dependency that
/// switches on `serde_json/preserve_order` anywhere in the build would change it.
#[test]
fn keys_of_free_json_are_sorted() {
    let value: Value = serde_json::from_str(r#"{"b":1,"a":{"z":1,"y":2}}"#).expect("JSON");
    assert_eq!(value.to_string(), r#"{"a":{"y":2,"z":1},"b":1}"#);
}

/// The values that stand in samples only one at a time.
#[test]
fn names_of_values_are_frozen() {
    macro_rules! names {
        ($($kind:ident: $($value:ident)+;)+) => {
            vec![$((stringify!($kind), json!([$($kind::$value),+])),)+]
        };
    }
    let names = names! {
        Role: System User Assistant Tool;
        Visibility: Both User Model;
        Origin: User Model Tool Synthetic Context Summary;
        FinishReason: Stop Length ToolCalls ContentFilter Interrupted Unknown;
        TitleSource: Fallback Model User;
        ToolPolicy: Auto Ask Deny;
        EffectClass: Idempotent Resumable AtMostOnce;
        WithdrawalReason: Edited;
        PromotedTo: History Head;
        TurnReason: Message Edit Promotion Compaction Fork;
        CapacityScope: Root Child Node;
        AttemptAction: Generate RunTools Compact LoadContext;
        ContextFreshness: Current Changed Reload;
        AbandonCause: Crash OwnershipLost;
        CallNeed: Result Approval;
        ActionResolution: Submitted Cancelled Expired Superseded;
        InterruptCause: User Message Promotion;
        TurnOutcome: Complete StopAfterTool MaxSteps NoOutput Interrupted Failed;
        CompactionSource: Automatic Manual;
        ChildKind: User Agent;
        UsagePurpose: Answer Summary Advice Title Label;
        ErrorKind: Generic Overloaded RateLimit Timeout StreamSilenceTimeout Auth Config UsageLimit MissingKey
            ProviderDisabled ContentFilter ChainBroken HookDenied HookFailed;
    };
    let frozen = [
        r#"Role ["system","user","assistant","tool"]"#,
        r#"Visibility ["both","user","model"]"#,
        r#"Origin ["user","model","tool","synthetic","context","summary"]"#,
        r#"FinishReason ["stop","length","tool_calls","content_filter","interrupted","unknown"]"#,
        r#"TitleSource ["fallback","model","user"]"#,
        r#"ToolPolicy ["auto","ask","deny"]"#,
        r#"EffectClass ["idempotent","resumable","at_most_once"]"#,
        r#"WithdrawalReason ["edited"]"#,
        r#"PromotedTo ["history","head"]"#,
        r#"TurnReason ["message","edit","promotion","compaction","fork"]"#,
        r#"CapacityScope ["root","child","node"]"#,
        r#"AttemptAction ["generate","run_tools","compact","load_context"]"#,
        r#"ContextFreshness ["current","changed","reload"]"#,
        r#"AbandonCause ["crash","ownership_lost"]"#,
        r#"CallNeed ["result","approval"]"#,
        r#"ActionResolution ["submitted","cancelled","expired","superseded"]"#,
        r#"InterruptCause ["user","message","promotion"]"#,
        r#"TurnOutcome ["complete","stop_after_tool","max_steps","no_output","interrupted","failed"]"#,
        r#"CompactionSource ["automatic","manual"]"#,
        r#"ChildKind ["user","agent"]"#,
        r#"UsagePurpose ["answer","summary","advice","title","label"]"#,
        concat!(
            r#"ErrorKind ["generic","overloaded","rate_limit","timeout","stream_silence_timeout","auth","config","#,
            r#""usage_limit","missing_key","provider_disabled","content_filter","chain_broken","hook_denied","#,
            r#""hook_failed"]"#
        ),
    ];
    let names: Vec<String> = names.into_iter().map(|(kind, values)| format!("{kind} {values}")).collect();
    assert_eq!(names, frozen);
    let actors = json!([Actor::User("ada".to_owned()), Actor::Node("n".to_owned()), Actor::System]);
    assert_eq!(actors.to_string(), r#"[{"kind":"user","name":"ada"},{"kind":"node","name":"n"},{"kind":"system"}]"#);
}

/// Some values have their name in two places; they must agree.
#[test]
fn what_has_two_names_is_named_as_it_is_stored() {
    for purpose in [UsagePurpose::Answer, UsagePurpose::Summary, UsagePurpose::Label] {
        assert_eq!(json!(purpose), json!(purpose.name()));
    }
    for kind in [ErrorKind::Generic, ErrorKind::StreamSilenceTimeout, ErrorKind::UsageLimit, ErrorKind::HookFailed] {
        assert_eq!(json!(kind), json!(kind.name()));
    }
}
