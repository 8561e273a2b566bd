//! Files, as their owners see them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::files::StoredFile;

/// A file: `{id, media_type, name, size_bytes}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub struct FileView<'a> {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: Uuid,
    /// Its media type.
    pub media_type: &'a str,
    /// Its name.
    pub name: &'a str,
    /// How long it is, in bytes.
    pub size_bytes: u64,
}

impl<'a> FileView<'a> {
    /// What is kept of a file.
    pub fn of(file: &'a StoredFile) -> FileView<'a> {
        FileView { id: file.id, media_type: &file.media_type, name: &file.name, size_bytes: file.size_bytes }
    }
}
