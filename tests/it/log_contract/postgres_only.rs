//! What only a log in a server's database can do or suffer: the server dies, sessions are cut, other nodes write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use support::chain::{Chain, receipt, verify_chain};
use support::faults::ScriptedFaults;
use support::log_home::{LogHome, OpenLog};
use support::postgres::Postgres;
use tokio::task::JoinSet;
use verbatim_events::log::{AppendError, EventLog};
use verbatim_events_sql::{FaultPoint, LogOptions, OpenError, PostgresLog, open_read_only};

use super::concurrency::follow;
use super::{read_everything, verify_log};

/// The longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of our own to a log's database.
async fn raw(home: &LogHome) -> PgConnection {
    PgConnection::connect(home.url()).await.unwrap()
}

/// Waits until the writer's session stands as `state` says, and returns its process.
async fn writer_session(connection: &mut PgConnection, state: &str) -> i32 {
    let query = format!(
        "SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'verbatim' AND {state}"
    );
    let look = async {
        loop {
            let found: Option<i32> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone())).fetch_optional(&mut *connection).await.unwrap();
            match found {
                Some(pid) => return pid,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the writer never came to this state")
}

async fn terminate(connection: &mut PgConnection, pid: i32) {
    let done: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1, 30000)").bind(pid).fetch_one(connection).await.unwrap();
    assert!(done, "session {pid} did not end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cut_before_the_commit_leaves_nothing() {
    let home = LogHome::postgres().await;
    let faults = ScriptedFaults::new();
    let open = home.open_with(faults.options()).await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    let append = chat.clone().append_with(1, receipt("k1", "sent"));
    let held = faults.hold_next(FaultPoint::BeforeCommit);
    let running = tokio::spawn({
        let (log, append) = (log.clone(), append.clone());
        async move { log.append(append).await }
    });
    let gate = held.reached().await;
    let mut connection = raw(&home).await;
    let pid = writer_session(&mut connection, "state = 'idle in transaction'").await;
    terminate(&mut connection, pid).await;
    drop(gate);
    let answer = running.await.unwrap();
    assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
    assert_eq!(verify_chain(&log.read_chat(chat.chat_id, 0, 10).await.unwrap()), (1, chat.hash));
    assert_eq!(log.append(append).await.unwrap().position, 2);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cut_while_it_waits_for_a_lock_leaves_nothing() {
    let home = LogHome::postgres().await;
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    let mut blocker = raw(&home).await;
    blocker.execute("BEGIN; SELECT FROM log_head FOR UPDATE").await.unwrap();
    let append = chat.append(1);
    let running = tokio::spawn({
        let (log, append) = (log.clone(), append.clone());
        async move { log.append(append).await }
    });
    let mut connection = raw(&home).await;
    let pid = writer_session(&mut connection, "wait_event_type = 'Lock'").await;
    terminate(&mut connection, pid).await;
    let answer = running.await.unwrap();
    assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
    blocker.execute("ROLLBACK").await.unwrap();
    assert_eq!(log.append(append).await.unwrap().position, 2);
    verify_log(&read_everything(&log, 10).await);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_statement_fails_and_the_next_one_is_done() {
    let home = LogHome::postgres().await;
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    let mut connection = raw(&home).await;
    connection.execute("ALTER TABLE events ADD CONSTRAINT closed CHECK (position <= 1)").await.unwrap();
    let answer = log.append(chat.clone().append(1)).await;
    assert!(matches!(answer, Err(AppendError::Failed(_))), "{answer:?}");
    connection.execute("ALTER TABLE events DROP CONSTRAINT closed").await.unwrap();
    assert_eq!(log.append(chat.append(1)).await.unwrap().position, 2);
    open.close().await;
}

/// The commit of one statement is delayed inside the database, after positions were given out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_delayed_in_the_database_is_never_skipped() {
    const LOCK: &str = "SELECT pg_advisory_lock(42)";
    let home = LogHome::postgres().await;
    let (slow, fast) = (home.open().await, home.open().await);
    let mut gate = raw(&home).await;
    gate.execute(
        "CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION slow_commit()",
    )
    .await
    .unwrap();
    const ROUNDS: u64 = 5;
    let reader = tokio::spawn(follow(fast.log(), ROUNDS * 3));
    for round in 0..ROUNDS {
        let head = round * 3;
        gate.execute(LOCK).await.unwrap();
        let delayed = spawn_append(slow.log(), 2);
        let mut connection = raw(&home).await;
        writer_session(&mut connection, "wait_event = 'advisory'").await;
        let late = spawn_append(fast.log(), 1);
        writer_session(&mut connection, "wait_event_type = 'Lock' AND wait_event <> 'advisory'").await;
        let page = fast.log().read_all(0, 100).await.unwrap();
        assert_eq!((page.events.len() as u64, page.scanned_to, page.head), (head, head, head));
        gate.execute("SELECT pg_advisory_unlock(42)").await.unwrap();
        assert_eq!(delayed.await.unwrap(), head + 2);
        assert_eq!(late.await.unwrap(), head + 3);
    }
    let seen = tokio::time::timeout(PATIENCE, reader).await.expect("the reader waits for an event it missed").unwrap();
    let missed = read_everything(&fast.log(), 100).await.len() - seen.len();
    assert_eq!(missed, 0);
    verify_log(&seen);
    slow.close().await;
    fast.close().await;
}

fn spawn_append(log: Arc<dyn EventLog>, count: usize) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move { log.append(Chain::new().append(count)).await.unwrap().position })
}

