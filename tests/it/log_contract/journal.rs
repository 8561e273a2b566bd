//! The part journal's contract, against each implementation.

use std::sync::Arc;

use support::log_home::LogHome;
use support::postgres::Postgres;
use tokio::runtime::Handle;
use verbatim_events::ids::ChatId;
use verbatim_events::journal::PartJournal;
use verbatim_events::memory::MemoryJournal;
use verbatim_events::part::{LivePart, NumberedPart, Part};
use verbatim_events_sql::{PostgresJournal, SqliteJournal};

/// Runs each case against each kind of journal.
macro_rules! contract {
    ($($case:ident)+) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(std::sync::Arc::new(super::MemoryJournal::default())).await;
                }
            )+
        }
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let directory = tempfile::tempdir().unwrap();
                    let journal = super::sqlite(&directory).await;
                    super::$case(journal.clone()).await;
                    journal.close().await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let home = super::LogHome::postgres().await;
                    let journal = super::postgres(&home).await;
                    super::$case(journal.clone()).await;
                    journal.close().await;
                }
            )+
        }
    };
}

contract! {
    parts_come_back_in_order
    a_part_written_again_is_overwritten
    attempts_are_forgotten_up_to_one
    many_write_at_once
    long_attempts_are_whole
}

async fn sqlite(directory: &tempfile::TempDir) -> Arc<SqliteJournal> {
    let path = directory.path().join("journal.db");
    Arc::new(SqliteJournal::open(path, Handle::current()).await.unwrap())
}

async fn postgres(home: &LogHome) -> Arc<PostgresJournal> {
    // The log makes the tables.
    home.open().await.close().await;
    Arc::new(PostgresJournal::connect(home.url(), Handle::current()).await.unwrap())
}

fn chat(number: u128) -> ChatId {
    ChatId(uuid::Uuid::from_u128(number))
}

fn text(n: u64, text: &str) -> NumberedPart {
    NumberedPart { n, after_version: n / 2, part: LivePart::TextDelta { text: text.to_owned() } }
}

async fn parts_come_back_in_order(journal: Arc<dyn PartJournal>) {
    let call =
        LivePart::ToolArgsDelta { call_id: "c1".to_owned(), name: "read_file".to_owned(), args: "{\"p".to_owned() };
    let whole = LivePart::Whole(Part::text("all of it — wörtlich"));
    let mut parts = vec![text(1, "a"), text(2, "b"), text(3, "c")];
    parts.push(NumberedPart { n: 4, after_version: 9, part: call });
    parts.push(NumberedPart { n: 5, after_version: 9, part: whole });
    assert_eq!(journal.read(chat(1), 7).await.unwrap(), []);
    journal.write(chat(1), 7, parts[..2].to_vec()).await.unwrap();
    journal.write(chat(1), 7, vec![]).await.unwrap();
    journal.write(chat(1), 7, parts[2..].to_vec()).await.unwrap();
    journal.write(chat(2), 7, vec![text(1, "other chat")]).await.unwrap();
    journal.write(chat(1), 8, vec![text(1, "other attempt")]).await.unwrap();
    assert_eq!(journal.read(chat(1), 7).await.unwrap(), parts);
    assert_eq!(journal.read(chat(2), 7).await.unwrap(), [text(1, "other chat")]);
}

async fn a_part_written_again_is_overwritten(journal: Arc<dyn PartJournal>) {
    journal.write(chat(1), 1, vec![text(1, "a"), text(2, "b"), text(2, "c")]).await.unwrap();
    assert_eq!(journal.read(chat(1), 1).await.unwrap(), [text(1, "a"), text(2, "c")]);
    journal.write(chat(1), 1, vec![text(1, "d")]).await.unwrap();
    assert_eq!(journal.read(chat(1), 1).await.unwrap(), [text(1, "d"), text(2, "c")]);
}

