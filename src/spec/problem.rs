//! What is wrong with something a user wrote.

use std::fmt;

use super::source::Place;

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

    /// Adds the place that led to the problem: its own place when it has none.
    pub fn asked_at(mut self, place: &Place) -> Self {
        match &self.place {
            None => self.place = Some(place.clone()),
            Some(own) if own == place => {}
            Some(_) => self.related.push((place.clone(), "asked for here".into())),
        }
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

    /// Takes a sentence apart: what follows `: expected` is the rule, what follows `; did you mean` the help. Errors of
    /// values reach their place through readers that only carry text.
    pub(crate) fn of_sentence(place: &Place, sentence: &str) -> Self {
        let (sentence, mend) = match sentence.split_once("; did you mean ") {
            Some((sentence, mend)) => (sentence, Some(format!("did you mean {mend}"))),
            None => (sentence, None),
        };
        let (message, rule) = match sentence.split_once(": expected ") {
            Some((message, rule)) => (message, Some(format!("expected {rule}"))),
            None => (sentence, None),
        };
        Self { rule, help: mend, ..Self::at(place, message.replace('\n', " ")) }
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
