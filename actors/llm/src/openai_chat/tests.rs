//! The encoder against exact bytes, the decoder against bodies cut at every byte.

mod decoding;
mod encoding;
