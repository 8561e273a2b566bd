//! What a model sees of a command's output: all of it, or its beginning and its end with what is missing said between them.
//! What is no text is shown as such, and counts as it is shown.

/// Output that the model sees, in bytes: the first two thirds and the last third.
pub(super) const SHOWN_MAX_BYTES: usize = 32 * 1024;
/// What of it the words on what is missing may take, in bytes.
const MARK_MAX_BYTES: usize = 64;
/// The last third, in bytes.
pub(super) const TAIL_MAX_BYTES: usize = SHOWN_MAX_BYTES / 3;
/// The first two thirds without what the words between them take, in bytes.
const HEAD_MAX_BYTES: usize = SHOWN_MAX_BYTES - TAIL_MAX_BYTES - MARK_MAX_BYTES;

/// The output as it is shown. `head` is its beginning, `SHOWN_MAX_BYTES` of it or all; `tail` its end, at most what comes
/// after the head, and not needed where the head is all.
pub(super) fn shown(head: &[u8], tail: &[u8], total_bytes: u64) -> String {
    let is_all = total_bytes <= SHOWN_MAX_BYTES as u64;
    if is_all {
        let text = String::from_utf8_lossy(head);
        if text.len() <= SHOWN_MAX_BYTES {
            return text.into_owned();
        }
    }
    let (first, first_bytes) = beginning(head, HEAD_MAX_BYTES);
    let (last, last_bytes) = end(if is_all { &head[first_bytes..] } else { tail }, TAIL_MAX_BYTES);
    let left_out = total_bytes.saturating_sub((first_bytes + last_bytes) as u64);
    format!("{first}\n… [{left_out} bytes left out] …\n{last}")
}

/// The letters of what may be text, each with the bytes that it was made of.
fn letters(bytes: &[u8]) -> impl Iterator<Item = (char, usize)> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let damaged = (!chunk.invalid().is_empty()).then_some((char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
        chunk.valid().chars().map(|letter| (letter, letter.len_utf8())).chain(damaged)
    })
}

/// As many of these letters as fit, and the bytes that they were made of.
fn fitting(letters: impl Iterator<Item = (char, usize)>, max_bytes: usize) -> (Vec<char>, usize) {
    let (mut taken, mut text_bytes, mut bytes) = (Vec::new(), 0, 0);
    for (letter, made_of) in letters {
        text_bytes += letter.len_utf8();
        if text_bytes > max_bytes {
            break;
        }
        taken.push(letter);
        bytes += made_of;
    }
    (taken, bytes)
}

fn beginning(bytes: &[u8], max_bytes: usize) -> (String, usize) {
    let (letters, bytes) = fitting(letters(bytes), max_bytes);
    (letters.into_iter().collect(), bytes)
}

fn end(bytes: &[u8], max_bytes: usize) -> (String, usize) {
    // A letter that the cut went through is left out, not shown as damaged.
    let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let cut = bytes.iter().take(3).take_while(is_rest).count();
    let all: Vec<(char, usize)> = letters(&bytes[cut..]).collect();
    let (letters, bytes) = fitting(all.into_iter().rev(), max_bytes);
    (letters.into_iter().rev().collect(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of all of this, as it is read.
    fn of(output: &[u8]) -> String {
        let head = &output[..output.len().min(SHOWN_MAX_BYTES)];
        let tail = &output[output.len().saturating_sub(TAIL_MAX_BYTES)..];
        shown(head, tail, output.len() as u64)
    }

    /// The beginning, the bytes that are said to be left out, and the end.
    fn parts(shown: &str) -> (&str, usize, &str) {
        let (first, rest) = shown.split_once("\n… [").expect("something is left out");
        let (count, last) = rest.split_once(" bytes left out] …\n").expect("and said to be");
        (first, count.parse().expect("a number"), last)
    }

    #[test]
    fn what_fits_is_shown_whole_and_nothing_is_longer_than_the_bound() {
        let fits = "x".repeat(SHOWN_MAX_BYTES);
        assert_eq!(of(fits.as_bytes()), fits);
        assert_eq!(of(b""), "");
        for output in ["x".repeat(SHOWN_MAX_BYTES + 1), "ö".repeat(SHOWN_MAX_BYTES), "x€".repeat(1 << 20)] {
            let told = of(output.as_bytes());
            assert!(told.len() <= SHOWN_MAX_BYTES, "{}", told.len());
            assert!(told.len() + 80 > SHOWN_MAX_BYTES, "{}", told.len());
            let (first, left_out, last) = parts(&told);
            assert!(output.starts_with(first) && output.ends_with(last), "letters stay whole");
            assert_eq!(first.len() + left_out + last.len(), output.len());
            assert!(first.len() > last.len() && last.len() > SHOWN_MAX_BYTES / 4);
        }
    }

    #[test]
    fn what_is_no_text_is_bounded_as_it_is_shown() {
        let damaged = vec![0xff; SHOWN_MAX_BYTES];
        let told = of(&damaged);
        assert!(told.len() <= SHOWN_MAX_BYTES, "{}", told.len());
        let (first, left_out, last) = parts(&told);
        assert_eq!(first.chars().count() + left_out + last.chars().count(), damaged.len());
        assert_eq!(of(b"a\xffb"), "a\u{fffd}b");
    }
}
