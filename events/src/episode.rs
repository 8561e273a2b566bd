//! From the streamed pieces of an attempt to the parts of a message.

use crate::part::{LivePart, Part};

/// The parts of a finished answer: deltas joined, whole parts in place.
/// Fails where a call's arguments are not complete JSON, naming the call.
pub fn complete<'a>(pieces: impl IntoIterator<Item = &'a LivePart>) -> Result<Vec<Part>, String> {
    let _ = pieces.into_iter();
    unimplemented!()
}

/// The usable parts of an answer that was cut: as `complete`, but calls without complete arguments are dropped, and
/// results whose call is dropped go with it. Blank text alone is nothing.
pub fn interrupted<'a>(pieces: impl IntoIterator<Item = &'a LivePart>) -> Vec<Part> {
    let _ = pieces.into_iter();
    unimplemented!()
}

/// Whether parts hold anything usable: a call, a file, a source or text that is not blank. Reasoning alone does not count.
pub fn usable(parts: &[Part]) -> bool {
    let _ = parts;
    unimplemented!()
}
