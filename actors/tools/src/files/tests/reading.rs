use super::super::lines::{LINE_MAX_BYTES, Lines, WINDOW_MAX_BYTES};
use super::*;

fn window(offset: usize, limit: usize) -> Window {
    Window { offset, limit }
}

fn lines_of(text: &str, window: Window) -> Lines {
    let mut lines = LineWindow::starting_at(window, 1);
    lines.push(text.as_bytes());
    lines.finish(true)
}

#[test]
fn a_window_shows_its_lines_with_their_numbers() {
    let text = "one\ntwo\r\nthree\nfour";
    for (at, shown, count, more) in [
        (window(1, 10), "1\tone\n2\ttwo\n3\tthree\n4\tfour", 4, false),
        (window(2, 2), "2\ttwo\n3\tthree", 2, true),
        (window(4, 1), "4\tfour", 1, false),
        (window(5, 1), "", 0, false),
        (window(3, 2), "3\tthree\n4\tfour", 2, false),
    ] {
        let lines = Lines { text: shown.to_owned(), count, more, total: Some(4) };
        assert_eq!(lines_of(text, at), lines, "{at:?}");
    }
    assert_eq!(lines_of("", window(1, 5)), Lines { total: Some(0), ..Lines::default() });
    assert_eq!(lines_of("one\n", window(1, 5)).total, Some(1), "a line break ends a line, it begins none");
    assert_eq!(lines_of("\n\nx", window(1, 5)).text, "1\t\n2\t\n3\tx");
}

#[test]
fn lines_are_the_same_however_the_bytes_come() {
    let long = "x".repeat(LINE_MAX_BYTES + 7);
    let text = format!("ä\r\n{long}\n\nlast");
    let whole = lines_of(&text, window(1, 3));
    assert!(whole.text.ends_with("x … [7 more bytes on this line]\n3\t"), "{}", whole.text);
    for cut in 0..text.len() {
        let mut lines = LineWindow::starting_at(window(1, 3), 1);
        lines.push(&text.as_bytes()[..cut]);
        lines.push(&text.as_bytes()[cut..]);
        assert_eq!(lines.finish(true), whole, "cut at {cut}");
    }
}

#[test]
fn what_is_shown_at_once_is_bounded() {
    let text = format!("{}\n", "y".repeat(1000)).repeat(1000);
    let lines = lines_of(&text, window(1, 2000));
    assert!(lines.more && lines.text.len() <= WINDOW_MAX_BYTES + 20 * 1000, "{}", lines.text.len());
    assert_eq!((lines.count, lines.total), (260, Some(1000)));
}

#[tokio::test]
async fn files_and_directories_are_read() {
    let space = Space::new();
    space.put("src/a.txt", "one\ntwo\n");
    space.put("src/b.bin", b"\x7fELF\0\0");
    space.link("src/link", "a.txt");
    std::fs::create_dir(space.root().join("src/dir")).unwrap();
    let files = space.files();
    let Content::Text(lines) = files.read("src/a.txt", Window::default()).await.unwrap() else { panic!("a file") };
    assert_eq!((lines.text.as_str(), lines.total), ("1\tone\n2\ttwo", Some(2)));
    let binary = FileError::Binary { path: "src/b.bin".to_owned(), size_bytes: 6 };
    assert_eq!(files.read("src/b.bin", Window::default()).await, Err(binary));

    let Content::Directory { entries, more } = files.read("src", window(1, 3)).await.unwrap() else { panic!("one") };
    let names: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.size_bytes)).collect();
    let expected =
        [("a.txt", EntryKind::File, Some(8)), ("b.bin", EntryKind::File, Some(6)), ("dir", EntryKind::Directory, None)];
    assert_eq!((names.as_slice(), more), (&expected[..], true));
    let Content::Directory { entries, more } = files.read("src", window(4, 3)).await.unwrap() else { panic!("one") };
    assert_eq!((entries[0].name.as_str(), entries[0].kind, more), ("link", EntryKind::Link, false));
    assert!(
        matches!(files.read(".", Window::default()).await, Ok(Content::Directory { entries, .. }) if entries.len() == 1)
    );
    let absolute = space.root().join("src/a.txt");
    assert!(files.read(absolute.to_str().unwrap(), Window::default()).await.is_ok(), "as a command would print it");
}

#[tokio::test]
async fn what_is_no_file_is_neither_opened_nor_written() {
    let space = Space::new();
    let pipe = space.root().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::create_dir(space.root().join("dir")).unwrap();
    let files = space.files();
    for (path, kind) in [("pipe", "a pipe"), ("dir", "a directory")] {
        let wrong = FileError::WrongKind { path: path.to_owned(), kind, wanted: "a file" };
        assert_eq!(files.load(path, 10).await, Err(wrong.clone()));
        assert_eq!(files.change(change("k", &[(path, None, "x")])).await, Err(wrong));
    }
    space.put("big", "0123456789");
    let large = FileError::TooLarge { path: "big".to_owned(), size_bytes: 10, max_bytes: 9 };
    assert_eq!(files.load("big", 9).await, Err(large));
    assert_eq!(files.load("big", 10).await.unwrap(), b"0123456789");
}
