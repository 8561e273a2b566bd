//! Conversations on a server that is killed again and again, or whose database is: what was acknowledged must be there
//! once and in order, every turn must go on by itself, and every watcher must have been told the very same.

mod home;
mod talker;
mod verdict;
mod watcher;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::chat::ChatClient;
use crate::http::Client;
use crate::random::Random;

use self::home::Home;
use self::talker::{Talk, Talker};
use self::watcher::{Watched, Watcher};

/// How long all chats may take to come to rest after the last kill.
const REST_PATIENCE: Duration = Duration::from_secs(120);

/// Once in so many kills the server is also asked to stop, in the midst of everything.
const STOPS_ONE_IN: u64 = 5;

/// Where the log lives, and what is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The log in SQLite; the server is killed.
    Sqlite,
    /// The log in PostgreSQL; the server is killed.
    Postgres,
    /// The log in PostgreSQL, which is killed while the server lives.
    PostgresItself,
}

/// What is done to whom.
#[derive(Clone, Debug)]
pub struct ChaosOptions {
    /// The program under test.
    pub program: PathBuf,
    /// What is killed.
    pub target: Target,
    /// How often.
    pub kills: usize,
    /// Conversations at once.
    pub chats: usize,
    /// What all choices follow from.
    pub seed: u64,
}

/// What it came to, in figures.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kills.
    pub kills: usize,
    /// Orderly stops between them.
    pub stops: usize,
    /// Conversations.
    pub chats: usize,
    /// Messages that were acknowledged; all of them were found.
    pub messages: usize,
    /// Sends that had to be repeated until they were acknowledged.
    pub repeated: usize,
    /// Events of all chats.
    pub events: usize,
    /// Parts that watchers were told.
    pub parts: usize,
    /// Connections of all watchers.
    pub connections: usize,
    /// How often a watcher was sent back to a snapshot.
    pub resets: u64,
    /// Attempts that a kill left open.
    pub abandoned: usize,
    /// Attempts that failed and were tried again.
    pub retries: usize,
    /// Turns that were interrupted.
    pub interrupted: usize,
    /// Answers compared with what was streamed of them.
    pub answers: usize,
    /// The longest time from a kill until what was killed served again, in ms.
    pub longest_outage_ms: u128,
    /// The longest orderly stop, in ms.
    pub longest_stop_ms: u128,
    /// From the last kill until every chat rested, in ms.
    pub rest_ms: u128,
    /// All of it, in ms.
    pub total_ms: u128,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "kills                     {:>8}", self.kills)?;
        writeln!(formatter, "orderly stops             {:>8}", self.stops)?;
        writeln!(formatter, "chats                     {:>8}", self.chats)?;
        writeln!(formatter, "messages acknowledged     {:>8}  each found once, in order", self.messages)?;
        writeln!(formatter, "sends repeated            {:>8}", self.repeated)?;
        writeln!(formatter, "events                    {:>8}  audit clean", self.events)?;
        writeln!(formatter, "attempts left open        {:>8}", self.abandoned)?;
        writeln!(formatter, "retries                   {:>8}", self.retries)?;
        writeln!(formatter, "turns interrupted         {:>8}", self.interrupted)?;
        writeln!(formatter, "watchers' connections     {:>8}", self.connections)?;
        writeln!(formatter, "watchers sent back        {:>8}", self.resets)?;
        writeln!(formatter, "parts watched             {:>8}", self.parts)?;
        writeln!(formatter, "answers as streamed       {:>8}", self.answers)?;
        writeln!(formatter, "longest outage, ms        {:>8}", self.longest_outage_ms)?;
        writeln!(formatter, "longest stop, ms          {:>8}", self.longest_stop_ms)?;
        writeln!(formatter, "to rest after it, ms      {:>8}", self.rest_ms)?;
        write!(formatter, "in all, ms                {:>8}", self.total_ms)
    }
}

/// One conversation with everything around it.
struct Conversation {
    chat: String,
    talker: JoinHandle<anyhow::Result<Talk>>,
    watchers: Vec<JoinHandle<anyhow::Result<Watched>>>,
    /// Tells the watchers up to which version there is something to watch.
    end: watch::Sender<Option<u64>>,
}

