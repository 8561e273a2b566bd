//! A database that says nothing any more: reads end all the same, and go on when it is back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use verbatim_projections::{ReadError, ReadLocation, ReadModels, ReadSettings};

use super::place::Place;
use super::world::{Dice, World};

/// Long enough that only a fault of the program makes it pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where PostgreSQL listens in a directory.
const SOCKET: &str = ".s.PGSQL.5432";

/// A way to a database which can be cut without a word: connections stay open, new ones are taken, and nothing passes.
struct Wire {
    directory: TempDir,
    /// How often it was mended, and whether it is cut. What was opened before it was mended last stays silent.
    state: watch::Sender<(u32, bool)>,
}

impl Wire {
    fn to(directory_of_server: PathBuf) -> Wire {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket");
        let (state, seen) = watch::channel((0, false));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(directory_of_server.join(SOCKET)).await.expect("the server listens");
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                let mended = seen.borrow().0;
                tokio::spawn(pass(from_near, to_far, seen.clone(), mended));
                tokio::spawn(pass(from_far, to_near, seen.clone(), mended));
            }
        });
        Wire { directory, state }
    }

    fn cut(&self) {
        self.state.send_modify(|(_, is_cut)| *is_cut = true);
    }

    fn mend(&self) {
        self.state.send_modify(|(mended, is_cut)| (*mended, *is_cut) = (*mended + 1, false));
    }
}

/// Hands on what comes until the wire is cut; then holds both ends and is silent.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<(u32, bool)>, mended: u32) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = state.wait_for(|state| *state != (mended, false)) => break,
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => {}
            _ => return,
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_fails_a_read_in_time_and_no_later_one() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(43), 60).await;
    let ReadLocation::Postgres { url } = place.location() else { panic!("a database of PostgreSQL") };
    let (database, host) = url.split_once("?host=").expect("where its socket is");
    let wire = Wire::to(Path::new(host).to_owned());
    let location = ReadLocation::Postgres { url: format!("{database}?host={}", wire.directory.path().display()) };
    let settings = ReadSettings { read_max: Duration::from_millis(500), ..ReadSettings::default() };
    let models = ReadModels::open(location, world.log(), Handle::current(), settings).await.expect("they open");
    models.catch_up().await.expect("the rows catch up");
    let chat_id = world.log().read_all(0, 1).await.expect("the log").events[0].event.chat_id;
    assert!(models.chat(chat_id).await.expect("a read").is_some());

    wire.cut();
    let silent = tokio::time::timeout(PATIENCE, models.chat(chat_id)).await.expect("it does not wait for ever");
    assert!(matches!(silent, Err(ReadError::TooSlow { limit_ms: 500 })), "{silent:?}");
    wire.mend();
    // Connections that are made from now on are answered; the silent ones are used up, each within its time.
    let back = async { while !matches!(models.chat(chat_id).await, Ok(Some(_))) {} };
    tokio::time::timeout(PATIENCE, back).await.expect("later reads are answered");
}
