//! A chat that let its past go lives as a whole one does.

use super::support::*;
use crate::chat::{Chat, ModelFacts, RECENT_MESSAGES, decide, evolve, next_action, open_calls, pending};
use crate::command::{Busy, Command, Context};
use crate::envelope::Recorded;
use crate::event::{AttemptAction, CompactionSource, Event, Offer};
use crate::message::Origin;
use crate::prompt::assemble;
use crate::rejection::Rejection;

/// A chat that lets its past go again and again, beside a whole one.
pub struct Lean {
    chat: Option<Chat>,
    /// How many of the newest messages it keeps at least.
    recent: usize,
    /// After every how many commands it lets go.
    every: usize,
    commands: usize,
}

impl Lean {
    /// Beside a chat that does not exist yet.
    pub fn beside(recent: usize, every: usize) -> Lean {
        Lean { chat: None, recent, every, commands: 0 }
    }

    /// What it decides, with its past where the command wants it; `log` is all that happened.
    pub fn decide(
        &mut self,
        command: &Command,
        context: Context<'_>,
        log: &[Recorded],
    ) -> Result<Vec<Event>, Rejection> {
        if command.needs_past() && self.chat.as_ref().is_some_and(|chat| !chat.is_whole()) {
            self.chat = folded(log);
        }
        decide(self.chat.as_ref(), command, context)
    }

    /// Lives through what is new in the story, and must then be what its chat is.
    pub fn live(&mut self, story: &Story) {
        let Story { chat: whole, log, limits, .. } = story;
        let known = self.chat.as_ref().map_or(0, |chat| chat.outline.version);
        let news = log.iter().filter(|recorded| recorded.version > known);
        for recorded in news {
            self.chat = match evolve(self.chat.take(), recorded) {
                Ok(chat) => Some(chat),
                Err(illegal) => {
                    assert!(illegal.lacks_past, "{illegal}");
                    folded(&log[..usize::try_from(recorded.version).expect("a short log")])
                }
            };
        }
        self.commands += 1;
        if self.commands.is_multiple_of(self.every)
            && let Some(chat) = &mut self.chat
        {
            chat.let_past_go_but(self.recent);
        }
        let (Some(lean), Some(whole)) = (&self.chat, whole) else {
            assert_eq!(&self.chat, whole);
            return;
        };
        assert_eq!(pending(lean), pending(whole));
        assert_eq!(open_calls(lean), open_calls(whole));
        let offer = Offer::default();
        assert_eq!(assemble(lean, &offer), assemble(whole, &offer));
        for context_window in [None, Some(20)] {
            let facts = ModelFacts { context_window };
            assert_eq!(next_action(lean, &facts, limits), next_action(whole, &facts, limits));
        }
        let mut whole = whole.clone();
        whole.let_past_go_but(self.recent);
        let mut lean = lean.clone();
        lean.let_past_go_but(self.recent);
        assert_eq!(lean, whole, "of the same events the same remains");
    }
}

fn folded(log: &[Recorded]) -> Option<Chat> {
    log.iter().fold(None, |chat, recorded| Some(evolve(chat, recorded).expect("the log is legal")))
}

/// A chat with `turns` answered messages before a clearing and one behind it.
fn cleared_after(turns: usize) -> Story {
    let mut story = Story::answered();
    for turn in 1..turns {
        story.send(&format!("And {turn}?"), Busy::Queue);
        story.answer("Yes.");
        story.finish();
    }
    story.must(Command::ClearContext);
    story.send("Once more.", Busy::Queue);
    story.answer("Well.");
    story.finish();
    story
}

#[test]
fn a_long_past_goes_and_what_is_needed_stays() {
    let whole = cleared_after(150);
    let mut chat = whole.chat().clone();
    chat.let_past_go();
    assert!(!chat.is_whole());
    let texts: Vec<_> = chat.history.iter().map(|message| message.origin).collect();
    assert_eq!(texts.len(), RECENT_MESSAGES + 1, "the recent ones and what was said first");
    assert_eq!(texts[0], Origin::User);
    assert_eq!(chat.history.iter().next(), whole.chat().history.iter().next());
    let newest: Vec<_> = whole.chat().history.last(RECENT_MESSAGES).cloned().collect();
    assert_eq!(chat.history.last(RECENT_MESSAGES).cloned().collect::<Vec<_>>(), newest);
}

#[test]
fn a_chat_without_a_boundary_and_a_short_one_stay_whole() {
    let mut unbounded = Story::answered();
    for _ in 0..RECENT_MESSAGES {
        unbounded.send("And?", Busy::Queue);
        unbounded.answer("Yes.");
        unbounded.finish();
    }
    for story in [unbounded, cleared_after(99)] {
        let mut chat = story.chat().clone();
        chat.let_past_go();
        assert_eq!(&chat, story.chat());
        assert!(chat.is_whole());
    }
}

#[test]
fn the_turn_under_way_stays_however_long_it_is() {
    let mut story = Story::asked();
    story.limits.steps_max = 1_000;
    for step in 0..RECENT_MESSAGES {
        let call_id = format!("c{step}");
        story.call(&[(&call_id, SERVER_TOOL)]);
        story.run_tools(vec![result(&call_id, SERVER_TOOL)]);
    }
    let attempt_id = story.attempt(AttemptAction::Compact);
    let step = super::compaction::summary(CompactionSource::Automatic, "Much was read.");
    story.must(Command::CommitStep { attempt_id, step });
    let mut chat = story.chat().clone();
    chat.let_past_go_but(0);
    assert_eq!(&chat, story.chat(), "steps are counted, and tools looked for, from the turn's beginning");
}

#[test]
fn an_edit_wants_the_past_and_says_so() {
    let story = cleared_after(150);
    let edited = edit(story.chat().history.iter().next().expect("a message").id, "Something else");
    assert!(edited.needs_past());
    assert!(!send("More", Busy::Queue).needs_past());
    let mut chat = story.chat().clone();
    chat.let_past_go();
    let mut after = story.clone();
    let before = after.log.len();
    after.must(edited);
    let failed = after.log[before..].iter().try_fold(chat, |chat, recorded| evolve(Some(chat), recorded));
    assert!(failed.expect_err("it is not whole").lacks_past);
}
