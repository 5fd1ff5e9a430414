//! Variables: declared with a type and limits, set from five places.

use std::collections::BTreeMap;

use regex::Regex;

use super::recipe::Variable;
use crate::spec::{Identifier, Located, Place, Problem, Scalar, Table, VariableTable, VariableType, nearest};

/// Names that mean something else in every template: what is defined there, and the words of its language.
const RESERVED: [&str; 20] = [
    "distro", "profile", "layer", "user", "group", "writable", "process", "secret", "loop", "self", "true", "false",
    "none", "and", "or", "not", "in", "is", "if", "else",
];

/// A value given from outside of the profile.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The name of the variable.
    pub name: String,
    /// The value: text from the command line or environment, typed from a file.
    pub value: Scalar,
    /// Who says so: `--set`, `LAYERFORGE_VAR_PORT`, or a place in a file.
    pub origin: String,
    /// The place in a file, when it comes from one.
    pub place: Option<Place>,
    /// Whether a name that no variable has is an error. In the environment it may be meant for another profile.
    pub strict: bool,
}

/// Gives every declared variable its value: the default, then `settings` in order.
///
/// # Errors
/// Every declaration that contradicts itself, every value that breaks its declaration, every required value that is
/// missing.
pub(super) fn decide(
    declared: &Table<Identifier, VariableTable>,
    settings: &[Setting],
) -> Result<BTreeMap<String, Variable>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut variables = BTreeMap::new();
    for (name, table) in declared {
        let set = settings.iter().rev().find(|setting| setting.name == ***name);
        match Declaration::new(name, table).and_then(|declaration| declaration.value(set)) {
            Ok(variable) => drop(variables.insert(name.to_string(), variable)),
            Err(problem) => problems.push(*problem),
        }
    }
    for setting in settings.iter().filter(|setting| setting.strict && !declared.contains_key(setting.name.as_str())) {
        problems.push(unknown(setting, declared));
    }
    if problems.is_empty() { Ok(variables) } else { Err(problems) }
}

fn unknown(setting: &Setting, declared: &Table<Identifier, VariableTable>) -> Problem {
    let message = format!("{} sets `{}`, which is no variable of this profile", setting.origin, setting.name);
    let problem = match &setting.place {
        Some(place) => Problem::at(place, message),
        None => Problem::anywhere(message),
    };
    let names: Vec<&str> = declared.keys().map(|name| name.as_str()).collect();
    match nearest(&setting.name, &names) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("declare it: `[variable.{}]`, or see `layerforge list variables`", setting.name)),
    }
}

/// A declaration that does not contradict itself.
struct Declaration<'table> {
    name: &'table Located<Identifier>,
    table: &'table VariableTable,
    kind: VariableType,
    /// The `pattern`, made to match whole texts.
    pattern: Option<Regex>,
}

/// Why a value is refused: what is wrong, and the limit it breaks.
struct Refusal<'table> {
    message: String,
    limit: Option<(&'table Place, String)>,
}

impl<'table> Declaration<'table> {
    fn new(name: &'table Located<Identifier>, table: &'table VariableTable) -> Result<Self, Box<Problem>> {
        if RESERVED.contains(&name.as_str()) {
            return Err(Box::new(
                Problem::at(&name.place, format!("a variable cannot be called `{}`", **name))
                    .rule(format!("these names mean something else in templates: {}", RESERVED.join(", "))),
            ));
        }
        let kind = match (&table.kind, &table.default) {
            (Some(kind), _) => kind.value,
            (None, Some(default)) => type_of(default),
            (None, None) => {
                let message = format!("the variable `{}` has neither `type` nor `default`", **name);
                return Err(Box::new(
                    Problem::at(&name.place, message)
                        .rule("a variable has a `default`, or a `type` when its value must be given"),
                ));
            }
        };
        let declaration = Self { name, table, kind, pattern: table.pattern.as_ref().map(whole).transpose()? };
        declaration.check_limits()?;
        if let Some(default) = &table.default {
            declaration.accept(default.value.clone(), false).map_err(|refusal| refusal.at(&default.place))?;
        }
        Ok(declaration)
    }

