//! What readers ask. Every query runs on the read models' runtime, against the generation that is live when it starts.

mod chats;
mod cursor;
mod erased;
mod files;
mod idle;
mod inbox;
mod messages;
mod turns;
mod usage;
mod work;
mod workspaces;

pub use chats::{ChatFilter, Parent};
pub use files::FileStanding;
pub use inbox::{INBOX_MAX, InboxEntry, InboxFilter, Unread};
pub use messages::{MessagePage, MessageQuery, MessageRow};
pub use turns::TurnSummary;
pub use usage::{SpentOnDay, UsageFilter, UsageGroup, UsageSum};

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing<T> {
    /// The items in order.
    pub items: Vec<T>,
    /// Where the next page starts; absent at the end.
    pub next_cursor: Option<String>,
}

/// The largest page a query returns, whatever it was asked for.
const PAGE_MAX: usize = 1000;

/// One row more than asked for tells whether there are more.
fn rows_to_fetch(limit: usize) -> u64 {
    limit.clamp(1, PAGE_MAX) as u64 + 1
}

/// Cuts `items` to `limit`; whether there were more.
fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let more = items.len() > limit.clamp(1, PAGE_MAX);
    items.truncate(limit.clamp(1, PAGE_MAX));
    more
}
