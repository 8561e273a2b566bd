//! `advisor`: a second opinion on the conversation so far, from a model that sees it but has no tools.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use uuid::Uuid;
use verbatim_events::chat::Chat;
use verbatim_events::event::{ToolDefinition, UsagePurpose, UsageRecorded};
use verbatim_events::message::{Message, Role, Usage};
use verbatim_events::model::{CallIdentity, Meter, ModelProvider, ModelSettings, Prompt};
use verbatim_events::part::{LivePart, Part};
use verbatim_events::tool::{OutputSink, ToolAnswer, ToolInvocation};
use verbatim_events::tool_result::shorten_text;

use super::arguments::text;

pub(super) const NAME: &str = "advisor";

/// What a model is told that has an advisor.
pub(super) const GUIDANCE: &str = "You can ask an experienced advisor with the advisor tool. It has read this conversation. \
                                   Use it before a decision that is hard to undo, or when you are stuck; call it alone.";

/// The longest question, in characters; what is longer is cut.
const QUESTION_MAX_CHARACTERS: usize = 2_000;
/// How much of the conversation the advisor reads, in bytes.
const CONVERSATION_MAX_BYTES: usize = 64 * 1024;
/// How much of one tool's answer it reads, in bytes.
const RESULT_MAX_BYTES: usize = 2 * 1024;
/// The longest advice, in tokens.
const ADVICE_MAX_TOKENS: u64 = 16_384;
/// How long it may take, in ms.
const ADVICE_MAX_MS: u64 = 180_000;

const INSTRUCTIONS: &str = "You advise an assistant in the middle of its work. You read its conversation with a user, then its \
                            question. Answer the assistant, briefly and to the point: what you would do, why, and what \
                            to watch out for. You cannot use tools and you do not speak to the user.";

/// Finds the advisor's model: it may be changed or switched off while the server runs.
type FindModel = dyn Fn() -> Result<(Arc<dyn ModelProvider>, ModelSettings), String> + Send + Sync;

/// How much advice there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisorSettings {
    /// Answers per turn.
    pub uses_max: u32,
}

/// Gives advice.
#[derive(Clone)]
pub struct Advisor {
    find_model: Arc<FindModel>,
    settings: AdvisorSettings,
}

/// What an advisor said.
struct Asked {
    /// Empty where it said nothing.
    advice: String,
    settings: ModelSettings,
    usage: Option<Usage>,
}

impl Advisor {
    /// `find_model` is asked before each use; what it says is wrong, the model reads.
    pub fn new(
        find_model: impl Fn() -> Result<(Arc<dyn ModelProvider>, ModelSettings), String> + Send + Sync + 'static,
        settings: AdvisorSettings,
    ) -> Advisor {
        Advisor { find_model: Arc::new(find_model), settings }
    }

    /// One model call. What fails costs nothing of the turn's budget.
    pub(super) async fn advise(&self, invocation: ToolInvocation, output: OutputSink) -> ToolAnswer {
        let used = used(&invocation.chat);
        let left = self.settings.uses_max.saturating_sub(used);
        if left == 0 {
            return ToolAnswer::ok(json!({ "type": "limit_reached", "remaining_uses": 0 }));
        }
        let question = match text(&invocation.args, "question") {
            Ok(question) => question.chars().take(QUESTION_MAX_CHARACTERS).collect::<String>(),
            Err(refused) => return refused,
        };
        let limit = Duration::from_millis(ADVICE_MAX_MS);
        let asked = tokio::time::timeout(limit, self.ask(&invocation, &question, output)).await;
        match asked.unwrap_or_else(|_| Err("the advisor took too long".to_owned())) {
            Ok(Asked { advice, settings, usage }) => {
                let spent = usage.map(|usage| {
                    Box::new(UsageRecorded {
                        purpose: UsagePurpose::Advice,
                        cost_micros: settings.cost_micros(Some(&usage)),
                        model: Some(settings.name.clone()),
                        usage,
                        attempt_id: None,
                    })
                });
                let result = if advice.is_empty() {
                    let error = "the advisor had nothing to say";
                    json!({ "type": "error", "error": error, "remaining_uses": left })
                } else {
                    json!({
                        "type": "advice",
                        "advice": advice,
                        "advisor_model": settings.name,
                        "remaining_uses": left - 1,
                    })
                };
                ToolAnswer { spent, ..ToolAnswer::ok(result) }
            }
            Err(error) => ToolAnswer::ok(json!({ "type": "error", "error": error, "remaining_uses": left })),
        }
    }