    /// Refuses limits that no value of the type can have.
    fn check_limits(&self) -> Result<(), Box<Problem>> {
        let VariableTable { minimum, maximum, pattern, choices, .. } = self.table;
        let number = self.kind == VariableType::Integer;
        let text = matches!(self.kind, VariableType::String | VariableType::List);
        let choices = choices.as_ref().and_then(|choices| choices.first());
        let limits = [
            ("minimum", minimum.as_ref().map(|limit| &limit.place), number, "integer"),
            ("maximum", maximum.as_ref().map(|limit| &limit.place), number, "integer"),
            ("pattern", pattern.as_ref().map(|limit| &limit.place), text, "string and list"),
            ("choices", choices.map(|limit| &limit.place), text, "string and list"),
        ];
        for (key, place, fits, types) in limits {
            let Some(place) = place.filter(|_| !fits) else { continue };
            let kind = self.kind.word();
            let message = format!("`{key}` does nothing for `{}`, which is of type {kind}", **self.name);
            return Err(Box::new(
                Problem::at(place, message).rule(format!("`{key}` is for variables of type {types}")),
            ));
        }
        match (minimum, maximum) {
            (Some(minimum), Some(maximum)) if minimum.value > maximum.value => Err(Box::new(
                Problem::at(&minimum.place, format!("no value of `{}` is allowed", **self.name))
                    .label(format!("at least {}", minimum.value))
                    .related(&maximum.place, format!("and at most {}", maximum.value)),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the value that was set, or else the default.
    fn value(&self, set: Option<&Setting>) -> Result<Variable, Box<Problem>> {
        let Self { name, table, .. } = self;
        let (value, origin) = match (set, &table.default) {
            (Some(setting), _) => {
                let value = self.accept(setting.value.clone(), setting.place.is_none());
                let value = value.map_err(|refusal| match &setting.place {
                    Some(place) => refusal.at(place),
                    None => refusal.of_setting(setting, name),
                })?;
                (value, setting.origin.clone())
            }
            (None, Some(default)) => (default.value.clone(), default.place.to_string()),
            (None, None) => {
                return Err(Box::new(
                    Problem::at(&name.place, format!("the variable `{}` has no value", **name))
                        .rule("a variable without `default` must be given a value")
                        .help(format!("say `--set {}=…`, or give it a `default`", **name)),
                ));
            }
        };
        let help = table.help.as_ref().map(|help| help.value.clone()).unwrap_or_default();
        Ok(Variable { value, origin, help, place: name.place.clone() })
    }

    /// Returns `value` as one of the type, when it keeps the limits.
    fn accept(&self, value: Scalar, from_text: bool) -> Result<Scalar, Refusal<'table>> {
        let name = &self.name.value;
        let value = convert(value, self.kind, from_text)
            .map_err(|message| Refusal { message: format!("`{name}` {message}"), limit: None })?;
        let refused = |message: String, place: &'table Place, limit: String| {
            Err(Refusal { message: format!("`{name}` {message}"), limit: Some((place, limit)) })
        };
        let VariableTable { minimum, maximum, pattern, choices, .. } = self.table;
        if let Scalar::Integer(number) = value {
            if let Some(minimum) = minimum.as_ref().filter(|minimum| number < minimum.value) {
                return refused(
                    format!("is {number}, which is too small"),
                    &minimum.place,
                    format!("at least {}", **minimum),
                );
            }
            if let Some(maximum) = maximum.as_ref().filter(|maximum| number > maximum.value) {
                return refused(
                    format!("is {number}, which is too large"),
                    &maximum.place,
                    format!("at most {}", **maximum),
                );
            }
        }
        let texts = match &value {
            Scalar::Text(text) => std::slice::from_ref(text),
            Scalar::List(texts) => texts,
            Scalar::Boolean(_) | Scalar::Integer(_) => &[],
        };
        for text in texts {
            if let (Some(written), Some(regex)) = (pattern, &self.pattern)
                && !regex.is_match(text)
            {
                return refused(format!("cannot be `{text}`"), &written.place, "the whole text must match this".into());
            }
            if let Some(choices) = choices
                && !choices.iter().any(|choice| choice.value == *text)
            {
                let place = choices.first().map_or(&self.name.place, |choice| &choice.place);
                let all: Vec<_> = choices.iter().map(|choice| format!("`{}`", **choice)).collect();
                return refused(format!("cannot be `{text}`"), place, format!("one of {}", all.join(", ")));
            }
        }
        Ok(value)
    }
}

impl Refusal<'_> {
    fn at(self, place: &Place) -> Box<Problem> {
        let problem = Problem::at(place, self.message);
        Box::new(match self.limit {
            Some((limit, words)) => problem.related(limit, words),
            None => problem,
        })
    }

    fn of_setting(self, setting: &Setting, declared: &Located<Identifier>) -> Box<Problem> {
        let problem = Problem::anywhere(format!("{}: {}", setting.origin, self.message));
        Box::new(match self.limit {
            Some((limit, words)) => problem.related(limit, words),
            None => problem.related(&declared.place, "declared here"),
        })
    }
}

/// Makes an expression that must match the whole of a text.
fn whole(pattern: &Located<String>) -> Result<Regex, Box<Problem>> {
    Regex::new(&format!("^(?:{})$", **pattern)).map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        Box::new(Problem::at(&pattern.place, format!("`{}` is no regular expression", **pattern)).label(reason))
    })
}

fn type_of(value: &Scalar) -> VariableType {
    match value {
        Scalar::Boolean(_) => VariableType::Boolean,
        Scalar::Integer(_) => VariableType::Integer,
        Scalar::Text(_) => VariableType::String,
        Scalar::List(_) => VariableType::List,
    }
}

/// Turns a value into one of `kind`; text from outside is read as the type asks.
fn convert(value: Scalar, kind: VariableType, from_text: bool) -> Result<Scalar, String> {
    let wrong = |value: &Scalar, wanted: &str| Err(format!("takes {wanted}, not the {} `{value}`", value.type_word()));
    match (kind, value) {
        (VariableType::String, value @ Scalar::Text(_))
        | (VariableType::Integer, value @ Scalar::Integer(_))
        | (VariableType::Boolean, value @ Scalar::Boolean(_))
        | (VariableType::List, value @ Scalar::List(_)) => Ok(value),
        (VariableType::Integer, Scalar::Text(text)) if from_text => match text.trim().parse() {
            Ok(number) => Ok(Scalar::Integer(number)),
            Err(_) => wrong(&Scalar::Text(text), "a whole number"),
        },
        (VariableType::Boolean, Scalar::Text(text)) if from_text => match text.as_str() {
            "true" => Ok(Scalar::Boolean(true)),
            "false" => Ok(Scalar::Boolean(false)),
            _ => wrong(&Scalar::Text(text), "`true` or `false`"),
        },
        (VariableType::List, Scalar::Text(text)) if from_text => {
            let parts = text.split(',').filter(|part| !part.is_empty()).map(str::to_owned);
            Ok(Scalar::List(parts.collect()))
        }
        (VariableType::String, value) => wrong(&value, "a string"),
        (VariableType::Integer, value) => wrong(&value, "a whole number"),
        (VariableType::Boolean, value) => wrong(&value, "`true` or `false`"),
        (VariableType::List, value) => wrong(&value, "a list of strings"),
    }
}
