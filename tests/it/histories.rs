//! The check of every test's histories, itself under test: what providers take, what they refuse, and who fails then.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::json;
use support::histories::{Checked, HistoryGuard, Unsound, check};
use support::saga::Saga;
use support::server::TestServer;
use tokio::runtime::Handle;
use verbatim_events::event::ToolDefinition;
use verbatim_events::log::EventLog;
use verbatim_events::memory::MemoryLog;
use verbatim_events_sql::{LogOptions, Storage};

use crate::PROGRAM;

/// A chat with a tool whose name providers refuse; nobody can make one over the interface.
fn broken() -> Saga {
    let description = "Looks.".to_owned();
    Saga::with_tools(vec![ToolDefinition { name: "no name!".to_owned(), description, parameters: json!({}) }.into()])
}

fn words(number: u64) -> String {
    format!("Answer {number}.")
}

/// What the failure says that this leads to.
fn failure(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it does not fail");
    *panic.downcast::<String>().expect("a message in words")
}

#[tokio::test]
async fn every_prefix_of_a_sound_history_is_checked_or_counted() {
    let log = MemoryLog::default();
    Saga::new().grow(&log, 9, words).await;
    // Created, asked, answered; asked, answered.
    assert_eq!(check(&log).await, Ok(Checked { chats: 1, prefixes: 5, left_out: 0 }));
    Saga::new().grow(&log, 2_000, words).await;
    let checked = check(&log).await.expect("it is sound");
    assert_eq!(checked.chats, 2);
    assert!(checked.left_out > checked.prefixes && checked.prefixes > 5, "{checked:?}");
}

#[tokio::test]
async fn a_history_that_a_provider_refuses_is_found_and_fails_the_test_that_made_it() {
    let log = Arc::new(MemoryLog::default());
    let mut saga = broken();
    saga.grow(&*log, 4, words).await;
    let Err(Unsound::Refused(problems)) = check(&*log).await else { panic!("it is taken for sound") };
    let first = format!("{} at version 1: ", saga.chat_id);
    assert!(problems.iter().any(|problem| problem.starts_with(&first) && problem.contains("no name!")), "{problems:?}");
    let guard = HistoryGuard::of(log as Arc<dyn EventLog>);
    let failure = failure(|| drop(guard));
    assert!(failure.contains(&first), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_log_holds_such_a_history_fails_its_test() {
    let mut server = TestServer::start(PROGRAM).await;
    assert!(server.terminate().await.expect("it ends").success());
    let address = format!("sqlite:{}", server.data_dir().display());
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.expect("its log opens");
    let mut saga = broken();
    saga.grow(&*storage.log(), 4, words).await;
    storage.close().await;
    let failure = failure(|| drop(server));
    assert!(failure.contains("no name!") && failure.contains(&saga.chat_id.to_string()), "{failure}");
}
