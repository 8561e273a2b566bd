//! Chats.

use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{path, query};
use super::{CHAT_READ, CHAT_WRITE, api};
use crate::error::Code;

/// How a title may fail to be written.
const TITLE: &[Code] = &[Code::NotAllowed, Code::UsageLimit, Code::ModelFailed, Code::ModelTimeout, Code::Busy];

pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("post", api("/chats"), "createChat", "chats", "Make a chat")
            .about("With `content` the chat begins with that message, and a turn starts at once.")
            .body("CreateChat", false)
            .answers(201, "The new chat.", schema_ref("Chat"))
            .with_header("Location", "Where the chat is.", true)
            .changes()
            .fails(&[Code::EmptyContent, Code::ChatNotFound, Code::Archived, Code::Erased, Code::NotAllowed])
            .fails(&[Code::WorkspacesUnavailable]),
        Operation::new("get", api("/chats"), "listChats", "chats", "Find chats")
            .about(
                "The newest activity first, pinned chats before all others. Users see their own chats, auditors all.",
            )
            .takes([
                query::words(),
                query::status(),
                query::archived(),
                query::labels(),
                query::parent(),
                query::limit(),
                query::cursor(),
            ])
            .answers(200, "A page of chats.", page_of(schema_ref("Chat")))
            .reads(),
        Operation::new("get", api("/chats/{chat}"), "readChat", "chats", "Read a chat")
            .takes([path::chat(), query::at()])
            .answers(200, "The chat.", schema_ref("Chat"))
            .reads()
            .fails(CHAT_READ)
            .fails(&[Code::VersionNotFound]),
        Operation::new("patch", api("/chats/{chat}"), "changeChat", "chats", "Change a chat")
            .about("All of it or nothing; fields that are absent stay.")
            .takes([path::chat()])
            .body("ChangeChat", false)
            .answers(200, "The chat right after the change.", schema_ref("Chat"))
            .changes()
            .fails(CHAT_WRITE)
            .fails(&[Code::FamilyTooLarge]),
        Operation::new("post", api("/chats/{chat}/title/propose"), "proposeTitle", "chats", "Have a title written")
            .about("The chat keeps the one it has. Written by the model for titles, else by the chat's own.")
            .takes([path::chat()])
            .body("Nothing", false)
            .answers(200, "A title.", schema_ref("ProposedTitle"))
            .fails(CHAT_WRITE)
            .fails(TITLE),
        Operation::new("post", api("/chats/{chat}/title/regenerate"), "regenerateTitle", "chats", "Have a new title")
            .about("A model's title takes the place of the chat's, whoever wrote that.")
            .takes([path::chat()])
            .body("Nothing", false)
            .answers(200, "The chat right after the change.", schema_ref("Chat"))
            .changes()
            .fails(CHAT_WRITE)
            .fails(TITLE),
        Operation::new("delete", api("/chats/{chat}"), "eraseChat", "chats", "Erase a chat")
            .about(
                "Its content and that of all chats it made: what was said, files that no other chat shows, workspaces, \
                 processes. The key that its events are sealed with is destroyed, so they say nothing any more; the fact \
                 that the chat was there stays, and everybody who could see it is told that it was erased.",
            )
            .takes([path::chat(), query::keep_events()])
            .body("Nothing", false)
            .answers_nothing(204, "It is erased.")
            .changes()
            .fails(&[Code::ChatNotFound, Code::Erased, Code::NotSealed]),
        Operation::new(
            "post",
            api("/chats/{chat}/fork"),
            "forkChat",
            "chats",
            "Go on from an earlier point in another chat",
        )
        .about(
            "Makes a new chat of the same owner and settings whose history is what this one's was at a version. \
                 Calls that were open then are answered with an error; the workspace stays with this chat. A version between \
                 `context_compacted` and the last message that came with it stands for the one before the compaction.",
        )
        .takes([path::chat()])
        .body("ForkChat", true)
        .answers(201, "The new chat.", schema_ref("Chat"))
        .with_header("Location", "Where the chat is.", true)
        .changes()
        .fails(&[Code::ChatNotFound, Code::VersionNotFound, Code::Erased]),
        Operation::new(
            "put",
            api("/chats/{chat}/context"),
            "reloadContext",
            "chats",
            "Have the workspace's context files read anew",
        )
        .about(
            "AGENTS.md and the like are read once and stay in the prompts as they were; `context_dirty` says that they \
                 have changed since. They are read again before the next answer.",
        )
        .takes([path::chat()])
        .body("Nothing", false)
        .answers(200, "The chat.", schema_ref("Chat"))
        .changes()
        .fails(CHAT_WRITE)
        .fails(&[Code::WorkspaceNotFound]),
        Operation::new("get", api("/chats/{chat}/diff"), "readDiff", "chats", "How the workspace's files differ")
            .about(
                "From what was last committed to the git repository in the chat's workspace, new files included. Read \
                 there and then; the chat's `diff_status` is what was last noticed.",
            )
            .takes([path::chat()])
            .answers(200, "The difference.", schema_ref("Diff"))
            .reads()
            .fails(CHAT_READ)
            .fails(&[Code::WorkspaceNotFound, Code::NoRepository, Code::WorkspacesUnavailable, Code::DiffTimeout]),
        Operation::new("get", api("/chats/{chat}/children"), "listChildren", "chats", "Find a chat's children")
            .takes([path::chat(), query::limit(), query::cursor()])
            .answers(200, "A page of chats.", page_of(schema_ref("Chat")))
            .reads()
            .fails(CHAT_READ),
        Operation::new("get", api("/chats/{chat}/prompts"), "listPrompts", "chats", "List what users said in a chat")
            .about("Their messages, the newest first; not what an edit withdrew.")
            .takes([path::chat(), query::limit(), query::cursor()])
            .answers(200, "A page of messages.", page_of(schema_ref("Message")))
            .reads()
            .fails(CHAT_READ),
        Operation::new("get", api("/chats/{chat}/attempts/{attempt}"), "readAttempt", "chats", "Read what was sent")
            .about(
                "The prompt of an attempt, made again from the log, and whether it is what was sent. Owners see the \
                 messages that they may see, auditors and administrators the whole request.",
            )
            .takes([path::chat(), path::attempt()])
            .answers(200, "The attempt.", schema_ref("AttemptPrompt"))
            .reads()
            .fails(CHAT_READ)
            .fails(&[Code::AttemptNotFound]),
        Operation::new("get", api("/chats/{chat}/turns"), "listTurns", "chats", "List a chat's turns")
            .about("The newest first: what they were for, how they ended, what they took.")
            .takes([path::chat(), query::limit(), query::cursor()])
            .answers(200, "A page of turns.", page_of(schema_ref("Turn")))
            .reads()
            .fails(CHAT_READ),
    ]
}
