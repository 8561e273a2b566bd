//! The scripted model: a process that speaks OpenAI's chat completions. The name of the model is the script:
//! `instant-COUNT` says so many tokens at once, `slow-MS-COUNT` waits first and begins with what it really waited
//! (`own-MICROSECONDS`), `half-COUNT` says half of them and the rest after `POST /release`.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::wire::{Connection, chunk};

/// Before the microseconds that the model took for its first token.
pub const OWN: &str = "own-";

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The text of one token of an answer.
pub fn token(number: usize) -> String {
    format!("word{number} ")
}

/// What to say, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Instant { tokens: usize },
    Slow { wait: Duration, tokens: usize },
    Half { tokens: usize },
}

impl Script {
    fn parse(name: &str) -> Option<Script> {
        let mut fields = name.split('-');
        let kind = fields.next()?;
        let numbers: Vec<usize> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
        match (kind, numbers.as_slice()) {
            ("instant", &[tokens]) => Some(Script::Instant { tokens }),
            ("slow", &[wait_ms, tokens]) => Some(Script::Slow { wait: Duration::from_millis(wait_ms as u64), tokens }),
            ("half", &[tokens]) => Some(Script::Half { tokens }),
            _ => None,
        }
    }
}

/// Everything that was said before, so that it is put together once.
#[derive(Default)]
struct Answers(HashMap<(usize, usize), Rc<str>>);

impl Answers {
    /// Tokens from `from` up to `to`, each a chunk.
    fn tokens(&mut self, from: usize, to: usize) -> Rc<str> {
        let said =
            self.0.entry((from, to)).or_insert_with(|| (from..to).map(|n| delta(&token(n))).collect::<String>().into());
        Rc::clone(said)
    }
}

fn event(choices: &str, rest: &str) -> String {
    let data = format!(
        "data: {{\"id\":\"answer\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"scripted\",\
         \"choices\":[{choices}]{rest}}}\n\n"
    );
    chunk(&data)
}

fn delta(text: &str) -> String {
    event(&format!("{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}"), "")
}

fn end(tokens: usize) -> String {
    let stop = event("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
    let usage =
        format!(",\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{tokens},\"total_tokens\":{}}}", tokens + 10);
    format!("{stop}{}{}0\r\n\r\n", event("", &usage), chunk("data: [DONE]\n\n"))
}

/// Serves until it is killed; prints where.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let released = Rc::new(watch::Sender::new(false));
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let released = Rc::clone(&released);
                // A client that hangs up ends its own connection and nothing else.
                tokio::task::spawn_local(async move { converse(stream, &released).await.ok() });
            }
        })
        .await
}

async fn converse(stream: TcpStream, released: &watch::Sender<bool>) -> anyhow::Result<()> {
    let mut connection = Connection::over(stream)?;
    let mut answers = Answers::default();
    while let Some(head) = connection.try_head().await? {
        let body = connection.body(&head).await?;
        if head.path() == "/release" {
            released.send_replace(true);
            connection.send(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            continue;
        }
        let asked = Instant::now();
        match script_of(&body)? {
            Script::Instant { tokens } => {
                let answer = format!("{HEAD}{}{}", answers.tokens(0, tokens), end(tokens));
                connection.send(answer.as_bytes()).await?;
            }
            Script::Slow { wait, tokens } => {
                sleep_until((asked + wait).into()).await;
                let own = delta(&format!("{OWN}{} ", asked.elapsed().as_micros()));
                let answer = format!("{HEAD}{own}{}{}", answers.tokens(1, tokens), end(tokens));
                connection.send(answer.as_bytes()).await?;
            }
            Script::Half { tokens } => {
                connection.send(format!("{HEAD}{}", answers.tokens(0, tokens / 2)).as_bytes()).await?;
                released.subscribe().wait_for(|released| *released).await?;
                let rest = format!("{}{}", answers.tokens(tokens / 2, tokens), end(tokens));
                connection.send(rest.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// The script that a request names. The body is not parsed: a long history would cost more than the answer.
fn script_of(body: &[u8]) -> anyhow::Result<Script> {
    const MARK: &[u8] = b"\"model\":\"";
    let begin = memmem::find(body, MARK).context("a request without a model")? + MARK.len();
    let end = memchr::memchr(b'"', &body[begin..]).context("a request without an end")?;
    Script::parse(std::str::from_utf8(&body[begin..begin + end])?).context("a model without a script")
}