async fn attempts_are_forgotten_up_to_one(journal: Arc<dyn PartJournal>) {
    for attempt in [3, 5, 9] {
        journal.write(chat(1), attempt, vec![text(1, "x")]).await.unwrap();
        journal.write(chat(2), attempt, vec![text(1, "x")]).await.unwrap();
    }
    journal.forget(chat(1), 5).await.unwrap();
    let kept = |attempts: &[u64], attempt: u64| if attempts.contains(&attempt) { 1 } else { 0 };
    for attempt in [3, 5, 9] {
        assert_eq!(journal.read(chat(1), attempt).await.unwrap().len(), kept(&[9], attempt), "attempt {attempt}");
        assert_eq!(journal.read(chat(2), attempt).await.unwrap().len(), 1);
    }
    journal.forget(chat(3), 100).await.unwrap();
}

async fn many_write_at_once(journal: Arc<dyn PartJournal>) {
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let journal = journal.clone();
        writers.spawn(async move {
            for n in 1..=20 {
                journal.write(chat(number), 1, vec![text(n, &format!("{number} {n}"))]).await.unwrap();
            }
            if number % 2 == 0 {
                journal.forget(chat(number), 1).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    for number in 0..40 {
        let expected: Vec<_> = match number % 2 {
            0 => vec![],
            _ => (1..=20).map(|n| text(n, &format!("{number} {n}"))).collect(),
        };
        assert_eq!(journal.read(chat(number), 1).await.unwrap(), expected);
    }
}

async fn long_attempts_are_whole(journal: Arc<dyn PartJournal>) {
    let parts: Vec<_> = (1..=2500).map(|n| text(n, "piece")).collect();
    for some in parts.chunks(700) {
        journal.write(chat(1), 1, some.to_vec()).await.unwrap();
    }
    assert_eq!(journal.read(chat(1), 1).await.unwrap(), parts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_journal_survives_being_closed_and_has_one_holder() {
    let directory = tempfile::tempdir().unwrap();
    let journal = sqlite(&directory).await;
    journal.write(chat(1), 1, vec![text(1, "a")]).await.unwrap();
    let second = SqliteJournal::open(directory.path().join("journal.db"), Handle::current()).await;
    assert!(matches!(second, Err(verbatim_events_sql::OpenError::InUse { .. })));
    journal.close().await;
    assert!(journal.write(chat(1), 1, vec![text(2, "b")]).await.is_err());
    let journal = sqlite(&directory).await;
    assert_eq!(journal.read(chat(1), 1).await.unwrap(), [text(1, "a")]);
    journal.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_journal_survives_the_database() {
    let server = Postgres::start(false).unwrap();
    let home = LogHome::Postgres(server.database().await.unwrap());
    let journal = postgres(&home).await;
    journal.write(chat(1), 1, vec![text(1, "a")]).await.unwrap();
    server.kill().unwrap();
    server.resume().unwrap();
    // A crash of the database empties the journal: what comes after it is kept.
    journal.write(chat(1), 1, vec![text(2, "b")]).await.unwrap();
    assert_eq!(journal.read(chat(1), 1).await.unwrap(), [text(2, "b")]);
    journal.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_made_anew() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("no database", |bytes| bytes.fill(b'x')),
        ("cut off", |bytes| bytes.truncate(5000)),
        ("pages overwritten", |bytes| bytes[4096..].fill(0xa5)),
    ];
    for (name, damage) in damages {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.db");
        let journal = sqlite(&directory).await;
        journal.write(chat(1), 1, (1..=500).map(|n| text(n, "piece")).collect()).await.unwrap();
        journal.close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        // What a killed process leaves behind goes with it.
        std::fs::write(path.with_file_name("journal.db-wal"), b"left over").unwrap();

        let journal = sqlite(&directory).await;
        assert_eq!(journal.read(chat(1), 1).await.unwrap(), [], "{name}");
        journal.write(chat(1), 2, vec![text(1, "anew")]).await.unwrap();
        assert_eq!(journal.read(chat(1), 2).await.unwrap(), [text(1, "anew")], "{name}");
        journal.close().await;
    }
}
