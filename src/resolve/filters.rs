//! Filters: how a value is written inside a configuration file of some kind.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use crate::digest::Digest;

/// Adds every filter to `environment`.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("shell", shell);
    environment.add_filter("ini", ini);
    environment.add_filter("yaml", json);
    environment.add_filter("json", json);
    environment.add_filter("toml", toml);
    environment.add_filter("nginx", nginx);
    environment.add_filter("octal", octal);
    environment.add_filter("sha256", sha256);
    environment.add_filter("bytes", bytes);
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Returns the text of a value that is no list, map or nothing, none of which a configuration file can hold as one value.
fn single(filter: &str, value: &Value) -> Result<String, Error> {
    let kind = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a table",
        ValueKind::None => "none",
        _ => return Ok(value.to_string()),
    };
    let hint = if kind == "a list" { format!(": `map('{filter}')` is for each of its values") } else { String::new() };
    Err(refused(format!("`{filter}` takes one value, not {kind}{hint}")))
}

/// Quotes for a POSIX shell: one word whatever the text holds (POSIX.1-2024, shell language, 2.2.2).
fn shell(value: &Value) -> Result<String, Error> {
    let text = single("shell", value)?;
    if text.contains('\0') {
        return Err(refused("a shell word cannot hold a zero byte"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text);
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Writes the value of an INI key. INI has no quoting that every reader knows, so what would need it is refused.
fn ini(value: &Value) -> Result<String, Error> {
    let text = single("ini", value)?;
    if text.contains(['\n', '\r', '\0']) || text.trim() != text || text.starts_with(['"', '\'', ';', '#']) {
        return Err(refused(format!("`{}` cannot be written as an INI value", text.escape_debug())));
    }
    Ok(text)
}

/// Writes JSON, which is YAML too (YAML 1.2.2, chapter 1.2).
fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| refused(error.to_string()))
}

/// Writes a TOML value.
fn toml(value: &Value) -> Result<String, Error> {
    let value = toml::Value::try_from(value).map_err(|error| refused(error.to_string()))?;
    Ok(value.to_string())
}

/// Quotes a parameter of an nginx directive. A `$` would begin a variable of nginx and cannot be quoted there.
fn nginx(value: &Value) -> Result<String, Error> {
    let text = single("nginx", value)?;
    if text.contains(['$', '\0']) {
        return Err(refused(format!("`{}` cannot be quoted for nginx: `$` begins a variable", text.escape_debug())));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,*~^|()[]?<>!&".contains(&byte) || byte >= 0x80;
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text);
    }
    Ok(format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")))
}

/// Writes a number as octal digits, four at least: `0644`.
fn octal(value: &Value) -> Result<String, Error> {
    let number = u64::try_from(value.clone()).map_err(|_| refused(format!("`{value}` is no number from 0")))?;
    Ok(format!("{number:04o}"))
}

/// Writes the SHA-256 of a text as 64 hexadecimal digits.
fn sha256(value: &Value) -> Result<String, Error> {
    Ok(Digest::of(single("sha256", value)?).hex())
}

/// Turns a size such as `64Mi` into a number of bytes.
fn bytes(value: &Value) -> Result<u64, Error> {
    super::quantity::size(&single("bytes", value)?).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::from(value)
    }

    #[test]
    fn shell_words_survive_a_real_shell() {
        for word in ["plain", "", "two words", "it's", "$HOME `x` \\ \"q\"", "line\nbreak", "*", "~"] {
            let script = format!("printf %s {}", shell(&text(word)).unwrap());
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn toml_and_yaml_values_read_back() {
        for word in ["plain", "", "a \"quoted\" \\ one", "line\nbreak", "yes", "1.0"] {
            let document: toml::Table = format!("x = {}", toml(&text(word)).unwrap()).parse().unwrap();
            assert_eq!(document["x"].as_str(), Some(word));
            assert_eq!(serde_json::from_str::<String>(&json(&text(word)).unwrap()).unwrap(), word);
        }
    }

    #[test]
    fn lists_are_not_one_value() {
        let list = Value::from(vec!["a", "b"]);
        for filter in [shell, ini, nginx, sha256] {
            assert!(filter(&list).unwrap_err().to_string().contains("not a list"));
            assert!(filter(&Value::from(())).is_err());
        }
        assert_eq!(shell(&Value::from(8080)).unwrap(), "8080");
    }

    #[test]
    fn what_cannot_be_quoted_is_refused() {
        assert!(nginx(&text("$host")).is_err());
        assert_eq!(nginx(&text("a b")).unwrap(), "\"a b\"");
        assert!(ini(&text("two\nlines")).is_err());
        assert_eq!(octal(&Value::from(0o755)).unwrap(), "0755");
        assert!(octal(&text("x")).is_err());
    }
}
