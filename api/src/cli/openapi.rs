//! `verbatim openapi`: the contract of the HTTP interface.

use std::process::ExitCode;

use super::output::put;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    put(crate::openapi::text())?;
    Ok(ExitCode::SUCCESS)
}
