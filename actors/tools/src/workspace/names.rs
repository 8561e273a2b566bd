//! Names of workspaces: kept where the platform takes them, made where it would not.

/// The longest name, in characters.
pub const NAME_MAX: usize = 32;
/// Digits at the end of a name that was made.
const DIGITS: usize = 4;
/// What is left of a name that gets digits.
const SLUG_MAX: usize = NAME_MAX - DIGITS - 1;

/// Whether the platform takes a name: letters and digits, single dashes between them.
pub fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.split('-').all(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_alphanumeric()))
}

/// The names to try, one after the other: the one that was asked for, if it can be had, then one that surely is free. `key`
/// is hexadecimal, at least eight digits: the same wish gets the same names.
pub fn candidates(wanted: Option<&str>, otherwise: &str, key: &str) -> [String; 2] {
    let slug = slug(wanted.unwrap_or(otherwise));
    let first = match wanted {
        Some(name) if is_valid(name) => name.to_owned(),
        Some(_) | None => format!("{slug}-{}", &key[..DIGITS]),
    };
    [first, format!("{slug}-{}", &key[DIGITS..2 * DIGITS])]
}

fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        if slug.len() == SLUG_MAX {
            break;
        }
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "workspace".to_owned() } else { slug.to_owned() }
}
