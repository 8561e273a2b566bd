//! Lists.

use serde::Serialize;

/// The fewest items a list can be asked for.
pub const LIMIT_MIN: usize = 1;

/// The most items a list gives at once.
pub const LIMIT_MAX: usize = 200;

/// The items a list gives where the caller does not say.
pub const LIMIT_DEFAULT: usize = 50;

/// A list: `{items, next_cursor}`; `next_cursor` is null at the end.
#[derive(Debug, Serialize)]
pub struct PageView<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; opaque.
    pub next_cursor: Option<String>,
}
