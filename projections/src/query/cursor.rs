//! Opaque cursors: a few numbers as hexadecimal text. A reader hands them back as they came.

use std::fmt::Write as _;

use crate::error::ReadError;

/// The cursor that holds `numbers`.
pub(super) fn encode<const COUNT: usize>(numbers: [u64; COUNT]) -> String {
    let mut text = String::with_capacity(COUNT * 16);
    for number in numbers {
        let _ = write!(text, "{number:016x}");
    }
    text
}

/// The numbers that a cursor holds.
pub(super) fn decode<const COUNT: usize>(text: &str) -> Result<[u64; COUNT], ReadError> {
    if text.len() != COUNT * 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ReadError::BadCursor);
    }
    let mut numbers = [0; COUNT];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = u64::from_str_radix(&text[index * 16..(index + 1) * 16], 16).map_err(|_| ReadError::BadCursor)?;
    }
    Ok(numbers)
}
