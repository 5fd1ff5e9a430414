//! The little of DER (X.690) that PKCS#7 needs.

use ::der::asn1::AnyRef;
use ::der::{Decode as _, Encode as _, Reader as _, SliceReader, Tagged as _};

use super::{Result, SignatureError};

/// More elements than this in one sequence are not read.
const MOST_ELEMENTS: usize = 1024;

/// The tags that are written.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// The context-specific tag 0 of something that has parts.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// `NULL`.
pub(super) const NULL: &[u8] = &[5, 0];

/// Returns an element with a tag of one byte around the joined parts.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => bytes.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let digits = &digits[length.leading_zeros() as usize / 8..];
            bytes.push(0x80 | digits.len() as u8);
            bytes.extend(digits);
        }
    }
    bytes.extend(parts.concat());
    bytes
}

/// Returns the elements that stand one after the other in `bytes`.
pub(super) fn elements(bytes: &[u8]) -> Result<Vec<AnyRef<'_>>> {
    let malformed = |error: ::der::Error| SignatureError::Malformed(format!("it is no DER: {error}"));
    let mut reader = SliceReader::new(bytes).map_err(malformed)?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        if elements.len() == MOST_ELEMENTS {
            return Err(SignatureError::Malformed(format!("more than {MOST_ELEMENTS} elements in a sequence")));
        }
        elements.push(AnyRef::decode(&mut reader).map_err(malformed)?);
    }
    Ok(elements)
}

/// Returns the elements inside of an element that must have this tag.
pub(super) fn inside<'bytes>(element: AnyRef<'bytes>, tag: u8) -> Result<Vec<AnyRef<'bytes>>> {
    if tag_of(element) != tag {
        return Err(SignatureError::Malformed(format!("found a {}, expected the tag {tag:#04x}", element.tag())));
    }
    elements(element.value())
}

/// Returns the tag of an element; 0 for one of more than a byte, which nothing here has.
pub(super) fn tag_of(element: AnyRef<'_>) -> u8 {
    match element.tag().to_der().as_deref() {
        Ok([tag]) => *tag,
        _ => 0,
    }
}
