//! What a turn costs: `cargo run --release -p tests --bin turn_bench`, with `verbatim` built beside it.
//!
//! The model is the built-in one, which answers at once: whatever is measured is the server's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use reqwest::Response;
use serde_json::json;
use support::http::Client;
use support::server::{ServerOptions, TestServer};

/// The answer: 20 tokens.
const ANSWER: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
                      seventeen eighteen nineteen twenty";

/// What the model takes for its first token in the measurement of a model that is slow, in ms.
const MODEL_MS: u64 = 30;

/// Measures turns on a real server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Turns one after the other.
    #[arg(long, default_value_t = 500)]
    turns: usize,
    /// How long each measurement with several chats takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Chats at once, each a measurement.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    chats: Vec<usize>,
    /// The log's home [default: SQLite in a directory of its own]
    #[arg(long)]
    database: Option<String>,
    /// The program under test [default: `verbatim` beside this one]
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Moments of one turn, since its message was sent.
struct Turn {
    accepted: Duration,
    first_part: Duration,
    finished: Duration,
}

/// What a frame is to the measurement.
enum Said {
    Part,
    TurnFinished,
    Else,
}

/// A reader of frames that looks at their names alone: it shares the processors with the server, so that whatever it
/// spends is missing there.
struct Reader {
    response: Response,
    buffer: Vec<u8>,
    /// What of the buffer has been read.
    read: usize,
}

impl Reader {
    async fn open(client: &Client, path: &str) -> anyhow::Result<Reader> {
        let mut reader = Reader { response: client.open(path, None).await?, buffer: Vec::new(), read: 0 };
        ensure!(reader.frame().await?.starts_with(b"event: snapshot\n"), "a stream without a snapshot");
        Ok(reader)
    }

