//! What every part of resolving needs: rendering, conditions, accounts, and a place to collect problems.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Serde, Value};

use super::library::Library;
use super::recipe::{Account, User};
use super::template::{Scope, Used};
use crate::distro::Distro;
use crate::spec::{self, Condition, Located, Name, Number, Place, Problem, Project};

/// Resolves one profile for one distro. Problems are collected, so that a user sees all of them at once.
pub(super) struct Resolver<'library> {
    pub(super) library: &'library Library,
    pub(super) distro: Distro,
    pub(super) scope: Arc<Scope>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeMap<String, u32>,
    pub(super) problems: Vec<Problem>,
    pub(super) used: Used,
}

impl<'library> Resolver<'library> {
    /// Returns a resolver that knows the same and has met no problem: for one of several parts that are resolved in
    /// parallel.
    pub(super) fn part(&self) -> Self {
        Self {
            library: self.library,
            distro: self.distro.clone(),
            scope: Arc::clone(&self.scope),
            users: self.users.clone(),
            groups: self.groups.clone(),
            problems: Vec::new(),
            used: Used::new(),
        }
    }

    /// Takes over what a part met.
    pub(super) fn join(&mut self, part: Self) {
        self.problems.extend(part.problems);
        self.used.extend(part.used);
    }

    /// Returns the project everything is read from.
    pub(super) fn project(&self) -> &'library Project {
        &self.library.project
    }

    /// Renders a text of a document; a mistake is collected and nothing is returned.
    pub(super) fn render(&mut self, text: &Located<String>) -> Option<String> {
        match self.library.templates.render_text(text, &text.place, &self.scope) {
            Ok(rendered) if rendered.text.contains('\0') => {
                self.problems.push(
                    Problem::at(&text.place, "a zero byte ends a text for the kernel, so nothing can hold one")
                        .rule("only files may have zero bytes in them"),
                );
                None
            }
            Ok(rendered) => {
                self.used.extend(rendered.used);
                Some(rendered.text)
            }
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    /// Renders every text of a list.
    pub(super) fn render_all(&mut self, texts: &[Located<String>]) -> Vec<String> {
        texts.iter().filter_map(|text| self.render(text)).collect()
    }

    /// Renders a text and reads it with `read`, whose error is shown at the text.
    pub(super) fn read<T>(
        &mut self,
        text: Option<&Located<String>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text?;
        let rendered = self.render(text)?;
        match read(&rendered) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.push(Problem::of_sentence(&text.place, &message));
                None
            }
        }
    }

    /// Returns a number, rendered when it is a template, that lies in `range`.
    pub(super) fn number(
        &mut self,
        number: Option<&Located<Number>>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let number = number?;
        let value = match &number.value {
            Number::Value(value) => *value,
            Number::Template(text) => {
                let text = Located::new(text.clone(), number.place.clone());
                let rendered = self.render(&text)?;
                match rendered.trim().parse() {
                    Ok(value) => value,
                    Err(_) => {
                        self.problems.push(
                            Problem::at(&number.place, format!("`{rendered}` is no whole number"))
                                .rule("a number, or a template that renders to one"),
                        );
                        return None;
                    }
                }
            }
        };
        if !range.contains(&value) {
            self.problems.push(Problem::at(&number.place, format!("{value} is out of range")).rule(format!(
                "a number from {} to {}",
                range.start(),
                range.end()
            )));
            return None;
        }
        Some(value)
    }

    /// Tells whether a table counts for this distro and these variables; names that nobody knows are problems.
    pub(super) fn counts(&mut self, condition: Condition<'_>) -> (bool, Used) {
        let (only, except) = (condition.only, condition.except);
        for name in only.into_iter().chain(except).flatten() {
            self.check_distro_name(name);
        }
        if only.is_some_and(|names| !names.iter().any(|name| self.distro.is_like(name)))
            || except.is_some_and(|names| names.iter().any(|name| self.distro.is_like(name)))
        {
            return (false, Used::from(["distro.name".to_owned()]));
        }
        let mut used = Used::new();
        if only.is_some() || except.is_some() {
            used.insert("distro.name".to_owned());
        }
        let Some(when) = condition.when else { return (true, used) };
        match self.library.templates.is_true(when, &when.place, &self.scope) {
            Ok((truth, names)) => {
                used.extend(names);
                (truth, used)
            }
            Err(problem) => {
                self.problems.push(*problem);
                (false, used)
            }
        }
    }

    /// Tells whether a table counts, and notes what that was decided by.
    pub(super) fn holds(&mut self, condition: Condition<'_>) -> bool {
        let (truth, used) = self.counts(condition);
        self.used.extend(used);
        truth
    }

    /// Reports a name of a distro that nobody knows: it would silently count for nothing.
    pub(super) fn check_distro_name(&mut self, name: &Located<Name>) {
        if !self.library.known_distros().any(|known| known == name.as_str()) {
            let problem = Problem::at(&name.place, format!("unknown distro `{}`", **name))
                .rule("a distro of the profile, or one with a description")
                .suggest(name, "known distros", self.library.known_distros());
            self.problems.push(problem);
        }
    }

    /// Returns the numbers of an owner and group as tables write them; root when nothing is written.
    pub(super) fn account(
        &mut self,
        owner: Option<&Located<spec::Account>>,
        group: Option<&Located<spec::Account>>,
    ) -> Account {
        let mut account = Account { uid: 0, gid: 0 };
        if let Some(owner) = owner {
            match &owner.value {
                spec::Account::Id(id) => account = Account { uid: *id, gid: *id },
                spec::Account::Name(name) if name == "root" => {}
                spec::Account::Name(name) => match self.users.get(name) {
                    Some(user) => account = Account { uid: user.uid, gid: user.gid },
                    None => self.unknown_account(name, &owner.place, "user"),
                },
            }
        }
        Account { gid: self.group(group).unwrap_or(account.gid), ..account }
    }

    /// Returns the number of a group as tables write it; nothing when nothing is written or nobody knows it.
    pub(super) fn group(&mut self, group: Option<&Located<spec::Account>>) -> Option<u32> {
        let group = group?;
        match &group.value {
            spec::Account::Id(id) => Some(*id),
            spec::Account::Name(name) if name == "root" => Some(0),
            spec::Account::Name(name) => {
                let own = self.users.get(name).map(|user| user.gid);
                let gid = self.groups.get(name).copied().or(own);
                if gid.is_none() {
                    self.unknown_account(name, &group.place, "group");
                }
                gid
            }
        }
    }

    fn unknown_account(&mut self, name: &str, place: &Place, kind: &str) {
        let mut known: Vec<&str> = self.users.keys().map(String::as_str).collect();
        if kind == "group" {
            known.extend(self.groups.keys().map(String::as_str));
        }
        known.push("root");
        let problem = Problem::at(place, format!("unknown {kind} `{name}`"))
            .rule(format!("a {kind} is a `[{kind}.NAME]` of this profile, `root`, or a number"));
        self.problems.push(match name.parse::<u32>() {
            Ok(number) => problem.help(format!("leave the quotes out: `{number}`")),
            Err(_) => problem.suggest(name, "declared", known),
        });
    }

    /// Makes `value` known to templates as `name`.
    pub(super) fn define(&mut self, name: &str, value: impl serde::Serialize) {
        Arc::make_mut(&mut self.scope).insert(name.to_owned(), Value::from(Serde(value)));
    }
}
