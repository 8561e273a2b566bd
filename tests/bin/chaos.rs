//! The long run of the crash test: `cargo run --release -p tests --bin chaos -- --kills 50 --database sqlite`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use support::chaos::{ChaosOptions, Target, run};
use support::random::Random;

/// Kills the server, or its database, at random moments of conversations, and checks that nothing was lost or doubled.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Where the log lives and what is killed.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Database,
    /// Conversations at once.
    #[arg(long, default_value_t = 6)]
    chats: usize,
    /// What all choices follow from [default: VERBATIM_SEED, else a new one].
    #[arg(long)]
    seed: Option<u64>,
    /// The program under test [default: `verbatim` beside this one].
    #[arg(long)]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Database {
    /// The server on SQLite is killed.
    Sqlite,
    /// The server on PostgreSQL is killed.
    Postgres,
    /// PostgreSQL is killed under the server.
    PostgresItself,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(Random::seed);
    let program = match arguments.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("verbatim"),
    };
    anyhow::ensure!(program.is_file(), "{} is not there: cargo build --release -p verbatim", program.display());
    println!("VERBATIM_SEED={seed}");
    let target = match arguments.database {
        Database::Sqlite => Target::Sqlite,
        Database::Postgres => Target::Postgres,
        Database::PostgresItself => Target::PostgresItself,
    };
    let options = ChaosOptions { program, target, kills: arguments.kills, chats: arguments.chats, seed };
    let report = run(&options).await.with_context(|| format!("VERBATIM_SEED={seed}"))?;
    println!("{report}");
    Ok(())
}
