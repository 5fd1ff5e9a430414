//! Where a value was written.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use toml::Spanned;

use super::problem::Problem;
use super::reader;

/// A text file of a project, or of the program's own data, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages name it: a path relative to where the program was started, or `builtin:layers/base/layer.toml`.
    pub name: String,
    /// The file on disk; nothing for the program's own data and for texts of the command line.
    pub path: Option<PathBuf>,
    /// Its text.
    pub text: String,
}

/// A range of bytes in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The text it is in.
    pub source: Arc<Source>,
    /// The bytes, as offsets into the text.
    pub span: Range<usize>,
}

impl Place {
    /// Returns the place of a whole file, shown by its name alone.
    pub fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: 0..0 }
    }

    /// Returns the place of a file that is not read as text.
    pub fn file(name: impl Into<String>) -> Self {
        Self::whole(&Arc::new(Source { name: name.into(), path: None, text: String::new() }))
    }

    /// Tells whether this is a whole file rather than a part of its text.
    pub fn is_whole(&self) -> bool {
        self.span == (0..0)
    }

    /// Returns the line and the column of the first byte, both counted from 1; columns are characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text[..self.source.text.floor_char_boundary(self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Returns the text of this place.
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() {
            return formatter.write_str(&self.source.name);
        }
        let (line, column) = self.line_column();
        write!(formatter, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A value that remembers where it was written. Comparisons look at the value alone.
#[derive(Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> Located<T> {
    /// Returns `value` as written at `place`.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Located<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(formatter)
    }
}

impl<T: fmt::Debug> fmt::Debug for Located<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} at {}", self.value, self.place)
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: PartialOrd> PartialOrd for Located<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Located<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: Hash> Hash for Located<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// Maps with located keys are looked up by the plain name.
impl<T: Deref<Target = str>> std::borrow::Borrow<str> for Located<T>
where
    T: Ord,
{
    fn borrow(&self) -> &str {
        &self.value
    }
}

/// A table whose keys a user chooses, sorted by key.
pub type Table<K, V> = BTreeMap<Located<K>, V>;

thread_local! {
    /// The source that [`parse`] is reading on this thread. serde hands a value nothing but its span, so the text
    /// that the span belongs to has to reach [`Located`] this way.
    static READING: RefCell<Option<Arc<Source>>> = const { RefCell::new(None) };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        let source = READING.with_borrow(Clone::clone).ok_or_else(|| serde::de::Error::custom("no source is read"))?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner(), place: Place { source, span } })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Reads the TOML text of `source` as a document.
///
/// # Errors
/// The first place where the text is no TOML or not such a document, as one problem.
pub fn parse<T: DeserializeOwned>(source: &Arc<Source>) -> Result<T, Box<Problem>> {
    READING.set(Some(Arc::clone(source)));
    let result = toml::from_str(&source.text);
    READING.set(None);
    result.map_err(|error| Box::new(reader::problem(source, &error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        name: Located<String>,
        #[serde(default)]
        table: Table<String, Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        mode: Located<String>,
    }

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "x.toml".into(), path: None, text: text.into() })
    }

    #[test]
    fn keys_and_values_remember_their_place() {
        let document: Document = parse(&source("name = 'é'\n\n[table.\"/a\"]\nmode = '1'\n")).unwrap();
        assert_eq!(document.name.place.to_string(), "x.toml:1:8");
        let (key, inner) = document.table.first_key_value().unwrap();
        assert_eq!((key.place.to_string(), key.place.text()), ("x.toml:3:8".into(), "\"/a\""));
        assert_eq!(inner.mode.place.to_string(), "x.toml:4:8");
        assert!(document.table.contains_key("/a"));
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        let problem = parse::<Document>(&source("name = 'a'\n[table.x]\nmdoe = '1'\n")).unwrap_err();
        assert_eq!(problem.place.as_ref().unwrap().to_string(), "x.toml:3:1");
        assert_eq!(problem.message, "unknown key `mdoe`");
        assert_eq!(problem.help.as_deref(), Some("did you mean `mode`?"));
    }
}
