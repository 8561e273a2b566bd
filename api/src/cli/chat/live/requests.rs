//! What goes on beside the screen: requests under way, and the stream of the chat.

use std::future::Future;
use std::pin::Pin;

use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::chat::frames::{self, Frames};

/// Frames that may wait to be shown; a reader that is slower is cut by the server and resumes.
const FRAMES_MAX: usize = 1024;

/// A frame, or why there are no more.
pub(super) type Frame = anyhow::Result<frames::Frame>;

/// What a request was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Begin a chat with a message.
    Begin { text: String },
    /// Say something.
    Say { text: String },
    /// Say something anew, or steer: given back to the line if it is refused.
    Words { text: String },
    /// Decide on calls.
    Decide { call_ids: Vec<String> },
    /// Stop the turn.
    Stop,
    /// The last chats.
    Chats,
    /// Look whether a chat is there, and go to it.
    Go,
    /// What the chat is.
    Status,
    /// The models there are.
    Models,
    /// Something that the stream tells of.
    Quiet,
    /// Something to remark on when it is done.
    Remark(&'static str),
}

/// What came of a request.
pub(super) struct Done {
    pub purpose: Purpose,
    pub answer: anyhow::Result<Value>,
}

/// Requests under way. Their number is bounded by the keys that a person presses.
pub(super) type Requests = FuturesUnordered<Pin<Box<dyn Future<Output = Done>>>>;

/// The stream of a chat, read ahead; of no chat it is silent.
#[derive(Default)]
pub(super) struct Reading {
    open: Option<(mpsc::Receiver<Frame>, JoinHandle<()>)>,
}

impl Reading {
    /// Reads these from now on.
    pub(super) fn begin(&mut self, mut frames: Frames) {
        self.end();
        let (sender, receiver) = mpsc::channel(FRAMES_MAX);
        // Of its own, so that nothing that happens on the screen breaks off a connection that is being made.
        let task = actix_rt::spawn(async move {
            loop {
                let frame = frames.next().await;
                let is_end = frame.is_err();
                if sender.send(frame).await.is_err() || is_end {
                    return;
                }
            }
        });
        self.open = Some((receiver, task));
    }

    /// Reads nothing any more.
    pub(super) fn end(&mut self) {
        if let Some((_, task)) = self.open.take() {
            task.abort();
        }
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Frame {
        loop {
            match &mut self.open {
                Some((receiver, _)) => match receiver.recv().await {
                    Some(frame) => return frame,
                    None => self.end(),
                },
                None => std::future::pending().await,
            }
        }
    }

    /// The next frame, if it is there already.
    pub(super) fn ready(&mut self) -> Option<Frame> {
        self.open.as_mut().and_then(|(receiver, _)| receiver.try_recv().ok())
    }

    /// A stream is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.end();
    }
}
