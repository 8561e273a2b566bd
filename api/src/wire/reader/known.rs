//! The fields that readers asked for, so that a test can compare them with what the contract describes.

use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// A reader asks for the field at `pointer`.
pub fn note(pointer: String) {
    ASKED.with_borrow_mut(|asked| asked.insert(pointer));
}

/// Forgets what this thread's readers asked for.
pub fn forget() {
    ASKED.take();
}

/// What this thread's readers asked for since then.
pub fn asked() -> BTreeSet<String> {
    ASKED.with_borrow(Clone::clone)
}
