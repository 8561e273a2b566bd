use std::path::Path;

use super::*;
use crate::config::Flags;

/// Runs a story on a thread with an actix system, beside a shared runtime.
fn run<F: Future<Output = ()>>(story: impl FnOnce(Runtime) -> F) {
    verbatim_llm::install_crypto();
    let shared = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    actix_rt::System::new().block_on(story(shared.handle().clone()));
    shared.shutdown_timeout(Duration::from_secs(5));
}

async fn start(data_dir: &Path, listen: &str, shared: &Runtime) -> Result<Server, StartError> {
    let flags = Flags { data_dir: Some(data_dir.to_owned()), ..Flags::default() };
    let settings = Settings::load(&flags, &Environment::default()).expect("settings");
    let options = StartOptions { admin_key: None, listen: Some(listen.to_owned()) };
    Server::start(settings, &Environment::default(), options, shared.clone()).await
}

async fn status(url: &str, key: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    client.get(url).bearer_auth(key).send().await.expect("an answer").status().as_u16()
}

#[test]
fn a_server_starts_answers_stops_and_starts_again() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    run(async |shared| {
        let first = start(folder.path(), "127.0.0.1:0", &shared).await.expect("it starts");
        let (url, key) = (first.url().to_owned(), first.admin_key().secret.clone());
        assert_eq!(status(&format!("{url}/healthz"), "").await, 200);
        assert_eq!(status(&format!("{url}/api/v1/chats"), &key).await, 200);
        assert_eq!(status(&format!("{url}/api/v1/chats"), "another key").await, 401);
        let found = DataDir::at(folder.path()).server().expect("it can be found");
        assert_eq!(found.url, url);
        first.stop().await;
        assert_eq!(DataDir::at(folder.path()).server(), None);

        let second = start(folder.path(), "127.0.0.1:0", &shared).await.expect("everything was given back");
        assert_eq!(second.admin_key().secret, key, "the key stays");
        second.stop().await;
    });
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    run(async |shared| {
        let first = start(folder.path(), "127.0.0.1:0", &shared).await.expect("it starts");
        match start(folder.path(), "127.0.0.1:0", &shared).await {
            Err(StartError::DataDir(LocateError::Taken { server: Some(server), .. })) => {
                assert_eq!(server.url, first.url());
            }
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => panic!("a second server was let in"),
        }
        first.stop().await;
    });
}

#[test]
fn a_taken_address_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    run(async |shared| {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = other.local_addr().expect("an address").to_string();
        match start(folder.path(), &address, &shared).await {
            Err(StartError::Listen { address: named, .. }) => assert_eq!(named, address),
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => panic!("two listen on one address"),
        }
        drop(other);
        start(folder.path(), &address, &shared).await.expect("nothing is held").stop().await;
    });
}

#[test]
fn who_listens_everywhere_is_reached_here() {
    for (listens, reached) in
        [("0.0.0.0:80", "http://127.0.0.1:80"), ("[::]:80", "http://[::1]:80"), ("192.0.2.1:80", "http://192.0.2.1:80")]
    {
        assert_eq!(reachable(listens.parse().expect("an address")), reached);
    }
}

#[test]
fn a_stop_leaves_room_for_what_ends_after_it() {
    assert_eq!(stop_limit(10_000), Duration::from_millis(9_000));
    assert_eq!(stop_limit(100), Duration::from_millis(90));
}
