//! One short model call without tools.

use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;
use verbatim_events::budget::Spent;
use verbatim_events::chat::Chat;
use verbatim_events::error::ChatError;
use verbatim_events::event::{UsagePurpose, UsageRecorded};
use verbatim_events::message::Message;
use verbatim_events::model::{CallIdentity, Meter, Prompt};
use verbatim_events::part::{LivePart, Part};

use crate::budgets::Verdict;
use crate::node::Deps;
use crate::ports::ResolvedModel;

/// How long a model may take for such words, in ms.
pub const TITLE_MAX_MS: u64 = 30_000;
/// What it may put out, in tokens: room to think for models that cannot do without.
const OUTPUT_MAX_TOKENS: u64 = 1024;
/// What is taken of it, in bytes.
const SAID_MAX_BYTES: usize = 4 * 1024;

/// Why there are no words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WordsError {
    /// Nothing was said in the chat yet.
    #[error("nothing was said in the chat yet")]
    NothingSaid,
    /// Too many are being written.
    #[error("too many titles are being written")]
    Crowded,
    /// The model failed.
    #[error("{}", .0.message)]
    Model(ChatError),
    /// It took too long.
    #[error("the model took longer than {limit_ms} ms")]
    TooLate {
        /// The bound, in ms.
        limit_ms: u64,
    },
    /// What it said can be no title.
    #[error("what the model wrote can be no title")]
    Unusable,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// What came of a call.
pub(super) struct Asked {
    pub(super) said: Result<String, WordsError>,
    /// What it spent, if it may have spent anything.
    pub(super) spent: Option<UsageRecorded>,
}

pub(super) async fn ask(
    deps: &Deps,
    chat: &Chat,
    model: ResolvedModel,
    purpose: UsagePurpose,
    instructions: &str,
    text: String,
) -> Asked {
    let nothing = |error| Asked { said: Err(error), spent: None };
    let (chat_id, now) = (chat.outline.id, deps.clock.now());
    if let Verdict::UsedUp(error) = deps.budgets.judge(&chat.outline.owner, Spent::default(), now, true) {
        return nothing(WordsError::Model(error));
    }
    let ResolvedModel { mut settings, provider } = model;
    settings.max_output_tokens = Some(settings.max_output_tokens.unwrap_or(u64::MAX).min(OUTPUT_MAX_TOKENS));
    settings.provider_tools.clear();
    let prompt = Prompt {
        system: Some(instructions.to_owned()),
        messages: vec![Arc::new(Message::synthetic(1, text, now))],
        ..Prompt::default()
    };
    let request = match provider.encode(&prompt, &settings, None) {
        Ok(request) => request,
        Err(error) => return nothing(WordsError::Model(error)),
    };
    let said = Arc::new(Mutex::new(String::new()));
    let sink = {
        let said = Arc::clone(&said);
        Box::new(move |part: LivePart| {
            if let LivePart::TextDelta { text } | LivePart::Whole(Part::Text { text }) = part {
                said.lock().push_str(&text);
            }
            said.lock().len() <= SAID_MAX_BYTES
        })
    };
    let identity = CallIdentity { chat_id, attempt_id: 0, request_id: Uuid::now_v7() };
    let meter = Meter::default();
    let finished = tokio::select! {
        finished = provider.call(request, identity, sink, meter.clone()) => finished.map_err(|failed| WordsError::Model(failed.error)),
        () = deps.clock.sleep_ms(TITLE_MAX_MS) => Err(WordsError::TooLate { limit_ms: TITLE_MAX_MS }),
    };
    if let Ok(finished) = &finished {
        meter.answered(finished);
    }
    let spent = meter.read().at(settings.prices).recorded(purpose, Some(settings.name), None);
    let said = finished.map(|_| std::mem::take(&mut *said.lock()));
    Asked { said, spent }
}
