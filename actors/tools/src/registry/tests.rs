use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;
use verbatim_events::chat::evolve;
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event};
use verbatim_events::ids::ChatId;

use super::*;

/// Two tools of a kind: one that looks, one that acts.
struct Pair(&'static str);

impl ToolFamily for Pair {
    fn definitions(&self, _chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        let parameters =
            json!({ "type": "object", "required": ["path"], "properties": { "path": { "type": "string" } } });
        let tool = |name: String| {
            Arc::new(ToolDefinition { name, description: self.0.to_owned(), parameters: parameters.clone() })
        };
        vec![tool(format!("look_{}", self.0)), tool("act".to_owned())]
    }

    fn guidance(&self, _chat: &Chat, offered: &[Arc<ToolDefinition>]) -> Option<String> {
        offered.iter().any(|tool| tool.name == format!("look_{}", self.0)).then(|| format!("Look at {}.", self.0))
    }

    fn is_harmless(&self, name: &str) -> bool {
        name.starts_with("look_")
    }

    fn effect_class(&self, _chat: &Chat, name: &str) -> Option<EffectClass> {
        let known = name == "act" || name == format!("look_{}", self.0);
        known.then_some(EffectClass::AtMostOnce)
    }

    fn run(&self, _invocation: ToolInvocation, _output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        Box::pin(std::future::ready(ToolAnswer::ok(self.0)))
    }
}

fn registry() -> Registry {
    Registry::new(vec![Arc::new(Pair("files")), Arc::new(Pair("web"))])
}

fn chat(change: impl FnOnce(&mut ChatCreated)) -> Chat {
    let id = ChatId(Uuid::from_u128(1));
    let mut created = ChatCreated::new("ada", id, "New chat");
    change(&mut created);
    let recorded = Recorded::decided(id, 1, DateTime::UNIX_EPOCH, Event::ChatCreated(created));
    evolve(None, &recorded).expect("a chat begins")
}

fn offered(chat: &Chat) -> Vec<String> {
    registry().offer(chat).tools.iter().map(|tool| tool.name.clone()).collect()
}

#[test]
fn a_chat_is_offered_what_it_names_and_may() {
    assert_eq!(offered(&chat(|_| {})), ["look_files", "act", "look_web"], "of two with one name the first");
    let named = chat(|created| created.server_tools = Some(vec!["look_web".to_owned(), "gone".to_owned()]));
    assert_eq!(offered(&named), ["look_web"]);
    let denied = chat(|created| {
        created.tool_policy.insert("act".to_owned(), ToolPolicy::Deny);
    });
    assert_eq!(offered(&denied), ["look_files", "look_web"]);
    assert_eq!(
        offered(&chat(|created| created.plan_mode = true)),
        ["look_files", "look_web"],
        "planning acts on nothing"
    );
    let own = ToolDefinition { name: "act".to_owned(), description: String::new(), parameters: json!({}) };
    assert_eq!(
        offered(&chat(|created| created.tools.push(own.into()))),
        ["look_files", "look_web"],
        "the client's comes first"
    );
}

#[test]
fn a_client_s_tool_is_withheld_where_the_policy_denies_it() {
    let own = |name: &str| {
        let (name, description) = (name.to_owned(), String::new());
        Arc::new(ToolDefinition { name, description, parameters: json!({}) })
    };
    let withheld = |policies: &[(&str, ToolPolicy)]| {
        let chat = chat(|created| {
            created.tools = vec![own("weather"), own("act"), own("time")];
            created.tool_policy = policies.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
        });
        registry().offer(&chat).withheld.clone()
    };
    assert_eq!(withheld(&[]), [""; 0]);
    assert_eq!(withheld(&[("weather", ToolPolicy::Deny), ("time", ToolPolicy::Ask)]), ["weather"]);
    assert_eq!(withheld(&[("*", ToolPolicy::Deny), ("act", ToolPolicy::Auto)]), ["weather", "time"]);
}

#[test]
fn guidance_speaks_of_what_is_offered() {
    let guidance = |chat: &Chat| registry().offer(chat).guidance.clone();
    assert_eq!(guidance(&chat(|_| {})).as_deref(), Some("Look at files.\n\nLook at web."));
    let named = chat(|created| created.server_tools = Some(vec!["look_web".to_owned()]));
    assert_eq!(guidance(&named).as_deref(), Some("Look at web."));
    assert_eq!(guidance(&chat(|created| created.server_tools = Some(vec![]))), None);
}

#[test]
fn an_offer_that_did_not_change_is_the_same_one() {
    let mut chat = chat(|_| {});
    let registry = registry();
    chat.offer = registry.offer(&chat);
    assert!(Arc::ptr_eq(&registry.offer(&chat), &chat.offer));
}

#[test]
fn what_does_not_fit_is_said_with_its_place() {
    let mut chat = chat(|created| {
        let parameters = json!({ "type": "object", "properties": { "n": { "type": "integer", "maximum": 3 } } });
        let (name, description) = ("count".to_owned(), String::new());
        created.tools.push(Arc::new(ToolDefinition { name, description, parameters }));
        created.tool_policy.insert("look_web".to_owned(), ToolPolicy::Deny);
    });
    let registry = registry();
    chat.offer = registry.offer(&chat);
    let violation = |name: &str, args: Value| registry.violation(&chat, name, &args);
    assert_eq!(violation("look_files", json!({ "path": "a" })), None);
    let missing = violation("look_files", json!({})).expect("a path is missing");
    assert!(missing.contains("path") && missing.contains("not run"), "{missing}");
    let wrong = violation("look_files", json!({ "path": 1 })).expect("a path is no number");
    assert!(wrong.contains("/path"), "{wrong}");
    assert_eq!(violation("count", json!({ "n": 3 })), None);
    assert!(
        violation("count", json!({ "n": 4 })).is_some_and(|text| text.contains("/n")),
        "the client's are judged, too"
    );
    let refused = |name: &str| violation(name, json!({})).expect("it is not this chat's");
    assert_eq!(refused("nobody"), "there is no tool named \"nobody\"");
    assert_eq!(refused("look_web"), "this chat's tool policy does not allow the call; it was not run");
}

#[test]
fn what_is_kept_back_is_told_from_what_is_not_there() {
    let told = |change: fn(&mut ChatCreated)| {
        let (registry, mut chat) = (registry(), chat(change));
        chat.offer = registry.offer(&chat);
        registry.violation(&chat, "act", &json!({ "path": "a" }))
    };
    assert_eq!(told(|_| {}), None);
    assert!(told(|created| created.plan_mode = true).is_some_and(|text| text.starts_with("only a plan is made now")));
    let not_named = told(|created| created.server_tools = Some(Vec::new()));
    assert_eq!(not_named.as_deref(), Some("there is no tool named \"act\""));
}

#[test]
fn a_schema_that_cannot_be_used_judges_nothing() {
    let parameters = json!({ "type": "object", "properties": { "n": { "$ref": "https://example.com/schema" } } });
    let tool = ToolDefinition { name: "odd".to_owned(), description: String::new(), parameters };
    let chat = chat(|created| created.tools.push(tool.into()));
    assert_eq!(registry().violation(&chat, "odd", &json!({ "n": [] })), None);
}
