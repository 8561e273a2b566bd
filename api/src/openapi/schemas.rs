//! The named schemas of the document.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::{events, requests};
use crate::error::Code;
use crate::routes::audit::{AuditFailureView, AuditProgressView, AuditReportView};
use crate::routes::commands::AcceptedView;
use crate::routes::health::HealthView;
use crate::routes::projections::{FailureView, ProgressView, ProjectionView, ReportView};
use crate::routes::title::ProposedTitleView;
use crate::stream::session::{HeartbeatView, ResetView};
use crate::stream::snapshot::SnapshotView;
use crate::watch::notices::NoticeView;
use crate::watch::session::InboxSnapshotView;
use crate::webhooks::WebhookView;
use crate::wire::attempt::AttemptPromptView;
use crate::wire::budget::BudgetView;
use crate::wire::chat::ChatView;
use crate::wire::diff::DiffView;
use crate::wire::event::{DecisionView, SettingsView};
use crate::wire::file::FileView;
use crate::wire::key::KeyView;
use crate::wire::message::{MessageView, QueuedView};
use crate::wire::notification::{AllReadView, MarkedView, NotificationView};
use crate::wire::raw::RawView;
use crate::wire::settings::{ModelView, ProviderView};
use crate::wire::turn::TurnView;
use crate::wire::usage::UsageReportView;
use crate::wire::words;
use crate::wire::workspace::{TemplateView, WorkspacesView};

type Named = Vec<(String, RefOr<Schema>)>;

/// A shape with all shapes that it names.
fn add<T: ToSchema>(named: &mut Named) {
    named.push((T::name().into_owned(), T::schema()));
    T::schemas(named);
}

/// All schemas by name.
pub fn all() -> Map<String, Value> {
    let mut named = Named::new();
    add::<KeyView>(&mut named);
    add::<FileView>(&mut named);
    add::<NoticeView>(&mut named);
    add::<ChatView>(&mut named);
    add::<MessageView>(&mut named);
    add::<QueuedView>(&mut named);
    add::<TurnView>(&mut named);
    add::<UsageReportView>(&mut named);
    add::<BudgetView>(&mut named);
    add::<AcceptedView>(&mut named);
    add::<ProposedTitleView>(&mut named);
    add::<SnapshotView>(&mut named);
    add::<RawView>(&mut named);
    add::<SettingsView>(&mut named);
    add::<DecisionView>(&mut named);
    add::<ResetView>(&mut named);
    add::<HeartbeatView>(&mut named);
    add::<ProjectionView>(&mut named);
    add::<ProgressView>(&mut named);
    add::<ReportView>(&mut named);
    add::<AuditProgressView>(&mut named);
    add::<AuditReportView>(&mut named);
    add::<AuditFailureView>(&mut named);
    add::<AttemptPromptView>(&mut named);
    add::<FailureView>(&mut named);
    add::<NotificationView>(&mut named);
    add::<MarkedView>(&mut named);
    add::<AllReadView>(&mut named);
    add::<InboxSnapshotView>(&mut named);
    add::<WebhookView>(&mut named);
    add::<HealthView>(&mut named);
    add::<ProviderView>(&mut named);
    add::<ModelView>(&mut named);
    add::<TemplateView>(&mut named);
    add::<WorkspacesView>(&mut named);
    add::<DiffView>(&mut named);
    // Only events name these.
    add::<words::UsagePurpose>(&mut named);
    add::<words::ToolDefinition>(&mut named);
    add::<words::WithdrawalReason>(&mut named);
    add::<words::PromotedTo>(&mut named);
    add::<words::EffectClass>(&mut named);
    add::<words::CapacityScope>(&mut named);
    add::<words::AbandonCause>(&mut named);
    add::<words::ActionResolution>(&mut named);
    add::<words::InterruptCause>(&mut named);
    add::<words::CompactionSource>(&mut named);
    add::<words::ChildKind>(&mut named);
    add::<words::TurnOutcome>(&mut named);
    // Only requests name this.
    add::<words::ToolPolicy>(&mut named);
    let mut schemas: Map<String, Value> = Map::new();
    for (name, schema) in named {
        let mut schema = serde_json::to_value(schema).unwrap_or_default();
        never_null(&mut schema);
        schemas.insert(name, schema);
    }
    schemas.extend(events::schemas());
    schemas.extend(requests::schemas());
    schemas.insert("Problem".into(), problem());
    schemas
}

/// Fields of answers that may be absent are absent where they have no value, never null.
fn never_null(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    let required = members.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for (name, property) in properties {
            never_null(property);
            if !is_required(name) {
                without_null(property);
            }
        }
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(Value::Array(schemas)) = members.get_mut(key) {
            schemas.iter_mut().for_each(never_null);
        }
    }
    if let Some(items) = members.get_mut("items") {
        never_null(items);
    }
}

/// Takes null out of a schema's types or choices.
fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("oneOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if let [only] = choices.as_slice() {
        let mut only = only.clone();
        if let (Some(description), Value::Object(members)) = (schema.get("description"), &mut only) {
            members.entry("description").or_insert_with(|| description.clone());
        }
        *schema = only;
    }
}

/// An error answer.
fn problem() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    json!({
        "type": "object",
        "description": "Why a request was not done (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "`/problems/` and the code."},
            "title": {"type": "string", "description": "The same for every occurrence."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened this time and what to do, for a person."},
            "code": {"type": "string", "enum": codes, "description": "Its kind; stable."},
            "errors": {
                "type": "array",
                "description": "What is wrong with the body, where that is the problem.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "description": "A JSON pointer (RFC 6901) into the body; empty for the whole body.",
                        },
                        "detail": {"type": "string"},
                    },
                },
            },
        },
    })
}
