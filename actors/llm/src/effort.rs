//! How hard a model is to think, in words that every provider shares, and which models understand which of them.

/// An effort, from none to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    ExtraHigh,
    Max,
}

impl Effort {
    /// Reads an effort's name.
    pub(crate) fn read(name: &str) -> Option<Effort> {
        match name.trim().to_ascii_lowercase().as_str() {
            "none" => Some(Effort::None),
            "minimal" => Some(Effort::Minimal),
            "low" => Some(Effort::Low),
            "medium" => Some(Effort::Medium),
            "high" => Some(Effort::High),
            "xhigh" => Some(Effort::ExtraHigh),
            "max" => Some(Effort::Max),
            _ => None,
        }
    }

    /// Its name in requests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::ExtraHigh => "xhigh",
            Effort::Max => "max",
        }
    }
}

/// What a model is told that knows only these efforts: the wanted one, or else the nearest, of two equally near ones the
/// lower. Nothing where it knows none, or where the wanted one has no place among the others. Without a list, whatever is
/// wanted.
pub(crate) fn within<'a>(wanted: &'a str, known: Option<&'a [String]>) -> Option<&'a str> {
    let Some(known) = known else { return Some(wanted) };
    if let Some(same) = known.iter().find(|effort| effort.trim().eq_ignore_ascii_case(wanted.trim())) {
        return Some(same);
    }
    let wanted = Effort::read(wanted)?;
    let distance = |effort: Effort| ((effort as i8 - wanted as i8).abs(), effort);
    let placed = known.iter().filter_map(|name| Some((distance(Effort::read(name)?), name)));
    placed.min_by_key(|(distance, _)| *distance).map(|(_, name)| name.as_str())
}

/// A model's name in lower case, without the vendor that a gateway puts before it.
pub(crate) fn base_name(provider_model: &str) -> String {
    provider_model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

/// A version such as `4`, `4-6` or `4.6` at the beginning of a text. A date that follows is no part of it.
pub(crate) fn version_at(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let value = text[..digits].parse::<u32>().ok().filter(|_| digits <= 2)?;
        Some((value, digits))
    };
    let (major, digits) = number(text)?;
    let rest = text[digits..].strip_prefix(['.', '-']);
    let minor = rest.and_then(number).map_or(0, |(minor, _)| minor);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_becomes_the_nearest_that_the_model_knows() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        type Row<'a> = (&'a str, Option<&'a [&'a str]>, Option<&'a str>);
        let rows: [Row<'_>; 12] = [
            ("high", None, Some("high")),
            ("own word", None, Some("own word")),
            ("high", Some(&["low", "high"]), Some("high")),
            ("HIGH", Some(&["low", "high"]), Some("high")),
            ("max", Some(&["low", "high"]), Some("high")),
            ("none", Some(&["low", "high"]), Some("low")),
            // As near to one as to the other: the lower.
            ("medium", Some(&["high", "low"]), Some("low")),
            ("xhigh", Some(&["none", "minimal"]), Some("minimal")),
            ("high", Some(&[]), None),
            ("own word", Some(&["low"]), None),
            ("own word", Some(&["low", "own word"]), Some("own word")),
            ("low", Some(&["own word"]), None),
        ];
        for (wanted, known, expected) in rows {
            let known = known.map(list);
            assert_eq!(within(wanted, known.as_deref()), expected, "{wanted} within {known:?}");
        }
    }
}
