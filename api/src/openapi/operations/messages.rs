//! Messages, the queue, and commands without a resource of their own.

use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{path, query};
use super::{CHAT_READ, CHAT_WRITE, api};
use crate::error::Code;

/// A command that answers what it achieved.
fn command(
    method: &'static str,
    rest: &str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    body: (&'static str, bool),
) -> Operation {
    let (schema, required) = body;
    Operation::new(method, api(&format!("/chats/{{chat}}{rest}")), id, tag, summary)
        .takes([path::chat()])
        .body(schema, required)
        .answers(202, "What it achieved.", schema_ref("Accepted"))
        .changes()
        .fails(CHAT_WRITE)
}

/// The body of commands that need no words.
const NOTHING: (&str, bool) = ("Nothing", false);

pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("get", api("/chats/{chat}/messages"), "listMessages", "messages", "List messages")
            .about(
                "In the order of the conversation; without a bound the newest page. A cursor goes on in the same \
                    direction and excludes `before` and `after`.",
            )
            .takes([
                path::chat(),
                query::before(),
                query::after_message(),
                query::withdrawn(),
                query::limit(),
                query::cursor(),
            ])
            .answers(200, "A page of messages.", page_of(schema_ref("Message")))
            .reads()
            .fails(CHAT_READ),
        command("post", "/messages", "sendMessage", "messages", "Say something", ("SendMessage", true))
            .about("Starts a turn. While one is running, `busy` says what becomes of the message.")
            .fails(&[Code::EmptyContent, Code::QueueFull]),
        command("patch", "/messages/{message}", "editMessage", "messages", "Say it again", ("EditMessage", true))
            .about("Takes the message and all that follows out of history and starts a turn for the new words.")
            .takes([path::message()])
            .fails(&[Code::EmptyContent, Code::NotAUserMessage, Code::MessageNotFound]),
        Operation::new("get", api("/chats/{chat}/queue"), "listQueue", "messages", "List the messages that wait")
            .about("The next one first; a queue is short, so it is always whole.")
            .takes([path::chat()])
            .answers(200, "The queue.", page_of(schema_ref("QueuedMessage")))
            .reads()
            .fails(CHAT_READ),
        Operation::new("delete", api("/chats/{chat}/queue/{queued}"), "deleteQueued", "messages", "Take it back")
            .takes([path::chat(), path::queued()])
            .body("Nothing", false)
            .answers_nothing(204, "It waits no more.")
            .changes()
            .fails(CHAT_WRITE)
            .fails(&[Code::QueuedMessageNotFound]),
        command("post", "/queue/{queued}/promote", "promoteQueued", "messages", "Say it now", NOTHING)
            .about("Stops the running turn; the message is the next thing said.")
            .takes([path::queued()])
            .fails(&[Code::QueuedMessageNotFound]),
        command("post", "/interrupt", "interrupt", "actions", "Stop the turn", NOTHING)
            .about("What was said so far is kept."),
        command("post", "/compact", "compactContext", "actions", "Summarise the history", NOTHING)
            .about("The model goes on from a summary of what was said; the transcript stays readable.")
            .fails(&[Code::NothingToCompact]),
        command("post", "/clear", "clearContext", "actions", "Forget the history", NOTHING)
            .about("The model begins anew; the transcript stays readable.")
            .fails(&[Code::NothingToClear]),
        command("post", "/tool-results", "submitToolResults", "actions", "Answer calls", ("SubmitToolResults", true))
            .about("A result for every call that waits for one, all at once.")
            .fails(&[Code::DuplicateCall, Code::UnknownCall, Code::MissingCall, Code::InvalidResult]),
        command("post", "/approvals", "decideApprovals", "actions", "Approve or deny calls", ("DecideApprovals", true))
            .about("A decision on every call that waits for one, all at once.")
            .fails(&[Code::DuplicateCall, Code::UnknownCall, Code::MissingCall]),
    ]
}
