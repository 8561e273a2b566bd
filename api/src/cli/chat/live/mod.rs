//! A conversation on a screen: the answer above, and below it a dock with what happens and the line being typed.

mod commands;
mod dock;
mod editor;
mod page;
mod requests;
mod state;
mod terminal;

use std::io;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

pub(super) use self::commands::client_tools;
use self::state::{Input, Session};
use self::terminal::{Keyboard, Terminal};
use super::conversation::Reached;
use super::frames::Frames;
use super::talk::{NewChat, Taken};
use crate::cli::output::Style;
use crate::cli::remote::Remote;

/// Between two pictures of the screen while something moves.
const PICTURE: Duration = Duration::from_millis(50);

/// Frames that are taken in before the screen is drawn.
const FRAMES_AT_ONCE: usize = 256;

/// What the conversation begins with.
pub(super) enum Begin {
    /// Nothing: the first line begins a chat.
    Empty,
    /// A chat that exists.
    Chat(String),
    /// One question, already asked. The conversation is over when it is answered.
    Asked(Taken),
}

/// Talks until the user leaves. Without keys there is no line to type.
pub(super) async fn talk(remote: Remote, begin: Begin, new: NewChat, has_keys: bool) -> anyhow::Result<Reached> {
    let faces = Style::of_stdout().shows_faces();
    let mut terminal = Terminal::new(faces);
    let mut session = Session::new(remote, new, faces, terminal.size().0, has_keys);
    session.begin(begin);
    let mut keyboard = if has_keys { Some(Keyboard::take()?) } else { None };
    let done = run(&mut session, &mut terminal, &mut keyboard).await;
    session.leave(&mut terminal)?;
    done
}

async fn run(
    session: &mut Session,
    terminal: &mut Terminal,
    keyboard: &mut Option<Keyboard>,
) -> anyhow::Result<Reached> {
    let mut stop = signal(SignalKind::interrupt())?;
    let mut end = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut pictures = tokio::time::interval(PICTURE);
    pictures.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut drawn = None;
    loop {
        if session.wants_cleaning() {
            terminal.clean()?;
        }
        // Keys and news are seen at once; a fast answer is not drawn more often than anybody can see.
        if drawn.is_none_or(|drawn: Instant| drawn.elapsed() >= PICTURE) || session.take_urgent() {
            draw(session, terminal)?;
            drawn = Some(Instant::now());
        }
        if let Some(reached) = session.reached() {
            return Ok(reached);
        }
        tokio::select! {
            key = next_key(keyboard) => match key {
                Some(key) => session.press(Input::Key(key)),
                None => session.press(Input::Gone),
            },
            frame = session.frames.next() => {
                session.frame(frame)?;
                for _ in 1..FRAMES_AT_ONCE {
                    let Some(frame) = session.frames.ready() else { break };
                    session.frame(frame)?;
                }
            }
            Some(done) = session.requests.next() => session.done(done),
            _ = stop.recv() => session.press(Input::Key(editor::Key::Stop)),
            _ = end.recv() => session.press(Input::Gone),
            _ = hang_up.recv() => session.press(Input::Gone),
            _ = pictures.tick(), if session.moves() || drawn.is_some_and(|drawn| drawn.elapsed() < PICTURE) => {}
        }
    }
}

fn draw(session: &mut Session, terminal: &mut Terminal) -> io::Result<()> {
    let (columns, rows) = terminal.size();
    session.page.resize(columns);
    let above = session.page.take();
    let dock = dock::laid_out(&session.view(), columns, rows);
    terminal.update(&above, &dock)
}

async fn next_key(keyboard: &mut Option<Keyboard>) -> Option<editor::Key> {
    match keyboard {
        Some(keyboard) => keyboard.next().await,
        None => std::future::pending().await,
    }
}
