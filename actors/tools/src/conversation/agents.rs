//! Agents: chats that a chat makes to have something done, one level deep. They work by themselves, in their own
//! history, with the maker's model, workspace and tools but not its client's, and are spoken to with messages.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Builder;
use verbatim_events::chat::{Chat, Outline, Status};
use verbatim_events::command::{Busy, Command, CreateChat, SendMessage};
use verbatim_events::event::{ChildKind, ToolDefinition};
use verbatim_events::ids::{ChatId, MessageId};
use verbatim_events::message::Role;
use verbatim_events::part::Part;
use verbatim_events::tool::{AccessError, CallKey, ChatAccess, ToolAnswer, ToolInvocation};

use super::arguments::{number, optional_text, text};

/// How long `wait_agent` waits where it is not told, in ms.
const WAIT_DEFAULT_MS: u64 = 5 * 60 * 1000;
/// The longest that it waits, in ms.
const WAIT_MAX_MS: u64 = 60 * 60 * 1000;
/// Agents that one chat may make.
const AGENTS_MAX: usize = 100;
/// Agents on one page of `list_agents`, where it is not told.
const LIST_DEFAULT: u64 = 10;
/// The most agents on one page.
const LIST_MAX: u64 = 50;

fn tool(name: &str, description: &str, parameters: Value) -> ToolDefinition {
    ToolDefinition { name: name.to_owned(), description: description.to_owned(), parameters }
}

pub(super) fn definitions() -> Vec<ToolDefinition> {
    let agent_id = json!({ "type": "string", "description": "As spawn_agent or list_agents gave it." });
    vec![
        tool(
            "spawn_agent",
            "Starts an agent: it works on its own, beside you, with your model, workspace and tools. It does not see this \
             conversation, so the prompt must say everything it needs. Answers at once; wait_agent gets the result.",
            json!({
                "type": "object", "required": ["prompt"], "additionalProperties": false,
                "properties": {
                    "prompt": { "type": "string", "minLength": 1, "maxLength": 100_000 },
                    "title": { "type": "string", "maxLength": 200 },
                    "model": { "type": "string", "description": "Another model than yours." },
                    "effort": { "type": "string" }
                }
            }),
        ),
        tool(
            "wait_agent",
            "Waits until an agent has finished, failed or needs somebody, and gives its last answer. An agent that is not \
             done in time goes on.",
            json!({
                "type": "object", "required": ["agent_id"], "additionalProperties": false,
                "properties": {
                    "agent_id": agent_id,
                    "wait_ms": { "type": "integer", "minimum": 0, "maximum": WAIT_MAX_MS, "description": "300000 if left out." }
                }
            }),
        ),
        tool(
            "message_agent",
            "Tells an agent something more. It reads it when its turn is over, or at once with interrupt.",
            json!({
                "type": "object", "required": ["agent_id", "text"], "additionalProperties": false,
                "properties": {
                    "agent_id": agent_id,
                    "text": { "type": "string", "minLength": 1, "maxLength": 100_000 },
                    "interrupt": { "type": "boolean" }
                }
            }),
        ),
        tool(
            "interrupt_agent",
            "Stops what an agent is doing. What it said so far stays.",
            json!({
                "type": "object", "required": ["agent_id"], "additionalProperties": false,
                "properties": { "agent_id": agent_id }
            }),
        ),
        tool(
            "list_agents",
            "The agents of this conversation and what they are doing, newest first.",
            json!({
                "type": "object", "additionalProperties": false,
                "properties": {
                    "limit": { "type": "integer", "minimum": 1, "maximum": LIST_MAX },
                    "offset": { "type": "integer", "minimum": 0 }
                }
            }),
        ),
    ]
}

#[derive(Clone)]
pub(super) struct Agents {
    access: Arc<dyn ChatAccess>,
}

type Answered = Result<ToolAnswer, ToolAnswer>;

fn failed(error: &AccessError) -> ToolAnswer {
    ToolAnswer::error(format!("it could not be done: {error}"))
}

impl Agents {
    pub(super) fn new(access: Arc<dyn ChatAccess>) -> Agents {
        Agents { access }
    }

    pub(super) async fn run(&self, invocation: ToolInvocation) -> ToolAnswer {
        let answered = match invocation.name.as_str() {
            "spawn_agent" => self.spawn(&invocation).await,
            "wait_agent" => self.wait(&invocation).await,
            "message_agent" => self.message(&invocation).await,
            "interrupt_agent" => self.interrupt(&invocation).await,
            "list_agents" => self.list(&invocation).await,
            other => Err(ToolAnswer::error(format!("there is no tool named {other:?}"))),
        };
        answered.unwrap_or_else(|refused| refused)
    }

