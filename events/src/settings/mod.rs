//! The settings that can be changed while servers run: model providers, models, budgets and templates of workspaces, as
//! events of one stream of the log.
//!
//! The stream is a stream like any chat's, with its versions and its chain of hashes, and no chat: its id is reserved, its
//! events have their own types, its state is folded by `Settings::apply`. Whatever reads the whole log passes it over, or
//! knows it. What a node's own file says lies beneath (`Base`); what stands in the stream wins over it (`Effective`).
//!
//! **Invariant:** whatever `decide` returns, `Settings::apply` accepts. **Invariant:** what `apply` accepts does not depend
//! on any node's file.

mod decide;
mod effective;
mod entry;
mod event;
mod state;
mod templates;
mod wire;

use uuid::Uuid;

use crate::ids::ChatId;

pub use decide::{
    Given, KeyChange, ModelChange, ProviderChange, SettingsCommand, SettingsRejection, decide, is_key_variable,
};
pub use effective::{Base, Effective, Entry, Source};
pub use entry::{Model, NAME_MAX_BYTES, Provider, ProviderKind, check_accepts};
pub use event::{
    BudgetRemoved, BudgetSet, DefaultModelSet, ModelRemoved, ModelSet, ProviderRemoved, ProviderSet, SettingsEvent,
    TemplateRemoved, TemplateSet,
};
pub use state::{IllegalSetting, RecordedSetting, Settings};
pub use templates::{TEMPLATES_MAX, TemplateChange};
pub use wire::{SETTINGS_EVENT_TYPES, decode, event_type, readable_schemas, seal};

/// The stream's id. Chats have ids of version 7, so none ever has this one.
pub const SETTINGS_STREAM: ChatId = ChatId(Uuid::from_u128(0x0000_0000_0000_8000_8000_0000_0000_0001));

#[cfg(test)]
mod tests;
