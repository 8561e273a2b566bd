//! Query strings, checked like bodies: a parameter that nobody asks for is an error.

use actix_web::HttpRequest;
use actix_web::web;

use crate::auth::ACCESS_TOKEN;
use crate::error::Problem;
use crate::wire::page::{LIMIT_DEFAULT, LIMIT_MAX, LIMIT_MIN};

/// The parameters of a request, decoded, in order.
pub fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>, Problem> {
    web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|_| Problem::invalid("the query string cannot be read"))
}

/// The parameters of a request that are not read yet.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// The parameters of a request; a key in them has been read already.
    pub fn of(request: &HttpRequest) -> Result<Query, Problem> {
        let mut pairs = pairs(request)?;
        pairs.retain(|(name, _)| name != ACCESS_TOKEN);
        Ok(Query { pairs })
    }

    /// All values of a parameter.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.pairs.extract_if(.., |(known, _)| known == name).map(|(_, value)| value).collect()
    }

    /// A parameter that may stand there once.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(Problem::invalid(format!("{name} stands in the query more than once")));
        }
        Ok(values.pop())
    }

    /// A number.
    pub fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.one(name)?.map(|text| number(name, &text)).transpose()
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        self.one(name)?.map(|text| boolean(name, &text)).transpose()
    }

    /// How many items a list is to give.
    pub fn limit(&mut self) -> Result<usize, Problem> {
        let Some(limit) = self.number("limit")? else { return Ok(LIMIT_DEFAULT) };
        usize::try_from(limit)
            .ok()
            .filter(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| Problem::invalid(format!("limit must be {LIMIT_MIN} to {LIMIT_MAX}")))
    }

    /// Whatever nobody asked for is unknown.
    pub fn finish(self) -> Result<(), Problem> {
        match self.pairs.first() {
            None => Ok(()),
            // The value stays unsaid: it may be a secret under a misspelt name.
            Some((name, _)) => Err(Problem::invalid(format!("unknown query parameter {name:?}"))),
        }
    }
}

fn boolean(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::invalid(format!("{name} must be true or false"))),
    }
}

fn number(name: &str, text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| Problem::invalid(format!("{name} must be a whole number, 0 or more")))
}

#[cfg(test)]
mod tests;
