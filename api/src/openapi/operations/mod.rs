//! Every route of the contract, one file per kind of resource.

mod chats;
mod files;
mod inbox;
mod messages;
mod server;
mod settings;
mod streams;

use super::operation::Operation;
use crate::error::Code;
use crate::routes::API;

/// The groups of routes, in the order in which people want to read them.
pub const TAGS: &[(&str, &str)] = &[
    ("chats", "Conversations: make, find, change."),
    ("messages", "What is said, and what waits to be said."),
    ("actions", "What a chat waits for, and how to stop it."),
    ("streams", "What happens, as it happens."),
    ("audit", "The whole log, for those who may read all of it."),
    ("files", "What is sent beside words, and what chats show."),
    ("inbox", "What one was notified of."),
    ("webhooks", "Who else is told what happens; administrators alone."),
    ("keys", "Who may do what; administrators alone."),
    ("models", "What chats talk to, and who runs it."),
    ("workspaces", "Where chats work, and what that is made from."),
    ("usage", "What was spent, and what may be."),
    ("projections", "The read models' own state."),
    ("server", "The server itself."),
];

/// All operations.
pub fn all() -> Vec<Operation> {
    [chats::all(), messages::all(), streams::all(), files::all(), inbox::all(), settings::all(), server::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// A path of the interface.
fn api(path: &str) -> String {
    format!("{API}{path}")
}

/// What reading one chat's read models can fail with.
const CHAT_READ: &[Code] = &[Code::ChatNotFound, Code::Erased, Code::ChatDamaged, Code::Busy, Code::ChatUnavailable];

/// What a command on a chat can fail with, whatever it is.
const CHAT_WRITE: &[Code] = &[Code::ChatNotFound, Code::NotAllowed, Code::Archived, Code::Erased];