    /// Stops the turns of these chats, those that have one.
    pub(super) async fn stop(&self, children: Vec<ChatId>) {
        let stopping = children.into_iter().map(|child| async move {
            match self.access.look(child).await {
                Ok(Some(chat)) if is_busy(&chat.outline) => {
                    let key = format!("stop/{child}/{}", chat.outline.version);
                    if let Err(error) = self.access.send(child, Command::Interrupt, key).await {
                        // It may have ended by itself in between.
                        tracing::debug!(chat.id = %child, %error, "An agent was not stopped.");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(chat.id = %child, %error, "An agent could not be stopped."),
            }
        });
        join_all(stopping).await;
    }

    async fn look(&self, chat_id: ChatId) -> Result<Arc<Chat>, ToolAnswer> {
        match self.access.look(chat_id).await {
            Ok(Some(chat)) => Ok(chat),
            Ok(None) => Err(ToolAnswer::error("there is no such agent")),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The agent that a call names. It must be this chat's own.
    async fn named(&self, invocation: &ToolInvocation) -> Result<Arc<Chat>, ToolAnswer> {
        let text = text(&invocation.args, "agent_id")?;
        let maker = self.look(invocation.key.chat_id).await?;
        let agent = text.parse::<ChatId>().ok().filter(|agent| maker.outline.agents.contains(agent));
        match agent {
            Some(agent) => self.look(agent).await,
            None => Err(ToolAnswer::error(format!("this conversation has no agent {text:?}"))),
        }
    }

    async fn spawn(&self, invocation: &ToolInvocation) -> Answered {
        let args = &invocation.args;
        let prompt = text(args, "prompt")?;
        // The workspace may have been made by a call of this very batch.
        let maker = self.look(invocation.key.chat_id).await?;
        let id = agent_id(invocation, &maker);
        if maker.outline.agents.len() >= AGENTS_MAX && !maker.outline.agents.contains(&id) {
            return Err(ToolAnswer::error(format!("a conversation has {AGENTS_MAX} agents at most")));
        }
        let create = CreateChat {
            id,
            owner: maker.outline.owner.clone(),
            parent: Some(maker.outline.id),
            kind: ChildKind::Agent,
            root: maker.outline.root,
            title: optional_text(args, "title"),
            model: optional_text(args, "model").or_else(|| maker.outline.model.clone()),
            effort: optional_text(args, "effort").or_else(|| maker.outline.effort.clone()),
            system_prompt: maker.config.system_prompt.clone(),
            tools: Vec::new(),
            server_tools: maker.config.server_tools.clone(),
            mcp_servers: maker.config.mcp_servers.clone(),
            tool_policy: maker.config.tool_policy.clone(),
            labels: Default::default(),
            workspace: maker.outline.workspace.clone(),
            plan_mode: maker.outline.plan_mode,
            content: vec![Part::text(&prompt)],
        };
        let command = Command::CreateChat(Box::new(create));
        self.access.send(id, command, key(invocation)).await.map_err(|error| failed(&error))?;
        let agent = self.look(id).await?;
        Ok(ToolAnswer::ok(described(&agent.outline)))
    }

    async fn wait(&self, invocation: &ToolInvocation) -> Answered {
        let mut left_ms = number(&invocation.args, "wait_ms", WAIT_DEFAULT_MS, WAIT_MAX_MS);
        let mut agent = self.named(invocation).await?;
        let began = std::time::Instant::now();
        let whole_ms = left_ms;
        while is_busy(&agent.outline) {
            if left_ms == 0 {
                let mut answer = described(&agent.outline);
                answer["timed_out"] = json!(true);
                return Ok(ToolAnswer::ok(answer));
            }
            if let Some(turn) = &invocation.chat.outline.turn {
                self.access.give_up_place(invocation.key.chat_id, turn.id);
            }
            let (id, version) = (agent.outline.id, agent.outline.version);
            self.access.changed(id, version, left_ms).await.map_err(|error| failed(&error))?;
            let passed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            agent = self.look(id).await?;
            left_ms = whole_ms.saturating_sub(passed_ms);
        }
        refuse_erased(&agent)?;
        let mut answer = described(&agent.outline);
        if let Some(said) = last_answer(&agent) {
            answer["answer"] = json!(said);
        }
        Ok(ToolAnswer::ok(answer))
    }

    async fn message(&self, invocation: &ToolInvocation) -> Answered {
        let agent = self.named(invocation).await?;
        let interrupt = invocation.args.get("interrupt").and_then(Value::as_bool).unwrap_or(false);
        let message = SendMessage {
            parts: vec![Part::text(text(&invocation.args, "text")?)],
            author: agent.outline.owner.clone(),
            busy: if interrupt { Busy::Interrupt } else { Busy::Queue },
            model: None,
            effort: None,
        };
        let sent = self.access.send(agent.outline.id, Command::SendMessage(message), key(invocation)).await;
        let outcome = sent.map_err(|error| failed(&error))?;
        let was_busy = is_busy(&agent.outline);
        Ok(ToolAnswer::ok(json!({
            "agent_id": agent.outline.id.to_string(),
            "status": outcome.status.name(),
            "queued": outcome.queued_id.is_some(),
            "interrupted": interrupt && was_busy,
        })))
    }

    async fn interrupt(&self, invocation: &ToolInvocation) -> Answered {
        let agent = self.named(invocation).await?;
        refuse_erased(&agent)?;
        let busy = is_busy(&agent.outline);
        if busy {
            let sent = self.access.send(agent.outline.id, Command::Interrupt, key(invocation)).await;
            match sent {
                Ok(_) | Err(AccessError::Rejected(_)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(ToolAnswer::ok(json!({ "agent_id": agent.outline.id.to_string(), "interrupted": busy })))
    }

    async fn list(&self, invocation: &ToolInvocation) -> Answered {
        let limit = usize::try_from(number(&invocation.args, "limit", LIST_DEFAULT, LIST_MAX)).unwrap_or(0);
        let offset = usize::try_from(number(&invocation.args, "offset", 0, u64::MAX)).unwrap_or(usize::MAX);
        let maker = self.look(invocation.key.chat_id).await?;
        let mut agents = Vec::new();
        for agent in &maker.outline.agents {
            let chat = self.look(*agent).await?;
            if !chat.outline.archived && !chat.outline.erased {
                agents.push(chat);
            }
        }
        agents.sort_by_key(|agent| std::cmp::Reverse(agent.outline.updated_at));
        let page: Vec<Value> = agents.iter().skip(offset).take(limit).map(|agent| described(&agent.outline)).collect();
        Ok(ToolAnswer::ok(json!({ "agents": page, "total": agents.len() })))
    }
}

/// What the call sends is sent once, however often the call runs.
fn key(invocation: &ToolInvocation) -> String {
    format!("tool/{}", invocation.key.uuid())
}

/// The id of the agent that a call makes: a UUIDv7 of the moment of the call's message, the rest from the call's address.
fn agent_id(invocation: &ToolInvocation, maker: &Chat) -> ChatId {
    let message = invocation.chat.history.get(invocation.key.message_id);
    agent_of(&invocation.key, message.map_or(maker.outline.created_at, |message| message.created_at))
}

fn agent_of(key: &CallKey, moment: DateTime<Utc>) -> ChatId {
    let mut random = [0; 10];
    random.copy_from_slice(&key.uuid().into_bytes()[..10]);
    let moment_ms = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    ChatId(Builder::from_unix_timestamp_millis(moment_ms, &random).into_uuid())
}

/// The agents that calls in the chat's messages from this one on made, spoke to or waited for.
pub(super) fn agents_since(chat: &Chat, from: MessageId) -> Vec<ChatId> {
    let mut agents = Vec::new();
    for message in chat.history.iter().rev().take_while(|message| message.id >= from) {
        for part in &message.parts {
            let Part::ToolCall { call_id, name, args, provider_executed: false, .. } = part else { continue };
            let agent = match name.as_str() {
                "spawn_agent" => {
                    let key = CallKey { chat_id: chat.outline.id, message_id: message.id, call_id: call_id.clone() };
                    Some(agent_of(&key, message.created_at))
                }
                "wait_agent" | "message_agent" => {
                    args.get("agent_id").and_then(Value::as_str).and_then(|agent| agent.parse().ok())
                }
                _ => None,
            };
            // Only this chat's own: what a model writes is no address of anybody else.
            agents.extend(agent.filter(|agent| chat.outline.agents.contains(agent) && !agents.contains(agent)));
        }
    }
    agents
}

fn is_busy(outline: &Outline) -> bool {
    matches!(outline.status, Status::Running | Status::Interrupting)
}

/// An agent that was erased rests, but not because it is done.
fn refuse_erased(agent: &Chat) -> Result<(), ToolAnswer> {
    if !agent.outline.erased {
        return Ok(());
    }
    Err(ToolAnswer::error("the agent was erased, with all that it found; it can be asked nothing more"))
}

/// What an agent is doing, for its maker.
fn described(outline: &Outline) -> Value {
    let mut described = json!({
        "agent_id": outline.id.to_string(),
        "title": outline.title,
        "status": outline.status.name(),
    });
    if let Some(error) = &outline.last_error {
        described["error"] = json!({
            "kind": error.kind.name(),
            "message": error.message,
            "retryable": error.retryable,
        });
    }
    if let Some(action) = &outline.action {
        let calls = action.calls.iter().map(|call| json!({ "name": call.name, "needs": call.needs }));
        described["waits_for"] = calls.collect();
    }
    described
}

/// The last thing that the agent said to whoever reads it.
fn last_answer(agent: &Chat) -> Option<String> {
    let answers = agent.history.iter().rev().filter(|message| message.role == Role::Assistant && message.for_user());
    let texts = answers.map(|message| {
        let texts = message.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().concat()
    });
    texts.map(|text| text.trim().to_owned()).find(|text| !text.is_empty())
}
