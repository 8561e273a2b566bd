//! The life of a process: it runs once, says what it says, and ends with all it started.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::future::join_all;
use verbatim_tools::process::{
    EndedBy, Ending, OutputLimits, ProcessError, ProcessLimits, ProcessSpec, ProcessState, Secrets, Start,
};

use super::{House, PATIENCE, id, owner};

#[tokio::test]
async fn a_command_runs_in_its_workspace_with_an_environment_of_its_own() {
    let house = House::new().await;
    let (status, said) =
        house.run("a", "pwd; echo to stderr >&2; env | cut -d= -f1 | sort; echo x > made; exit 7").await;
    assert_eq!(status.state, ProcessState::Exited { code: 7 }, "{said}");
    assert_eq!((status.ended_by, status.left_running), (None, 0));
    assert_eq!(status.output_bytes, said.len() as u64);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some(house.workspace().to_str().expect("it is text")));
    assert_eq!(lines.next(), Some("to stderr"), "both streams, in the order in which they came");
    let passed = ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"];
    let names: Vec<&str> = lines.filter(|name| !passed.contains(name)).collect();
    // The shell adds some of its own.
    let expected = ["HOME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR"];
    assert_eq!(names.into_iter().filter(|name| !["OLDPWD", "SHLVL", "_"].contains(name)).collect::<Vec<_>>(), expected);
    assert_eq!(std::fs::read_to_string(house.workspace().join("made")).expect("it is there"), "x\n");
}

#[tokio::test]
async fn secrets_reach_the_command_and_not_the_disk() {
    let house = House::new().await;
    let mut spec = house.spec("a", "echo ${#TOKEN}");
    spec.secrets = Secrets::new([("TOKEN".to_owned(), "a-token-that-nobody-sees".to_owned())].into());
    house.processes.start(spec).await.expect("it starts");
    assert_eq!(house.end("a").await.1, "24\n");
    for entry in std::fs::read_dir(house.processes.root().join("chat-1/a")).expect("it can be listed") {
        let path = entry.expect("it can be read").path();
        assert!(path.is_dir() || !std::fs::read_to_string(&path).expect("text").contains("nobody-sees"), "{path:?}");
    }
}

#[tokio::test]
async fn a_command_started_many_times_runs_once() {
    let house = House::new().await;
    let starts = join_all((0..8).map(|_| house.start("a", "echo line >> counted"))).await;
    let starts: Vec<Start> = starts.into_iter().map(|start| start.expect("it is there")).collect();
    assert_eq!(starts.iter().filter(|start| **start == Start::Started).count(), 1, "{starts:?}");
    house.end("a").await;
    assert_eq!(house.start("a", "echo line >> counted").await.expect("it is there"), Start::Attached);
    assert_eq!(std::fs::read_to_string(house.workspace().join("counted")).expect("it is there"), "line\n");
    let taken = house.start("a", "echo another >> counted").await;
    assert!(matches!(taken, Err(ProcessError::Taken { .. })), "{taken:?}");
}

#[tokio::test]
async fn a_command_that_cannot_run_says_why_and_never_ran() {
    let house = House::new().await;
    let mut spec = house.spec("a", "true");
    spec.workdir = house.workspace().join("missing");
    house.processes.start(spec).await.expect("it starts");
    let (status, _) = house.end("a").await;
    let ProcessState::Failed { message } = &status.state else { panic!("{status:?}") };
    assert!(message.contains("missing"), "{message}");
    assert!(status.state.never_ran());
}

