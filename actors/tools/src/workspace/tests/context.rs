//! Context files, on whatever files a workspace has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use verbatim_events::chat::Chat;
use verbatim_events::command::{Busy, Command, RecordAttempt, SendMessage, Step};
use verbatim_events::event::{AttemptAction, ContextFreshness};
use verbatim_events::ids::Digest;
use verbatim_events::part::Part;
use verbatim_events::tool::ContextFiles;

use super::super::survey::Surveys;
use super::chats::CHAT;
use super::{House, good};

pub(super) async fn write(house: &House, path: &str, content: &str) {
    // The same words written again are another call.
    let call_id = format!("write-{}", uuid::Uuid::new_v4());
    good(house.call(&call_id, "write_file", json!({"path": path, "content": content})).await);
}

pub(super) async fn read(house: &House) -> ContextFiles {
    house.tools.context(&house.chats.chat()).expect("there is a workspace").await
}

/// The chat's turn reads the files, as the server would.
fn pin(house: &House, found: ContextFiles) {
    let message = SendMessage {
        parts: vec![Part::text("Hi")],
        author: "ada".into(),
        busy: Busy::Queue,
        model: None,
        effort: None,
    };
    house.chats.change(&Command::SendMessage(message));
    house.chats.change(&Command::RecordAttempt(RecordAttempt {
        action: AttemptAction::LoadContext,
        model: None,
        prompt_digest: None,
        request: None,
        offer: None,
        node: "test".into(),
    }));
    let attempt_id = house.chats.chat().outline.attempt.as_ref().expect("an attempt").id;
    let ContextFiles { files, source } = found;
    house.chats.change(&Command::CommitStep { attempt_id, step: Step::ContextLoaded { files, source } });
}

