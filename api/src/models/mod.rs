//! Models and providers: what the file says, what was set over the API, and the engines behind them. Budgets and templates
//! are set in the same way; who needs them is told here.
//!
//! The settings' stream is folded once at the start and kept in memory; own changes count at once, other writers' are
//! found by following the log. Each change makes a new `Catalog` snapshot, which the next step of every turn is resolved
//! from: a look at memory, never a query.

mod base;
mod catalog;
mod engines;
mod keys;
mod store;
#[cfg(test)]
mod tests;

pub use base::base_of;
pub use catalog::{Catalog, Roles};
pub use keys::{KeyProblem, ProviderKeys};
pub use store::{ChangeError, Changed, Held, OpenSettingsError, SettingsStore, StoreOptions};
