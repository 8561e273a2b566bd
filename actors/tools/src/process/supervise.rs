//! The supervisor: a small process of its own per command, which outlives the server. It claims the process, has it kept, writes its
//! output down, and leaves the outcome.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::Utc;
use rustix::process::{set_child_subreaper, setsid};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, pipe};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::directory::ProcessDirectory;
use super::family;
use super::keeper::{KILL, OWN_PROGRAM, Report, TERMINATE};
use super::output::OutputWriter;
use super::spec::{Secrets, StoredSpec};
use super::status::{Claim, EndedBy, LostCause, Outcome, ProcessState};
use super::vitals::Vitals;

/// What the supervisor says when the process is its own.
pub(crate) const CLAIMED: &str = "claimed";

/// Output read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Told to end all, the keeper has this long until it is ended itself.
const KEEPER_GRACE: Duration = Duration::from_millis(300);

/// After the end this long is waited for the rest of the output, should somebody outside hold on to it.
const DRAIN: Duration = Duration::from_millis(500);

/// How often the outcome is tried to be written, and how long is waited in between: a full disk may get room.
const OUTCOME_TRIES: u32 = 100;
const OUTCOME_PAUSE: Duration = Duration::from_millis(200);

/// Far away: a wait that does not count.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Supervises the process of a directory until its end. Somebody else's is left alone.
pub fn supervise(directory: &Path) -> io::Result<()> {
    // Not with whoever started this. Who leads a group already has been taken care of.
    let _ = setsid();
    // What a keeper leaves that is ended by force comes here.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let directory = ProcessDirectory::at(directory);
    let stored = directory.spec()?.ok_or(io::ErrorKind::NotFound)?;
    // Before the claim: without them the command would be another one.
    let secrets = Secrets::read(&mut io::stdin())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let supervised = runtime.block_on(async {
        // Before the claim: whoever reads it may signal at once.
        let asked = Asked { terminate: signal(SignalKind::terminate())?, kill: signal(SignalKind::interrupt())? };
        let claim = Claim::Supervisor { vitals: Vitals::own()?, at: Utc::now() };
        if !directory.make_claim(&claim)? {
            return Ok(false);
        }
        announce()?;
        run(&directory, &stored, secrets, asked).await?;
        Ok::<bool, io::Error>(true)
    });
    supervised.map(drop)
}

/// Tells who started this that the process is taken over, and lets go of them.
fn announce() -> io::Result<()> {
    // Nobody may be left to hear it.
    let _ = writeln!(io::stdout(), "{CLAIMED}").and_then(|()| io::stdout().flush());
    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// What others can ask of the supervisor.
struct Asked {
    terminate: Signal,
    kill: Signal,
}

/// The keeper, and the ways to it.
struct Keeper {
    child: Child,
    tell: OwnedWriteHalf,
    reports: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    output: pipe::Receiver,
}

fn start_keeper(directory: &ProcessDirectory, secrets: &Secrets) -> io::Result<Keeper> {
    let (reader, writer) = io::pipe()?;
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let child = Command::new(OWN_PROGRAM)
        .args(["confine", "keep"])
        .arg(directory.path())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(writer.try_clone()?)))
        .stderr(Stdio::from(OwnedFd::from(writer)))
        .env_clear()
        .spawn()?;
    ours.write_all(&secrets.line()?)?;
    ours.set_nonblocking(true)?;
    let (read, tell) = UnixStream::from_std(ours)?.into_split();
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok(Keeper { child, tell, reports: BufReader::new(read).lines(), output })
}