pub(super) async fn until(house: &House, holds: impl Fn(&Chat) -> bool) -> Arc<Chat> {
    let waiting = async {
        loop {
            let chat = house.chats.chat();
            if holds(&chat) {
                return chat;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is noticed")
}

/// All files of the right names, in their order, the same words once, and the skills as a list.
pub(super) async fn context_files_are_read(house: &House) {
    assert!(house.tools.context(&house.chats.chat()).is_none(), "there is no workspace to read");
    good(house.create("call-1").await);
    let none = read(house).await;
    let id = house.bound().expect("a workspace");
    assert_eq!((none.files, none.source.files, none.source.unreachable), (vec![], vec![], false));
    for (path, content) in [
        (".agents/skills/make-tea/SKILL.md", "---\nname: make-tea\ndescription: How tea is made\n---\nBoil water.\n"),
        (".agents/z.md", "Last."),
        (".agents/a b.md", "First."),
        (".agents/.hidden.md", "No."),
        (".agents/deep/er.md", "No."),
        ("docs/AGENTS.md", "No."),
        ("CLAUDE.md", "Be kind."),
        ("AGENTS.md", "Be kind."),
    ] {
        write(house, path, content).await;
    }
    let found = read(house).await;
    let told: Vec<(&str, &str)> = found.files.iter().filter_map(shown).collect();
    assert_eq!(told[..3], [("AGENTS.md", "Be kind."), (".agents/a b.md", "First."), (".agents/z.md", "Last.")]);
    assert_eq!(told[3].0, ".agents/skills");
    assert!(told[3].1.ends_with("\n- make-tea: How tea is made"), "{told:?}");
    assert_eq!((told.len(), found.source.workspace_id.as_str()), (4, id.as_str()));
    let paths: Vec<&str> = found.source.files.iter().map(|stamp| stamp.path.as_str()).collect();
    let all = ["AGENTS.md", "CLAUDE.md", ".agents/a b.md", ".agents/z.md", ".agents/skills/make-tea/SKILL.md"];
    assert_eq!(paths, all);
    assert_eq!((found.source.files[0].digest, found.source.files[0].size_bytes), (Digest::of(b"Be kind."), 8));
}

/// What prompts hold is compared with the files, and what is as it was again is no news any more.
pub(super) async fn a_change_of_a_context_file_is_noticed(house: &House) {
    good(house.create("call-1").await);
    write(house, "AGENTS.md", "Be kind.").await;
    pin(house, read(house).await);
    write(house, "other.md", "x").await;
    write(house, "AGENTS.md", "Be brief.").await;
    until(house, |chat| chat.outline.context_freshness == ContextFreshness::Changed).await;
    write(house, "AGENTS.md", "Be kind.").await;
    let chat = until(house, |chat| chat.outline.context_freshness == ContextFreshness::Current).await;
    let surveys = Surveys::new(Arc::clone(&house.spaces), Arc::clone(&house.chats) as _);
    let began = surveys.noticed(CHAT).expect("somebody looks");
    assert!(surveys.noticed(CHAT).is_none(), "one look is enough");
    began.await;
    assert_eq!(house.chats.chat().outline.version, chat.outline.version, "nothing is new");
}

/// A workspace that could not be read is read once it can be, without being asked to.
pub(super) async fn files_that_nobody_could_read_are_read_when_they_can_be(house: &House) {
    good(house.create("call-1").await);
    let chat = house.chats.chat();
    good(house.call("call-2", "stop_workspace", json!({})).await);
    let unread = read(house).await;
    assert_eq!(unread, ContextFiles::none(&chat, true), "it does not run");
    pin(house, unread);
    good(house.call("call-3", "start_workspace", json!({})).await);
    write(house, "AGENTS.md", "Be kind.").await;
    until(house, |chat| chat.outline.context_freshness == ContextFreshness::Reload).await;
    house.spaces.delete(&house.bound().expect("a workspace")).await.expect("it goes");
    assert_eq!(read(house).await, ContextFiles::none(&chat, false), "what is gone has no files");
}

/// What prompts do not hold is named; it is news only where prompts would say something else. `root_of` finds the directory of
/// a workspace by what was said of it.
pub(super) async fn what_is_left_out_is_said(house: &House, root_of: impl Fn(&Value) -> PathBuf) {
    let root = root_of(&good(house.create("call-1").await));
    let agents = root.join(".agents");
    let put = |name: &str, content: &[u8]| std::fs::write(agents.join(name), content).expect("it can be written");
    std::fs::create_dir_all(agents.join("a directory.md")).expect("it can be made");
    std::os::unix::fs::symlink("/etc/passwd", agents.join("a link.md")).expect("it can be made");
    for number in 10..28 {
        put(&format!("{number}.md"), format!("Number {number}.").as_bytes());
    }
    put("13.md", b"\xffnumber");
    let found = read(house).await;
    let told: Vec<(&str, &str)> = found.files.iter().filter_map(shown).collect();
    assert_eq!(told.len(), 17, "{told:?}");
    assert_eq!(told[0], (".agents/10.md", "Number 10."));
    assert_eq!(told[3], (".agents/13.md", "… [this file is left out: it is no UTF-8 text] …"));
    assert_eq!(told[15], (".agents/25.md", "Number 25."));
    assert_eq!(told[16], (".agents/*.md", "… [2 more files are left out; the first 16 by name are told of] …"));

    pin(house, found);
    let freshness = async || {
        super::survey::looked_at(house).await;
        house.chats.chat().outline.context_freshness
    };
    put("13.md", b"\xff\xfe");
    put("26.md", b"Another.");
    std::fs::rename(agents.join("27.md"), agents.join("28.md")).expect("it can be renamed");
    assert_eq!(freshness().await, ContextFreshness::Current, "prompts would say the same");
    put("29.md", b"Number 29.");
    assert_eq!(freshness().await, ContextFreshness::Changed, "one more is left out");
    std::fs::remove_file(agents.join("29.md")).expect("it can be removed");
    assert_eq!(freshness().await, ContextFreshness::Current);
    put("13.md", b"Number 13.");
    assert_eq!(freshness().await, ContextFreshness::Changed, "it is text now");
}

fn shown(part: &Part) -> Option<(&str, &str)> {
    match part {
        Part::ContextFile { path, text } => Some((path, text)),
        _ => None,
    }
}
