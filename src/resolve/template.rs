//! Templates: minijinja, strict, with the filters that configuration files need, and a record of what was used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter};

use super::fault::{Fault, Text};
use super::filters;
use crate::digest::{Digest, Hasher};
use crate::spec::{Place, Problem, Project, Source};
use crate::store::{RenderedText, Texts};

/// A text that was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The names that were looked up on the way: `port`, `distro.paths.nologin`.
    pub used: Used,
}

/// Names that a rendering looked up, sorted.
pub type Used = BTreeSet<String>;

/// The values that templates see, by top-level name.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    values: BTreeMap<String, Value>,
    /// The digest of all values; nothing when one cannot be written down.
    digest: OnceLock<Option<Digest>>,
}

impl Scope {
    /// Makes `value` known as `name`.
    pub fn insert(&mut self, name: String, value: Value) {
        self.digest = OnceLock::new();
        self.values.insert(name, value);
    }

    fn digest(&self) -> Option<Digest> {
        *self.digest.get_or_init(|| Some(Digest::of(serde_json::to_vec(&self.values).ok()?)))
    }
}

impl<const N: usize> From<[(String, Value); N]> for Scope {
    fn from(values: [(String, Value); N]) -> Self {
        Self { values: values.into(), digest: OnceLock::new() }
    }
}

impl std::ops::Deref for Scope {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &BTreeMap<String, Value> {
        &self.values
    }
}

/// Renders templates and expressions. One engine serves all distros of a profile: each template is read once.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    sources: Arc<Mutex<BTreeMap<String, Arc<Source>>>>,
    project: Arc<Project>,
    /// What an earlier run rendered, and the digest of the program that this run is.
    remembered: OnceLock<(Texts, Digest)>,
}