async fn run(directory: &ProcessDirectory, stored: &StoredSpec, secrets: Secrets, asked: Asked) -> io::Result<()> {
    let mut writer = OutputWriter::new(directory.path(), stored.spec.output);
    let (last, ended_by) = match start_keeper(directory, &secrets) {
        Ok(keeper) => follow(keeper, stored, asked, &mut writer).await,
        Err(error) => (Some(Report::Failed { message: format!("the keeper did not start: {error}") }), None),
    };
    let (state, ended_by, left_running) = match last {
        Some(Report::Ended { code: Some(code), left_running, crowded, .. }) => {
            (ProcessState::Exited { code }, ended_by.or(crowded.then_some(EndedBy::ProcessesMax)), left_running)
        }
        Some(Report::Ended { signal: Some(signal), left_running, crowded, .. }) => {
            (ProcessState::Signaled { signal }, ended_by.or(crowded.then_some(EndedBy::ProcessesMax)), left_running)
        }
        Some(Report::Failed { message }) => (ProcessState::Failed { message }, None, 0),
        // No word of the end, though it is the end.
        _ => (ProcessState::Lost { cause: LostCause::KeeperDied }, ended_by, 0),
    };
    let outcome = Outcome {
        state,
        ended_at: Utc::now(),
        ended_by,
        output_bytes: writer.total_bytes(),
        output_lost_bytes: writer.lost_bytes(),
        left_running,
    };
    // What is on disk is what the outcome speaks of; a disk that fails here fails below, and is met there.
    let _ = writer.sync();
    for _ in 0..OUTCOME_TRIES {
        match directory.write_outcome(&outcome) {
            Ok(()) => return Ok(()),
            // The whole process was removed: nobody wants to know.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => writer.make_room(),
        }
        sleep(OUTCOME_PAUSE).await;
    }
    Err(io::Error::other("the outcome could not be written"))
}

/// Follows the process to its end: the keeper's last report, and who ended it.
async fn follow(
    mut keeper: Keeper,
    stored: &StoredSpec,
    mut asked: Asked,
    writer: &mut OutputWriter,
) -> (Option<Report>, Option<EndedBy>) {
    let now = Instant::now();
    let far = now + NEVER;
    let mut time_up = stored.spec.time_max_ms.map_or(far, |most| now + Duration::from_millis(most));
    let (mut kill_at, mut force_at) = (far, far);
    let grace = Duration::from_millis(stored.spec.grace_ms);
    let mut ended_by = None;
    let mut last = None;
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut reports_open, mut output_open) = (true, true);
    loop {
        tokio::select! {
            line = keeper.reports.next_line(), if reports_open => match line {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(Report::Started) | Err(_) => {}
                    Ok(report) => last = Some(report),
                },
                _ => reports_open = false,
            },
            read = keeper.output.read(&mut buffer), if output_open => match read {
                Ok(length) if length > 0 => writer.write(buffer.get(..length).unwrap_or_default()),
                _ => output_open = false,
            },
            _ = asked.terminate.recv() => {
                ended_by = ended_by.or(Some(EndedBy::Terminate));
                tell(&mut keeper.tell, TERMINATE).await;
                kill_at = kill_at.min(Instant::now() + grace);
            }
            _ = asked.kill.recv() => {
                ended_by = ended_by.or(Some(EndedBy::Kill));
                kill_at = Instant::now();
            }
            () = sleep_until(time_up) => {
                time_up = far;
                ended_by = ended_by.or(Some(EndedBy::TimeMax));
                tell(&mut keeper.tell, TERMINATE).await;
                kill_at = kill_at.min(Instant::now() + grace);
            }
            () = sleep_until(kill_at) => {
                kill_at = far;
                tell(&mut keeper.tell, KILL).await;
                force_at = Instant::now() + KEEPER_GRACE;
            }
            () = sleep_until(force_at) => {
                force_at = far;
                // All below it goes with it: it holds them by its own end.
                let _ = keeper.child.start_kill();
            }
            _ = keeper.child.wait() => break,
        }
    }
    // The keeper is gone, and with it all it kept; what it could not end any more, where there are no namespaces, is ended here.
    let _ = family::end(rustix::process::getpid().as_raw_nonzero().get());
    // What they said last may still be on its way.
    let rest = async {
        while let (true, Ok(Some(line))) = (reports_open, keeper.reports.next_line().await) {
            if let Ok(report) = serde_json::from_str(&line)
                && report != Report::Started
            {
                last = Some(report);
            }
        }
        while let (true, Ok(length @ 1..)) = (output_open, keeper.output.read(&mut buffer).await) {
            writer.write(buffer.get(..length).unwrap_or_default());
        }
    };
    let _ = timeout(DRAIN, rest).await;
    if last.is_none() && ended_by.is_some() {
        // The keeper was ended by force, and the kernel ended what it kept.
        last = Some(Report::Ended { code: None, signal: Some(9), left_running: 0, crowded: false });
    }
    (last, ended_by)
}

async fn tell(channel: &mut OwnedWriteHalf, word: u8) {
    // A keeper that is gone needs no telling.
    let _ = channel.write_all(&[word]).await;
}
