//! What a server wants to know before it answers (RFC 9110, section 11.6.1; RFC 6750; the token specification of the
//! distribution registry).

/// A way to authenticate that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user and password.
    Basic,
    /// With a token that somebody else hands out.
    Bearer {
        /// Where tokens are handed out.
        realm: String,
        /// For which service.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

/// Returns the challenges of the `WWW-Authenticate` fields of an answer. What is not understood is left out.
pub(super) fn challenges<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    fields.flat_map(parse).collect()
}

fn parse(field: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = field;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let after_space = after.trim_start_matches([' ', '\t']);
        match after_space.strip_prefix('=') {
            Some(value) => {
                let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| understood(&scheme, &parameters)).collect()
}

fn understood(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") }),
        _ => None,
    }
}

/// Splits a token from what follows it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/:".contains(&byte);
    text.split_at(text.bytes().take_while(|byte| is_token(*byte)).count())
}

/// Splits a token or a quoted text from what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn challenges_of_registries_are_understood() {
        for (field, expected) in [
            ("Basic realm=\"Registry Realm\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://auth.example.org/token\",service=\"registry.example.org\",scope=\"repository:a/b:pull,push\"",
                vec![bearer(
                    "https://auth.example.org/token",
                    Some("registry.example.org"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (
                "BEARER Realm=\"https://e/\" , Service = x, error=\"invalid_token\"",
                vec![bearer("https://e/", Some("x"), None)],
            ),
            (
                "Negotiate, Basic realm=\"a\", Bearer realm=\"b\\\"c\"",
                vec![Challenge::Basic, bearer("b\"c", None, None)],
            ),
            ("Bearer service=\"no realm\"", vec![]),
            ("", vec![]),
            ("\"", vec![]),
            ("Bearer realm=\"open", vec![bearer("open", None, None)]),
            (", ,=,", vec![]),
        ] {
            assert_eq!(parse(field), expected, "{field}");
        }
    }
}