/// Appends to one chat until told to stop. Each answer that says nothing is resolved by reading again. Counts what was
/// acknowledged; returns the chat as its writer knows it in the end.
async fn keep_appending(log: Arc<dyn EventLog>, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) -> Chain {
    let mut chat = Chain::new();
    while !stop.load(Ordering::Relaxed) {
        let mut next = chat.clone();
        match log.append(next.append(1)).await {
            Ok(_) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                chat = next;
            }
            Err(AppendError::Failed(_) | AppendError::Busy) => tokio::task::yield_now().await,
            Err(AppendError::Unknown(_)) => chat = reread(&log, chat, next).await,
            Err(other) => panic!("nobody else writes this chat: {other}"),
        }
    }
    chat
}

/// Finds out whether a chat is as before or after an append, as soon as the log can be read.
async fn reread(log: &Arc<dyn EventLog>, before: Chain, after: Chain) -> Chain {
    let found = loop {
        match log.read_chat(before.chat_id, 0, usize::MAX).await {
            Ok(events) => break verify_chain(&events),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    match found {
        end if end == (before.version, before.hash) => before,
        end if end == (after.version, after.hash) => after,
        end => panic!("{} is neither before nor after: {end:?}", before.chat_id),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    let server = Postgres::start(true).unwrap();
    let home = LogHome::Postgres(server.database().await.unwrap());
    let open = home.open().await;
    let log = open.log();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        writers.spawn(keep_appending(log.clone(), stop.clone(), acknowledged.clone()));
    }
    let more = async |count: u64| {
        let goal = acknowledged.load(Ordering::Relaxed) + count;
        let wait = async {
            while acknowledged.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("appends do not go on");
    };
    more(100).await;
    for round in 0..3 {
        match round {
            0 | 1 => server.kill().unwrap(),
            _ => server.stop().unwrap(),
        }
        server.resume().unwrap();
        more(100).await;
    }
    stop.store(true, Ordering::Relaxed);
    let chats = writers.join_all().await;
    let mut versions = 0;
    for chat in &chats {
        let events = log.read_chat(chat.chat_id, 0, usize::MAX).await.unwrap();
        assert_eq!(verify_chain(&events), (chat.version, chat.hash));
        versions += chat.version;
    }
    let events = read_everything(&log, 1000).await;
    verify_log(&events);
    assert_eq!(events.len() as u64, versions);
    assert!(versions >= acknowledged.load(Ordering::Relaxed));
    // The node still hears of others' appends.
    let other = home.open().await;
    let head = log.known_head();
    let waiting = tokio::spawn(async move { log.wait_beyond(head).await });
    other.log().append(Chain::new().append(1)).await.unwrap();
    tokio::time::timeout(PATIENCE, waiting).await.expect("the node became deaf").unwrap();
    other.close().await;
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_log() {
    const ROUNDS: u64 = 60;
    let home = LogHome::postgres().await;
    let nodes = [home.open().await, home.open().await];
    assert_eq!(nodes[0].log().timeline(), nodes[1].log().timeline());
    let readers: Vec<_> = nodes.iter().map(|node| tokio::spawn(follow(node.log(), 16 * ROUNDS))).collect();
    let mut writers = JoinSet::new();
    // Eight chats; each is written through both nodes at once, and who loses reads and tries again.
    for _ in 0..8 {
        let chat = Chain::new();
        for node in &nodes {
            let (log, chat) = (node.log(), chat.clone());
            writers.spawn(async move { grow_against_another(log, chat, ROUNDS).await });
        }
    }
    let conflicts: u64 = writers.join_all().await.into_iter().sum();
    assert!(conflicts > 0, "the nodes never met");
    let mut seen = Vec::new();
    for reader in readers {
        let events = tokio::time::timeout(PATIENCE, reader).await.expect("a reader missed an event").unwrap();
        verify_log(&events);
        seen.push(events);
    }
    assert_eq!(seen[0], seen[1]);
    close(nodes).await;
}

/// Adds `rounds` events to a chat that somebody else grows as well. Returns the number of conflicts.
async fn grow_against_another(log: Arc<dyn EventLog>, mut chat: Chain, rounds: u64) -> u64 {
    let (mut done, mut conflicts) = (0, 0);
    while done < rounds {
        let mut next = chat.clone();
        match log.append(next.append(1)).await {
            Ok(_) => (chat, done) = (next, done + 1),
            Err(AppendError::Conflict { .. }) => {
                conflicts += 1;
                let news = log.read_chat(chat.chat_id, chat.version, usize::MAX).await.unwrap();
                let last = news.last().expect("a conflict has a cause that can be read");
                (chat.version, chat.hash) = (last.event.version, last.event.hash);
            }
            Err(other) => panic!("{other}"),
        }
    }
    conflicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_do_equal_keys_once_and_make_a_chat_once() {
    let home = LogHome::postgres().await;
    let nodes = [home.open().await, home.open().await];
    for round in 0..30 {
        let key = format!("k{round}");
        let both = Chain::new();
        let mut running = JoinSet::new();
        for node in &nodes {
            let (log, keyed) = (node.log(), Chain::new().append_with(1, receipt(&key, "once")));
            running.spawn(async move { ("key", log.append(keyed).await) });
            let (log, creation) = (node.log(), both.clone().append(1));
            running.spawn(async move { ("chat", log.append(creation).await) });
        }
        let (mut keys, mut chats) = (0, 0);
        for (what, answer) in running.join_all().await {
            match (what, answer) {
                ("key", Ok(_)) => keys += 1,
                ("chat", Ok(_)) => chats += 1,
                ("key", Err(AppendError::Duplicate(known))) => assert_eq!(known.outcome, b"once"),
                ("chat", Err(AppendError::Conflict { chat_id })) => assert_eq!(chat_id, both.chat_id),
                (what, other) => panic!("{what}: {other:?}"),
            }
        }
        assert_eq!((keys, chats), (1, 1), "round {round}");
    }
    verify_log(&read_everything(&nodes[0].log(), 100).await);
    close(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_hears_of_appends() {
    let home = LogHome::postgres().await;
    let nodes = [home.open().await, home.open().await];
    let listener = nodes[1].log();
    for position in 1..=3 {
        let waiting = tokio::spawn({
            let listener = listener.clone();
            async move { listener.wait_beyond(position - 1).await }
        });
        nodes[0].log().append(Chain::new().append(1)).await.unwrap();
        tokio::time::timeout(PATIENCE, waiting).await.expect("the other node did not hear").unwrap();
        assert_eq!(listener.known_head(), position);
    }
    // With hints that are not for this log it looks by itself.
    raw(&home).await.execute("UPDATE log_meta SET timeline = gen_random_uuid()").await.unwrap();
    nodes[0].log().append(Chain::new().append(1)).await.unwrap();
    tokio::time::timeout(PATIENCE, listener.wait_beyond(3)).await.expect("the other node never looks");
    close(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_opened_for_reading_follows_and_does_not_write() {
    let home = LogHome::postgres().await;
    let missing = PostgresLog::connect_read_only(home.url(), LogOptions::default(), tokio::runtime::Handle::current());
    assert!(matches!(missing.await.err(), Some(OpenError::Database(_))));
    let open = home.open().await;
    let runtime = tokio::runtime::Handle::current();
    let beside = open_read_only(home.url(), LogOptions::default(), runtime).await.unwrap();
    let mut chat = Chain::new();
    open.log().append(chat.append(2)).await.unwrap();
    tokio::time::timeout(PATIENCE, beside.wait_beyond(1)).await.expect("the reader does not follow");
    assert_eq!(read_everything(&beside, 10).await.len(), 2);
    assert!(matches!(beside.append(chat.append(1)).await, Err(AppendError::Failed(_))));
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resist_change_and_a_wrong_head_is_not_opened() {
    let home = LogHome::postgres().await;
    let open = home.open().await;
    open.log().append(Chain::new().append(2)).await.unwrap();
    open.close().await;
    let mut connection = raw(&home).await;
    for change in ["UPDATE events SET data = ''", "DELETE FROM events", "TRUNCATE events"] {
        assert!(connection.execute(change).await.is_err(), "{change}");
    }
    connection.execute("UPDATE log_head SET position = 3").await.unwrap();
    let refused =
        PostgresLog::connect(home.url(), LogOptions::default(), tokio::runtime::Handle::current()).await.err();
    assert!(matches!(refused, Some(OpenError::Damaged(_))));
}

async fn close(nodes: [OpenLog; 2]) {
    for node in nodes {
        node.close().await;
    }
}
