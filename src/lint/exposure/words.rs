//! Values as systemd reads them: words, booleans.

/// Splits a value into words. Quotes hold spaces; a `\` takes the meaning of the next character.
pub(super) fn split(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.get_or_insert_default().extend(characters.next()),
            (closing, Some(open)) if closing == open => quote = None,
            (inner, Some(_)) => word.get_or_insert_default().push(inner),
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (space, None) if space.is_ascii_whitespace() => words.extend(word.take()),
            (other, None) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Reads a boolean.
pub(super) fn boolean(value: &str) -> Option<bool> {
    let is_one_of = |names: [&str; 5]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
    if is_one_of(["1", "yes", "y", "true", "t"]) || value.eq_ignore_ascii_case("on") {
        Some(true)
    } else if is_one_of(["0", "no", "n", "false", "f"]) || value.eq_ignore_ascii_case("off") {
        Some(false)
    } else {
        None
    }
}
