//! One user: sends messages of all kinds, each with an idempotency key, each until it is acknowledged.

use std::time::Duration;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{current, pause};
use crate::http::{Answer, Client, IDEMPOTENCY_KEY};
use crate::random::Random;

/// Messages of one user at most; a run that is long enough for more has seen enough of it.
const MESSAGES_MAX: usize = 2000;

/// A message that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What it says.
    pub(super) content: String,
    /// What the demo model answers to it.
    pub(super) answer: String,
    /// It may overtake messages that wait.
    pub(super) steer: bool,
    /// The message, where it went into history.
    pub(super) message_id: Option<u64>,
    /// The queued message, where it had to wait.
    pub(super) queued_id: Option<u64>,
}

/// Everything that a user has sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Talk {
    pub(super) sent: Vec<Sent>,
    /// Sends without an acknowledgement.
    pub(super) repeated: usize,
}

pub(super) struct Talker {
    pub(super) chat: String,
    pub(super) number: usize,
    pub(super) client: watch::Receiver<Option<Client>>,
    pub(super) random: Random,
    /// The chat rests, as far as its watchers know.
    pub(super) rests: watch::Receiver<bool>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Talker {
    pub(super) async fn run(mut self) -> anyhow::Result<Talk> {
        let mut talk = Talk::default();
        while !*self.stopped.borrow() && talk.sent.len() < MESSAGES_MAX {
            let (content, answer) = self.words(talk.sent.len());
            let busy = ["queue", "queue", "queue", "steer", "interrupt"][self.random.between(0, 4) as usize];
            let body = json!({ "content": content, "busy": busy });
            let key = format!("chat-{}-message-{}", self.number, talk.sent.len());
            let path = format!("/chats/{}/messages", self.chat);
            let answered = self.deliver(&path, &body, &key, &mut talk.repeated).await?;
            let id = |name: &str| answered.body[name].as_u64();
            let (message_id, queued_id) = (id("message_id"), id("queued_id"));
            if self.random.between(0, 9) == 0 {
                let again = self.deliver(&path, &body, &key, &mut talk.repeated).await?;
                if again.text != answered.text || again.header("idempotency-replayed") != Some("true") {
                    bail!("the same key was answered {} and then {}", answered.text, again.text);
                }
            }
            talk.sent.push(Sent { content, answer, steer: busy == "steer", message_id, queued_id });
            match self.random.between(0, 9) {
                0 => self.interrupt(talk.sent.len(), &mut talk.repeated).await?,
                1..6 => {
                    let patience = Duration::from_millis(self.random.between(100, 1500));
                    let _ = tokio::time::timeout(patience, self.rests.wait_for(|rests| *rests)).await;
                }
                _ => {
                    let duration_ms = self.random.between(5, 60);
                    pause(&mut self.client, duration_ms).await;
                }
            }
        }
        Ok(talk)
    }

    /// A message that nobody else sends, and the answer to it.
    fn words(&mut self, message: usize) -> (String, String) {
        let name = format!("c{}m{message}", self.number);
        let count = self.random.between(2, 14);
        let answer = (0..count).map(|word| format!("{name}w{word}")).collect::<Vec<_>>().join(" ");
        let slow = self.random.between(2, 40);
        let manner = match self.random.between(0, 9) {
            0..5 => format!("[[slow {slow}]]"),
            5 => "[[fail 503 times 1]]".to_owned(),
            6 => format!("[[slow {slow}]] [[cut {} times 1]]", self.random.between(1, count)),
            7 => format!("[[slow {slow}]] [[reasoning]]"),
            8 => "[[fail 429 retry-after 0.3 times 2]]".to_owned(),
            _ => String::new(),
        };
        (format!("{name} {manner} [[say {answer}]]"), answer)
    }

    /// Sends until it is acknowledged.
    async fn deliver(&mut self, path: &str, body: &Value, key: &str, repeated: &mut usize) -> anyhow::Result<Answer> {
        loop {
            let client = current(&mut self.client).await?;
            match client.try_call(Method::POST, path, Some(body), &[(IDEMPOTENCY_KEY, key)]).await {
                Ok(answer) if answer.status == 202 => return Ok(answer),
                // A full queue, a log that is away for a moment.
                Ok(answer) if matches!(answer.status, 429 | 503) => {}
                Ok(answer) => bail!("{path} with {body} was answered {}: {}", answer.status, answer.text),
                Err(_) => {}
            }
            *repeated += 1;
            pause(&mut self.client, 40).await;
        }
    }

    /// Stops the turn, if there is one.
    async fn interrupt(&mut self, number: usize, repeated: &mut usize) -> anyhow::Result<()> {
        let path = format!("/chats/{}/interrupt", self.chat);
        let key = format!("chat-{}-interrupt-{number}", self.number);
        loop {
            let client = current(&mut self.client).await?;
            match client.try_call(Method::POST, &path, None, &[(IDEMPOTENCY_KEY, &key)]).await {
                Ok(answer) if matches!(answer.status, 202 | 409) => return Ok(()),
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => bail!("an interrupt was answered {}: {}", answer.status, answer.text),
                Err(_) => {}
            }
            *repeated += 1;
            pause(&mut self.client, 40).await;
        }
    }
}
