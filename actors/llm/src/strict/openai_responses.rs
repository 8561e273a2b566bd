//! A reader of Responses requests that refuses what the protocol forbids.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::reader::{Reader, is_data, is_name, is_said};

/// Everything that the provider would refuse in a request.
pub(crate) fn problems(body: &Value) -> Vec<String> {
    let mut reader = Reader::<Seen>::default();
    reader.read(body);
    reader.into_problems()
}

/// What was read of a request so far.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<String>,
    open: BTreeSet<String>,
    searches: bool,
}

impl Reader<Seen> {
    fn read(&mut self, body: &Value) {
        let known = [
            "model",
            "instructions",
            "input",
            "tools",
            "max_output_tokens",
            "reasoning",
            "include",
            "previous_response_id",
            "store",
            "stream",
        ];
        self.check_fields(body, &known);
        self.check(body["store"].is_boolean(), "nothing is said of storing");
        let is_known = body.get("previous_response_id").is_none_or(|id| body["store"] == true && id.is_string());
        self.check(is_known, "an answer is continued that is not stored");
        self.check(body["instructions"].as_str().is_none_or(|text| !text.trim().is_empty()), "blank instructions");
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        let (tools, own): (Vec<_>, Vec<_>) = tools.into_iter().partition(|tool| tool["type"] == "function");
        let names: BTreeSet<_> = tools.iter().map(|tool| tool["name"].to_string()).collect();
        self.check(names.len() == tools.len(), "two tools of one name");
        self.seen.searches = own.iter().any(|tool| tool["type"] == "web_search");
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
        self.check(self.seen.open.is_empty(), format!("no output of {:?}", self.seen.open));
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
            self.check(self.seen.open.is_empty(), format!("{:?} open before {item}", self.seen.open));
        }
        match kind {
            "message" => {
                let role = item["role"].as_str().unwrap_or_default();
                self.check(["user", "assistant", "system", "developer"].contains(&role), format!("the role {role}"));
                let content = &item["content"];
                self.check(is_said(content) || role == "user" && are_parts(content), "a blank message");
            }
            "reasoning" => {
                let is_kept = item["encrypted_content"].as_str().is_some_and(|text| !text.is_empty());
                self.check(is_kept && item["summary"].is_array(), format!("the reasoning {item}"));
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                self.check(serde_json::from_str::<Value>(arguments).is_ok(), format!("the arguments of {item}"));
                self.check(is_name(&item["name"], 64) && is_name(&item["call_id"], 64), format!("the names of {item}"));
                let is_new = self.seen.ids.insert(call_id.clone());
                self.check(is_new, format!("the id {call_id} twice"));
                self.seen.open.insert(call_id);
            }
            "function_call_output" => {
                let is_open = self.seen.open.remove(&call_id);
                self.check(
                    is_open && (item["output"].is_string() || are_parts(&item["output"])),
                    format!("the output of {call_id}"),
                );
            }
            "web_search_call" => {
                self.check(item["status"].is_string() && item["action"].is_object(), format!("{item}"));
                self.check(self.seen.searches, "a search that is not offered");
            }
            other => self.check(false, format!("an item of type {other}")),
        }
    }
}

/// Parts of what a user or a tool shows.
fn are_parts(content: &Value) -> bool {
    let is_part = |part: &Value| match part["type"].as_str() {
        Some("input_text") => is_said(&part["text"]),
        Some("input_image") => is_data(&part["image_url"], "image/"),
        Some("input_file") => is_data(&part["file_data"], "application/pdf;") && part["filename"].is_string(),
        _ => false,
    };
    content.as_array().is_some_and(|parts| !parts.is_empty() && parts.iter().all(is_part))
}
