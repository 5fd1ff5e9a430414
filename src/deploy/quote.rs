//! How a value is written so that builder and shell read it as that value.

use super::{CONTROL, DeployError};

/// Tells whether a text means itself wherever words are read: to a Dockerfile and to a shell.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

/// Writes one word of an instruction whose words the builder expands: ENV, LABEL, WORKDIR, ARG. Inside double quotes
/// `\`, `"` and `$` are all that has a meaning; an instruction ends with its line.
pub(super) fn word(what: &str, text: &str) -> Result<String, DeployError> {
    if text.chars().any(|character| character.is_control() && character != '\t') {
        return Err(DeployError::value(what, text, CONTROL));
    }
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '\\' | '"' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Writes the exec form: a JSON array, which reaches the program as it is and which no builder expands.
pub(super) fn exec_form(arguments: &[String]) -> String {
    let quoted: Vec<String> =
        arguments.iter().map(|argument| serde_json::Value::from(argument.as_str()).to_string()).collect();
    format!("[{}]", quoted.join(", "))
}

/// Writes one word of a shell command in a RUN instruction (POSIX.1-2024, shell language, 2.2.2).
pub(super) fn shell_word(what: &str, text: &str) -> Result<String, DeployError> {
    if text.chars().any(char::is_control) {
        return Err(DeployError::value(what, text, CONTROL));
    }
    Ok(command_line_word(text))
}

/// Writes one word of a command that people copy into their shell; it never breaks the line.
pub(super) fn command_line_word(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    // POSIX.1-2024, 2.2.4; older shells that people type into have it, too.
    let mut quoted = String::from("$'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("\\{byte:03o}"));
                }
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// Writes a text that stands in a comment: it never ends the line.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
