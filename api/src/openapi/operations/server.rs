//! The server itself.

use serde_json::json;

use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{path, query};
use super::api;
use crate::error::Code;

pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("post", api("/keys"), "createKey", "keys", "Make a key")
            .about("The key itself is in this answer and nowhere else ever after.")
            .body("CreateKey", true)
            .answers(201, "The new key.", schema_ref("Key"))
            .with_header("Cache-Control", "`no-store`.", true)
            .fails(&[Code::Forbidden, Code::KeysUnavailable]),
        Operation::new("get", api("/keys"), "listKeys", "keys", "List keys")
            .about("In the order in which they were made, revoked ones too.")
            .takes([query::limit(), query::cursor()])
            .answers(200, "A page of keys.", page_of(schema_ref("Key")))
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::KeysUnavailable]),
        Operation::new("delete", api("/keys/{key}"), "revokeKey", "keys", "Revoke a key")
            .about("Streams that were opened with it end. One that was revoked before stays so.")
            .takes([path::key()])
            .answers_nothing(204, "It is no longer valid.")
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::KeyNotFound, Code::KeysUnavailable]),
        Operation::new("get", api("/workspaces"), "listWorkspaces", "workspaces", "All workspaces")
            .about("With what confines the commands in them on the server's own machine.")
            .answers(200, "All of them.", schema_ref("Workspaces"))
            .fails(&[Code::InvalidRequest, Code::Forbidden]),
        Operation::new("delete", api("/workspaces/{workspace}"), "deleteWorkspace", "workspaces", "Take it away")
            .about(
                "What runs in it ends, and its files go with it. A chat that has it makes another when it needs one.",
            )
            .takes([path::workspace()])
            .answers_nothing(204, "It is gone, or going.")
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::WorkspaceNotFound, Code::WorkspacesUnavailable]),
        Operation::new("get", api("/usage"), "listUsage", "usage", "What was spent")
            .about(
                "Tokens and cost, in sums per heading, with those of compactions, titles, advice and failed tries. Who is \
                 neither auditor nor administrator sees their own. What was spent on a chat stays when it is erased.",
            )
            .takes([
                query::group(),
                query::owner(),
                query::model(),
                query::of_chat(),
                query::family(),
                query::from(),
                query::to(),
                query::limit(),
                query::cursor(),
            ])
            .answers(200, "A page of sums, and what all pages come to.", schema_ref("UsageReport"))
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::ReadsBehind]),
        Operation::new("get", api("/budgets"), "listBudgets", "usage", "The budgets that were set")
            .about("In the order of their owners. Who is neither auditor nor administrator sees their own.")
            .takes([query::limit(), query::cursor()])
            .answers(200, "A page of budgets.", page_of(schema_ref("Budget")))
            .fails(&[Code::InvalidRequest, Code::ReadsBehind]),
        Operation::new("get", api("/budgets/{owner}"), "readBudget", "usage", "What an owner may spend, and has spent")
            .about("Their own budget, or the default one of the server's file.")
            .takes([path::owner()])
            .answers(200, "The budget that counts.", schema_ref("Budget"))
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::ReadsBehind]),
        Operation::new("put", api("/budgets/{owner}"), "setBudget", "usage", "Give an owner a budget")
            .about(
                "Counts for every turn that begins from now on. Once it is used up a turn fails with `usage_limit` before \
                 its first model call; one that has begun is not cut. Messages that wait behind such a turn go on.",
            )
            .takes([path::owner()])
            .body("SetBudget", true)
            .answers(200, "The budget.", schema_ref("Budget"))
            .changes()
            .fails(&[Code::Forbidden, Code::TooManySettings]),
        Operation::new("delete", api("/budgets/{owner}"), "deleteBudget", "usage", "Take a budget back")
            .about("The default one of the server's file counts again.")
            .takes([path::owner()])
            .answers_nothing(204, "It is gone.")
            .changes()
            .fails(&[Code::Forbidden, Code::BudgetNotFound]),
        Operation::new("get", api("/projections"), "listProjections", "projections", "How far the read models are")
            .answers(200, "All of them.", page_of(schema_ref("Projection")))
            .fails(&[Code::InvalidRequest, Code::Forbidden]),
        Operation::new("get", "/healthz", "health", "server", "The process answers").public().answers(
            200,
            "It does.",
            schema_ref("Health"),
        ),
        Operation::new("get", "/readyz", "readiness", "server", "The log answers, the read models keep up with it")
            .public()
            .answers(200, "They do.", schema_ref("Health"))
            .answers(503, "They do not, or the server is stopping.", schema_ref("Health")),
        Operation::new("get", "/metrics", "metrics", "server", "Figures for Prometheus")
            .about("For any valid key, or for everybody where the settings say so.")
            .answers_as(200, "Prometheus text.", "text/plain", json!({"schema": {"type": "string"}})),
        Operation::new("get", "/openapi.json", "contract", "server", "This document").public().answers(
            200,
            "OpenAPI 3.1.",
            json!({"type": "object", "required": ["openapi", "info", "paths"]}),
        ),
        Operation::new("get", "/docs", "documentation", "server", "This document, for people").public().answers_as(
            200,
            "A page that works offline.",
            "text/html",
            json!({"schema": {"type": "string"}}),
        ),
    ]
}
