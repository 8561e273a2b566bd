//! Files.

use serde_json::{Value, json};

use super::super::operation::{Operation, schema_ref};
use super::super::parameters::{header, path, query};
use super::api;
use crate::error::Code;
use crate::files::MEDIA_TYPES;

/// Bytes, as OpenAPI says them.
fn bytes() -> Value {
    json!({"schema": {}})
}

pub(super) fn all() -> Vec<Operation> {
    let reading = Operation::new("get", api("/files/{file}"), "readFile", "files", "Read a file")
        .about(
            "Owners read their own files; auditors and administrators all. A chat shows at most 50 files: of more, those that \
             were shown the longest ago expire, and can be sent anew.",
        )
        .takes([path::file(), header::if_none_match()])
        .reads()
        .answers_nothing(304, "It is what the caller has.");
    let reading = MEDIA_TYPES
        .into_iter()
        .fold(reading, |reading, kind| reading.answers_as(200, "What stands in it.", kind, bytes()))
        .with_header("ETag", "Changes with what stands in it, which never does.", true)
        .fails(&[Code::InvalidRequest, Code::FileNotFound, Code::FileExpired, Code::Busy]);
    vec![
        Operation::new("post", api("/files"), "createFile", "files", "Keep a file")
            .about(
                "The body is the file, at most 10 MiB; what stands in it is checked against the Content-Type. Its name is the \
                 parameter's, else that of a Content-Disposition. A message shows it by its id in a part of type `file`.",
            )
            .takes([query::name(), header::content_disposition(), header::idempotency_key()])
            .body_of(&MEDIA_TYPES)
            .answers(201, "The file.", schema_ref("File"))
            .with_header("Location", "Where the file is.", true)
            .with_header("Idempotency-Replayed", "`true` where it was kept before.", false)
            .fails(&[Code::Forbidden, Code::IdempotencyMismatch, Code::Busy]),
        reading,
    ]
}