/// Does it. An error is a broken promise of the server's, or a test that could not be done.
pub async fn run(options: &ChaosOptions) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let mut random = Random::new(options.seed);
    let mut home = Home::start(options).await?;
    let (client_sender, client) = watch::channel(Some(home.client()));
    let (seen, mut frames_seen) = watch::channel(0_u64);
    let (stop, stopped) = watch::channel(false);
    let mut conversations = Vec::new();
    for number in 0..options.chats {
        let chat =
            ChatClient::create(&home.client(), serde_json::json!({ "title": format!("Chat {number}") })).await.id;
        let (end, ended) = watch::channel(None);
        let (rests, resting) = watch::channel(true);
        let watchers = (0..2).map(|_| {
            let random = random.fork();
            let watcher = Watcher { chat: chat.clone(), client: client.clone(), random, end: ended.clone() };
            tokio::spawn(watcher.run(seen.clone(), rests.clone()))
        });
        let watchers = watchers.collect();
        let random = random.fork();
        let talker = Talker {
            chat: chat.clone(),
            number,
            client: client.clone(),
            random,
            rests: resting,
            stopped: stopped.clone(),
        };
        conversations.push(Conversation { chat, talker: tokio::spawn(talker.run()), watchers, end });
    }

    let mut report = Report { kills: options.kills, chats: options.chats, ..Report::default() };
    for _ in 0..options.kills {
        // A random moment is one after a random number of things that happened; where nothing happens, time passes.
        let wanted = *frames_seen.borrow_and_update() + random.between(1, 120 * options.chats as u64);
        let moment = frames_seen.wait_for(|frames| *frames >= wanted);
        let _ = tokio::time::timeout(Duration::from_millis(random.between(200, 2500)), moment).await;
        let killed = Instant::now();
        home.kill(&client_sender).await?;
        report.longest_outage_ms = report.longest_outage_ms.max(killed.elapsed().as_millis());
        if options.target != Target::PostgresItself && random.between(1, STOPS_ONE_IN) == 1 {
            let moment = frames_seen.changed();
            let _ = tokio::time::timeout(Duration::from_millis(random.between(1, 400)), moment).await;
            report.longest_stop_ms = report.longest_stop_ms.max(home.restart(&client_sender).await?);
            report.stops += 1;
        }
        if let Some(finished) = conversations.iter().position(|one| one.talker.is_finished()) {
            let ended = conversations.remove(finished);
            ended.talker.await??;
            anyhow::bail!("a talker ended before its time");
        }
    }
    stop.send_replace(true);
    let last_kill = Instant::now();
    settle(&home, conversations, &mut report, last_kill).await.with_context(|| home.log())?;
    home.audit(&report).await?;
    if options.target != Target::PostgresItself {
        // While its database is away the server knows less than its readers may have been told.
        anyhow::ensure!(report.resets == 0, "{} times a watcher was sent back to a snapshot", report.resets);
    }
    report.total_ms = begin.elapsed().as_millis();
    Ok(report)
}

/// Waits until everybody is done, and compares what they know.
async fn settle(
    home: &Home,
    conversations: Vec<Conversation>,
    report: &mut Report,
    last_kill: Instant,
) -> anyhow::Result<()> {
    let mut talks = Vec::new();
    for Conversation { chat, talker, watchers, end } in conversations {
        talks.push((chat, talker.await??, watchers, end));
    }
    let client: Client = home.client();
    for (chat, talk, watchers, end) in talks {
        let chat = ChatClient::of(&client, &chat);
        let rested = tokio::time::timeout(REST_PATIENCE, chat.rest()).await.context("a chat does not come to rest")?;
        report.rest_ms = report.rest_ms.max(last_kill.elapsed().as_millis());
        end.send_replace(rested["version"].as_u64());
        report.messages += talk.sent.len();
        report.repeated += talk.repeated;
        let log = verdict::check_log(&chat, &rested, &talk).await.with_context(|| format!("chat {}", chat.id))?;
        log.count(report);
        for watcher in watchers {
            let watched = tokio::time::timeout(REST_PATIENCE, watcher).await.context("a watcher does not end")???;
            log.compare(&watched, report).with_context(|| format!("a watcher of chat {}", chat.id))?;
        }
        home.replay(&chat.id).await?;
    }
    Ok(())
}

/// The server as it is now, once there is one.
async fn current(client: &mut watch::Receiver<Option<Client>>) -> anyhow::Result<Client> {
    let client = client.wait_for(Option::is_some).await.context("the test is over")?;
    client.clone().context("there is a server")
}

/// Lets some time pass, unless another server comes first.
async fn pause(client: &mut watch::Receiver<Option<Client>>, duration_ms: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(duration_ms), client.changed()).await;
}
