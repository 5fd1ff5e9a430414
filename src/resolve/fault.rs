//! What is wrong with a template: errors of the engine, in the words of this program and at the very characters.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind};
use regex::Regex;

use super::template::{STEPS, Scope};
use super::written;
use crate::spec::{Place, Problem, Source, nearest};

/// Filters that templates can use, besides spellings of the same.
const FILTERS: [&str; 48] = [
    "shell", "ini", "yaml", "json", "toml", "nginx", "octal", "sha256", "bytes", "abs", "attr", "batch", "bool",
    "chain", "count", "default", "dictsort", "first", "float", "format", "groupby", "indent", "int", "items", "join",
    "last", "length", "lines", "list", "lower", "map", "max", "min", "reject", "replace", "reverse", "round", "select",
    "slice", "sort", "split", "string", "sum", "title", "trim", "unique", "upper", "zip",
];
/// Tests that templates can use after `is`.
const TESTS: [&str; 17] = [
    "boolean",
    "defined",
    "endingwith",
    "even",
    "false",
    "float",
    "in",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
];
/// Functions that templates can call.
const FUNCTIONS: [&str; 4] = ["debug", "dict", "namespace", "range"];
/// Words that are no names of values in an expression or block.
const WORDS: [&str; 30] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "true",
    "false",
    "none",
    "loop",
    "self",
    "set",
    "endset",
    "include",
    "import",
    "from",
    "as",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "block",
    "with",
];

/// A text that was rendered.
pub(super) enum Text<'text> {
    /// A template file.
    File(Arc<Source>),
    /// A string of a document, and where it is written.
    Inline(&'text str, &'text Place),
}

impl Text<'_> {
    /// Returns the text itself.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::File(source) => &source.text,
            Self::Inline(text, _) => text,
        }
    }

    /// Returns where a part of the text is written.
    fn place(&self, part: Range<usize>) -> Place {
        match self {
            Self::File(source) => Place { source: Arc::clone(source), span: part },
            Self::Inline(text, place) => written::part(place, text, part),
        }
    }
}

/// A mistake in a text that was rendered.
pub(super) struct Fault<'fault> {
    /// The innermost error, which says most.
    pub(super) error: &'fault Error,
    /// The text it is in.
    pub(super) text: Text<'fault>,
    /// The bytes of the text it is about.
    pub(super) range: Range<usize>,
}

impl Fault<'_> {
    /// Says what is wrong. `scope` is what templates know, `templates` are the names that can be included.
    pub(super) fn problem(&self, scope: &Scope, templates: &[String]) -> Problem {
        let place = self.text.place(self.range.clone());
        let detail = self.error.detail().unwrap_or_default();
        let name = detail.split(' ').find(|word| !["filter", "test"].contains(word)).unwrap_or_default();
        let unknown = |what: &str, known: &[&str]| {
            let problem = Problem::at(&place, format!("unknown {what} `{name}`"));
            match nearest(name, known) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.rule(format!("templates have the {what}s {}", known.join(", "))),
            }
        };
        match self.error.kind() {
            ErrorKind::UndefinedError => self.undefined(scope),
            ErrorKind::TemplateNotFound => missing_template(&place, detail, templates),
            ErrorKind::SyntaxError => self.syntax(&place, detail),
            ErrorKind::UnknownFilter => unknown("filter", &FILTERS),
            ErrorKind::UnknownTest => unknown("test", &TESTS),
            ErrorKind::UnknownFunction => unknown("function", &FUNCTIONS),
            ErrorKind::OutOfFuel => Problem::at(&place, "this template does not come to an end")
                .rule(format!("rendering takes at most {STEPS} steps")),
            ErrorKind::InvalidOperation if detail == "recursion limit exceeded" => {
                Problem::at(&place, "this includes or calls itself without end")
                    .rule("templates and macros cannot include or call each other in a circle")
            }
            ErrorKind::InvalidOperation if !detail.is_empty() => Problem::of_sentence(&place, detail),
            kind if detail.is_empty() => Problem::at(&place, kind.to_string()),
            kind => Problem::at(&place, format!("{kind}: {detail}")),
        }
    }

    fn syntax(&self, place: &Place, detail: &str) -> Problem {
        let problem = Problem::at(place, format!("syntax error: {detail}"));
        let text = self.text.text();
        if detail.ends_with("expected end of block") && detail.contains("end of input") {
            return problem.rule("`{% if %}` ends with `{% endif %}`, `{% for %}` with `{% endfor %}`, and so on");
        }
        if matches!(self.text, Text::Inline(..))
            && text.trim_start().starts_with("{{")
            && text.trim_end().ends_with("}}")
        {
            let inner = text.trim().trim_start_matches('{').trim_end_matches('}').trim();
            return Problem::at(&self.text.place(0..text.len()), "a condition in braces")
                .rule("a condition is an expression, which needs no braces")
                .help(format!("write `\"{inner}\"`"));
        }
        if text.get(self.range.start..).is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("==")) {
            return problem.help("to compare, write `==`");
        }
        problem
    }

    /// Says which name is not defined, and which one it was most likely meant to be.
    pub(super) fn undefined(&self, scope: &Scope) -> Problem {
        let locals = locals(self.text.text());
        let missing = names(self.text.text(), &self.range)
            .into_iter()
            .filter(|(_, path)| !locals.contains(path.split('.').next().unwrap_or_default()))
            .find_map(|(start, path)| missing_part(scope, &path).map(|missing| (start, path, missing)));
        let Some((start, path, missing)) = missing else {
            let place = self.text.place(self.range.clone());
            return Problem::at(&place, "this value is not defined")
                .help("give it a value, or ask for it with `is defined`");
        };
        let name = &path[missing.offset..missing.end];
        let place = self.text.place(start + missing.offset..start + missing.end);
        let problem = Problem::at(&place, format!("`{}` is not defined", &path[..missing.end])).label("not defined");
        let parent = path[..missing.offset].trim_end_matches('.');
        let candidates: Vec<&str> = match parent {
            "" => scope.keys().map(String::as_str).chain(locals.iter().map(String::as_str)).collect(),
            _ => missing.siblings.iter().map(String::as_str).collect(),
        };
        match (nearest(name, &candidates), parent) {
            (Some(near), "") => problem.help(format!("did you mean `{near}`?")),
            (Some(near), _) => problem.help(format!("did you mean `{parent}.{near}`?")),
            (None, "") => problem
                .rule(
                    "templates know the variables, and `distro`, `profile`, `layer`, `user`, `group`, `writable`, \
                     `process` and `secret`",
                )
                .help(format!("declare it: `[variable.{name}]` with a `default`")),
            (None, _) if missing.kind != ValueKind::Map => problem.rule(format!("`{parent}` is a {}", missing.kind)),
            (None, _) if candidates.is_empty() => problem.rule(format!("`{parent}` has nothing in it")),
            (None, _) => problem.rule(format!("`{parent}` has: {}", candidates.join(", "))),
        }
    }
}