    async fn ask(&self, invocation: &ToolInvocation, question: &str, mut output: OutputSink) -> Result<Asked, String> {
        let (provider, mut settings) = (self.find_model)()?;
        settings.max_output_tokens = Some(settings.max_output_tokens.unwrap_or(u64::MAX).min(ADVICE_MAX_TOKENS));
        let prompt = prompt(&invocation.chat, question);
        let request = provider.encode(&prompt, &settings, None).map_err(|error| error.message)?;
        let said = Arc::new(Mutex::new(String::new()));
        let sink = {
            let said = Arc::clone(&said);
            Box::new(move |part: LivePart| {
                let text = match part {
                    LivePart::TextDelta { text } | LivePart::Whole(Part::Text { text }) => text,
                    _ => return true,
                };
                said.lock().push_str(&text);
                output(text);
                true
            })
        };
        let identity = CallIdentity {
            chat_id: invocation.key.chat_id,
            attempt_id: invocation.attempt_id,
            request_id: Uuid::now_v7(),
        };
        let finished =
            provider.call(request, identity, sink, Meter::default()).await.map_err(|failed| failed.error.message)?;
        let advice = said.lock().trim().to_owned();
        Ok(Asked { advice, settings, usage: finished.usage })
    }
}

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME.to_owned(),
        description:
            "Asks an experienced advisor who has read this conversation for a second opinion. Call it alone. There \
                      is only so much advice per turn."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "required": ["question"],
            "additionalProperties": false,
            "properties": {
                "question": { "type": "string", "minLength": 1, "description": "2000 characters at most are read." }
            }
        }),
    }
}

/// Advice given in this turn.
fn used(chat: &Chat) -> u32 {
    let turn_id = chat.outline.turn.as_ref().map(|turn| turn.id);
    let results = chat
        .history
        .iter()
        .rev()
        .take_while(|message| message.turn_id == turn_id)
        .filter(|message| message.role == Role::Tool)
        .flat_map(|message| &message.parts);
    let advice = results.filter(|part| {
        matches!(part, Part::ToolResult { name, result, is_error: false, .. } if name == NAME && result["type"] == "advice")
    });
    u32::try_from(advice.count()).unwrap_or(u32::MAX)
}

/// The newest part of the conversation as one text, then the question: no protocol refuses a text.
fn prompt(chat: &Chat, question: &str) -> Prompt {
    let visible = chat.history.after(chat.boundary).filter(|message| message.for_model());
    let mut lines: Vec<String> = visible.flat_map(|message| told(message)).collect();
    let mut bytes = 0;
    let kept = lines.iter().rev().take_while(|line| {
        bytes += line.len() + 1;
        bytes <= CONVERSATION_MAX_BYTES
    });
    let kept = kept.count();
    lines.drain(..lines.len() - kept);
    let text = format!("The conversation:\n\n{}\n\nThe assistant's question:\n\n{question}", lines.join("\n"));
    let message = Message::synthetic(chat.outline.version, text, chat.outline.updated_at);
    Prompt {
        system: Some(INSTRUCTIONS.to_owned()),
        messages: vec![Arc::new(message)],
        tools: Vec::new(),
        continues: None,
    }
}

fn told(message: &Message) -> Vec<String> {
    let speaker = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let short = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        shorten_text(&text, RESULT_MAX_BYTES).unwrap_or(text)
    };
    let told = message.parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(format!("{speaker}: {text}")),
        Part::ToolCall { name, args, .. } => Some(format!("{speaker} calls {name} with {}", short(args))),
        Part::ToolResult { name, result, .. } => Some(format!("{name} answers: {}", short(result))),
        _ => None,
    });
    told.collect()
}