#[tokio::test]
async fn a_command_that_ignores_signals_ends_within_a_second() {
    let house = House::new().await;
    let held = house.pipe("held");
    house
        .start("a", "exec 3>held; trap '' TERM INT HUP; echo ready; while :; do sleep 5; done")
        .await
        .expect("it starts");
    house.hear("a", "ready").await;
    let asked = Instant::now();
    house.processes.signal(&owner(), &id("a"), Ending::Terminate).await.expect("it can be told");
    held.gone().await;
    let (status, _) = house.end("a").await;
    let took = asked.elapsed();
    assert_eq!(status.state, ProcessState::Signaled { signal: 9 });
    assert_eq!(status.ended_by, Some(EndedBy::Terminate));
    // On a machine that is at rest it is half a second; one that is busy with other tests is given more.
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_command_that_is_asked_to_end_may_say_goodbye() {
    let house = House::new().await;
    let mut spec = house.spec("a", "trap 'echo goodbye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    spec.grace_ms = 60_000;
    house.processes.start(spec).await.expect("it starts");
    house.hear("a", "ready").await;
    house.processes.signal(&owner(), &id("a"), Ending::Terminate).await.expect("it can be told");
    let (status, said) = house.end("a").await;
    assert_eq!(status.state, ProcessState::Exited { code: 3 });
    assert!(said.ends_with("goodbye\n"), "{said:?}");
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_ends_with_it() {
    let house = House::new().await;
    let held = house.pipe("held");
    // A daemon as daemons are: a session of its own, its parent gone.
    let daemon = "setsid sh -c '(exec 3>held; trap \"\" TERM HUP; echo > up; while :; do sleep 5; done) &'";
    let (status, said) = house.run("a", &format!("{daemon}; while [ ! -e up ]; do sleep 0.01; done")).await;
    held.gone().await;
    assert_eq!(status.state, ProcessState::Exited { code: 0 }, "{said}");
    assert!(status.left_running >= 1, "{status:?}");
}

#[tokio::test]
async fn a_command_whose_time_is_up_is_ended() {
    let house = House::new().await;
    let mut spec = house.spec("a", "echo begun; sleep 1000");
    spec.time_max_ms = Some(300);
    house.processes.start(spec).await.expect("it starts");
    let (status, _) = house.end("a").await;
    assert_eq!(status.ended_by, Some(EndedBy::TimeMax), "{status:?}");
    assert!(matches!(status.state, ProcessState::Signaled { .. }), "{status:?}");
}

#[tokio::test]
async fn a_gigabyte_of_output_costs_no_more_than_is_kept() {
    let house = House::new().await;
    let mut spec = house.spec("a", "echo first; head -c 1073741824 /dev/zero; echo last");
    spec.output = OutputLimits { segment_bytes: 1 << 20, first_segments: 2, last_segments: 2 };
    house.processes.start(spec).await.expect("it starts");
    let status = house.processes.wait(&owner(), &id("a"), PATIENCE).await.expect("it is known");
    assert_eq!(status.state, ProcessState::Exited { code: 0 });
    assert_eq!(status.output_bytes, 1_073_741_824 + 11);
    let kept: u64 = std::fs::read_dir(house.processes.root().join("chat-1/a"))
        .expect("it can be listed")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("it can be read").len())
        .sum();
    assert!(kept < 5 << 20, "{kept} bytes");
    let first = house.processes.read_output(&owner(), &id("a"), 0, 6).await.expect("it can be read");
    assert_eq!(first.bytes, b"first\n");
    let last = house.processes.read_output(&owner(), &id("a"), 1_073_741_830, 100).await.expect("it can be read");
    assert_eq!((last.bytes.as_slice(), last.total_bytes), (&b"last\n"[..], 1_073_741_835));
    let middle = house.processes.read_output(&owner(), &id("a"), 500_000_000, 1).await.expect("it can be read");
    assert!(middle.from_byte > 500_000_000, "what is gone is skipped");
}

#[tokio::test]
async fn output_can_be_followed_while_it_comes() {
    let house = House::new().await;
    house.make_pipe("turn");
    // Opening the pipe waits for somebody at its other end, so the command cannot go on before it was heard.
    house.start("a", "echo one; read word < turn; echo $word").await.expect("it starts");
    assert_eq!(house.hear("a", "one").await, "one\n");
    let status = house.processes.status(&owner(), &id("a")).await.expect("it is known");
    assert_eq!(status.state, ProcessState::Running);
    let turn = house.workspace().join("turn");
    tokio::task::spawn_blocking(|| std::fs::write(turn, "two\n")).await.expect("it runs").expect("it is read");
    assert_eq!(house.end("a").await.1, "one\ntwo\n");
}

#[tokio::test]
async fn removing_ends_what_runs_and_leaves_nothing() {
    let house = House::new().await;
    let held = house.pipe("held");
    house.start("a", "exec 3>held; trap '' TERM; echo ready; sleep 1000").await.expect("it starts");
    house.run("b", "true").await;
    house.hear("a", "ready").await;
    assert_eq!(house.processes.list(&owner()).await.expect("it can be listed").len(), 2);
    house.processes.remove_all(&owner()).await.expect("all go");
    held.gone().await;
    assert_eq!(house.processes.list(&owner()).await.expect("it can be listed"), []);
    assert_eq!(std::fs::read_dir(house.processes.root()).expect("it can be listed").count(), 0);
    house.processes.remove(&owner(), &id("a")).await.expect("what is gone may go again");
}

#[tokio::test]
async fn the_processes_of_a_workspace_go_with_it() {
    let house = House::new().await;
    let held = house.pipe("held");
    house.start("a", "exec 3>held; echo ready; sleep 1000").await.expect("it starts");
    house.hear("a", "ready").await;
    // One that nothing confines began there all the same.
    let open = house.pipe("open");
    let spec = house.spec("b", "exec 3>open; echo ready; sleep 1000");
    house.processes.start(ProcessSpec { confinement: None, ..spec }).await.expect("it starts");
    house.hear("b", "ready").await;
    house.processes.remove_in(&house.home.path().join("another")).await.expect("there are none");
    assert_eq!(house.processes.running().await.expect("it can be counted"), 2);
    house.processes.remove_in(&house.workspace()).await.expect("they go");
    held.gone().await;
    open.gone().await;
    assert_eq!(house.processes.list(&owner()).await.expect("it can be listed"), []);
}

#[tokio::test]
async fn places_are_counted_and_the_oldest_results_go_first() {
    let layers = House::new().await.processes.layers();
    let limits = ProcessLimits { running_per_owner_max: 1, finished_per_owner_max: 2, ..ProcessLimits::default() };
    let house = House::with(tempfile::tempdir().expect("a directory"), layers, limits);
    house.start("long", "echo ready; sleep 1000").await.expect("it starts");
    let refused = house.start("more", "true").await;
    assert!(matches!(refused, Err(ProcessError::TooMany { running: 1, most: 1 })), "{refused:?}");
    house.processes.signal(&owner(), &id("long"), Ending::Kill).await.expect("it can be told");
    house.end("long").await;
    for name in ["first", "second"] {
        house.run(name, "true").await;
    }
    let known = house.processes.list(&owner()).await.expect("it can be listed");
    assert_eq!(known.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    let removed = house.processes.prune(Utc::now()).await.expect("it can be pruned");
    assert_eq!(removed, 0, "they ended just now");
    let removed = house.processes.prune(Utc::now() + limits.finished_kept).await.expect("it can be pruned");
    assert_eq!(removed, 2);
}
