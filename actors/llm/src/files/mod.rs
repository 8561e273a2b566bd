//! Files in requests: which ones a model is shown, and how their bytes get where they belong.
//!
//! A body is made without the bytes of files, so that making one stays cheap, pure, and possible when the files are long
//! gone: in a file's place stands a marker with its SHA-256 and its id, and the body's digest covers that. The bytes are
//! put in when the body is sent (`filling`).
//!
//! **Invariant:** a marker stands between two bytes that JSON never has inside a text. So nothing that anybody says can be
//! taken for one.

mod enclosed;
mod filling;
mod showing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use verbatim_events::model::FileSource;

pub(crate) use self::enclosed::Enclosed;
pub(crate) use self::filling::{Filled, fill, shows_media};
pub(crate) use self::showing::{Takes, gone, shown};

pub use self::filling::legible;

/// The byte before and behind a marker.
const EDGE: u8 = 1;

/// The most bytes of text files that are shown; what is longer is cut.
pub(crate) const TEXT_MAX_BYTES: u64 = 256 * 1024;

/// The most bytes of files in one request, before they are written in base64: every provider takes that much.
pub(crate) const REQUEST_FILES_MAX_BYTES: u64 = 20 * 1024 * 1024;

/// Where a provider finds the bytes of files; nowhere at first.
pub type Files = Option<Arc<dyn FileSource>>;
