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
