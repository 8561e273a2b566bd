//! What was spent: per day (UTC), owner, model, purpose and chat, the sums of what single events say. They hold nobody's
//! words and stay when a chat is erased: what was paid was paid. Its erasure says all of them once more, for whoever can read
//! nothing before it; so its rows are made anew from that, whoever reads.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use verbatim_events::event::{ChatErased, Event, UsagePurpose};
use verbatim_events::ids::ChatId;
use verbatim_events::message::Usage;
use verbatim_events::price::Cost;
use verbatim_events::spending::SpendingShare;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, id, key, name};
use crate::batch::Batch;
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The sums.
pub(super) struct UsageDays;

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

const COLUMNS: &[Column] = &[
    key("owner", Kind::Text),
    key("day", Kind::Integer),
    key("model", Kind::Text),
    key("purpose", Kind::Text),
    key("chat_id", Kind::Id),
    column("root", Kind::Id),
    column("steps", Kind::Integer),
    column("unpriced_steps", Kind::Integer),
    column("cost_micros", Kind::Integer),
    column("input_tokens", Kind::Integer),
    column("output_tokens", Kind::Integer),
    column("cache_read_tokens", Kind::Integer),
    column("cache_write_tokens", Kind::Integer),
    column("reasoning_tokens", Kind::Integer),
];

/// What a row is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    owner: &'a str,
    /// Days since 1970.
    day: i64,
    /// Empty where an event names none.
    model: &'a str,
    purpose: UsagePurpose,
    chat_id: ChatId,
    root: ChatId,
}

#[derive(Default)]
struct Sum {
    steps: u64,
    usage: Usage,
    cost: Cost,
}

impl Projection for UsageDays {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "usage_days", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let gone: Vec<_> = told_anew(batch).keys().map(|chat_id| chat_id.0).collect();
        let mut statements = in_list("DELETE FROM usage_days WHERE chat_id IN ", "", &gone);
        statements.extend(multi_row(
            "INSERT INTO usage_days (owner, day, model, purpose, chat_id, root, steps, unpriced_steps, cost_micros,
             input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            " ON CONFLICT (owner, day, model, purpose, chat_id) DO UPDATE SET
             steps = usage_days.steps + excluded.steps,
             unpriced_steps = usage_days.unpriced_steps + excluded.unpriced_steps,
             cost_micros = usage_days.cost_micros + excluded.cost_micros,
             input_tokens = usage_days.input_tokens + excluded.input_tokens,
             output_tokens = usage_days.output_tokens + excluded.output_tokens,
             cache_read_tokens = usage_days.cache_read_tokens + excluded.cache_read_tokens,
             cache_write_tokens = usage_days.cache_write_tokens + excluded.cache_write_tokens,
             reasoning_tokens = usage_days.reasoning_tokens + excluded.reasoning_tokens",
            sums(batch).iter().map(|(place, sum)| row(place, sum)).collect(),
        ));
        statements
    }
}

/// The erased chats whose erasure says what was spent on them. An older program's says nothing, and what was before it can
/// be read.
fn told_anew(batch: &Batch) -> BTreeMap<ChatId, &[SpendingShare]> {
    let erasures = batch.steps.iter().filter_map(|step| {
        let Event::ChatErased(ChatErased { remains: Some(remains), .. }) = &step.recorded.event else { return None };
        Some((step.recorded.chat_id, remains.spending.as_slice()))
    });
    erasures.collect()
}

fn sums(batch: &Batch) -> BTreeMap<Place<'_>, Sum> {
    let erasures = told_anew(batch);
    let mut sums: BTreeMap<Place<'_>, Sum> = BTreeMap::new();
    for step in &batch.steps {
        let recorded = &step.recorded;
        let Some(touched) = batch.chats.get(&recorded.chat_id) else { continue };
        let place = |day, model, purpose| Place {
            owner: &touched.after.owner,
            day,
            model,
            purpose,
            chat_id: recorded.chat_id,
            root: touched.after.root,
        };
        let today = recorded.recorded_at.timestamp().div_euclid(DAY_SECONDS);
        if let Some(shares) = erasures.get(&recorded.chat_id) {
            if !matches!(recorded.event, Event::ChatErased(_)) {
                continue;
            }
            for share in *shares {
                let day = share.day.and_time(NaiveTime::MIN).and_utc().timestamp().div_euclid(DAY_SECONDS);
                let sum =
                    sums.entry(place(day, share.model.as_deref().unwrap_or_default(), share.purpose)).or_default();
                sum.steps += share.steps;
                sum.usage.add(&share.usage);
                sum.cost.add(&share.cost);
            }
        } else if let Some(spending) = recorded.event.spending() {
            let sum = sums.entry(place(today, spending.model.unwrap_or_default(), spending.purpose)).or_default();
            sum.steps += 1;
            sum.usage.add(&spending.usage);
            sum.cost.add_step(spending.cost_micros);
        }
    }
    sums
}

fn row(place: &Place<'_>, sum: &Sum) -> Vec<Value> {
    let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens } = sum.usage;
    vec![
        Value::text(place.owner),
        Value::Integer(Some(place.day)),
        Value::text(place.model),
        name(&place.purpose),
        id(place.chat_id),
        id(place.root),
        Value::unsigned(sum.steps),
        Value::unsigned(sum.cost.unpriced_steps),
        Value::unsigned(sum.cost.known_micros),
        Value::unsigned(input_tokens),
        Value::unsigned(output_tokens),
        Value::unsigned(cache_read_tokens),
        Value::unsigned(cache_write_tokens),
        Value::unsigned(reasoning_tokens),
    ]
}
