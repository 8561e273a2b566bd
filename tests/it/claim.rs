//! One server at a time on a PostgreSQL database.

use sqlx::{Connection, PgConnection};
use support::postgres::Postgres;
use verbatim_events_sql::{LogOptions, OpenError, Storage};

async fn open(url: &str) -> Result<Storage, OpenError> {
    Storage::open(url, LogOptions::default(), tokio::runtime::Handle::current()).await
}

#[tokio::test]
async fn a_second_server_on_the_same_database_is_refused() {
    let url = Postgres::shared().await.unwrap().database().await.unwrap();
    let first = open(&url).await.unwrap();
    assert!(matches!(open(&url).await.err(), Some(OpenError::ServedElsewhere)));
    first.close().await;
    drop(first);
    open(&url).await.unwrap().close().await;
}

#[tokio::test]
async fn a_server_whose_claim_was_cut_off_learns_that_another_has_taken_over() {
    let url = Postgres::shared().await.unwrap().database().await.unwrap();
    let first = open(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = \
               (SELECT oid FROM pg_database WHERE datname = current_database())";
    // Whoever is faster has the claim then: the cut is repeated until it is the second.
    let second = loop {
        sqlx::query(cut).fetch_all(&mut connection).await.unwrap();
        match open(&url).await {
            Ok(second) => break second,
            Err(OpenError::ServedElsewhere) => {}
            Err(other) => panic!("only the claim may be in the way: {other}"),
        }
    };
    first.taken_over().await;
    first.close().await;
    second.close().await;
}
