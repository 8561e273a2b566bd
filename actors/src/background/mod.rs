//! Words about a chat that a model writes beside its turns: titles, and labels of turns that are over.
//!
//! Best effort: what fails is counted and said to nobody, nothing is tried again, and no turn waits. It ends with the
//! server. What the model spent is in the log all the same.

mod ask;
mod words;

use std::sync::Arc;

use metrics::counter;
use tokio::sync::{Semaphore, watch};
use verbatim_events::chat::Chat;
use verbatim_events::command::Command;
use verbatim_events::event::{Event, SettingsChanged, TitleChange, TitleSource, UsagePurpose};
use verbatim_events::message::{Origin, Role};

use self::ask::{Asked, ask};
pub use self::ask::{TITLE_MAX_MS, WordsError};
use crate::core::{Tell, ask as tell_and_wait};
use crate::hydrate::Witnessed;
use crate::node::Deps;
use crate::ports::ResolvedModel;

/// Models that are asked for such words at once; what comes meanwhile goes without.
const UNDER_WAY_MAX: usize = 16;

/// What a node writes beside its turns.
pub(crate) struct Background {
    places: Semaphore,
    stopped: watch::Sender<bool>,
}

/// What an append gives reason to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    title: bool,
    label: bool,
}

impl Wanted {
    /// What these events, which led to this chat, give reason to write: a title for the first thing that a user said, a
    /// label for a turn that ended.
    pub(crate) fn after(events: &[Witnessed], chat: &Chat) -> Wanted {
        let outline = &chat.outline;
        let any = |is: fn(&Event) -> bool| events.iter().any(|witnessed| is(&witnessed.recorded.event));
        if outline.erased || any(|event| matches!(event, Event::ChatCreated(created) if created.forked_from.is_some()))
        {
            return Wanted::default();
        }
        let said = any(
            |event| matches!(event, Event::MessageCommitted(said) if said.role == Role::User && said.origin == Origin::User),
        );
        let is_first = || chat.history.iter().filter(|message| message.origin == Origin::User).nth(1).is_none();
        // Whoever makes a chat under another one knows what it is for.
        let is_nameless = outline.title_source == TitleSource::Fallback && outline.parent.is_none();
        let ended = any(|event| matches!(event, Event::TurnFinished(_)));
        Wanted { title: said && is_nameless && is_first(), label: ended && outline.turn.is_none() }
    }

    fn nothing(self) -> bool {
        self == Wanted::default()
    }
}

impl Background {
    pub(crate) fn new() -> Background {
        Background { places: Semaphore::new(UNDER_WAY_MAX), stopped: watch::Sender::new(false) }
    }

    /// What is under way ends, and nothing begins any more.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Sets off what an append gives reason to, as far as models are set up for it.
    pub(crate) fn begin(deps: &Arc<Deps>, wanted: Wanted, chat: &Arc<Chat>, tell: &Tell) {
        if wanted.nothing() {
            return;
        }
        let title = deps.models.title_writer().filter(|_| wanted.title);
        let label = deps.models.label_writer().filter(|_| wanted.label);
        for (purpose, model) in [(UsagePurpose::Title, title), (UsagePurpose::Label, label)] {
            let Some(model) = model else { continue };
            let (deps, chat, tell) = (Arc::clone(deps), Arc::clone(chat), Arc::clone(tell));
            deps.runtime.clone().spawn(async move {
                let mut stopped = deps.background.stopped.subscribe();
                let result = tokio::select! {
                    result = write(&deps, &chat, &tell, purpose, model) => result,
                    _ = stopped.wait_for(|stopped| *stopped) => "stopped",
                };
                counter!("verbatim_background_words_total", "purpose" => purpose.name(), "result" => result)
                    .increment(1);
            });
        }
    }
}

/// Has the words written and gives them to the chat. Says what came of it.
async fn write(deps: &Deps, chat: &Chat, tell: &Tell, purpose: UsagePurpose, model: ResolvedModel) -> &'static str {
    let Ok(_place) = deps.background.places.try_acquire() else { return "crowded" };
    let chat_id = chat.outline.id;
    let asked = match purpose {
        UsagePurpose::Label => words::label_of(chat).map(|text| (words::LABEL_INSTRUCTIONS, text)),
        _ => words::beginning_of(chat).map(|text| (words::TITLE_INSTRUCTIONS, text)),
    };
    let Some((instructions, text)) = asked else { return "nothing_said" };
    let Asked { said, spent } = ask(deps, chat, model, purpose, instructions, text).await;
    let send = |command| tell_and_wait(tell, chat_id, command, &deps.node_name, None);
    if let Some(spent) = spent
        && let Err(error) = send(Command::RecordUsage(spent)).await
    {
        tracing::debug!(chat.id = %chat_id, %error, "What a model spent could not be recorded.");
    }
    let said = match said {
        Ok(said) => said,
        Err(error) => {
            tracing::debug!(chat.id = %chat_id, purpose = purpose.name(), %error, "A model wrote nothing.");
            return "failed";
        }
    };
    let patch = match purpose {
        UsagePurpose::Label => {
            words::label(&said).map(|label| SettingsChanged { status_label: Some(label), ..SettingsChanged::default() })
        }
        _ => words::title(&said).map(|title| {
            let title = Some(TitleChange { title, source: TitleSource::Model });
            SettingsChanged { title, ..SettingsChanged::default() }
        }),
    };
    let Some(patch) = patch else { return "unusable" };
    match send(Command::ChangeSettings { patch, archived: None }).await {
        Ok(_) => "written",
        Err(error) => {
            tracing::debug!(chat.id = %chat_id, %error, "A model's words came too late.");
            "too_late"
        }
    }
}

/// A title for the chat as it is, which nobody gives it yet, from the model for titles or else the chat's own; and what it
/// cost, which is spent in any case.
pub(crate) async fn propose(
    deps: &Deps,
    chat: &Chat,
) -> (Result<String, WordsError>, Option<verbatim_events::event::UsageRecorded>) {
    let Ok(_place) = deps.background.places.try_acquire() else { return (Err(WordsError::Crowded), None) };
    let Some(text) = words::course_of(chat) else { return (Err(WordsError::NothingSaid), None) };
    let model = match deps.models.title_writer() {
        Some(model) => Ok(model),
        None => deps.models.resolve(chat.outline.model.as_deref()),
    };
    let model = match model {
        Ok(model) => model,
        Err(error) => return (Err(WordsError::Model(error)), None),
    };
    let mut stopped = deps.background.stopped.subscribe();
    let asked = ask(deps, chat, model, UsagePurpose::Title, words::TITLE_INSTRUCTIONS, text);
    tokio::select! {
        Asked { said, spent } = asked => {
            (said.and_then(|said| words::title(&said).ok_or(WordsError::Unusable)), spent)
        }
        _ = stopped.wait_for(|stopped| *stopped) => (Err(WordsError::Stopping), None),
    }
}
