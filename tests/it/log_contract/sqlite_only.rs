//! What only a log in a file can do or suffer.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use support::chain::{Chain, verify_chain};
use support::log_home::LogHome;
use tokio::runtime::Handle;
use verbatim_events::log::{Append, AppendError, EventLog, LogError};
use verbatim_events_sql::{LogOptions, OpenError, SqliteLog, Storage, open_read_only};

use super::{read_everything, verify_log};

/// The longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of our own to a log's file.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_writer_is_refused() {
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    let refused = SqliteLog::open(home.file(), LogOptions::default(), Handle::current()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::InUse { path, .. } if *path == home.file()), "{refused}");
    open.log().append(Chain::new().append(1)).await.unwrap();
    open.close().await;
    home.open().await.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_holds_gives_its_file_back() {
    let home = LogHome::sqlite().await;
    let log = SqliteLog::open(home.file(), LogOptions::default(), Handle::current()).await.unwrap();
    log.append(Chain::new().append(1)).await.unwrap();
    // Not closed: whoever opened it forgot, or died.
    drop(log);
    let lock = File::options().write(true).open(home.file().with_file_name("events.db.lock")).unwrap();
    let waiting = tokio::task::spawn_blocking(move || lock.lock());
    tokio::time::timeout(PATIENCE, waiting).await.expect("the writer never ended").unwrap().unwrap();
    let open = home.open().await;
    assert_eq!(open.log().known_head(), 1);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_replaced_writes_nothing() {
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    let mut chat = Chain::new();
    open.log().append(chat.append(1)).await.unwrap();
    // Somebody takes the lock file away: now two processes believe that the log is theirs.
    std::fs::remove_file(home.file().with_file_name("events.db.lock")).unwrap();
    let thief = home.open().await;
    let refused = open.log().append(chat.clone().append(1)).await;
    assert!(matches!(&refused, Err(AppendError::Failed(problem)) if problem.contains("log_head")), "{refused:?}");
    assert_eq!(thief.log().append(chat.append(1)).await.unwrap().position, 2);
    assert!(matches!(open.log().append(Chain::new().append(1)).await, Err(AppendError::Failed(_))));
    let events = thief.log().read_chat(chat.chat_id, 0, 10).await.unwrap();
    assert_eq!(verify_chain(&events), (2, chat.hash));
    verify_log(&read_everything(&thief.log(), 10).await);
    open.close().await;
    thief.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_the_writer_follows_by_looking() {
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    let mut chat = Chain::new();
    open.log().append(chat.append(2)).await.unwrap();
    let address = format!("sqlite:{}", home.file().display());
    let beside = open_read_only(&address, LogOptions::default(), Handle::current()).await.unwrap();
    assert_eq!(beside.timeline(), open.log().timeline());
    assert_eq!(read_everything(&beside, 10).await.len(), 2);
    let waiting = tokio::spawn({
        let beside = beside.clone();
        async move { beside.wait_beyond(2).await }
    });
    open.log().append(chat.append(1)).await.unwrap();
    tokio::time::timeout(PATIENCE, waiting).await.expect("the reader never looked").unwrap();
    assert_eq!(beside.known_head(), 3);
    assert!(matches!(beside.append(chat.append(1)).await, Err(AppendError::Failed(_))));
    open.close().await;
    // It reads on when the writer is gone.
    assert_eq!(read_everything(&beside, 10).await.len(), 3);
}

#[tokio::test]
async fn there_is_nothing_to_read_where_no_log_is() {
    let home = LogHome::sqlite().await;
    let missing = SqliteLog::open_read_only(home.file(), LogOptions::default(), Handle::current()).await;
    assert!(matches!(missing.err(), Some(OpenError::Database(_))));
    assert!(!home.file().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_keeps_the_journal_beside_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}/", directory.path().join("data").display());
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.unwrap();
    storage.log().append(Chain::new().append(1)).await.unwrap();
    for name in ["events.db", "journal.db"] {
        assert!(directory.path().join("data").join(name).is_file(), "{name}");
    }
    let refused = Storage::open(&address, LogOptions::default(), Handle::current()).await;
    assert!(matches!(refused.err(), Some(OpenError::InUse { .. })));
    storage.close().await;
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.unwrap();
    assert_eq!(storage.log().known_head(), 1);
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_rows_are_named() {
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    let mut chat = Chain::new();
    open.log().append(chat.append(5)).await.unwrap();
    open.close().await;
    for (position, damage) in
        [(2, "encoding = 9"), (3, "hash = x'00'"), (4, "event_id = x'0102'"), (5, "actor_kind = 'robot'")]
    {
        let mut connection = raw(&home.file()).await;
        connection.execute("DROP TRIGGER IF EXISTS events_never_change").await.unwrap();
        let text = format!("UPDATE events SET {damage} WHERE position = {position}");
        connection.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
        connection.close().await.unwrap();
        let open = home.open().await;
        let log = open.log();
        assert_eq!(log.read_all(0, 1).await.unwrap().events.len(), 1, "what is whole can be read");
        for problem in [
            log.read_all(position - 1, 1).await.map(drop),
            log.read_chat(chat.chat_id, position - 1, 1).await.map(drop),
        ] {
            match problem {
                Err(LogError::Damaged { position: named, .. }) => assert_eq!(named, position, "{damage}"),
                other => panic!("{damage}: {other:?}"),
            }
        }
        open.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resist_change_and_a_wrong_head_is_not_opened() {
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    open.log().append(Chain::new().append(2)).await.unwrap();
    open.close().await;
    let mut connection = raw(&home.file()).await;
    assert!(connection.execute("UPDATE events SET data = x'00'").await.is_err());
    assert!(connection.execute("DELETE FROM events").await.is_err());
    connection.execute("UPDATE log_head SET position = 3").await.unwrap();
    connection.close().await.unwrap();
    let refused = SqliteLog::open(home.file(), LogOptions::default(), Handle::current()).await;
    assert!(matches!(refused.err(), Some(OpenError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_at_its_limit_fails_appends_and_serves_reads() {
    let home = LogHome::sqlite().await;
    let limited = |file_max_bytes| LogOptions { file_max_bytes: Some(file_max_bytes), ..LogOptions::default() };
    let open = home.open_with(limited(1024 * 1024)).await;
    fill(&open.log()).await;
    open.close().await;
    let open = home.open_with(limited(2 * 1024 * 1024)).await;
    open.log().append(Chain::new().append(1)).await.unwrap();
    verify_log(&read_everything(&open.log(), 100).await);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_appends_and_is_survived() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(mount.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("no disk can be mounted here: the limit of the file's size stands for it");
        return;
    }
    let _unmount = Unmount(mount.path());
    let ballast = mount.path().join("ballast");
    std::fs::write(&ballast, vec![0; 600 * 1024]).unwrap();
    let path = mount.path().join("events.db");
    let log = Arc::new(SqliteLog::open(&path, LogOptions::default(), Handle::current()).await.unwrap());
    let shared: Arc<dyn EventLog> = log.clone();
    fill(&shared).await;
    // Room again: the same log goes on.
    std::fs::remove_file(ballast).unwrap();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    verify_log(&read_everything(&shared, 100).await);
    log.close().await;
}

/// Unmounts at the end, however it comes.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        // Lazily: connections may close a moment later.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Appends until there is no more room. What was acknowledged is there, what failed is not; reads go on.
async fn fill(log: &Arc<dyn EventLog>) {
    let mut written = Vec::new();
    let mut failures = 0;
    while failures < 3 {
        let mut chat = Chain::new();
        let append = Append { streams: vec![chat.grow_with(1, 20_000)], receipt: None };
        match log.append(append).await {
            Ok(_) => written.push(chat),
            Err(AppendError::Failed(_) | AppendError::Unknown(_)) => {
                failures += 1;
                // Told or not: nothing was written.
                assert_eq!(log.read_chat(chat.chat_id, 0, 10).await.unwrap(), []);
            }
            Err(other) => panic!("{other}"),
        }
        assert!(written.len() < 1000, "the log never filled up");
    }
    assert!(written.len() > 10);
    let events = read_everything(log, 100).await;
    verify_log(&events);
    assert_eq!(events.len(), written.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_does_not_grow_for_ever() {
    const MEGABYTE: u64 = 1024 * 1024;
    let home = LogHome::sqlite().await;
    let open = home.open().await;
    let log = open.log();
    let wal = home.file().with_file_name("events.db-wal");
    let mut largest = 0;
    for _ in 0..150 {
        let append = Append { streams: vec![Chain::new().grow_with(1, MEGABYTE as usize)], receipt: None };
        log.append(append).await.unwrap();
        largest = largest.max(std::fs::metadata(&wal).unwrap().len());
    }
    assert!(largest < 66 * MEGABYTE, "the WAL had {largest} bytes");
    open.close().await;
    assert_eq!(std::fs::metadata(&wal).map_or(0, |metadata| metadata.len()), 0);
}
