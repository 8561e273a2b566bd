//! Watching all of one's chats: one follower of the log per node tells every watcher what happens in which chat, in the
//! log's order. A watcher that was away is told from the log what it missed.
//!
//! **Invariant:** for every watcher each notice comes once: the follower says up to which position it has gone when it
//! lets a watcher in, the log is read up to exactly there, and what comes live begins after it.

pub mod cursor;
pub mod follower;
pub mod notices;
pub mod outlines;
pub mod session;
