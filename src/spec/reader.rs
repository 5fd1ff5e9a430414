//! What the TOML reader objects to, in the words of this program.

use std::sync::Arc;

use super::problem::{Problem, nearest};
use super::source::{Place, Source};

/// Keys that only a layer has at its top.
const LAYER_KEYS: [&str; 4] = ["tier", "requires", "conflicts", "tree"];
/// Keys that only a profile has at its top.
const PROFILE_KEYS: [&str; 10] =
    ["name", "version", "extends", "layers", "epoch", "distro", "labels", "packages", "source", "output"];

/// Turns an error of the TOML reader into a problem; what is not known gets a suggestion.
pub(super) fn problem(source: &Arc<Source>, error: &toml::de::Error) -> Problem {
    let place = Place { source: Arc::clone(source), span: error.span().unwrap_or(0..0) };
    let message = error.message();
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown_key(&place, rest);
    }
    if let Some((written, list)) =
        message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected "))
    {
        let problem = Problem::at(&place, format!("unknown value `{written}`"));
        return problem.suggest(written, "allowed", quoted(list));
    }
    if let Some((found, wanted)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        return wrong_type(&place, found, wanted);
    }
    if message == "duplicate key" {
        let key = place.text().trim_matches(['"', '\'']);
        return Problem::at(&place, format!("`{key}` is written twice"))
            .rule("each key and each table stands once in a document");
    }
    if let Some(rest) = message.strip_prefix("string values must be quoted") {
        debug_assert!(rest.is_empty() || rest.starts_with(','), "{rest}");
        return Problem::at(&place, "a text without quotes").help(format!("write `\"{}\"`", place.text().trim()));
    }
    if message.starts_with("wanted string or table") {
        return Problem::at(&place, format!("expected a word in quotes, not `{}`", place.text()));
    }
    if message.contains(" string, expected `\"") || message.contains(" string, expected `'") {
        return Problem::at(&place, "this string does not end").label("a closing quote is missing");
    }
    if message.starts_with("this mode is a number") {
        let problem = Problem::of_sentence(&place, message);
        let digits = place.text().trim_start_matches("0o");
        let octal = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        return if octal { problem.help(format!("write `\"{digits:0>4}\"`")) } else { problem };
    }
    match message.split_once(", expected ") {
        Some((first, rule)) if !message.contains(": expected ") => {
            Problem::at(&place, first).rule(format!("expected {rule}"))
        }
        _ => Problem::of_sentence(&place, message),
    }
}

/// Returns what stands between backticks.
fn quoted(list: &str) -> impl Iterator<Item = &str> {
    list.split('`').skip(1).step_by(2)
}

fn unknown_key(place: &Place, rest: &str) -> Problem {
    let (key, list) = rest.split_once("`, ").unwrap_or((rest.trim_end_matches('`'), ""));
    let known: Vec<&str> = quoted(list).collect();
    let problem = Problem::at(place, format!("unknown key `{key}`"));
    let (layer, profile) = (known.contains(&"tier"), known.contains(&"extends"));
    if profile && LAYER_KEYS.contains(&key) {
        return problem.help(format!("`{key}` is a key of layers: `layers/NAME/layer.toml`"));
    }
    if layer && PROFILE_KEYS.contains(&key) {
        return problem.help(format!("`{key}` is a key of profiles: `profiles/NAME.toml`"));
    }
    if let Some(near) = nearest(key, &known) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    let all: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    let problem = problem.rule(format!("keys here: {}", all.join(", ")));
    if !layer && !profile && (LAYER_KEYS.contains(&key) || PROFILE_KEYS.contains(&key) || key == "summary") {
        return problem.help(format!("`{key}` belongs to the top of a document, before the first `[table]`"));
    }
    problem
}

/// Says which type is wanted, which one was found, and how the found value is written as the wanted one.
fn wrong_type(place: &Place, found: &str, wanted: &str) -> Problem {
    let text = place.text();
    let date =
        found == "map" && !text.starts_with(['{', '[']) && text.starts_with(|first: char| first.is_ascii_digit());
    let wanted = match wanted {
        "a sequence" => "a list",
        "a map" => "a table",
        "i64" => "a whole number",
        "string or table" => "a word in quotes",
        name if name.starts_with("struct ") => "a table",
        other => other,
    };
    let value = match found.split_once('"') {
        Some((_, value)) if found.starts_with("string") => Some(value.trim_end_matches('"')),
        _ => quoted(found).next(),
    };
    let kind = found.split([' ', '`', '"']).next().unwrap_or_default();
    let found = match (kind, value) {
        ("map", _) if date => format!("the date or time `{text}`"),
        ("map", _) => "a table".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("string", _) => "a string".to_owned(),
        ("floating", Some(value)) => format!("the number `{value}`"),
        (kind, Some(value)) => format!("the {kind} `{value}`"),
        (kind, None) => kind.to_owned(),
    };
    if (wanted, kind) == ("a whole number", "integer") {
        return Problem::at(place, format!("{} is too large", value.unwrap_or(text)))
            .rule("a whole number has 64 bits");
    }
    let problem = Problem::at(place, format!("expected {wanted}, not {found}"));
    let one_line = !text.contains('\n');
    match (wanted, kind) {
        ("a string" | "a word in quotes", "integer" | "floating" | "boolean") => {
            problem.help(format!("put it in quotes: `\"{text}\"`"))
        }
        ("a string", _) if date => problem.help(format!("put it in quotes: `\"{text}\"`")),
        ("a whole number", "string") if value.is_some_and(|value| value.parse::<i64>().is_ok()) => {
            problem.help(format!("leave the quotes out: `{}`", value.unwrap_or_default()))
        }
        ("a list", "string") if one_line => {
            let words: Vec<_> =
                value.unwrap_or_default().split_whitespace().map(|word| format!("\"{word}\"")).collect();
            problem.help(format!("write a list: `[{}]`", words.join(", ")))
        }
        _ => problem,
    }
}
