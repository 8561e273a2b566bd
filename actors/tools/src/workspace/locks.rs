//! Turns by name: what concerns one chat, or one workspace, is done one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedMutexGuard};

/// Turns by name.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    /// Waits for the turn; it ends when the guard is dropped.
    pub async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock();
            // As many as are waited for right now, and no more.
            held.retain(|_, lock| lock.strong_count() > 0);
            match held.get(name).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    held.insert(name.to_owned(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}

/// Runs that have not begun, by name: whoever comes before one begins shares what it finds. Nobody is told what was found
/// before he asked.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    waiting: Mutex<HashMap<String, Weak<OnceCell<T>>>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared { waiting: Mutex::default() }
    }
}

impl<T: Clone> Shared<T> {
    /// Joins the run of this name that waits for its turn, or is the first to wait for it.
    pub async fn run<Run: Future<Output = T>>(
        &self,
        name: &str,
        turn: impl Future<Output = OwnedMutexGuard<()>>,
        run: impl FnOnce() -> Run,
    ) -> T {
        let cell = {
            let mut waiting = self.waiting.lock();
            waiting.retain(|_, cell| cell.strong_count() > 0);
            match waiting.get(name).and_then(Weak::upgrade) {
                Some(cell) => cell,
                None => {
                    let cell = Arc::new(OnceCell::new());
                    waiting.insert(name.to_owned(), Arc::downgrade(&cell));
                    cell
                }
            }
        };
        let begin = async {
            let _turn = turn.await;
            {
                let mut waiting = self.waiting.lock();
                // Another may wait by now, if somebody else had begun this one and gave up.
                if waiting.get(name).is_some_and(|next| std::ptr::eq(next.as_ptr(), Arc::as_ptr(&cell))) {
                    waiting.remove(name);
                }
            }
            run().await
        };
        cell.get_or_init(|| begin).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_waits_shares_the_next_run_and_nobody_the_one_that_goes_on() {
        let (locks, shared, runs) = (Locks::default(), Shared::default(), AtomicUsize::new(0));
        let count = || async { runs.fetch_add(1, Ordering::SeqCst) + 1 };
        let going_on = locks.turn("w").await;
        let ask = || shared.run("w", locks.turn("w"), count);
        let release = async { drop(going_on) };
        let (first, second, third, other, ()) =
            tokio::join!(ask(), ask(), ask(), shared.run("other", locks.turn("other"), count), release);
        assert_eq!(other, 1, "what has another name waits for nobody");
        assert_eq!([first, second, third], [2; 3]);
        assert_eq!(ask().await, 3, "what was found before is not told again");
        assert!(shared.waiting.lock().is_empty());
    }
}