impl Templates {
    /// Returns an engine whose templates include and import others from the folder of their layer, then from the
    /// project's `templates/`.
    pub fn new(project: &Arc<Project>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(STEPS));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(write_one_value);
        // A file ends as its template ends, and a line with nothing but a block leaves no empty line.
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
        filters::add(&mut environment);
        let sources: Arc<Mutex<BTreeMap<String, Arc<Source>>>> = Arc::default();
        let joined = Arc::clone(project);
        environment.set_path_join_callback(move |name, parent| {
            let beside = parent.strip_prefix("layers/").and_then(|rest| rest.split_once('/'));
            let own = beside.map(|(layer, _)| format!("layers/{layer}/templates/{name}"));
            match own.filter(|own| matches!(joined.source(own), Ok(Some(_)))) {
                Some(own) => own.into(),
                None => format!("templates/{name}").into(),
            }
        });
        let (loaded, kept) = (Arc::clone(project), Arc::clone(&sources));
        environment.set_loader(move |name| {
            // What is rendered itself was read before.
            if let Some(source) = kept.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
                return Ok(Some(source.text.clone()));
            }
            match loaded.source(name) {
                Ok(Some((source, _))) => {
                    keep(&kept, name, &source);
                    Ok(Some(source.text.clone()))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.to_string())),
            }
        });
        Self { environment, sources, project: Arc::clone(project), remembered: OnceLock::new() }
    }

    /// Takes what an earlier run rendered, so that the same is not rendered again, and a digest that tells builds of the
    /// program apart. The first one counts.
    pub fn remember(&self, texts: Texts, program: Digest) {
        self.remembered.get_or_init(|| (texts, program));
    }

    /// Returns the texts to remember for the next run; nothing when they are those that were remembered.
    pub fn learned(&self) -> Option<BTreeMap<Digest, RenderedText>> {
        self.remembered.get()?.0.learned()
    }

    /// Renders the template `source`, which templates know as `name` (`layers/nginx/templates/nginx.conf.j2`).
    ///
    /// # Errors
    /// A mistake in it or in one it includes, at its place.
    pub fn render(&self, name: &str, source: &Arc<Source>, scope: &Arc<Scope>) -> Result<Rendered, Box<Problem>> {
        let remembered = self.remembered.get();
        let remembered =
            remembered.and_then(|(texts, program)| Some((texts, key(program, name, &source.text, scope)?)));
        if let Some(RenderedText { text, used }) = remembered.and_then(|(texts, key)| texts.get(&key)) {
            return Ok(Rendered { text, used });
        }
        keep(&self.sources, name, source);
        let recorder = Recorder::new(scope);
        let rendered = self
            .environment
            .get_template(name)
            .and_then(|template| template.render(recorder.root()))
            .map_err(|error| Box::new(self.problem(&error, Text::File(Arc::clone(source)), scope)))?;
        let rendered = Rendered { text: rendered, used: recorder.used() };
        if let Some((texts, key)) = remembered {
            texts.add(key, RenderedText { text: rendered.text.clone(), used: rendered.used.clone() });
        }
        Ok(rendered)
    }

    /// Renders a text that stands in a document at `place`.
    ///
    /// # Errors
    /// A mistake in it, at its place inside the document where that can be told.
    pub fn render_text(&self, text: &str, place: &Place, scope: &Arc<Scope>) -> Result<Rendered, Box<Problem>> {
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Ok(Rendered { text: text.to_owned(), used: Used::new() });
        }
        let recorder = Recorder::new(scope);
        let text = self
            .environment
            .render_named_str(INLINE, text, recorder.root())
            .map_err(|error| Box::new(self.problem(&error, Text::Inline(text, place), scope)))?;
        Ok(Rendered { text, used: recorder.used() })
    }

    /// Evaluates an expression that stands in a document at `place`, such as the `when` of a table, to true or false.
    ///
    /// # Errors
    /// A mistake in it.
    pub fn is_true(&self, text: &str, place: &Place, scope: &Arc<Scope>) -> Result<(bool, Used), Box<Problem>> {
        let recorder = Recorder::new(scope);
        let value = self
            .environment
            .compile_expression(text)
            .and_then(|expression| expression.eval(recorder.root()))
            .map_err(|error| Box::new(self.problem(&error, Text::Inline(text, place), scope)))?;
        if value.is_undefined() {
            let error = Error::from(ErrorKind::UndefinedError);
            return Err(Box::new(self.problem(&error, Text::Inline(text, place), scope)));
        }
        Ok((value.is_true(), recorder.used()))
    }

    /// Says what is wrong: in `text`, or in a template that it includes.
    fn problem<'text>(&self, error: &Error, text: Text<'text>, scope: &Scope) -> Problem {
        let mut innermost = error;
        let mut text = text;
        let mut range = 0..text.text().len();
        let mut next = Some(error);
        while let Some(error) = next {
            let known = error.name().and_then(|name| self.kept(name));
            let inline = error.name().is_none_or(|name| name.starts_with('<'));
            if let Some(source) = known {
                text = Text::File(source);
            }
            if let (Some(found), true) = (range_of(error, text.text()), inline || matches!(text, Text::File(_))) {
                range = found;
            }
            innermost = error;
            next = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>());
        }
        let known = self.project.names("templates", "").unwrap_or_default();
        let known: Vec<String> = known.into_keys().collect();
        Fault { error: innermost, text, range }.problem(scope, &known)
    }

    fn kept(&self, name: &str) -> Option<Arc<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// The steps a rendering may take, which keeps a template that never ends from holding everything up.
pub(super) const STEPS: u64 = 10_000_000;

/// The name under which a text of a document is rendered.
const INLINE: &str = "<inline>";

/// The words by which a template takes in another one.
const TAKING_IN: [&str; 4] = ["include", "import", "extends", "from"];

