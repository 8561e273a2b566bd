use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test]
async fn no_path_leads_out_of_the_workspace() {
    let space = Space::new();
    space.put("dir/inside", "x");
    space.link("to-secret", "../secret");
    space.link("to-outside", "../outside");
    space.link("absolute", space.home.path().join("secret"));
    space.link("dir/up", "..");
    space.link("proc", "/proc/self/root");
    space.link("loop", "loop");
    let files = space.files();
    let secret = space.home.path().join("secret").to_str().unwrap().to_owned();
    let beside = format!("{}-beside/secret", space.root().display());
    for path in [
        "../secret",
        "dir/../../secret",
        "to-secret",
        "to-outside/a",
        "to-outside/new",
        "absolute",
        "dir/up/../secret",
        "proc/etc/passwd",
        "/etc/passwd",
        "loop",
        "..",
        &secret,
        &beside,
        "to-outside/deep/new",
    ] {
        let outside = FileError::Outside { path: path.to_owned() };
        assert_eq!(files.read(path, Window::default()).await, Err(outside.clone()), "read {path}");
        assert_eq!(files.load(path, 100).await, Err(outside.clone()), "load {path}");
        assert_eq!(files.change(change("k", &[(path, None, "changed")])).await, Err(outside), "write {path}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(space.home.path().join("outside")).unwrap().count(), 1);
    for path in ["dir/../dir/inside", "dir/up/dir/inside", "./dir//inside"] {
        assert_eq!(files.load(path, 100).await.unwrap(), b"x", "{path}");
    }
}

#[tokio::test]
async fn paths_that_can_be_none_are_refused_in_words() {
    let space = Space::new();
    space.put("file", "x");
    space.link("nowhere", "gone");
    let files = space.files();
    for (path, words) in [
        ("a\0b", "NUL"),
        (&"x/".repeat(3000), "too long"),
        (&"x".repeat(300), "too long"),
        ("file/below", "no directory"),
        ("dir/", "does not end in a file's name"),
        ("nowhere", "a link that leads nowhere"),
        ("gone/../file", "no such file"),
    ] {
        let refused = files.change(change("k", &[(path, None, "x")])).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{path:?}: {refused}");
    }
    let missing = FileError::NotFound { path: "gone".to_owned() };
    assert_eq!(files.load("gone", 10).await, Err(missing));
}

/// A directory and a link that leads out change places as fast as they can, while files are read and written below them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_swapped_meanwhile_leads_nowhere() {
    let space = Space::new();
    space.put("dir/a", "inside");
    space.link("link", "../outside");
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, root) = (Arc::clone(&stop), space.root());
        move || {
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, root.join("dir"), rustix::fs::CWD, root.join("link"), flags)
                    .unwrap();
                swaps += 1;
            }
            swaps
        }
    });
    let files = space.files();
    let (mut read, mut refused) = (0, 0);
    for turn in 0..150 {
        match files.load("dir/a", 100).await {
            Ok(bytes) => {
                assert!(bytes != b"secret", "the link was followed out");
                read += 1;
            }
            Err(_) => refused += 1,
        }
        // Where it goes is a matter of luck, but never out.
        let _ = files.change(change(&format!("k{turn}"), &[("dir/b", None, "written")])).await;
        let _ = files.change(change(&format!("m{turn}"), &[("dir/new/c", None, "written")])).await;
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap();
    let outside: Vec<_> = std::fs::read_dir(space.home.path().join("outside")).unwrap().flatten().collect();
    assert_eq!(outside.len(), 1, "something was written outside");
    assert_eq!(std::fs::read_to_string(space.home.path().join("outside/a")).unwrap(), "secret");
    assert!(swaps > 100 && read + refused == 150, "{swaps} swaps, {read} reads, {refused} refusals");
}
