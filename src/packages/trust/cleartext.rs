//! A text and its signatures in one file (RFC 9580, 7): an `InRelease` file.
//!
//! Armour and signatures are read by the library. The text is read here, for the library searches all of it again for its end
//! with every line.

use pgp::composed::CleartextSignedMessage;
use pgp::packet::Signature;

use super::{LARGEST, TrustError};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
/// What begins the line after the text: in the text itself no line begins with a dash and no space.
const END: &str = "\n-----";

/// A signed text.
pub(super) struct Cleartext {
    /// The text in the form that signatures are over: without escapes and space at the ends of lines, which end with CR LF.
    pub(super) signed: String,
    /// Its signatures, in their order.
    pub(super) signatures: Vec<Signature>,
}

impl Cleartext {
    /// Reads a file that messages call `file`.
    ///
    /// # Errors
    /// When it has another form, or anything stands outside of what is signed.
    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self, TrustError> {
        let fault = |reason: &str| TrustError::Form { file: file.to_owned(), reason: reason.to_owned() };
        if bytes.len() > LARGEST {
            return Err(fault(&format!("it is longer than {LARGEST} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fault("it is not UTF-8"))?;
        if !text.starts_with(BEGIN) {
            return Err(fault(&format!("it does not begin with `{BEGIN}`")));
        }
        let start = after_headers(text).ok_or_else(|| fault("it ends before its text begins"))?;
        // The line break before the signatures is no part of the text; one may end the headers and the text at once.
        let end = text[start - 1..].find(END).map(|place| start - 1 + place);
        let end = end.ok_or_else(|| fault("it ends before its signatures begin"))?;
        let (headers, body, signatures) = (&text[..start], text.get(start..end).unwrap_or_default(), &text[end + 1..]);
        let (rest, _) = CleartextSignedMessage::from_string(&format!("{headers}{signatures}"))
            .map_err(|error| fault(&error.to_string()))?;
        if !rest.text().is_empty() {
            return Err(fault("there is text among its headers"));
        }
        let signed = signed(body).ok_or_else(|| fault("a line of it has a carriage return that does not end it"))?;
        Ok(Self { signed, signatures: rest.signatures().to_vec() })
    }

    /// Returns the text with plain ends of lines.
    pub(super) fn text(&self) -> String {
        self.signed.replace("\r\n", "\n")
    }
}

/// Returns where the text begins: after the first line that is empty.
fn after_headers(text: &str) -> Option<usize> {
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        place += line.len();
        if line.ends_with('\n') && line.trim().is_empty() {
            return Some(place);
        }
    }
    None
}

/// Returns the form of a text that signatures are over; nothing when a line has a carriage return within.
fn signed(body: &str) -> Option<String> {
    let mut signed = String::with_capacity(body.len() + body.len() / 32);
    for (number, line) in body.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') {
            return None;
        }
        if number > 0 {
            signed.push_str("\r\n");
        }
        signed.push_str(line.strip_prefix("- ").unwrap_or(line).trim_end_matches([' ', '\t']));
    }
    Some(signed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs;

    #[test]
    fn the_text_is_that_of_the_library() {
        let names = ["good", "plain", "two", "stranger", "expired", "revoked", "short", "sha1", "over"];
        for name in names {
            let text = fs::read_to_string(&Path::new("src/packages/trust/testdata").join(format!("{name}.InRelease")));
            let text = text.unwrap();
            for text in [text.replace('\n', "\r\n"), text.replace("Suite", "- Suite \t"), text] {
                let ours = Cleartext::read(name, text.as_bytes()).unwrap();
                let (theirs, _) = CleartextSignedMessage::from_string(&text).unwrap();
                assert_eq!(ours.signed, theirs.signed_text(), "{name}");
                assert_eq!(ours.signatures, theirs.signatures(), "{name}");
            }
        }
    }

    #[test]
    fn what_stands_outside_of_the_text_is_refused() {
        let good = fs::read_to_string(Path::new("src/packages/trust/testdata/good.InRelease")).unwrap();
        let refused = |text: String| match Cleartext::read("InRelease", text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(read) => panic!("{}", read.signed),
        };
        assert!(refused(good.replacen("Suite", "Su\rite", 1)).contains("carriage return"));
        assert!(refused(BEGIN.to_owned()).contains("before its text begins"));
        assert!(refused(format!("{BEGIN}\n\nOrigin: Test\n")).contains("before its signatures begin"));
        refused(good.replacen("Hash:", "Origin:", 1));
        refused(good.replacen("\n\n", "\nOrigin: Evil\n\n", 1));
        refused(format!("{good}Origin: Evil\n"));
        refused(good.replacen("\n\n", "\n-----\n\n", 1));
    }

    #[test]
    fn a_text_may_be_empty() {
        let good = fs::read_to_string(Path::new("src/packages/trust/testdata/good.InRelease")).unwrap();
        let (headers, rest) = good.split_once("\n\n").unwrap();
        let (_, signatures) = rest.split_once("\n-----BEGIN").unwrap();
        for between in ["\n\n", "\n\n\n"] {
            let text = format!("{headers}{between}-----BEGIN{signatures}");
            assert_eq!(Cleartext::read("InRelease", text.as_bytes()).unwrap().signed, "");
        }
    }
}
