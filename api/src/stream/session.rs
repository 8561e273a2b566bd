//! One reader's stream: what it missed, then what happens, until it goes, falls behind or the server stops.
//!
//! **Invariant:** everything comes once and in version order: the watch was taken at the instant of `Opened::chat`, the log
//! is read up to exactly there, and the watch goes on from exactly there.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::web::Data;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use verbatim_actors::hub::{Frame, Opened, PartFrame, Watch};
use verbatim_events::chat::Status;
use verbatim_events::envelope::Stored;
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::log::BoxFuture;

use super::cursor::Cursor;
use super::merge::{Merged, merge, missing_parts};
use super::snapshot::{SnapshotView, place};
use super::story::{Damage, Story, Told};
use super::{frames, story};
use crate::error::Problem;
use crate::position;
use crate::state::AppState;
use crate::telemetry::metrics::Watching;
use crate::wire::Time;
use crate::wire::event::EventView;
use crate::wire::raw::RawView;

/// How frames are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON text a line; an empty line is a heartbeat.
    Lines,
}

/// What events look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As owners see them.
    Public,
    /// As auditors see them, with the envelope and the hashes.
    Raw,
}

/// What a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How frames are set apart.
    pub framing: Framing,
    /// What events look like.
    pub form: Form,
    /// Streamed parts, too.
    pub parts: bool,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With a snapshot.
    Snapshot,
    /// With word that its place is not known, and a snapshot.
    Reset,
    /// After its place.
    After(Cursor),
}

/// The reader's place is not known; a snapshot follows: `{reason}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Reset)]
pub(crate) struct ResetView {
    reason: &'static str,
}

/// The stream is alive: `{at}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Heartbeat)]
pub(crate) struct HeartbeatView {
    at: Time,
}

enum Phase {
    /// These bytes come first.
    First(Bytes),
    /// The log is read up to the version of the watch.
    Past(Box<Story>),
    /// The watch is followed.
    Present,
}

/// One reader's stream.
pub struct Session {
    state: Data<AppState>,
    chat_id: ChatId,
    format: Format,
    phase: Phase,
    /// The version of the last event that the reader has.
    sent: Version,
    /// The version at which the watch was taken.
    opened_at: Version,
    /// The open attempt's parts that the reader has not got yet.
    parts: VecDeque<Arc<PartFrame>>,
    watch: Watch,
    /// The chat was erased: nothing comes after that.
    ended: bool,
    heartbeat: BoxFuture<'static, ()>,
    _watching: Watching,
}

/// Where a reader with this cursor goes on: after it, or anew if the chat cannot have given it away.
pub async fn start_after(state: &AppState, opened: &Opened, cursor: Cursor) -> Result<Start, Problem> {
    let said = opened.parts.last().map_or(0, |frame| frame.part.n);
    if !cursor.fits(&opened.chat, said) {
        return Ok(Start::Reset);
    }
    let outline = &opened.chat.outline;
    match cursor {
        // An attempt that is over: the log knows whether there was one.
        Cursor::Part { attempt, .. } if outline.attempt.as_ref().map(|open| open.id) != Some(attempt) => {
            let page = state.log.read_chat(outline.id, attempt - 1, 1).await?;
            let known = page.first().is_some_and(|stored| stored.event.event_type == ATTEMPT_RECORDED);
            Ok(if known { Start::After(cursor) } else { Start::Reset })
        }
        Cursor::Event(_) | Cursor::Part { .. } => Ok(Start::After(cursor)),
    }
}

/// The stored type of the events that attempts are named by.
const ATTEMPT_RECORDED: &str = "attempt_recorded";

impl Session {
    /// Begins a stream over what was opened.
    pub fn new(state: Data<AppState>, opened: Opened, start: Start, format: Format) -> Session {
        let chat_id = opened.chat.outline.id;
        let opened_at = opened.chat.outline.version;
        let heartbeat = state.clock.sleep_ms(state.limits.heartbeat_ms.max(1));
        let (phase, sent, parts) = match start {
            Start::After(cursor) => {
                let parts =
                    if format.parts { missing_parts(&opened.parts, &opened.chat, cursor) } else { VecDeque::new() };
                let damage = if format.form == Form::Raw { Damage::IsTold } else { Damage::IsAnError };
                let story = Story::new(state.sources(), chat_id, damage, cursor.version());
                (Phase::Past(Box::new(story)), cursor.version(), parts)
            }
            Start::Snapshot | Start::Reset => {
                (Phase::First(snapshot(&state, &opened, start)), opened_at, VecDeque::new())
            }
        };
        Session {
            state,
            chat_id,
            format,
            phase,
            sent,
            opened_at,
            parts,
            watch: opened.watch,
            ended: false,
            heartbeat,
            _watching: Watching::begin("chat"),
        }
    }

