//! The chats' frozen samples, and the names that stand in them.

use serde_json::{Value, json};

use super::samples;
use crate::envelope::Actor;
use crate::error::ErrorKind;
use crate::event::*;
use crate::message::{FinishReason, Origin, Role, Visibility};
use crate::wire::golden::{Golden, golden_tests};

fn golden() -> Golden<Event> {
    let full = samples::full().into_iter().map(|event| ("", event));
    let minimal = samples::minimal().into_iter().map(|event| (".min", event));
    Golden { folder: "golden", values: full.chain(minimal).collect() }
}

golden_tests!(golden);

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
