//! One chat: its chain, its fold, and for every model call whether the log still yields the very bytes that were sent.

use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::{Recorded, Stored, chain_hash};
use verbatim_events::event::{AttemptAction, AttemptRecorded, Event};
use verbatim_events::ids::{AttemptId, ChatId, Digest};
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::model::{EncodedRequest, Prompt};
use verbatim_events::prompt::{assemble, summary};
use verbatim_events::wire::decode;

use super::{Finding, PAGE, is_erased, key_is_gone};

/// What an audit of one chat found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ChatAudit {
    /// Events that were checked. Of those that say nothing any more, place and hash.
    pub events: u64,
    /// The first bad event; `None` if all is well. Nothing after it was checked.
    pub finding: Option<Finding>,
    /// Every attempt that sent something to a provider.
    pub prompts: Vec<PromptCheck>,
}

impl ChatAudit {
    /// Nothing is wrong; prompts that cannot be compared are no fault.
    pub fn is_clean(&self) -> bool {
        self.finding.is_none()
            && self.prompts.iter().all(|check| !matches!(check.verdict, PromptVerdict::Differs { .. }))
    }
}

/// The check of one attempt's prompt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PromptCheck {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The outcome.
    #[serde(flatten)]
    pub verdict: PromptVerdict,
}

/// Whether a prompt made from the log is the one that was sent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum PromptVerdict {
    /// It is, byte by byte.
    Same {
        /// SHA-256 of the bytes.
        digest: Digest,
    },
    /// It is not.
    Differs {
        /// SHA-256 of the bytes that were sent.
        sent: Digest,
        /// SHA-256 of the bytes that the log yields.
        rebuilt: Digest,
    },
    /// It cannot be told.
    NotComparable {
        /// Why.
        reason: String,
    },
}

/// All events of a chat, in order. Empty for one that does not exist.
pub async fn read_chat(log: &dyn EventLog, chat_id: ChatId) -> Result<Vec<Stored>, LogError> {
    let mut events: Vec<Stored> = Vec::new();
    loop {
        let after = events.last().map_or(0, |stored| stored.event.version);
        let page = log.read_chat(chat_id, after, PAGE).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

/// Audits a chat's events, which must begin with its first.
pub fn audit_chat(events: &[Stored]) -> ChatAudit {
    let mut audit = ChatAudit { events: 0, finding: None, prompts: Vec::new() };
    let mut hash = Digest::ZERO;
    let mut chat: Option<Chat> = None;
    let mut erased = None;
    for stored in events {
        let event = &stored.event;
        let checked = if event.version != audit.events + 1 {
            Err(format!("version {} follows {}", event.version, audit.events))
        } else if chain_hash(&hash, event) != event.hash {
            Err("its hash is not that of its content and the chain before it: it was changed".to_owned())
        } else if stored.is_erased() {
            hash = event.hash;
            audit.events += 1;
            erased = Some(stored);
            continue;
        } else {
            decode(stored).map_err(|error| error.problem)
        };
        let applied = checked.and_then(|recorded| {
            audit.prompts.extend(chat.as_ref().and_then(|chat| check_prompt(chat, &recorded)));
            evolve(chat.take(), &recorded).map_err(|error| format!("it cannot have happened: {}", error.problem))
        });
        match applied {
            Ok(next) => chat = Some(next),
            Err(problem) => {
                let (chat_id, version) = (Some(event.chat_id), Some(event.version));
                audit.finding = Some(Finding { position: stored.position, chat_id, version, problem });
                return audit;
            }
        }
        hash = event.hash;
        audit.events += 1;
    }
    audit.finding = erased.filter(|_| !is_erased(chat.as_ref())).map(key_is_gone);
    audit
}

/// Compares what an attempt sent with what the log yields. `None` if nothing was sent.
fn check_prompt(before: &Chat, recorded: &Recorded) -> Option<PromptCheck> {
    let Event::AttemptRecorded(attempt) = &recorded.event else { return None };
    let sent = attempt.prompt_digest?;
    let verdict = PromptVerdict::of(sent, &rebuild(before, attempt));
    Some(PromptCheck { attempt_id: recorded.version, verdict })
}

impl PromptVerdict {
    /// Whether what was made again is what was sent.
    pub fn of(sent: Digest, rebuilt: &Rebuilt) -> PromptVerdict {
        match &rebuilt.request {
            Ok(request) if request.digest == sent => PromptVerdict::Same { digest: sent },
            Ok(request) => PromptVerdict::Differs { sent, rebuilt: request.digest },
            Err(reason) => PromptVerdict::NotComparable { reason: reason.clone() },
        }
    }
}

/// What the log yields of an attempt's prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    /// The prompt, independent of any provider; absent where it is not made from the chat's state alone.
    pub prompt: Option<Prompt>,
    /// The exact bytes, or why they cannot be made again.
    pub request: Result<EncodedRequest, String>,
}

/// Makes the prompt of an attempt again from the state it was recorded in.
pub fn rebuild(before: &Chat, attempt: &AttemptRecorded) -> Rebuilt {
    let unknown = |reason: &str| Rebuilt { prompt: None, request: Err(reason.to_owned()) };
    if before.outline.erased {
        return unknown("the content was erased");
    }
    let offer = attempt.offer.as_ref().unwrap_or(&before.offer);
    let prompt = match attempt.action {
        AttemptAction::Generate => assemble(before, offer),
        AttemptAction::Compact => summary(before, offer),
        AttemptAction::RunTools | AttemptAction::LoadContext => return unknown("it called no model"),
    };
    let request = match &attempt.request {
        None => Err("the log does not say how the request was made".to_owned()),
        Some(recipe) => verbatim_llm::encode_with(recipe, &prompt).ok_or_else(|| {
            format!("encoder {} of the protocol {:?} is unknown to this version", recipe.encoder, recipe.protocol)
        }),
    };
    Rebuilt { prompt: Some(prompt), request }
}
