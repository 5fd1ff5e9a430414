//! What is wrong with something a user wrote.

use std::fmt;
use std::sync::Arc;

use super::source::{Place, Source};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the work goes on.
    Warning,
    /// The work cannot go on.
    Error,
}

/// Something wrong in a profile, layer, template or distro description: what, where, by which rule, how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where it was written, when it was written somewhere.
    pub place: Option<Place>,
    /// Words beside the caret.
    pub label: String,
    /// Other places that have a part in it, each with words beside its caret.
    pub related: Vec<(Place, String)>,
    /// The rule that is broken.
    pub rule: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// Returns an error at `place`.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), ..Self::anywhere(message) }
    }

    /// Returns an error that no text is to blame for.
    pub fn anywhere(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: String::new(),
            related: Vec::new(),
            rule: None,
            help: None,
        }
    }

    /// Makes it a warning.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds the rule that is broken.
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that has a part in it.
    pub fn related(mut self, place: &Place, words: impl Into<String>) -> Self {
        self.related.push((place.clone(), words.into()));
        self
    }

    /// Adds `did you mean` when one of `candidates` is near to `written`, and otherwise, when there are few, the list of
    /// what may stand there under the word `kind`.
    pub fn suggest<'a>(self, written: &str, kind: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        match nearest(written, &candidates) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if candidates.is_empty() => self,
            None => {
                let listed: Vec<_> = candidates.iter().take(24).map(|name| format!("`{name}`")).collect();
                let more = if candidates.len() > 24 { ", …" } else { "" };
                self.help(format!("{kind}: {}{more}", listed.join(", ")))
            }
        }
    }

    /// Turns an error of the TOML reader into a problem; unknown keys and values get a suggestion.
    pub(super) fn of_toml(source: &Arc<Source>, error: &toml::de::Error) -> Self {
        let place = Place { source: Arc::clone(source), span: error.span().unwrap_or(0..0) };
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if let Some(("unknown field", _)) = message.split_once(" `") {
            let problem = Self::at(&place, format!("unknown key `{}`", quoted[0])).label("no such key here");
            let known = &quoted[1..];
            let all: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
            let problem = problem.rule(format!("keys here: {}", all.join(", ")));
            return match nearest(quoted[0], known) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            };
        }
        if let Some(("unknown variant", _)) = message.split_once(" `") {
            return Self::at(&place, format!("unknown value `{}`", quoted[0])).suggest(
                quoted[0],
                "allowed",
                quoted[1..].iter().copied(),
            );
        }
        if let Some(("missing field", _)) = message.split_once(" `") {
            return Self::at(&place, format!("the key `{}` is missing here", quoted[0]));
        }
        if let Some((first, rule)) = message.split_once(": expected ") {
            return Self::at(&place, first).rule(format!("expected {rule}"));
        }
        let mut lines = message.lines();
        let first = lines.next().unwrap_or_default();
        let rest: Vec<_> = lines.collect();
        let problem = Self::at(&place, first);
        if rest.is_empty() { problem } else { problem.rule(rest.join("; ")) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(formatter, "{place}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

/// Returns the candidate that `written` was most likely meant to be.
pub fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = fold(written);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().min(written.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let names = ["nginx_confdir", "ca_bundle", "nologin"];
        assert_eq!(nearest("nginx_cofndir", &names), Some("nginx_confdir"));
        assert_eq!(nearest("nginx-confdir", &names), Some("nginx_confdir"));
        assert_eq!(nearest("postgresql", &names), None);
    }
}