    /// The next bytes, at least one frame; none when the stream ends.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended || self.state.stopping.is_cancelled() {
                return None;
            }
            let frames = match std::mem::replace(&mut self.phase, Phase::Present) {
                Phase::First(bytes) => vec![bytes],
                Phase::Past(story) => match self.past(story).await {
                    Ok(frames) => frames,
                    Err(problem) => {
                        // The reader comes back with its last id; the status line is long gone.
                        tracing::warn!(chat.id = %self.chat_id, %problem, "A stream ended early.");
                        return None;
                    }
                },
                Phase::Present => self.present().await?,
            };
            if !frames.is_empty() {
                return Some(frames::join(&frames));
            }
        }
    }

    /// One page of what the reader missed.
    async fn past(&mut self, mut story: Box<Story>) -> Result<Vec<Bytes>, Problem> {
        // Most readers come back with nothing missed: then there is nothing to fold either.
        let page = if self.sent < self.opened_at { story.page().await? } else { Vec::new() };
        let at_end = page.is_empty();
        let missed = page
            .into_iter()
            .filter(|told| told.stored.event.version > self.sent && told.stored.event.version <= self.opened_at);
        let merged = merge(missed, &mut self.parts, |told| told.stored.event.version, |frame| frame.part.after_version);
        let mut frames = Vec::with_capacity(merged.len());
        for item in merged {
            match item {
                Merged::Event(told) => frames.push(self.told(&told)),
                Merged::Part(part) => frames.push(frames::part(&part)),
            }
        }
        if at_end || story.version() >= self.opened_at {
            self.sent = self.sent.max(self.opened_at);
            frames.extend(self.parts.drain(..).map(|part| frames::part(&part)));
        } else {
            self.phase = Phase::Past(story);
        }
        Ok(frames)
    }

    /// What happens now, or a heartbeat; none when the stream ends.
    async fn present(&mut self) -> Option<Vec<Bytes>> {
        let ready = tokio::select! {
            biased;
            () = self.state.stopping.cancelled() => return None,
            () = &mut self.heartbeat => {
                self.heartbeat = self.state.clock.sleep_ms(self.state.limits.heartbeat_ms.max(1));
                return Some(vec![self.beat()]);
            }
            ready = self.watch.next() => ready,
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(ended) => {
                tracing::debug!(chat.id = %self.chat_id, reason = %ended, "A stream ended.");
                return None;
            }
        };
        let mut frames = Vec::with_capacity(ready.len());
        for frame in ready {
            match frame {
                Frame::Part(part) if self.format.parts => frames.push(frames::part(&part)),
                Frame::Part(_) => {}
                Frame::Event(event) if event.recorded.version <= self.sent => {}
                Frame::Event(event) => {
                    let version = event.recorded.version;
                    frames.push(match (self.format.form, self.format.framing) {
                        (Form::Public, Framing::Events) => frames::live_event(&event),
                        (Form::Public, Framing::Lines) => {
                            frames::line(&EventView::of(&event.recorded, event.status, event.turn_id))
                        }
                        (Form::Raw, _) => match self.raw(version, event.status).await {
                            Ok(bytes) => bytes,
                            Err(problem) => {
                                tracing::warn!(chat.id = %self.chat_id, %problem, "A stream ended early.");
                                return None;
                            }
                        },
                    });
                    self.sent = version;
                    self.ended |= matches!(event.recorded.event, Event::ChatErased(_));
                }
            }
        }
        Some(frames)
    }

    /// A live event with its envelope, which only the log has.
    async fn raw(&self, version: Version, status: Status) -> Result<Bytes, Problem> {
        let after = version.saturating_sub(2);
        let page = self.state.log.read_chat(self.chat_id, after, 2).await?;
        let previous = page.iter().find(|stored| stored.event.version + 1 == version).map(|stored| stored.event.hash);
        let stored = page.iter().find(|stored| stored.event.version == version);
        let stored = stored.ok_or_else(|| story::missing(self.chat_id, version))?;
        let previous = if version == 1 { Some(Digest::ZERO) } else { previous };
        Ok(self.raw_frame(stored, Some(status), previous))
    }

    fn raw_frame(&self, stored: &Stored, status: Option<Status>, previous: Option<Digest>) -> Bytes {
        let view = RawView::of(stored, position::encode(self.state.log.timeline(), stored.position), status, previous);
        match self.format.framing {
            Framing::Events => frames::sse(&stored.event.event_type, Some(&stored.event.version), &view),
            Framing::Lines => frames::line(&view),
        }
    }

    /// An event of the past. Without a meaning only auditors are told anything: for everybody else the story has ended
    /// before it.
    fn told(&self, told: &Told) -> Bytes {
        let meaning = told.meaning.as_ref();
        match (self.format.form, self.format.framing) {
            (Form::Raw, _) => {
                let status = meaning.map(|meaning| meaning.status);
                self.raw_frame(&told.stored, status, Some(told.previous_hash))
            }
            (Form::Public, Framing::Events) => meaning
                .map_or_else(Bytes::new, |meaning| frames::event(&meaning.recorded, meaning.status, meaning.turn_id)),
            (Form::Public, Framing::Lines) => meaning.map_or_else(Bytes::new, |meaning| {
                frames::line(&EventView::of(&meaning.recorded, meaning.status, meaning.turn_id))
            }),
        }
    }

    fn beat(&self) -> Bytes {
        match self.format.framing {
            Framing::Events => frames::sse("heartbeat", None, &HeartbeatView { at: Time(self.state.clock.now()) }),
            Framing::Lines => Bytes::from_static(b"\n"),
        }
    }
}

fn snapshot(state: &AppState, opened: &Opened, start: Start) -> Bytes {
    let default_model = state.default_model();
    let view = SnapshotView::of(opened, default_model.as_deref());
    let snapshot = frames::sse("snapshot", Some(&place(opened)), &view);
    if start != Start::Reset {
        return snapshot;
    }
    let reset = ResetView { reason: "the server does not know this place in the chat; here is the chat as it is now" };
    frames::join(&[frames::sse("reset", None, &reset), snapshot])
}
