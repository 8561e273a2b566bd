//! Crashes: of the server, of a supervisor, of a start in the middle. What ran is found, and nothing runs twice.

use std::io::Write as _;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use verbatim_tools::process::{LostCause, ProcessError, ProcessLimits, ProcessState, Processes, Start};

use super::{House, id, kill, owner};

/// Where the process that plays the server finds its data directory.
const STAGE: &str = "VERBATIM_TEST_STAGE";

/// Not a test of its own: started by the one below as a process that can be killed. Without a stage nobody plays.
#[tokio::test]
async fn plays_the_server() {
    let Ok(stage) = std::env::var(STAGE) else { return };
    let house: House = House::on(&stage).await;
    let line = "echo line >> counted; echo begun; while [ ! -e go ]; do sleep 0.02; done; echo done";
    house.start("a", line).await.expect("it starts");
    println!("started");
    std::future::pending::<()>().await;
}

impl House {
    /// The house of another process.
    async fn on(stage: &str) -> House {
        let home = tempfile::Builder::new().prefix("stage-").tempdir_in(stage).expect("a directory");
        let layers = House::new().await.processes.layers();
        let mut house = House::with(home, layers, ProcessLimits::default());
        let root = std::path::Path::new(stage).join("processes");
        house.processes = Processes::open(root, crate::PROGRAM, layers, ProcessLimits::default()).expect("they open");
        house
    }
}

#[tokio::test]
async fn a_process_survives_the_server_and_is_found_again() {
    let stage = tempfile::tempdir().expect("a directory");
    let mut server = Command::new(std::env::current_exe().expect("it is known"))
        .args(["--exact", "process::crash::plays_the_server", "--nocapture"])
        .env(STAGE, stage.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("it speaks")).lines();
    while let Some(line) = lines.next_line().await.expect("it can be read") {
        if line.contains("started") {
            break;
        }
    }
    // `kill -9`, in the middle of the command.
    server.kill().await.expect("it can be killed");

    let house = House::on(stage.path().to_str().expect("it is text")).await;
    let status = house.processes.status(&owner(), &id("a")).await.expect("it is known");
    assert_eq!(status.state, ProcessState::Running);
    let again = house.start("a", &status.command).await.expect("it is there");
    assert_eq!(again, Start::Attached);
    house.hear("a", "begun").await;
    let spec = house.processes.root().join("chat-1/a/spec.json");
    let spec: serde_json::Value = serde_json::from_slice(&std::fs::read(spec).expect("it is there")).expect("JSON");
    let workspace = std::path::PathBuf::from(spec["workdir"].as_str().expect("it has one"));
    std::fs::write(workspace.join("go"), "").expect("it can be written");
    let (status, said) = house.end("a").await;
    assert_eq!(status.state, ProcessState::Exited { code: 0 });
    assert_eq!(said, "begun\ndone\n", "its real output");
    assert_eq!(std::fs::read_to_string(workspace.join("counted")).expect("it is there"), "line\n");
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_safe_to_repeat() {
    let house = House::new().await;
    let layers = house.processes.layers();
    // A supervisor that ends before it claims anything, as one does that is killed at once.
    let crippled =
        Processes::open(house.processes.root(), "/bin/false", layers, ProcessLimits::default()).expect("it opens");
    let refused = crippled.start(house.spec("a", "echo line >> counted")).await;
    assert!(matches!(refused, Err(ProcessError::NotStarted { .. })), "{refused:?}");
    let status = house.processes.status(&owner(), &id("a")).await.expect("it is known");
    assert_eq!(status.state, ProcessState::Claimed);
    assert!(status.state.never_ran());
    assert_eq!(house.start("a", "echo line >> counted").await.expect("it starts"), Start::Started);
    assert_eq!(house.end("a").await.0.state, ProcessState::Exited { code: 0 });
    assert_eq!(std::fs::read_to_string(house.workspace().join("counted")).expect("it is there"), "line\n");
}

#[tokio::test]
async fn what_is_removed_before_it_ran_never_runs() {
    let house = House::new().await;
    let layers = house.processes.layers();
    let crippled =
        Processes::open(house.processes.root(), "/bin/false", layers, ProcessLimits::default()).expect("it opens");
    crippled.start(house.spec("a", "echo line >> counted")).await.expect_err("it does not start");
    let directory = house.processes.root().join("chat-1/a");
    house.processes.signal(&owner(), &id("a"), verbatim_tools::process::Ending::Kill).await.expect("it can be told");
    assert_eq!(house.end("a").await.0.state, ProcessState::Withdrawn);
    // A supervisor that comes late finds it withdrawn, or gone.
    let late = || {
        let mut late = std::process::Command::new(crate::PROGRAM)
            .arg("supervise")
            .arg(&directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("it starts");
        let told = late.stdin.take().expect("it listens").write_all(b"{}\n");
        // Where there is nothing to supervise it may be gone before it was told anything.
        drop(told);
        late.wait().expect("it ends").success()
    };
    assert!(late(), "somebody else's is left alone");
    house.processes.remove(&owner(), &id("a")).await.expect("it goes");
    assert!(!late(), "there is nothing to supervise");
    assert!(!house.workspace().join("counted").exists());
}

/// Without namespaces it is not the kernel that ends what a command started.
#[tokio::test]
async fn without_namespaces_too_nothing_outlives_the_supervisor_or_the_keeper() {
    let house = House::new().await;
    for (name, of_keeper, cause) in
        [("supervisor", false, LostCause::SupervisorDied), ("keeper", true, LostCause::KeeperDied)]
    {
        let held = house.pipe(name);
        let daemon = "(setsid sh -c 'trap \"\" TERM; sleep 1000; true') &";
        let line = format!("exec 3>{name}; trap '' TERM HUP INT; {daemon} echo ready; sleep 1000; true");
        let mut spec = house.spec(name, &line);
        spec.confinement = None;
        house.processes.start(spec).await.expect("it starts");
        house.hear(name, "ready").await;
        let supervisor = house.supervisor(name);
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        let keeper: i64 = children.expect("it can be read").trim().parse().expect("it has one child");
        kill(if of_keeper { keeper } else { supervisor });
        held.gone().await;
        assert_eq!(house.end(name).await.0.state, ProcessState::Lost { cause });
    }
}

#[tokio::test]
async fn when_the_supervisor_is_killed_the_process_ends_and_its_outcome_is_unknown() {
    let house = House::new().await;
    let held = house.pipe("held");
    let line =
        "exec 3>held; trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep 1000') & echo ready; sleep 1000";
    house.start("a", line).await.expect("it starts");
    house.hear("a", "ready").await;
    kill(house.supervisor("a"));
    held.gone().await;
    let (status, said) = house.end("a").await;
    assert_eq!(status.state, ProcessState::Lost { cause: LostCause::SupervisorDied });
    assert!(!status.state.never_ran());
    assert_eq!(said, "ready\n", "what it said is kept");
    assert_eq!(house.start("a", line).await.expect("it is there"), Start::Attached, "it does not run again");
    house.processes.signal(&owner(), &id("a"), verbatim_tools::process::Ending::Kill).await.expect("no harm");
    house.processes.remove(&owner(), &id("a")).await.expect("it goes");
}
