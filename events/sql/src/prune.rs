//! When old receipts are removed: now and then, never more than a little at once.

/// How often the writer looks for old receipts, in microseconds.
const EVERY_MICROS: i64 = 60 * 60 * 1_000_000;
/// Receipts removed at once. As long as that many are found, the next look follows at once.
pub(crate) const PRUNED_MAX: i64 = 500;

/// Remembers when the next look is due; the first is due at the start.
#[derive(Default)]
pub(crate) struct Pruning {
    next_micros: Option<i64>,
}

impl Pruning {
    /// Whether a look is due.
    pub(crate) fn is_due(&self, now_micros: i64) -> bool {
        self.next_micros.is_none_or(|next| now_micros >= next)
    }

    /// Notes a look that removed so many.
    pub(crate) fn done(&mut self, now_micros: i64, removed: u64) {
        let more = removed >= PRUNED_MAX as u64;
        self.next_micros = if more { None } else { Some(now_micros.saturating_add(EVERY_MICROS)) };
    }
}

#[cfg(test)]
mod tests;