/// Returns the digest of everything that decides what is rendered from a template; nothing for one that may take in
/// another one, whose text decides as well.
fn key(program: &Digest, name: &str, text: &str, scope: &Scope) -> Option<Digest> {
    let scope = scope.digest().filter(|_| !TAKING_IN.iter().any(|word| text.contains(word)))?;
    let mut hasher = Hasher::new();
    hasher.field(program.as_bytes());
    hasher.field(name.as_bytes());
    hasher.field(text.as_bytes());
    hasher.field(scope.as_bytes());
    Some(hasher.finish().0)
}

/// Returns the bytes of `text` that an error is about.
fn range_of(error: &Error, text: &str) -> Option<Range<usize>> {
    let whole_line = |line: usize| {
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        start..start + text[start..].lines().next().map_or(0, str::len)
    };
    let range = error.range().or_else(|| error.line().map(whole_line))?;
    let start = text.floor_char_boundary(range.start);
    Some(start..text.ceil_char_boundary(range.end.max(range.start)))
}

fn keep(sources: &Mutex<BTreeMap<String, Arc<Source>>>, name: &str, source: &Arc<Source>) {
    sources.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(source));
}

/// Writes the value of `{{ … }}`. No file means the text that a list or table has in the template language, and nothing
/// would be written unseen: those are mistakes.
fn write_one_value(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let message = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => "a list is not one value: make a text of it with `join` or `yaml`",
        ValueKind::Map => "a table is not one value: name one of its keys, or make a text of it with `yaml`",
        ValueKind::None => "this is none: give it a value with `or`",
        _ => return escape_formatter(output, state, value),
    };
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Hands the scope to one rendering and writes down what is looked up in it.
struct Recorder {
    root: Value,
    used: Arc<Mutex<Used>>,
}

impl Recorder {
    fn new(scope: &Arc<Scope>) -> Self {
        let used = Arc::<Mutex<Used>>::default();
        let root = Watched { inner: Inner::Root(Arc::clone(scope)), path: String::new(), used: Arc::clone(&used) };
        Self { root: Value::from_object(root), used }
    }

    fn root(&self) -> Value {
        self.root.clone()
    }