    async fn frame(&mut self) -> anyhow::Result<&[u8]> {
        loop {
            let rest = &self.buffer[self.read..];
            if let Some(length) = rest.windows(2).position(|pair| pair == b"\n\n") {
                let begin = self.read;
                self.read += length + 2;
                return Ok(&self.buffer[begin..begin + length]);
            }
            self.buffer.drain(..self.read);
            self.read = 0;
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    async fn next(&mut self) -> anyhow::Result<Said> {
        let frame = self.frame().await?;
        if frame.starts_with(b"event: part\n") {
            return Ok(Said::Part);
        }
        if !frame.starts_with(b"event: turn_finished\n") {
            return Ok(Said::Else);
        }
        let text = std::str::from_utf8(frame)?;
        ensure!(text.contains(r#""outcome":"complete""#), "a turn failed: {text}");
        Ok(Said::TurnFinished)
    }
}

/// A chat with its stream open.
struct Speaker {
    client: Client,
    path: String,
    stream: Reader,
}

impl Speaker {
    async fn new(client: &Client) -> anyhow::Result<Speaker> {
        let chat = client.post("/chats", json!({})).await.expect(201).text_of("id");
        let stream = Reader::open(client, &format!("/chats/{chat}/stream")).await?;
        Ok(Speaker { client: client.clone(), path: format!("/chats/{chat}/messages"), stream })
    }

    async fn turn(&mut self, content: &str) -> anyhow::Result<Turn> {
        let begin = Instant::now();
        let body = json!({ "content": content });
        let (client, path, stream) = (&self.client, &self.path, &mut self.stream);
        let post = async {
            client.post(path, body).await.expect(202);
            begin.elapsed()
        };
        let watch = async {
            let mut first_part = None;
            loop {
                match stream.next().await? {
                    Said::Part => _ = first_part.get_or_insert_with(|| begin.elapsed()),
                    Said::TurnFinished => return anyhow::Ok((first_part.context("no part came")?, begin.elapsed())),
                    Said::Else => {}
                }
            }
        };
        let (accepted, watched) = tokio::join!(post, watch);
        let (first_part, finished) = watched?;
        Ok(Turn { accepted, first_part, finished })
    }
}

/// The duration that this share of all stays within, in ms.
fn percentile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    let index = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
}

/// What the system says of the server's process.
struct Process(PathBuf);

impl Process {
    fn of(server: &TestServer) -> Process {
        Process(Path::new("/proc").join(server.pid().to_string()))
    }

    /// Processor time so far, in ms.
    fn cpu_ms(&self) -> anyhow::Result<f64> {
        let ticks_per_second = Command::new("getconf").arg("CLK_TCK").output()?.stdout;
        let ticks_per_second: f64 = String::from_utf8(ticks_per_second)?.trim().parse()?;
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        // The name in brackets may hold anything; what is counted comes after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = (ticks(11).context("no user time")?, ticks(12).context("no system time")?);
        Ok((user + system) * 1000.0 / ticks_per_second)
    }

    /// Memory in use, in MiB.
    fn memory_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.0.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

fn row(name: &str, value: f64, unit: &str) {
    println!("{name:<52} {value:>10.2} {unit}");
}

async fn one_by_one(client: &Client, turns: usize) -> anyhow::Result<()> {
    let mut speaker = Speaker::new(client).await?;
    let instant = format!("[[say {ANSWER}]]");
    for _ in 0..turns.min(50) {
        speaker.turn(&instant).await?;
    }
    // A new chat now and then, as people do: a prompt holds the whole conversation.
    let (mut accepted, mut first_part, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..turns {
        if number % 20 == 0 {
            speaker = Speaker::new(client).await?;
        }
        let turn = speaker.turn(&instant).await?;
        accepted.push(turn.accepted);
        first_part.push(turn.first_part);
        finished.push(turn.finished);
    }
    for (name, durations) in [
        ("message accepted", &mut accepted),
        ("first token", &mut first_part),
        ("turn of 20 tokens finished", &mut finished),
    ] {
        row(&format!("{name}, p50"), percentile(durations, 50), "ms");
        row(&format!("{name}, p99"), percentile(durations, 99), "ms");
    }
    let mut beyond = Vec::new();
    let mut speaker = Speaker::new(client).await?;
    for _ in 0..turns.min(50) {
        let turn = speaker.turn(&format!("[[slow {MODEL_MS}]] [[say one]]")).await?;
        beyond.push(turn.first_part.saturating_sub(Duration::from_millis(MODEL_MS)));
    }
    row(&format!("first token over a model's own {MODEL_MS} ms, p50"), percentile(&mut beyond, 50), "ms");
    row(&format!("first token over a model's own {MODEL_MS} ms, p99"), percentile(&mut beyond, 99), "ms");
    Ok(())
}

async fn at_once(client: &Client, process: &Process, chats: usize, duration: Duration) -> anyhow::Result<()> {
    let mut speakers = Vec::new();
    for _ in 0..chats {
        speakers.push(Speaker::new(client).await?);
    }
    let (cpu_ms, begin) = (process.cpu_ms()?, Instant::now());
    let tasks: Vec<_> = speakers
        .into_iter()
        .map(|mut speaker| {
            tokio::spawn(async move {
                let (content, mut finished, mut turns) = (format!("[[say {ANSWER}]]"), Vec::new(), 0);
                while begin.elapsed() < duration {
                    if turns == 20 {
                        speaker = Speaker::new(&speaker.client).await?;
                        turns = 0;
                    }
                    turns += 1;
                    finished.push(speaker.turn(&content).await?.finished);
                }
                anyhow::Ok(finished)
            })
        })
        .collect();
    let mut finished = Vec::new();
    for task in tasks {
        finished.extend(task.await??);
    }
    let (elapsed, turns) = (begin.elapsed().as_secs_f64(), finished.len() as f64);
    let cpu_ms = process.cpu_ms()? - cpu_ms;
    row(&format!("{chats} chats at once: turns"), turns / elapsed, "per s");
    row(&format!("{chats} chats at once: turn, p50"), percentile(&mut finished, 50), "ms");
    row(&format!("{chats} chats at once: turn, p99"), percentile(&mut finished, 99), "ms");
    row(&format!("{chats} chats at once: the server's CPU"), cpu_ms / turns, "ms per turn");
    row(&format!("{chats} chats at once: memory"), process.memory_mib()?, "MiB");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let program = match arguments.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("verbatim"),
    };
    ensure!(program.is_file(), "{} is not there: cargo build --release -p verbatim", program.display());
    let mut server =
        TestServer::prepare(program, ServerOptions { database: arguments.database, ..ServerOptions::default() })?;
    let begin = Instant::now();
    server.start_again().await?;
    row("start until it listens", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    let process = Process::of(&server);
    row("memory at the start", process.memory_mib()?, "MiB");
    let client = server.client().clone();
    one_by_one(&client, arguments.turns).await?;
    for chats in arguments.chats {
        at_once(&client, &process, chats, Duration::from_secs(arguments.seconds)).await?;
    }
    row("memory at the end", process.memory_mib()?, "MiB");
    let begin = Instant::now();
    let status = server.terminate().await?;
    ensure!(status.success(), "the server stopped badly: {status}");
    row("orderly stop", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    Ok(())
}
