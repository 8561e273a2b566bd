//! What is measured, one file each.

pub mod crash;
pub mod history;
pub mod life;
pub mod population;
pub mod turns;
pub mod watchers;

use clap::ValueEnum;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Memory at start and after 20 turns; turns one by one and of several chats at once; the first token.
    Turns,
    /// One long answer and those who watch it come.
    Watchers,
    /// Turns in chats with a history.
    History,
    /// One chat of very many messages, summarised as it goes.
    Life,
    /// Many chats at rest: memory, and opening one of them.
    Idle,
    /// Making the read models anew.
    Rebuild,
    /// `kill -9` in the middle of answers, and the start after it.
    Crash,
}

/// Sizes of everything.
#[derive(Clone, Debug, clap::Args)]
pub struct Sizes {
    /// Turns one after the other
    #[arg(long, default_value_t = 500)]
    pub turns: usize,
    /// How long each measurement with several chats at once takes, in seconds
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Chats at once, each a measurement
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    pub chats: Vec<usize>,
    /// Tokens of the long answer
    #[arg(long, default_value_t = 5000)]
    pub tokens: usize,
    /// Watchers of the long answer, each number a measurement
    #[arg(long, value_delimiter = ',', default_value = "1,50")]
    pub watchers: Vec<usize>,
    /// How often the long answer is given; the median counts
    #[arg(long, default_value_t = 5)]
    pub repeat: usize,
    /// Messages in the history, each number a measurement
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    pub history: Vec<usize>,
    /// Messages of one long life
    #[arg(long, default_value_t = 10_000)]
    pub life: usize,
    /// Chats at rest
    #[arg(long, default_value_t = 5000)]
    pub population: usize,
    /// Turns that each of them had
    #[arg(long, default_value_t = 4)]
    pub turns_each: usize,
    /// Chats in the middle of an answer at the kill
    #[arg(long, default_value_t = 64)]
    pub half_written: usize,
}
