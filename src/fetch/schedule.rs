//! When a request that failed is repeated.

use std::time::{Duration, SystemTime};

/// The longest time that a server may ask to be left alone for; what asks for more is not waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a request is tried, and the pauses between. Each pause is twice the one before, without chance in it: there
/// is one client, and its work is the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How often it is tried in all.
    pub attempts: u32,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), longest: Duration::from_secs(15) }
    }
}

impl Schedule {
    /// Returns the pause after the given number of failures (from 1), or nothing when it is not tried again. A server
    /// that says how long is obeyed.
    pub fn pause(&self, failures: u32, asked: Option<Duration>) -> Option<Duration> {
        if failures >= self.attempts || asked.is_some_and(|asked| asked > PATIENCE) {
            return None;
        }
        let doubled = self.first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        Some(doubled.min(self.longest).max(asked.unwrap_or_default()))
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let schedule = Schedule { attempts: 5, first: Duration::from_secs(1), longest: Duration::from_secs(3) };
        let pauses: Vec<_> =
            (1..=5).map(|failures| schedule.pause(failures, None).map(|pause| pause.as_secs())).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(3), Some(3), None]);
    }

    #[test]
    fn servers_are_obeyed_unless_they_ask_for_too_much() {
        let schedule = Schedule::default();
        assert_eq!(schedule.pause(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(schedule.pause(1, Some(Duration::ZERO)), Some(schedule.first));
        assert_eq!(schedule.pause(1, Some(Duration::from_secs(3600))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after(" 30 ", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
