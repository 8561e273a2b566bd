//! What a confined command can reach, tried in every set of layers that this machine offers.

use std::net::TcpListener;
use std::path::Path;

use verbatim_tools::confine::{ConfinementReport, Layers, probe, try_layers};
use verbatim_tools::process::{EndedBy, ProcessError, ProcessLimits, ProcessState};

use super::{House, owner};
use crate::PROGRAM;

/// What no command may ever say.
const SECRET: &str = "the-key-of-the-house";

/// A house for every set of layers that works here: all there are, and each kind alone.
async fn houses() -> Vec<(Layers, House)> {
    let home = tempfile::tempdir().expect("a directory");
    let all = probe(Path::new(PROGRAM), home.path()).await.expect("it can be probed").layers;
    assert!(all.confine_files(), "this machine offers nothing to confine commands with");
    let mut houses = Vec::new();
    for layers in [all, Layers { landlock: 0, ..all }, Layers { landlock: all.landlock, ..Layers::default() }] {
        let tried = houses.iter().any(|(other, _)| *other == layers);
        let works = try_layers(Path::new(PROGRAM), home.path(), layers).await.expect("it can be tried").is_ok();
        if layers.confine_files() && works && !tried {
            let home = tempfile::tempdir().expect("a directory");
            std::fs::write(home.path().join("admin.key"), SECRET).expect("it can be written");
            houses.push((layers, House::with(home, layers, ProcessLimits::default())));
        }
    }
    houses
}

/// Runs a line in every house. `{data}` is the data directory.
async fn everywhere(line: &str, check: impl Fn(Layers, &House, &str)) {
    for (layers, house) in houses().await {
        let line = line.replace("{data}", house.home.path().to_str().expect("it is text"));
        // Without a way to take the network away, that is what is tested with it.
        let mut spec = house.spec("a", &line);
        if let Some(confinement) = &mut spec.confinement {
            confinement.network = !layers.cut_network();
        }
        house.processes.start(spec).await.expect("it starts");
        let (status, said) = house.end("a").await;
        assert!(matches!(status.state, ProcessState::Exited { .. }), "{layers:?}: {status:?} {said}");
        assert!(!said.contains(SECRET), "{layers:?}: {said}");
        check(layers, &house, &said);
    }
}

#[tokio::test]
async fn a_command_has_what_commands_need() {
    let line = "mkdir -p a/b && echo in > a/b/c && ln -s a/b/c link && cat link && mv a/b d && \
        echo t > $TMPDIR/t && cat $TMPDIR/t && echo x > /dev/null && head -c 1 /dev/urandom | wc -c && \
        printf '#!/bin/sh\\necho ran\\n' > run && chmod +x run && ./run && (echo sub) | cat && ls / > /dev/null; \
        cat /proc/self/status | grep -c NoNewPrivs:.1";
    everywhere(line, |layers, _, said| {
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.starts_with("ls:")).collect();
        assert_eq!(lines, ["in", "t", "1", "ran", "sub", "1"], "{layers:?}");
    })
    .await;
}

#[tokio::test]
async fn no_path_leads_out() {
    let line = "cat ../admin.key; cat {data}/admin.key; ln -s {data}/admin.key link; cat link; ln -s / root; \
        cat root{data}/admin.key; ln {data}/admin.key hard; cat hard; cat /etc/shadow; cat /proc/1/root{data}/admin.key; \
        cd ..; cat admin.key; cat /proc/self/cwd/admin.key; mv workspace moved; echo over > {data}/admin.key; \
        rm -f {data}/admin.key; echo end";
    everywhere(line, |layers, house, said| {
        assert!(said.ends_with("end\n") && !said.contains("root:"), "{layers:?}: {said}");
        let kept = std::fs::read_to_string(house.home.path().join("admin.key")).expect("it is there");
        assert_eq!(kept, SECRET, "{layers:?}");
        assert!(house.workspace().exists(), "{layers:?}");
    })
    .await;
}

#[tokio::test]
async fn without_confinement_there_is_something_to_be_found() {
    let (_, house) = houses().await.remove(0);
    let mut spec = house.spec("a", "cat ../admin.key");
    spec.confinement = None;
    house.processes.start(spec).await.expect("it starts");
    assert_eq!(house.end("a").await.1, SECRET);
}

#[tokio::test]
async fn a_link_that_changes_while_it_is_used_leads_nowhere_else() {
    let line = "echo own > own; ln -s own link; \
        (i=0; while [ $i -lt 100 ]; do ln -sfn {data}/admin.key link; ln -sfn own link; i=$((i+1)); done) & \
        i=0; while [ $i -lt 100 ]; do cat link 2>/dev/null; i=$((i+1)); done; wait; echo end";
    everywhere(line, |layers, _, said| {
        assert!(said.lines().all(|line| ["own", "end"].contains(&line)), "{layers:?}: {said}");
    })
    .await;
}

