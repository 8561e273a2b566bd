//! Budgets.

use serde_json::Value;
use verbatim_events::budget::{Budget, BudgetPeriod};

use super::{done, read};
use crate::error::Problem;
use crate::wire::reader::{Errors, Null, Object, wrong_type};

/// `PUT /budgets/{owner}`
#[derive(Debug, PartialEq)]
pub struct BudgetRequest {
    /// What the owner may spend.
    pub budget: Budget,
}

impl BudgetRequest {
    /// Reads and checks the body. A limit that is null or left out is none.
    pub fn read(body: &[u8]) -> Result<BudgetRequest, Problem> {
        let periods = [BudgetPeriod::Day, BudgetPeriod::Month].map(|period| (period.name(), period));
        read(body, Null::IsAbsent, |errors, object| BudgetRequest {
            budget: Budget {
                // Without one the body is refused.
                period: object.need_word(errors, "period", &periods).unwrap_or(BudgetPeriod::Month),
                limit_micros: limit(errors, object, "limit_micros"),
                limit_tokens: limit(errors, object, "limit_tokens"),
            },
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

fn limit(errors: &mut Errors, object: &mut Object, name: &str) -> Option<u64> {
    let value: Value = object.take(errors, name)?;
    let number = value.as_u64();
    if number.is_none() {
        wrong_type(errors, &object.pointer(name), "a whole number, 0 or more", &value);
    }
    number
}
