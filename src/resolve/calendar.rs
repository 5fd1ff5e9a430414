//! Calendar expressions of systemd.time(7), as far as telling one from a mistake needs.
//!
//! Comes in: the `schedule` of a job. Goes out: the same text, or what is wrong with it. Always holds: what is taken here
//! systemd takes; a few forms that its manual does not describe are refused.

/// The expressions that are one word.
const WORDS: [&str; 10] =
    ["minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually", "anually"];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// What the day of `*-*~07` counts.
const FROM_END: &str = "day before the end of the month";
const RULE: &str =
    "expected a calendar expression of systemd.time(7), such as `daily`, `Mon..Fri 03:00` or `*-*-01 04:30:00 UTC`";

/// Checks a calendar expression: `[WEEKDAYS] [DATE] [TIME] [ZONE]`, or a word such as `daily`.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn calendar(text: &str) -> Result<String, String> {
    match read(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(reason) => Err(format!("`{}` is no schedule, {reason}: {RULE}", text.escape_debug())),
    }
}

fn read(text: &str) -> Result<(), String> {
    let mut parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    if parts.last().is_some_and(|last| parts.len() > 1 && is_zone(last)) {
        parts.pop();
    }
    if let [word] = parts.as_slice()
        && WORDS.contains(&word.to_ascii_lowercase().as_str())
    {
        return Ok(());
    }
    let mut rest = parts.into_iter().peekable();
    if rest.peek().is_none() {
        return Err("it is empty".into());
    }
    if let Some(days) = rest.next_if(|part| part.starts_with(|first: char| first.is_ascii_alphabetic())) {
        weekdays(days.strip_suffix(',').unwrap_or(days))?;
    }
    if let Some(part) = rest.next_if(|part| part.contains(['-', '~'])) {
        date(part)?;
    }
    if let Some(part) = rest.next_if(|part| part.contains(':')) {
        time(part)?;
    }
    rest.next()
        .map_or(Ok(()), |part| Err(format!("`{part}` is neither weekday, date, time nor time zone in this place")))
}

/// Tells whether a part is the name of a time zone: `UTC`, or one of the zone database such as `Europe/Berlin`.
fn is_zone(part: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    part == "UTC" || (part.contains('/') && part.split('/').all(is_name) && !part.contains("//"))
}

/// Reads `Mon`, `Mon,Wed` or `Mon..Fri`.
fn weekdays(text: &str) -> Result<(), String> {
    let day = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let found = WEEKDAYS.iter().position(|day| lower == *day || lower == day[..3]);
        found.ok_or_else(|| format!("`{name}` is no weekday"))
    };
    for item in text.split(',') {
        match item.split_once("..") {
            None => drop(day(item)?),
            Some((first, last)) if day(first)? > day(last)? => return Err(format!("`{item}` ends before it begins")),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Reads `YEAR-MONTH-DAY`, `MONTH-DAY` or, counted from the month's end, `MONTH~DAY`.
fn date(text: &str) -> Result<(), String> {
    let from_end = text.rsplit_once('~');
    let (above, day) = from_end.or_else(|| text.rsplit_once('-')).ok_or("a date has a month and a day")?;
    let parts: Vec<&str> = above.split('-').collect();
    match parts.as_slice() {
        [month] => component(month, "month", 1, 12)?,
        [year, month] => {
            component(year, "year", 1970, 2199)?;
            component(month, "month", 1, 12)?;
        }
        _ => return Err(format!("`{text}` is no date")),
    }
    match from_end {
        Some(_) => component(day, FROM_END, 1, 28),
        None => component(day, "day", 1, 31),
    }
}

/// Reads `HOUR:MINUTE` or `HOUR:MINUTE:SECOND`; a second may have decimals.
fn time(text: &str) -> Result<(), String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [hour, minute] => component(hour, "hour", 0, 23).and_then(|()| component(minute, "minute", 0, 59)),
        [hour, minute, second] => {
            component(hour, "hour", 0, 23)?;
            component(minute, "minute", 0, 59)?;
            component(second, "second", 0, 59)
        }
        _ => Err(format!("`{text}` is no time")),
    }
}

/// Reads `*`, or a list of values, ranges and repetitions of one unit: `1,15`, `8..18/2`, `0/5`.
fn component(text: &str, unit: &str, least: u32, most: u32) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    text.split(',').try_for_each(|item| {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let value = |text: &str| match number(text, unit) {
            Some(value) if (f64::from(least)..f64::from(most) + 1.0).contains(&value) => Ok(value),
            _ => Err(format!("`{text}` is no {unit} from {least} to {most}")),
        };
        let first = match range.split_once("..") {
            None => value(range)?,
            Some((first, last)) if value(first)? > value(last)? => {
                return Err(format!("`{range}` ends before it begins"));
            }
            Some((first, _)) => value(first)?,
        };
        // Days before the end of a month go on to its end.
        let longest = if unit == FROM_END { first - 1.0 } else { f64::from(most) - first };
        match step.map(|step| number(step, unit)) {
            Some(step) if !step.is_some_and(|step| 0.0 < step && step <= longest) => {
                Err(format!("`{item}` is not repeated by a number from 1 to {longest}"))
            }
            _ => Ok(()),
        }
    })
}

/// Reads a number of digits; only seconds may have up to six decimals.
fn number(text: &str, unit: &str) -> Option<f64> {
    let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
    let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits(whole, 4) && decimals.is_none_or(|decimals| unit == "second" && digits(decimals, 6));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::calendar;

    /// tests/system/cases/schedules.rs asks systemd about the same.
    #[test]
    fn tells_schedules_from_mistakes() {
        for line in include_str!("../../tests/schedules.txt").lines() {
            let (verdict, text) = line.split_once(' ').unwrap();
            assert_eq!(calendar(text).is_ok(), verdict == "good", "{line}: {:?}", calendar(text));
        }
    }
}
