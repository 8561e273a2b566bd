//! A provider that speaks OpenAI's Responses, as strict as the real one: it keeps the answers that it is told to keep, knows
//! conversations by them, and refuses what does not fit together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::provider::{PATIENCE, Request, read};

/// What the provider answers next: the items of its output.
pub type Output = Vec<Value>;

/// An answer in words.
pub fn says(text: &str) -> Output {
    vec![json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })]
}

/// A call of a function.
pub fn calls(call_id: &str, name: &str, arguments: &Value) -> Output {
    let arguments = arguments.to_string();
    vec![json!({ "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments })]
}

#[derive(Default)]
struct Memory {
    script: VecDeque<Output>,
    /// Conversations by the id of the answer that ends them.
    kept: BTreeMap<String, Vec<Value>>,
    answers: usize,
}

struct Shared {
    memory: Mutex<Memory>,
    requests: watch::Sender<Vec<Request>>,
}

/// The provider. It lives as long as the test's runtime.
#[derive(Clone)]
pub struct Responses {
    shared: Arc<Shared>,
    port: u16,
}

/// Why a request is refused: the message and the code.
type Refusal = (String, &'static str);

impl Responses {
    /// Starts a provider that gives these answers, one per request that it accepts.
    pub async fn start(script: impl IntoIterator<Item = Output>) -> anyhow::Result<Responses> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let memory = Memory { script: script.into_iter().collect(), ..Memory::default() };
        let shared = Arc::new(Shared { memory: Mutex::new(memory), requests: watch::Sender::new(Vec::new()) });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                // A client that hangs up ends its own connection and nothing else.
                tokio::spawn(async move { serve(connection, &shared).await.ok() });
            }
        });
        Ok(Responses { shared, port })
    }

    /// A `verbatim.toml` that makes this the default provider, with more lines for the provider and for its model.
    pub fn config(&self, provider: &str, model: &str) -> String {
        format!(
            "[providers.strict]\nkind = \"openai_responses\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n{provider}\n\
             [models.strict]\nprovider = \"strict\"\nmodel = \"gpt-5.2\"\ndefault = true\n{model}\n\
             [limits]\nretry_base_ms = 10\n",
            self.port
        )
    }

    /// Loses every answer that was kept.
    pub fn forget(&self) {
        self.shared.memory().kept.clear();
    }

    /// Waits until there are so many requests, and returns all of them.
    pub async fn requests(&self, count: usize) -> anyhow::Result<Vec<Request>> {
        let mut requests = self.shared.requests.subscribe();
        let seen = requests.wait_for(|requests| requests.len() >= count);
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        Ok(seen.with_context(|| format!("the provider was not asked {count} times"))??.clone())
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(connection: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let request = read(&mut connection).await?;
        let answered = shared.memory().answer(&request.body);
        shared.requests.send_modify(|requests| requests.push(request));
        let (status, kind, body) = match answered {
            Ok(events) => ("200 OK", "text/event-stream", events),
            Err((message, code)) => {
                let error = json!({ "message": message, "type": "invalid_request_error", "code": code });
                ("400 Bad Request", "application/json", json!({ "error": error }).to_string())
            }
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

impl Memory {
    /// The events of the next answer, or why there is none.
    fn answer(&mut self, body: &Value) -> Result<String, Refusal> {
        let mut conversation = match body["previous_response_id"].as_str() {
            Some(id) => self.kept.get(id).cloned().ok_or_else(|| {
                (format!("Previous response with id '{id}' not found."), "previous_response_not_found")
            })?,
            None => Vec::new(),
        };
        let input = body["input"].as_array().filter(|items| !items.is_empty());
        conversation.extend(input.ok_or_else(|| ("Missing input.".to_owned(), "missing_required_parameter"))?.clone());
        fits_together(&conversation).map_err(|problem| (problem, "invalid_value"))?;
        let output = self.script.pop_front().ok_or_else(|| ("The script is over.".to_owned(), "script"))?;
        self.answers += 1;
        let id = format!("resp_{}", self.answers);
        if body["store"] == true {
            conversation.extend(output.iter().cloned());
            self.kept.insert(id.clone(), conversation);
        }
        let usage = json!({ "input_tokens": 11, "output_tokens": 7 });
        let response = json!({ "id": id, "status": "completed", "output": output, "usage": usage });
        let done = output
            .iter()
            .enumerate()
            .map(|(index, item)| json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
        let created = json!({ "type": "response.created", "response": { "id": id } });
        let completed = json!({ "type": "response.completed", "response": response });
        let events = [created].into_iter().chain(done).chain([completed]);
        Ok(events.map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or(""))).collect())
    }
}

/// Every call has one output, every output a call before it, and something is asked.
fn fits_together(conversation: &[Value]) -> Result<(), String> {
    let mut open = BTreeSet::new();
    for item in conversation {
        let call_id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str().unwrap_or_default() {
            "function_call" if !open.insert(call_id) => return Err(format!("Duplicate item with call_id {call_id}.")),
            "function_call_output" if !open.remove(call_id) => {
                return Err(format!("No tool call found for function call output with call_id {call_id}."));
            }
            "function_call" | "function_call_output" | "reasoning" | "web_search_call" => {}
            "message" if item["role"] != "assistant" && !open.is_empty() => break,
            "message" => {}
            other => return Err(format!("Invalid value: '{other}'.")),
        }
    }
    match open.first() {
        Some(call_id) => Err(format!("No tool output found for function call {call_id}.")),
        None => Ok(()),
    }
}
