//! Names of units.
//!
//! portablectl(1) takes from an image the units whose name is the image's up to its first `_`, alone or followed by `-`,
//! `.` or `@`. Names here are of that form in every flavour, so that a profile's units are called the same everywhere.

use super::DeployError;

/// What systemd.unit(5) takes as a name without its suffix, but for `\` and `@`, which have a meaning.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !text.is_empty() && !text.starts_with(['.', '-']) && text.bytes().all(allowed)
}

/// Returns what the units of a profile or image called `name` begin with: the name with `-` for each `_`, which would
/// end the name for portablectl(1). An image that carries them as a portable service is called the same, `NAME.raw` or
/// `NAME_VERSION.raw`.
pub fn unit_prefix(name: &str) -> String {
    name.replace('_', "-")
}

/// Returns the name, without suffix, of the unit of a process or job. The only process of a profile is called like the
/// profile; everything else is `PREFIX-NAME`.
pub fn unit_name(prefix: &str, program: &str, is_only_process: bool) -> String {
    if is_only_process { prefix.to_owned() } else { format!("{prefix}-{program}") }
}

/// Checks that a prefix can begin the name of a unit of a portable service.
pub(super) fn check_prefix(prefix: &str) -> Result<(), DeployError> {
    if !is_name(prefix) || prefix.contains('_') {
        return Err(DeployError::UnitPrefix { prefix: prefix.escape_debug().collect() });
    }
    Ok(())
}

/// Checks the whole name of a unit without its suffix; with it, it has at most 255 bytes.
pub(super) fn check(name: &str) -> Result<(), DeployError> {
    if !is_name(name) || name.len() > 200 {
        return Err(DeployError::unit("the name of a unit", name, "what systemd.unit(5) does not take"));
    }
    Ok(())
}
