//! Tests of a process's directory: every state that a crash can leave it in.

use chrono::{DateTime, Utc};

use super::super::id::{OwnerId, ProcessId};
use super::super::output::OutputLimits;
use super::super::spec::{ProcessSpec, Program, Secrets};
use super::super::vitals::Vitals;
use super::*;
use crate::confine::Layers;

fn spec(line: &str) -> StoredSpec {
    StoredSpec {
        spec: ProcessSpec {
            owner: OwnerId::new("chat").expect("a name"),
            id: ProcessId::new("call").expect("a name"),
            call: None,
            program: Program::Shell(line.to_owned()),
            workdir: "/".into(),
            environment: [("A".to_owned(), "b".to_owned())].into(),
            secrets: Secrets::new([("TOKEN".to_owned(), "told".to_owned())].into()),
            confinement: None,
            time_max_ms: Some(5),
            grace_ms: 1,
            output: OutputLimits::default(),
        },
        layers: Layers::default(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

fn by(vitals: Vitals) -> Claim {
    Claim::Supervisor { vitals, at: now() }
}

fn gone() -> Vitals {
    let own = Vitals::own().expect("it can be read");
    Vitals { start_ticks: own.start_ticks + 1, ..own }
}

fn made() -> (tempfile::TempDir, ProcessDirectory) {
    let home = tempfile::tempdir().expect("a directory");
    let directory = ProcessDirectory::at(home.path().join("chat/call"));
    assert!(directory.make(&spec("true")).expect("it can be made"));
    (home, directory)
}

fn state(directory: &ProcessDirectory) -> Option<ProcessState> {
    directory.status().expect("it can be read").map(|status| status.state)
}

#[test]
fn a_directory_is_made_once_and_its_spec_is_whole() {
    let (home, directory) = made();
    assert!(!directory.make(&spec("false")).expect("it can be asked"));
    let mut first = spec("true");
    first.spec.secrets = Secrets::default();
    assert_eq!(directory.spec().expect("it can be read"), Some(first), "the first one's stays, without its secrets");
    assert_eq!(names(&home.path().join("chat")).expect("it can be listed"), ["call"], "nothing half made is left");
}

#[test]
fn without_a_claim_nothing_has_run() {
    let (_home, directory) = made();
    assert_eq!(state(&directory), Some(ProcessState::Claimed));
}

#[test]
fn a_claim_is_made_once() {
    let (_home, directory) = made();
    assert!(directory.make_claim(&by(gone())).expect("it can be made"));
    assert!(!directory.make_claim(&Claim::Withdrawn { at: now() }).expect("it can be asked"));
    assert_eq!(directory.claim().expect("it can be read"), Some(by(gone())));
}

#[test]
fn a_claim_whose_supervisor_lives_is_a_process_that_runs() {
    let (_home, directory) = made();
    directory.make_claim(&by(Vitals::own().expect("it can be read"))).expect("it can be made");
    assert_eq!(state(&directory), Some(ProcessState::Running));
}

#[test]
fn a_claim_whose_supervisor_is_gone_is_a_process_of_which_nobody_knows() {
    let (_home, directory) = made();
    directory.make_claim(&by(gone())).expect("it can be made");
    assert_eq!(state(&directory), Some(ProcessState::Lost { cause: LostCause::SupervisorDied }));
}

#[test]
fn a_claim_from_another_boot_is_a_process_of_which_nobody_knows() {
    let (_home, directory) = made();
    let vitals = Vitals { boot_id: "another".to_owned(), ..Vitals::own().expect("it can be read") };
    directory.make_claim(&by(vitals)).expect("it can be made");
    assert_eq!(state(&directory), Some(ProcessState::Lost { cause: LostCause::Reboot }));
}

#[test]
fn the_last_word_counts_whether_its_supervisor_lives_or_not() {
    for vitals in [gone(), Vitals::own().expect("it can be read")] {
        let (_home, directory) = made();
        directory.make_claim(&by(vitals)).expect("it can be made");
        let outcome = Outcome {
            state: ProcessState::Exited { code: 3 },
            ended_at: now(),
            ended_by: None,
            output_bytes: 7,
            output_lost_bytes: 0,
            left_running: 0,
        };
        directory.write_outcome(&outcome).expect("it can be written");
        assert_eq!(state(&directory), Some(ProcessState::Exited { code: 3 }));
    }
}

#[test]
fn what_was_withdrawn_never_runs() {
    let (_home, directory) = made();
    directory.make_claim(&Claim::Withdrawn { at: now() }).expect("it can be made");
    assert_eq!(state(&directory), Some(ProcessState::Withdrawn));
    assert!(!directory.make_claim(&by(gone())).expect("it can be asked"), "a supervisor comes too late");
}

#[test]
fn what_is_removed_is_gone_and_nobody_can_claim_it() {
    let (home, directory) = made();
    directory.remove().expect("it can be removed");
    directory.remove().expect("twice does no harm");
    assert_eq!(state(&directory), None);
    assert!(directory.make_claim(&by(gone())).is_err());
    assert_eq!(std::fs::read_dir(home.path().join("chat")).expect("it can be listed").count(), 0);
}

#[test]
fn what_a_crash_left_half_made_is_swept() {
    let (home, directory) = made();
    let chat = home.path().join("chat");
    for name in [".making-call-1", ".removing-2"] {
        std::fs::create_dir_all(chat.join(name).join("inside")).expect("it can be made");
    }
    sweep(&chat).expect("it can be swept");
    assert_eq!(std::fs::read_dir(&chat).expect("it can be listed").count(), 1);
    assert_eq!(state(&directory), Some(ProcessState::Claimed));
}
