//! Providers, models and templates.

use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{path, query};
use super::api;
use crate::error::Code;

const PRESENT: &str = "What was set, as it is now.";

/// What a read of the settings can fail with.
fn read(operation: Operation, more: &[Code]) -> Operation {
    operation.takes([super::super::parameters::header::position()]).fails(more).fails(&[
        Code::InvalidRequest,
        Code::LogUnavailable,
        Code::ReadsBehind,
        Code::ChatDamaged,
    ])
}

pub(super) fn all() -> Vec<Operation> {
    [providers(), models(), templates()].into_iter().flatten().collect()
}

fn providers() -> Vec<Operation> {
    let operation = |method, id, summary| Operation::new(method, api("/providers/{provider}"), id, "models", summary);
    vec![
        read(
            Operation::new("get", api("/providers"), "listProviders", "models", "List providers")
                .about("In the order of their names: the file's and those that were set. Keys are never shown.")
                .takes([query::limit(), query::cursor()])
                .answers(200, "A page of providers.", page_of(schema_ref("Provider"))),
            &[Code::Forbidden],
        ),
        Operation::new("post", api("/providers"), "createProvider", "models", "Make a provider")
            .about("Counts on every server from the next step of every turn on, without a restart.")
            .body("CreateProvider", true)
            .answers(201, PRESENT, schema_ref("Provider"))
            .with_header("Location", "The provider's address.", true)
            .changes()
            .fails(&[Code::AlreadyExists, Code::TooManySettings]),
        read(
            operation("get", "readProvider", "A provider").takes([path::provider()]).answers(
                200,
                "The provider.",
                schema_ref("Provider"),
            ),
            &[Code::Forbidden, Code::ProviderNotFound],
        ),
        operation("put", "replaceProvider", "Make or replace a provider")
            .about("Wins over one of the server's file. Its key stays where the body says nothing of it.")
            .takes([path::provider()])
            .body("ReplaceProvider", true)
            .answers(200, PRESENT, schema_ref("Provider"))
            .changes()
            .fails(&[Code::ProviderInUse, Code::TooManySettings]),
        operation("patch", "changeProvider", "Change a provider")
            .about("One that is disabled fails the turns of its models as `provider_disabled`.")
            .takes([path::provider()])
            .body("ChangeProvider", true)
            .answers(200, PRESENT, schema_ref("Provider"))
            .changes()
            .fails(&[Code::ProviderNotFound, Code::ProviderInUse, Code::TooManySettings]),
        operation("delete", "deleteProvider", "Take a provider back")
            .about("What was set is gone; one of the server's file counts again. One that models use stays.")
            .takes([path::provider()])
            .answers_nothing(204, "It is gone.")
            .changes()
            .fails(&[Code::ProviderNotFound, Code::ProviderInUse, Code::SetInFile]),
    ]
}

fn models() -> Vec<Operation> {
    let operation = |method, id, summary| Operation::new(method, api("/models/{model}"), id, "models", summary);
    vec![
        read(
            Operation::new("get", api("/models"), "listModels", "models", "List models")
                .about("In the order of their names, for every key.")
                .takes([query::limit(), query::cursor()])
                .answers(200, "A page of models.", page_of(schema_ref("Model"))),
            &[],
        ),
        Operation::new("post", api("/models"), "createModel", "models", "Make a model")
            .about("Counts on every server from the next step of every turn on, without a restart.")
            .body("CreateModel", true)
            .answers(201, PRESENT, schema_ref("Model"))
            .with_header("Location", "The model's address.", true)
            .changes()
            .fails(&[Code::AlreadyExists, Code::ModelIsDefault, Code::TooManySettings]),
        read(
            operation("get", "readModel", "A model").takes([path::model()]).answers(
                200,
                "The model.",
                schema_ref("Model"),
            ),
            &[Code::ModelNotFound],
        ),
        operation("put", "replaceModel", "Make or replace a model")
            .about("Wins over one of the server's file.")
            .takes([path::model()])
            .body("ReplaceModel", true)
            .answers(200, PRESENT, schema_ref("Model"))
            .changes()
            .fails(&[Code::ModelIsDefault, Code::TooManySettings]),
        operation("patch", "changeModel", "Change a model")
            .about("Chats that name a model which is disabled use the default one. That one is never disabled or taken back.")
            .takes([path::model()])
            .body("ChangeModel", true)
            .answers(200, PRESENT, schema_ref("Model"))
            .changes()
            .fails(&[Code::ModelNotFound, Code::ModelIsDefault, Code::TooManySettings]),
        operation("delete", "deleteModel", "Take a model back")
            .about("What was set is gone; one of the server's file counts again.")
            .takes([path::model()])
            .answers_nothing(204, "It is gone.")
            .changes()
            .fails(&[Code::ModelNotFound, Code::ModelIsDefault, Code::SetInFile]),
    ]
}

fn templates() -> Vec<Operation> {
    let operation =
        |method, id, summary| Operation::new(method, api("/templates/{template}"), id, "workspaces", summary);
    let as_set = "Its description and parameters as they were set; what its directory or deployment says of it besides is told \
                  when it is read.";
    vec![
        read(
            Operation::new("get", api("/templates"), "listTemplates", "workspaces", "What workspaces can be made from")
                .about("In the order of their names: the file's and those that were set. Where they lie is shown to auditors and \
                        administrators.")
                .takes([query::template_words()])
                .answers(200, "All of them.", page_of(schema_ref("Template"))),
            &[],
        ),
        Operation::new("post", api("/templates"), "createTemplate", "workspaces", "Make a template")
            .about("Counts on every server from the next step of every turn on, without a restart.")
            .body("CreateTemplate", true)
            .answers(201, as_set, schema_ref("Template"))
            .with_header("Location", "The template's address.", true)
            .changes()
            .fails(&[Code::AlreadyExists, Code::TooManySettings, Code::WorkspacesUnavailable]),
        read(
            operation("get", "readTemplate", "A template").takes([path::template()]).answers(
                200,
                "The template.",
                schema_ref("Template"),
            ),
            &[Code::TemplateNotFound, Code::WorkspacesUnavailable],
        ),
        operation("put", "replaceTemplate", "Make or replace a template")
            .about("Wins over one of the server's file. Workspaces that were made from it stay as they are.")
            .takes([path::template()])
            .body("ReplaceTemplate", true)
            .answers(200, as_set, schema_ref("Template"))
            .changes()
            .fails(&[Code::TooManySettings, Code::WorkspacesUnavailable]),
        operation("patch", "changeTemplate", "Change a template")
            .about("Workspaces that were made from it stay as they are.")
            .takes([path::template()])
            .body("ChangeTemplate", true)
            .answers(200, as_set, schema_ref("Template"))
            .changes()
            .fails(&[Code::TemplateNotFound, Code::TooManySettings, Code::WorkspacesUnavailable]),
        operation("delete", "deleteTemplate", "Take a template back")
            .about("What was set is gone; one of the server's file counts again. Workspaces that were made from it stay.")
            .takes([path::template()])
            .answers_nothing(204, "It is gone.")
            .changes()
            .fails(&[Code::TemplateNotFound, Code::SetInFile]),
    ]
}