#[tokio::test]
async fn the_server_and_the_supervisor_cannot_be_read_stopped_or_written_to() {
    for (layers, house) in houses().await {
        let server = std::process::id();
        let record = house.processes.root().join("chat-1/a");
        let mut spec = house.spec("a", "");
        let line = format!(
            "read supervisor < turn; cd /; for pid in {server} $supervisor; do for file in environ mem maps root/etc/shadow; do \
             cat /proc/$pid/$file | head -c 1 | grep -q . && echo read $pid $file; done; \
             kill -0 $pid && echo reached $pid; kill -9 $pid; done; \
             echo x > {0}/outcome.json && echo wrote; rm -rf {0} && echo removed; touch {0}/new && echo made; \
             cat {0}/spec.json && echo spec; echo end",
            record.display()
        );
        spec.program = verbatim_tools::process::Program::Shell(line);
        if let Some(confinement) = &mut spec.confinement {
            confinement.network = !layers.cut_network();
        }
        let turn = house.make_pipe("turn");
        house.processes.start(spec).await.expect("it starts");
        let supervisor = house.supervisor("a").to_string();
        tokio::task::spawn_blocking(move || std::fs::write(turn, supervisor + "\n"))
            .await
            .expect("it runs")
            .expect("it is read");
        let (status, said) = house.end("a").await;
        assert_eq!(status.state, ProcessState::Exited { code: 0 }, "{layers:?}: {said}");
        for word in ["read ", "reached ", "wrote", "made", "spec\n"] {
            assert!(!said.contains(word), "{layers:?}: {word} in {said}");
        }
        assert!(record.join("spec.json").exists());
    }
}

#[tokio::test]
async fn ten_thousand_forks_are_bounded_and_leave_nothing() {
    for (layers, house) in houses().await {
        let held = house.pipe("held");
        let line = "exec 3>held; i=0; while [ $i -lt 10000 ]; do sleep 1000 & i=$((i+1)); done; echo all";
        let mut spec = house.spec("a", line);
        if let Some(confinement) = &mut spec.confinement {
            confinement.network = !layers.cut_network();
            confinement.resources.processes_max = 64;
        }
        house.processes.start(spec).await.expect("it starts");
        let (status, said) = house.end("a").await;
        held.gone().await;
        assert!(!said.contains("all"), "{layers:?}: {said}");
        if layers.process_numbers {
            assert!(
                matches!(status.state, ProcessState::Exited { code } if code != 0),
                "{layers:?}: {status:?} {said}"
            );
            assert!(status.left_running > 0 && status.left_running < 400, "{status:?}");
        } else {
            assert!(
                status.ended_by == Some(EndedBy::ProcessesMax)
                    || matches!(status.state, ProcessState::Exited { code } if code != 0),
                "{layers:?}: {status:?} {said}"
            );
        }
    }
}

#[tokio::test]
async fn the_network_is_there_when_it_is_given_and_only_then() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    for (layers, house) in houses().await {
        for (name, network) in [("without", false), ("with", true)] {
            let line = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && echo connected; echo end");
            let mut spec = house.spec(name, &line);
            if let Some(confinement) = &mut spec.confinement {
                confinement.network = network;
            }
            if !network && !layers.cut_network() {
                let refused = house.processes.start(spec).await;
                assert!(matches!(refused, Err(ProcessError::Unconfinable { .. })), "{refused:?}");
                continue;
            }
            house.processes.start(spec).await.expect("it starts");
            let (_, said) = house.end(name).await;
            assert_eq!(said.contains("connected"), network, "{layers:?}: {said}");
        }
    }
}

#[tokio::test]
async fn limits_bind() {
    for (layers, house) in houses().await {
        let mut spec = house.spec("a", "head -c 100000 /dev/zero > big; ulimit -c; ulimit -n; wc -c < big");
        if let Some(confinement) = &mut spec.confinement {
            confinement.network = !layers.cut_network();
            confinement.resources.file_bytes_max = 4096;
            confinement.resources.open_files_max = 77;
        }
        house.processes.start(spec).await.expect("it starts");
        let (_, said) = house.end("a").await;
        let numbers: Vec<&str> = said.lines().map(str::trim).filter(|line| line.parse::<u64>().is_ok()).collect();
        assert_eq!(numbers, ["0", "77", "4096"], "{layers:?}: {said}");
    }
}

#[tokio::test]
async fn what_cannot_be_confined_is_not_started() {
    let home = tempfile::tempdir().expect("a directory");
    let house = House::with(home, Layers::default(), ProcessLimits::default());
    let refused = house.start("a", "true").await;
    assert!(matches!(refused, Err(ProcessError::Unconfinable { .. })), "{refused:?}");
    assert_eq!(house.processes.list(&owner()).await.expect("it can be listed"), []);
    // What the server itself needs outside is not confined, and says so by having no confinement.
    let mut spec = house.spec("a", "echo out; exit 1");
    spec.confinement = None;
    house.processes.start(spec).await.expect("it starts");
    assert_eq!(house.end("a").await.1, "out\n");
    assert!(ConfinementReport::of(Layers::default()).open.iter().any(|line| line.contains("every file")));
}

#[tokio::test]
async fn a_layer_that_fails_stops_the_command_instead_of_weakening_it() {
    let home = tempfile::tempdir().expect("a directory");
    // A directory that is missing: the root of its own cannot be put together.
    let house = House::with(home, Layers { namespaces: true, ..Layers::default() }, ProcessLimits::default());
    let mut spec = house.spec("a", "echo ran > ran");
    if let Some(confinement) = &mut spec.confinement {
        confinement.network = true;
        confinement.scratch = house.home.path().join("missing");
    }
    house.processes.start(spec).await.expect("it starts");
    let (status, _) = house.end("a").await;
    assert!(matches!(status.state, ProcessState::Failed { .. }), "{status:?}");
    assert!(!house.workspace().join("ran").exists());
}
