//! What the families of models accept: how they are told to think, and how much they put out.
//!
//! Up to 4.5 thinking has a budget of tokens; from 4.6 on the model decides for itself, guided by an effort, and from 4.7 on
//! a budget is refused. From 5.1 on a block of thinking counts only after exactly what it was thought about, and a request
//! is refused where that changed, unless it asks for such blocks to be dropped. Models of other vendors that speak this
//! protocol know budgets.

use serde::Serialize;

use crate::effort::{Effort, base_name, version_at};

/// The smallest budget that is accepted, in tokens.
const BUDGET_MIN_TOKENS: u64 = 1024;

/// What a budget leaves for the answer, in tokens, where the limit has room for it.
const ANSWER_TOKENS: u64 = 4096;

/// What lets a request say that stale thinking is to be dropped.
const BINDING_BETA: &str = "thinking-binding-controls-2026-08-01";

/// How a model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Not at all.
    Unthinking,
    /// Within a budget, if it is given one.
    Budgeted,
    /// As it sees fit.
    Adaptive,
}

/// What a model accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    kind: Kind,
    /// Thinking cannot be switched off.
    always_thinks: bool,
    /// Thinking is bound to what precedes it.
    is_bound: bool,
    /// It knows the effort between high and max.
    knows_extra_high: bool,
    /// The output limit of a request that names none, in tokens.
    pub(super) default_max_tokens: u64,
}

impl Family {
    /// The family of a model, by the provider's name of it.
    pub(super) fn of(provider_model: &str) -> Family {
        let name = base_name(provider_model);
        let claude = name.find("claude-").map(|at| &name[at + "claude-".len()..]);
        let Some(rest) = claude else {
            return Family {
                kind: Kind::Budgeted,
                always_thinks: false,
                is_bound: false,
                knows_extra_high: false,
                default_max_tokens: 8192,
            };
        };
        // Behind the family's name (`opus-4-6`), or before it (`3-7-sonnet`); a newer one may have none (`mythos-preview`).
        let version = rest.split_inclusive('-').scan(0, |at, piece| {
            let from = *at;
            *at += piece.len();
            Some(from)
        });
        let version = version.map(|from| &rest[from..]).find_map(version_at);
        let since = |first: (u32, u32)| version.is_none_or(|version| version >= first);
        Family {
            kind: match version {
                Some(version) if version < (3, 7) => Kind::Unthinking,
                Some(version) if version < (4, 6) => Kind::Budgeted,
                Some(_) | None => Kind::Adaptive,
            },
            always_thinks: since((5, 0)),
            is_bound: version.is_some_and(|version| version >= (5, 1)),
            knows_extra_high: version.is_some_and(|version| version >= (4, 7)),
            default_max_tokens: match version {
                Some(version) if version < (3, 5) => 4096,
                Some(version) if version < (3, 7) => 8192,
                Some(_) | None => 32_000,
            },
        }
    }

    /// The beta feature that a request to such a model needs.
    pub(super) fn beta(self) -> Option<&'static str> {
        self.is_bound.then_some(BINDING_BETA)
    }

    /// How the model is told to think, within an output limit of `max_tokens`. `can_begin` says that a thinking block may
    /// begin what is to be answered; a budget is refused where it may not.
    pub(super) fn thinking(self, effort: Option<Effort>, max_tokens: u64, can_begin: bool) -> Thought {
        match self.kind {
            Kind::Unthinking => Thought::default(),
            Kind::Budgeted => Thought {
                thinking: effort
                    .filter(|_| can_begin)
                    .and_then(|effort| budget(effort, max_tokens))
                    .map(|budget_tokens| Thinking::Enabled { budget_tokens }),
                output_config: None,
            },
            Kind::Adaptive => {
                let thinks = self.is_bound || effort.is_some_and(|effort| effort != Effort::None);
                let block_binding = self.is_bound.then_some(BlockBinding { prefix_mismatch_behavior: "drop_block" });
                Thought {
                    thinking: thinks.then_some(Thinking::Adaptive { display: "summarized", block_binding }),
                    output_config: effort
                        .and_then(|effort| self.accepted(effort))
                        .map(|effort| OutputConfig { effort: effort.name() }),
                }
            }
        }
    }

    /// The nearest effort that an adaptive model knows; nothing where it is not to think and can do so.
    fn accepted(self, effort: Effort) -> Option<Effort> {
        match effort {
            Effort::None if self.always_thinks => Some(Effort::Low),
            Effort::None => None,
            Effort::Minimal => Some(Effort::Low),
            Effort::ExtraHigh if !self.knows_extra_high => Some(Effort::High),
            effort => Some(effort),
        }
    }
}

/// The part of a request about thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Thought {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        /// Newer models keep their thinking to themselves unless they are asked.
        display: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        block_binding: Option<BlockBinding>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BlockBinding {
    prefix_mismatch_behavior: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct OutputConfig {
    effort: &'static str,
}

/// The budget of an effort, as far as the output limit has room for it beside an answer; nothing if there is too little.
fn budget(effort: Effort, max_tokens: u64) -> Option<u64> {
    let wanted = match effort {
        Effort::None => return None,
        Effort::Minimal => BUDGET_MIN_TOKENS,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::ExtraHigh => 32_768,
        Effort::Max => 65_536,
    };
    let room = max_tokens.saturating_sub(ANSWER_TOKENS.min(max_tokens / 4));
    (room >= BUDGET_MIN_TOKENS && room < max_tokens).then(|| wanted.min(room))
}
