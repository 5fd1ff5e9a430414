//! Dates of Release files: `Sat, 06 Sep 2025 08:09:01 UTC` (RFC 5322 with the names of UTC that archives use).

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY: i64 = 24 * 60 * 60;

/// Returns the seconds since 1970 of a date in UTC. The day of the week may be missing.
pub fn parse_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let words = match words.first()?.strip_suffix(',') {
        Some(day) if DAYS.contains(&day) => &words[1..],
        Some(_) => return None,
        None => &words[..],
    };
    let [day, month, year, time, "UTC" | "GMT" | "Z" | "+0000"] = *words else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (day, year) = (number(day, 2)?, number(year, 4)?);
    let parts: Vec<i64> = time.split(':').map(|part| number(part, 2)).collect::<Option<_>>()?;
    let [hour, minute, second] = parts[..] else { return None };
    let days = days_before(year, month) + day - 1;
    let valid = day >= 1 && days < days_before(year + month / 12, month % 12 + 1);
    (valid && year >= 1970 && hour < 24 && minute < 60 && second < 61)
        .then_some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Returns the days from the beginning of 1970 to that of a month, counted from 1.
fn days_before(year: i64, month: i64) -> i64 {
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 - 719_468
}

/// Writes seconds since 1970 as Release files do.
pub fn show_date(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    let name = MONTHS[month as usize - 1];
    let week_day = DAYS[days.rem_euclid(7) as usize];
    let day = days - days_before(year, month) + 1;
    format!("{week_day}, {day:02} {name} {year} {:02}:{:02}:{:02} UTC", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Sat, 06 Sep 2025 08:09:01 UTC", 1_757_146_141),
            ("Tue, 29 Feb 2000 23:59:59 UTC", 951_868_799),
            ("Sun, 31 Dec 2028 12:00:00 UTC", 1_861_876_800),
        ] {
            assert_eq!(parse_date(text), Some(seconds), "{text}");
            assert_eq!(show_date(seconds), text);
        }
        assert_eq!(parse_date("6 Sep 2025 08:09:01 GMT"), Some(1_757_146_141));
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "2025-09-06",
            "Sat, 06 Sep 2025 08:09:01",
            "Sat, 06 Sep 2025 08:09:01 CEST",
            "Sat, 31 Sep 2025 08:09:01 UTC",
            "Sat, 00 Sep 2025 08:09:01 UTC",
            "Sat, 29 Feb 2025 08:09:01 UTC",
            "Sat, 06 Sep 2025 24:09:01 UTC",
            "Sat, 06 Sep 1960 08:09:01 UTC",
            "Sat, +6 Sep 2025 08:09:01 UTC",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
