//! A reader of Messages requests that refuses what the protocol forbids.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::reader::{Reader, is_name, is_said};

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
    marks: usize,
    names_tools: bool,
    /// The provider's own tools that are offered.
    own_tools: BTreeSet<String>,
}

impl Reader<Seen> {
    fn read(&mut self, body: &Value) {
        let known = [
            "model",
            "max_tokens",
            "system",
            "messages",
            "tools",
            "tool_choice",
            "thinking",
            "output_config",
            "stream",
        ];
        self.check_fields(body, &known);
        let max_tokens = body["max_tokens"].as_u64().unwrap_or(0);
        self.check(max_tokens > 0, "no output limit");
        for block in body["system"].as_array().into_iter().flatten() {
            self.text(block);
            self.mark(block);
        }
        let tools = body["tools"].as_array().cloned().unwrap_or_default();
        let own = tools.iter().filter(|tool| tool.get("type").is_some());
        self.seen.own_tools = own.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
        let turns = body["messages"].as_array().cloned().unwrap_or_default();
        self.check(!turns.is_empty(), "no messages");
        for (index, turn) in turns.iter().enumerate() {
            let role = if index % 2 == 0 { "user" } else { "assistant" };
            self.check(turn["role"] == role, format!("message {index} is not of role {role}"));
            self.turn(turn);
        }
        for pair in turns.windows(2) {
            self.pair(&pair[0], &pair[1]);
        }
        if let Some(last) = turns.last() {
            self.check(last["role"] == "user", "nothing to answer");
            self.pair(last, &Value::Null);
        }
        self.check(self.seen.marks <= 4, "too many cache marks");
        self.check(!self.seen.names_tools || !tools.is_empty(), "tools are named and none are defined");
        let names: BTreeSet<_> = tools.iter().map(|tool| tool["name"].to_string()).collect();
        self.check(names.len() == tools.len(), "two tools of one name");
        for tool in &tools {
            self.check(is_name(&tool["name"], 128), "a tool's name");
            let is_own = tool.get("type").is_some() && tool.get("input_schema").is_none();
            self.check(is_own || tool["input_schema"]["type"] == "object", "a tool's schema");
        }
        self.thinking(body, max_tokens, &turns);
    }

    fn thinking(&mut self, body: &Value, max_tokens: u64, turns: &[Value]) {
        if body["thinking"]["type"] != "enabled" {
            return;
        }
        let budget = body["thinking"]["budget_tokens"].as_u64().unwrap_or(0);
        self.check((1024..max_tokens).contains(&budget), format!("a budget of {budget} of {max_tokens}"));
        // What the model does since it was asked begins with thinking.
        let asks = |turn: &&Value| {
            turn["role"] == "user"
                && content(turn)
                    .iter()
                    .any(|block| matches!(block["type"].as_str(), Some("text" | "image" | "document")))
        };
        let since = turns.iter().rev().take_while(|turn| !asks(turn));
        for turn in since.filter(|turn| content(turn).iter().any(|block| block["type"] == "tool_use")) {
            let first = content(turn)[0]["type"].as_str().unwrap_or_default().to_owned();
            self.check(first.ends_with("thinking"), format!("an answer under way begins with {first}"));
        }
    }

    fn turn(&mut self, turn: &Value) {
        let blocks = content(turn);
        self.check(!blocks.is_empty(), "an empty message");
        let by_model = turn["role"] == "assistant";
        let mut running: BTreeSet<String> = BTreeSet::new();
        let mut spoke = false;
        for block in &blocks {
            self.mark(block);
            let kind = block["type"].as_str().unwrap_or_default();
            match kind {
                "text" => self.text(block),
                "thinking" => {
                    self.check(by_model && block["thinking"].is_string(), "thinking");
                    self.check(block["signature"].as_str().is_some_and(|text| !text.is_empty()), "no signature");
                }
                "redacted_thinking" => self.check(by_model && block["data"].is_string(), "redacted thinking"),
                "tool_use" | "server_tool_use" => {
                    self.check(by_model && block["input"].is_object(), format!("input of {block}"));
                    self.check(is_name(&block["name"], 128) && is_name(&block["id"], 64), format!("names of {block}"));
                    let id = block["id"].as_str().unwrap_or_default().to_owned();
                    self.check(self.seen.ids.clone().insert(id.clone()), format!("the id {id} twice"));
                    self.seen.ids.insert(id.clone());
                    self.seen.names_tools |= kind == "tool_use";
                    if kind == "server_tool_use" {
                        let is_offered = block["name"].as_str().is_some_and(|name| self.seen.own_tools.contains(name));
                        self.check(is_offered, format!("the provider's tool of {block} is not offered"));
                        running.insert(id);
                    }
                }
                "tool_result" => {
                    self.check(!by_model && !spoke, "a result after words, or of the model");
                    let shown = block["content"].as_array().cloned().unwrap_or_default();
                    for block in &shown {
                        if block["type"] == "text" { self.text(block) } else { self.file(block) }
                    }
                    let is_blank =
                        shown.is_empty() && block["content"].as_str().is_none_or(|text| text.trim().is_empty());
                    self.check(!(is_blank && block["is_error"] == json!(true)), "an error that says nothing");
                }
                "image" | "document" => {
                    self.check(!by_model, "a file of the model");
                    self.file(block);
                }
                "web_search_tool_result" => {
                    let id = block["tool_use_id"].as_str().unwrap_or_default();
                    self.check(by_model && running.remove(id), format!("a result of {id} without its call"));
                }
                other => self.check(false, format!("a block of type {other}")),
            }
            spoke |= matches!(kind, "text" | "image" | "document");
        }
        self.check(running.is_empty(), format!("no results of {running:?}"));
        let last = blocks.last().map(|block| block["type"].to_string()).unwrap_or_default();
        self.check(!last.contains("thinking"), "a message that ends in thinking");
    }

    /// Every call of a message is answered in the next one, and nothing else is.
    fn pair(&mut self, turn: &Value, next: &Value) {
        let of = |turn: &Value, kind: &str, field: &str| -> Vec<String> {
            let found = content(turn).into_iter().filter(|block| block["type"] == kind);
            found.map(|block| block[field].to_string()).collect()
        };
        let (calls, answers) = (of(turn, "tool_use", "id"), of(next, "tool_result", "tool_use_id"));
        let sorted = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
        self.check(sorted(&calls) == sorted(&answers), format!("{calls:?} answered by {answers:?}"));
        self.check(answers.len() == calls.len(), "two answers to one call");
    }

    fn text(&mut self, block: &Value) {
        self.check(block["type"] == "text" && is_said(&block["text"]), format!("blank text {block}"));
    }

    fn file(&mut self, block: &Value) {
        let source = &block["source"];
        let media_type = source["media_type"].as_str().unwrap_or_default();
        let fits = match block["type"].as_str() {
            Some("image") => media_type.starts_with("image/") && block.get("title").is_none(),
            Some("document") => media_type == "application/pdf" && block["title"].is_string(),
            _ => false,
        };
        let has_data = source["data"].as_str().is_some_and(|data| !data.is_empty());
        self.check(fits && source["type"] == "base64" && has_data, format!("the file {block}"));
    }

    fn mark(&mut self, block: &Value) {
        if let Some(mark) = block.get("cache_control") {
            self.seen.marks += 1;
            let kind = block["type"].as_str().unwrap_or_default();
            self.check(mark["type"] == "ephemeral" && !kind.contains("thinking"), format!("a mark in {kind}"));
        }
    }
}

fn content(turn: &Value) -> Vec<Value> {
    turn["content"].as_array().cloned().unwrap_or_default()
}
