//! Sizes, durations and signals as people write them.

use std::time::Duration;

use crate::spec::nearest;

/// Reads a size: a number of bytes, or one with `Ki`, `Mi`, `Gi`, `Ti` (powers of 1024) or `k`, `M`, `G`, `T` (powers of
/// 1000), the suffixes of Kubernetes quantities.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let invalid =
        || format!("`{text}` is no size: expected a number with `Ki`, `Mi`, `Gi`, `k`, `M` or `G`, such as `64Mi`");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match &text[digits..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return Err(invalid()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
    number.checked_mul(unit).ok_or_else(invalid)
}

/// Reads a duration: numbers with `ms`, `s`, `m` or `h`, such as `30s` or `1m30s`.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("`{text}` is no duration: expected numbers with `ms`, `s`, `m` or `h`, such as `30s` or `1m30s`");
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        let letters = rest[digits..].find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let milliseconds: u64 = match &rest[digits..digits + letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(invalid()),
        };
        let part = Duration::from_millis(number.checked_mul(milliseconds).ok_or_else(invalid)?);
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

/// The signals of signal(7) that a service can be stopped with.
const SIGNALS: [&str; 10] =
    ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGABRT", "SIGPWR"];

/// Reads the name of a signal, with or without `SIG`; returns it with `SIG`.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn signal(text: &str) -> Result<String, String> {
    let full = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
    if SIGNALS.contains(&full.as_str()) {
        return Ok(full);
    }
    let mend = match nearest(&full, &SIGNALS) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Err(format!("`{text}` is no signal that stops a process: expected one of {}{mend}", SIGNALS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64Mi"), Ok(64 << 20));
        assert_eq!(size("5k"), Ok(5000));
        for text in ["", "Mi", "64MB", "-1", "1.5Gi", "99999999999Ti", "64 Mi"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        let overflow = "18446744073709551615ms".repeat(1001);
        for text in ["", "30", "s", "1d", "1.5s", "30 s", &overflow] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signals() {
        assert_eq!(signal("QUIT"), Ok("SIGQUIT".into()));
        assert!(signal("SIGNAL").is_err());
    }
}