fn missing_template(place: &Place, detail: &str, templates: &[String]) -> Problem {
    let name = detail.split(['"', '\'']).nth(1).unwrap_or_default();
    let problem = Problem::at(place, format!("the template `{name}` does not exist"));
    let own = name.rsplit_once("templates/").map_or(name, |(_, own)| own);
    match nearest(own, &templates.iter().map(String::as_str).collect::<Vec<_>>()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.rule("templates are looked for in the layer's `templates/` folder, then in the project's"),
    }
}

/// The first part of a dotted name that is not defined.
struct Missing {
    offset: usize,
    end: usize,
    /// What the part before it is.
    kind: ValueKind,
    /// What the part before it has.
    siblings: Vec<String>,
}

fn missing_part(scope: &Scope, path: &str) -> Option<Missing> {
    let mut value = None;
    let mut siblings = Vec::new();
    let mut kind = ValueKind::Map;
    let mut offset = 0;
    for name in path.split('.') {
        let end = offset + name.len();
        let found = match &value {
            None => scope.get(name).cloned(),
            Some(parent) => minijinja::value::Value::get_attr(parent, name).ok().filter(|value| !value.is_undefined()),
        };
        let Some(found) = found else { return Some(Missing { offset, end, kind, siblings }) };
        kind = found.kind();
        siblings = match kind {
            ValueKind::Map => {
                found.try_iter().map(|keys| keys.map(|key| key.to_string()).collect()).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        value = Some(found);
        offset = end + 1;
    }
    None
}

/// Returns the dotted names of values around `range`, those that touch it first, each with its offset in the text.
fn names(text: &str, range: &Range<usize>) -> Vec<(usize, String)> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?P<before>[.|]\s*|\bis\s+(?:not\s+)?)?(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?P<after>\s*\(|\s*=[^=])?"#)
            .expect("the expression is fixed")
    });
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let from = text[..start].rfind("{{").into_iter().chain(text[..start].rfind("{%")).max().map_or(0, |tag| tag + 2);
    let to = text[start..]
        .find("}}")
        .into_iter()
        .chain(text[start..].find("%}"))
        .min()
        .map_or(text.len(), |end| start + end);
    let mut found: Vec<(usize, String)> = Vec::new();
    for token in TOKEN.captures_iter(&text[from..to]) {
        let Some(name) = token.name("name") else { continue };
        let called = token.name("after").is_some();
        if token.name("before").is_some() || called && !name.as_str().contains('.') || WORDS.contains(&name.as_str()) {
            continue;
        }
        // The last part of `name.method(` is called, not looked up.
        let path = match name.as_str().rsplit_once('.') {
            Some((object, _)) if called => object,
            _ => name.as_str(),
        };
        found.push((from + name.start(), path.to_owned()));
    }
    found.sort_by_key(|(offset, path)| *offset + path.len() < range.start || *offset > range.end);
    found
}

/// Returns the names that a template gives values itself: in `set`, `for`, `macro` and `import`.
fn locals(text: &str) -> BTreeSet<String> {
    static BINDING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"\{%[-+]?\s*(?:set\s+([\w\s,]+?)\s*(?:=|%|-%)|for\s+\(?([\w\s,]+?)\)?\s+in\b|macro\s+\w+\s*\(([^)]*)\)|(?:from|import)\b[^%]*?\b(?:import|as)\s+([\w\s,]+?)\s*[-+]?%\}|with\s+(\w+)\s*=)",
        )
        .expect("the expression is fixed")
    });
    let bound = BINDING
        .captures_iter(text)
        .flat_map(|bound| bound.iter().skip(1).flatten().map(|part| part.as_str()).collect::<Vec<_>>());
    let words = bound.flat_map(|list| list.split(',')).filter_map(|part| {
        let name = part.split('=').next().unwrap_or_default();
        name.split_whitespace().last()
    });
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Templates;
    use crate::spec::Project;

    #[test]
    fn what_is_suggested_exists() {
        let project = Arc::new(Project::open(std::path::Path::new("/nowhere")));
        let templates = Templates::new(&project);
        let place = Place::file("x");
        let filters = FILTERS.map(|name| format!("'{name}' is filter"));
        let tests = TESTS.map(|name| format!("'{name}' is test"));
        let functions = FUNCTIONS.map(|name| format!("{name} is defined"));
        for expression in filters.iter().chain(&tests).chain(&functions) {
            assert!(templates.is_true(expression, &place, &Arc::default()).unwrap().0, "{expression}");
        }
    }
}
