//! The crash test, short enough for every day. The long run is the program `chaos` of the package `tests`.

use support::chaos::{ChaosOptions, Target, run};
use support::random::Random;

use crate::PROGRAM;

async fn chaos(target: Target) {
    let seed = Random::seed();
    println!("VERBATIM_SEED={seed}");
    let options = ChaosOptions { program: PROGRAM.into(), target, kills: 8, chats: 4, seed };
    match run(&options).await {
        Ok(report) => println!("{report}"),
        Err(error) => panic!("VERBATIM_SEED={seed}: {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_sqlite_is_killed() {
    chaos(Target::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_postgres_is_killed() {
    chaos(Target::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_under_the_server() {
    chaos(Target::PostgresItself).await;
}