    fn used(&self) -> Used {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A map of the scope that writes down which of its keys are looked up.
struct Watched {
    inner: Inner,
    path: String,
    used: Arc<Mutex<Used>>,
}

enum Inner {
    Root(Arc<Scope>),
    Map(Value),
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the values of `{}`", self.path)
    }
}

impl Object for Watched {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let value = match &self.inner {
            Inner::Root(scope) => scope.get(name)?.clone(),
            Inner::Map(map) => map.get_item(key).ok().filter(|value| !value.is_undefined())?,
        };
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        if value.kind() == ValueKind::Map {
            return Some(Value::from_object(Self { inner: Inner::Map(value), path, used: Arc::clone(&self.used) }));
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        Some(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys: Vec<Value> = match &self.inner {
            Inner::Root(scope) => scope.keys().map(Value::from).collect(),
            Inner::Map(map) => map.try_iter().map(Iterator::collect).unwrap_or_default(),
        };
        if !self.path.is_empty() {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{}.*", self.path));
        }
        Enumerator::Values(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn scope() -> Arc<Scope> {
        let paths = BTreeMap::from([("nologin", "/sbin/nologin")]);
        Arc::new(Scope::from([
            ("port".into(), Value::from(8080)),
            ("distro".into(), Value::from(BTreeMap::from([("paths", Value::from(paths))]))),
        ]))
    }

    fn render(text: &str) -> Result<Rendered, Box<Problem>> {
        let templates = Templates::new(&Arc::new(Project::open(Path::new("/nowhere"))));
        let source = Arc::new(Source { name: "x.toml".into(), path: None, text: format!("content = '{text}'") });
        let span = 10..source.text.len();
        templates.render_text(text, &Place { source, span }, &scope())
    }

    #[test]
    fn records_what_was_used() {
        let rendered = render("{{ port }} {{ distro.paths.nologin }}").unwrap();
        assert_eq!(rendered.text, "8080 /sbin/nologin");
        assert_eq!(rendered.used.into_iter().collect::<Vec<_>>(), ["distro.paths.nologin", "port"]);
    }

    #[test]
    fn undefined_names_are_errors_with_the_near_miss() {
        let problem = render("a {{ prot }}").unwrap_err();
        assert_eq!(problem.message, "`prot` is not defined");
        assert_eq!(problem.help.as_deref(), Some("did you mean `port`?"));
        assert_eq!(problem.place.unwrap().to_string(), "x.toml:1:17");
        let problem = render("{{ distro.paths.nolgin }}").unwrap_err();
        assert_eq!(problem.message, "`distro.paths.nolgin` is not defined");
        assert_eq!(problem.help.as_deref(), Some("did you mean `distro.paths.nologin`?"));
    }

    #[test]
    fn what_is_not_one_value_is_not_written() {
        for (text, word) in
            [("{{ distro }}", "table"), ("{{ distro.paths }}", "table"), ("{{ [1] }}", "list"), ("{{ none }}", "none")]
        {
            assert!(render(text).unwrap_err().message.contains(word), "{text}");
        }
        assert_eq!(
            render("{{ [1, 2] | join }} {{ distro.paths | yaml }}").unwrap().text,
            "12 {\"nologin\":\"/sbin/nologin\"}"
        );
    }

    #[test]
    fn mistakes_of_syntax_have_their_place() {
        let problem = render("{% if port %}").unwrap_err();
        assert!(problem.message.starts_with("syntax error"), "{}", problem.message);
        assert!(problem.place.unwrap().to_string().starts_with("x.toml:1:"));
    }

    #[test]
    fn what_was_rendered_is_remembered_for_the_same_values_and_program() {
        let source = |text: &str| Arc::new(Source { name: "a.j2".into(), path: None, text: text.into() });
        let remember = |texts: BTreeMap<Digest, RenderedText>, program: &str| {
            let templates = Templates::new(&Arc::new(Project::open(Path::new("/nowhere"))));
            templates.remember(Texts::new(texts), Digest::of(program));
            templates
        };
        let first = remember(BTreeMap::new(), "one");
        let rendered = first.render("a.j2", &source("{{ port }}"), &scope()).unwrap();
        let mut known = first.learned().unwrap();
        let again = remember(known.clone(), "one");
        assert_eq!(again.render("a.j2", &source("{{ port }}"), &scope()).unwrap(), rendered);
        assert_eq!(again.learned(), None);
        // What is remembered is what is returned, so that the following differ from it because they are rendered.
        known.values_mut().for_each(|text| text.text = "remembered".into());
        let render = |program, name, text, scope: &Arc<Scope>| {
            remember(known.clone(), program).render(name, &source(text), scope).unwrap().text
        };
        assert_eq!(render("one", "a.j2", "{{ port }}", &scope()), "remembered");
        assert_eq!(render("two", "a.j2", "{{ port }}", &scope()), "8080");
        assert_eq!(render("one", "b.j2", "{{ port }}", &scope()), "8080");
        assert_eq!(render("one", "a.j2", "{{ port }} ", &scope()), "8080 ");
        let mut other = (*scope()).clone();
        other.insert("port".into(), Value::from("8080"));
        assert_eq!(render("one", "a.j2", "{{ port }}", &Arc::new(other)), "8080", "a text is no number");
    }

    #[test]
    fn what_may_take_in_other_templates_is_not_remembered() {
        let templates = Templates::new(&Arc::new(Project::open(Path::new("/nowhere"))));
        templates.remember(Texts::default(), Digest::of("one"));
        let text = "{# {% include 'x' %} #}".to_owned();
        let source = Arc::new(Source { name: "a.j2".into(), path: None, text });
        templates.render("a.j2", &source, &scope()).unwrap();
        assert_eq!(templates.learned(), None);
    }
}
