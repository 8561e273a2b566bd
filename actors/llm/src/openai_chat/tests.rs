//! The encoder against exact bytes and a strict reader, the decoder against bodies cut at every byte.

mod decoding;
mod encoding;
mod strict;
