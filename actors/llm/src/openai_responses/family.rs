//! What the families of models accept: whether they reason, and how hard they can be told to.

use std::borrow::Cow;

use crate::effort::{Effort, base_name, version_at};

/// What a model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// It does not reason and refuses to be told how.
    Plain,
    /// It reasons, within these efforts.
    Reasoning {
        lowest: Effort,
        highest: Effort,
        /// It knows `minimal`, as between `none` and `low`.
        knows_minimal: bool,
    },
    /// A model nobody here knows; it is told what was said.
    Unknown,
}

impl Family {
    /// The family of a model, by the provider's name of it.
    pub(super) fn of(provider_model: &str) -> Family {
        let name = base_name(provider_model);
        let reasoning = |lowest, highest, knows_minimal| Family::Reasoning { lowest, highest, knows_minimal };
        if ["gpt-3", "gpt-4", "chatgpt-", "gpt-5-chat"].iter().any(|prefix| name.starts_with(prefix)) {
            return Family::Plain;
        }
        if name.strip_prefix('o').and_then(version_at).is_some() {
            return reasoning(Effort::Low, Effort::High, false);
        }
        match name.strip_prefix("gpt-").and_then(version_at) {
            // These were made for code and always reason.
            Some(version) if name.contains("codex") => {
                let knows_extra_high = version >= (5, 2) || name.contains("codex-max");
                reasoning(Effort::Low, if knows_extra_high { Effort::ExtraHigh } else { Effort::High }, false)
            }
            Some(version) if version < (5, 1) && name.contains("-pro") => reasoning(Effort::High, Effort::High, false),
            Some(version) if version < (5, 1) => reasoning(Effort::Minimal, Effort::High, true),
            Some(version) if version < (5, 2) => reasoning(Effort::None, Effort::High, false),
            Some(version) if version < (5, 6) => reasoning(Effort::None, Effort::ExtraHigh, false),
            Some(_) => reasoning(Effort::None, Effort::Max, false),
            None => Family::Unknown,
        }
    }

    /// It may reason.
    pub(super) fn reasons(self) -> bool {
        self != Family::Plain
    }

    /// The nearest effort that the model knows; nothing if it knows none.
    pub(super) fn effort(self, wanted: &str) -> Option<Cow<'_, str>> {
        let known = Effort::read(wanted);
        match (self, known) {
            (Family::Plain, _) => None,
            (Family::Unknown, _) | (Family::Reasoning { .. }, None) => Some(Cow::Owned(wanted.to_owned())),
            (Family::Reasoning { lowest, highest, knows_minimal }, Some(effort)) => {
                let effort = effort.clamp(lowest, highest);
                let effort = if effort == Effort::Minimal && !knows_minimal { Effort::Low } else { effort };
                Some(Cow::Borrowed(effort.name()))
            }
        }
    }
}
