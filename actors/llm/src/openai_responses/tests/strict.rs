//! A reader of requests that refuses what the protocol forbids, and prompts of every history before it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::model::ModelSettings;

use crate::openai_responses::OpenAiResponses;
use crate::testing::{self, accepted, any_prompts, any_provider_tools, options, request_to};

/// Everything that the provider would refuse in a request.
pub(super) fn problems(body: &Value) -> Vec<String> {
    let mut reader = Reader::default();
    reader.read(body);
    reader.problems
}

#[derive(Default)]
struct Reader {
    problems: Vec<String>,
    ids: BTreeSet<String>,
    open: BTreeSet<String>,
    searches: bool,
}

impl Reader {
    fn check(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.problems.push(problem.into());
        }
    }

    fn read(&mut self, body: &Value) {
        let known =
            ["model", "instructions", "input", "tools", "max_output_tokens", "reasoning", "include", "store", "stream"];
        for field in body.as_object().expect("an object").keys() {
            self.check(known.contains(&field.as_str()), format!("unknown field {field}"));
        }
        self.check(body["store"] == json!(false), "something is stored");
        self.check(body["instructions"].as_str().is_none_or(|text| !text.trim().is_empty()), "blank instructions");
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        let (tools, own): (Vec<_>, Vec<_>) = tools.into_iter().partition(|tool| tool["type"] == "function");
        let names: BTreeSet<_> = tools.iter().map(|tool| tool["name"].to_string()).collect();
        self.check(names.len() == tools.len(), "two tools of one name");
        self.searches = own.iter().any(|tool| tool["type"] == "web_search");
        self.check(own.iter().all(|tool| tool["type"].is_string()), "a tool without a type");
        for tool in &tools {
            self.check(tool["type"] == "function" && is_name(&tool["name"], 64), format!("the tool {tool}"));
            self.check(
                tool["strict"] == json!(false) && tool["parameters"].is_object(),
                format!("the schema of {tool}"),
            );
        }
        let items = body["input"].as_array().cloned().unwrap_or_default();
        self.check(!items.is_empty(), "no input");
        for item in &items {
            self.item(item);
        }
        self.check(self.open.is_empty(), format!("no output of {:?}", self.open));
        // Reasoning goes before what it led to.
        for pair in items.windows(2).filter(|pair| pair[0]["type"] == "reasoning") {
            let by_model = matches!(pair[1]["type"].as_str(), Some("reasoning" | "function_call" | "web_search_call"))
                || pair[1]["role"] == "assistant";
            self.check(by_model, format!("reasoning before {}", pair[1]));
        }
        let last = items.last().unwrap_or(&Value::Null);
        let is_answerable = last["role"] == "user" || last["type"] == "function_call_output";
        self.check(is_answerable, "nothing to answer");
    }

    fn item(&mut self, item: &Value) {
        self.check(item.get("id").is_none(), "an id of something that is not stored");
        let kind = item["type"].as_str().unwrap_or_default();
        let call_id = item["call_id"].as_str().unwrap_or_default().to_owned();
        // The model may go on beside its calls; everybody else waits for their outputs.
        if kind == "message" && item["role"] != "assistant" {
            self.check(self.open.is_empty(), format!("{:?} open before {item}", self.open));
        }
        match kind {
            "message" => {
                let role = item["role"].as_str().unwrap_or_default();
                self.check(["user", "assistant", "system", "developer"].contains(&role), format!("the role {role}"));
                let is_said = item["content"].as_str().is_some_and(|text| !text.trim().is_empty());
                self.check(is_said, "a blank message");
            }
            "reasoning" => {
                let is_kept = item["encrypted_content"].as_str().is_some_and(|text| !text.is_empty());
                self.check(is_kept && item["summary"].is_array(), format!("the reasoning {item}"));
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                self.check(serde_json::from_str::<Value>(arguments).is_ok(), format!("the arguments of {item}"));
                self.check(is_name(&item["name"], 64) && is_name(&item["call_id"], 64), format!("the names of {item}"));
                let is_new = self.ids.insert(call_id.clone());
                self.check(is_new, format!("the id {call_id} twice"));
                self.open.insert(call_id);
            }
            "function_call_output" => {
                let is_open = self.open.remove(&call_id);
                self.check(is_open && item["output"].is_string(), format!("the output of {call_id}"));
            }
            "web_search_call" => {
                self.check(item["status"].is_string() && item["action"].is_object(), format!("{item}"));
                self.check(self.searches, "a search that is not offered");
            }
            other => self.check(false, format!("an item of type {other}")),
        }
    }
}

fn is_name(value: &Value, bytes_max: usize) -> bool {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    value.as_str().is_some_and(|name| (1..=bytes_max).contains(&name.len()) && name.bytes().all(accepted))
}

#[test]
fn the_reader_finds_what_is_forbidden() {
    let sound = || {
        json!({ "model": "m", "store": false, "stream": true, "input": [
            { "type": "message", "role": "user", "content": "go" },
            { "type": "reasoning", "summary": [], "encrypted_content": "e" },
            { "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "a", "output": "" },
        ] })
    };
    assert_eq!(problems(&sound()), Vec::<String>::new());
    let spoilt = [
        ("/store", json!(true)),
        ("/input/0/content", json!("")),
        ("/input/1/encrypted_content", json!(null)),
        ("/input/1", json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e" })),
        ("/input/2/arguments", json!("{")),
        ("/input/2/call_id", json!("b")),
        ("/input/2", json!({ "type": "message", "role": "user", "content": "x" })),
        ("/input/3", json!({ "type": "message", "role": "user", "content": "x" })),
    ];
    for (pointer, value) in spoilt {
        let mut body = sound();
        *body.pointer_mut(pointer).expect(pointer) = value;
        assert_ne!(problems(&body), Vec::<String>::new(), "{pointer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prompt_is_accepted(
        prompts in any_prompts(),
        model in prop::sample::select(vec!["gpt-4o", "gpt-5.2", "other"]),
        effort in prop::sample::select(vec![None, Some("none"), Some("max")]),
        provider_tools in any_provider_tools(json!({ "type": "web_search" })),
    ) {
        let provider = OpenAiResponses::new(options()).unwrap();
        let model = ModelSettings { provider_tools, ..testing::model(model, None) };
        for prompt in prompts {
            let (_, body) = request_to(&provider, &model, effort, &prompt);
            accepted(&problems(&body), &body);
        }
    }
}
