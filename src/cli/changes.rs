//! Changes of a tree, one line a path.

use std::fmt::Write as _;

use super::diagnostic::escaped;
use super::terminal::Style;
use crate::tree::{Aspect, Change, ChangeKind, Difference};

/// The digits of a digest that are enough to tell two files apart by eye.
const DIGEST_DIGITS: usize = 12;

/// Returns the line of a change: `+ /new  file 0644 12 bytes`, `- /old`, `~ /etc/x  mode 0644 → 0755, size 3 → 4 bytes`.
/// `node` describes what was added or removed.
pub(super) fn line(change: &Change, node: Option<&str>, style: Style) -> String {
    let path = escaped(&change.path.to_string()).into_owned();
    let (sign, colour) = match change.change {
        ChangeKind::Added => ("+", Style::GREEN),
        ChangeKind::Removed => ("-", Style::RED),
        ChangeKind::Changed => ("~", Style::YELLOW),
    };
    let mut line = style.paint(colour, &format!("{sign} {path}"));
    if let Some(node) = node {
        // Writing to a string cannot fail.
        let _ = write!(line, "  {}", escaped(node));
    }
    for (index, difference) in change.differences.iter().enumerate() {
        let _ = write!(line, "{}{}", if index == 0 { "  " } else { ", " }, escaped(&words(difference)));
    }
    line
}

fn words(difference: &Difference) -> String {
    let Difference { aspect, name, old, new } = difference;
    let (old, new) = (old.as_deref().unwrap_or("none"), new.as_deref().unwrap_or("none"));
    match (aspect, name) {
        (Aspect::Content, _) => content(old, new),
        (_, Some(name)) => format!("{aspect} {name} {old} → {new}"),
        (_, None) => format!("{aspect} {old} → {new}"),
    }
}

/// Says what is different in two contents, each written `sha256:… (12 bytes)`: their sizes, or else their digests.
fn content(old: &str, new: &str) -> String {
    let parts = |text: &str| -> Option<(String, String)> {
        let (digest, size) = text.strip_suffix(" bytes)")?.split_once(" (")?;
        let digits = digest.find(':').map_or(0, |colon| colon + 1) + DIGEST_DIGITS;
        Some((digest.get(..digits)?.to_owned(), size.to_owned()))
    };
    match (parts(old), parts(new)) {
        (Some((old, one)), Some((new, other))) if one == other => format!("content {old}… → {new}… ({one} bytes)"),
        (Some((_, old)), Some((_, new))) => format!("content {old} → {new} bytes"),
        _ => format!("content {old} → {new}"),
    }
}
