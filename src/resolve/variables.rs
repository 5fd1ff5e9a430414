//! Variables: declared with a type and limits, set from five places.

use std::collections::BTreeMap;

use regex::Regex;

use super::recipe::Variable;
use crate::spec::{Identifier, Located, Place, Problem, Scalar, Table, VariableTable, VariableType, nearest};

/// Top-level names of templates that no variable may have.
const RESERVED: [&str; 8] = ["distro", "profile", "layer", "user", "group", "writable", "process", "secret"];

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
        match declare(name, table) {
            Ok((kind, default)) => {
                let set = settings.iter().rev().find(|setting| setting.name == ***name);
                match value_of(name, table, kind, default, set) {
                    Ok(variable) => drop(variables.insert(name.to_string(), variable)),
                    Err(problem) => problems.push(problem),
                }
            }
            Err(problem) => problems.push(problem),
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

/// Returns the type of a variable and its default.
fn declare<'table>(
    name: &Located<Identifier>,
    table: &'table VariableTable,
) -> Result<(VariableType, Option<&'table Located<Scalar>>), Problem> {
    if RESERVED.contains(&name.as_str()) {
        return Err(Problem::at(&name.place, format!("a variable cannot be called `{}`", **name))
            .rule(format!("these names mean something in every template: {}", RESERVED.join(", "))));
    }
    let kind = match (&table.kind, &table.default) {
        (Some(kind), _) => kind.value,
        (None, Some(default)) => type_of(default),
        (None, None) => {
            return Err(Problem::at(
                &name.place,
                format!("the variable `{}` has neither `type` nor `default`", **name),
            )
            .rule("a variable has a `default`, or a `type` when its value must be given"));
        }
    };
    let only_for = |key: &str, place: &Place, wanted: &str| {
        Err(Problem::at(place, format!("`{key}` is for variables of type {wanted}, and `{}` is none", **name)))
    };
    if kind != VariableType::Integer {
        for (key, limit) in [("minimum", &table.minimum), ("maximum", &table.maximum)] {
            if let Some(limit) = limit {
                return only_for(key, &limit.place, "integer");
            }
        }
    }
    if let (Some(pattern), false) = (&table.pattern, matches!(kind, VariableType::String | VariableType::List)) {
        return only_for("pattern", &pattern.place, "string or list");
    }
    Ok((kind, table.default.as_ref()))
}

fn type_of(value: &Scalar) -> VariableType {
    match value {
        Scalar::Boolean(_) => VariableType::Boolean,
        Scalar::Integer(_) => VariableType::Integer,
        Scalar::Text(_) => VariableType::String,
        Scalar::List(_) => VariableType::List,
    }
}

fn value_of(
    name: &Located<Identifier>,
    table: &VariableTable,
    kind: VariableType,
    default: Option<&Located<Scalar>>,
    set: Option<&Setting>,
) -> Result<Variable, Problem> {
    let (value, origin, place) = match (set, default) {
        (Some(setting), _) => (setting.value.clone(), setting.origin.clone(), setting.place.clone()),
        (None, Some(default)) => (default.value.clone(), default.place.to_string(), Some(default.place.clone())),
        (None, None) => {
            return Err(Problem::at(&name.place, format!("the variable `{}` has no value", **name))
                .rule("a variable without `default` must be given a value")
                .help(format!("say `--set {}=…`, or give it a `default`", **name)));
        }
    };
    let from_text = set.is_some() && place.is_none();
    let fault = |message: String| {
        let message = if from_text { format!("{origin}: {message}") } else { message };
        match &place {
            Some(place) => Problem::at(place, message),
            None => Problem::anywhere(message).related(&name.place, "declared here"),
        }
    };
    let value = convert(value, kind, from_text).map_err(|message| fault(format!("`{}` {message}", **name)))?;
    check(&value, table).map_err(|(message, rule)| fault(format!("`{}` {message}", **name)).rule(rule))?;
    let help = table.help.as_ref().map(|help| help.value.clone()).unwrap_or_default();
    Ok(Variable { value, origin, help, place: name.place.clone() })
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

/// Checks a value of the right type against the limits; returns what is wrong and the rule.
fn check(value: &Scalar, table: &VariableTable) -> Result<(), (String, String)> {
    if let Scalar::Integer(number) = value {
        if let Some(minimum) = table.minimum.as_ref().filter(|minimum| *number < minimum.value) {
            return Err((format!("is {number}, which is too small"), format!("at least {}", minimum.value)));
        }
        if let Some(maximum) = table.maximum.as_ref().filter(|maximum| *number > maximum.value) {
            return Err((format!("is {number}, which is too large"), format!("at most {}", maximum.value)));
        }
    }
    let single = value.to_string();
    let texts: Vec<&str> = match value {
        Scalar::List(values) => values.iter().map(String::as_str).collect(),
        _ => vec![&single],
    };
    for text in texts {
        if let Some(pattern) = &table.pattern {
            let whole = Regex::new(&format!("^(?:{})$", pattern.value)).map_err(|error| {
                (format!("has a pattern that is no regular expression: {error}"), pattern.value.clone())
            })?;
            if !whole.is_match(text) {
                return Err((
                    format!("is `{text}`, which does not match"),
                    format!("the whole matches `{}`", **pattern),
                ));
            }
        }
        if let Some(choices) = &table.choices {
            if !choices.iter().any(|choice| choice.value == text) {
                let all: Vec<_> = choices.iter().map(|choice| format!("`{}`", choice.value)).collect();
                return Err((
                    format!("is `{text}`, which is none of its choices"),
                    format!("one of {}", all.join(", ")),
                ));
            }
        }
    }
    Ok(())
}
