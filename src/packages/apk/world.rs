//! What a system asks for (apk-world(5)): `nginx`, `php~8.3`, `vim@edge`, `!busybox-extras`.

use std::collections::BTreeSet;

use super::relation::Dependency;
use crate::packages::model::{Comparison, Request};
use crate::packages::solve::{Pin, PinTarget};
use crate::resolve::{Bundled, VersionComparison, VersionWish};

/// What is asked for, as a question to the solver has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// What has to be there.
    pub requests: Vec<Request>,
    /// The names of packages that must not be there.
    pub excluded: BTreeSet<String>,
    /// Versions that must not be there.
    pub pins: Vec<Pin>,
    /// Names and the tags of the repositories that they should come from: for
    /// [`ApkRules::with_tags`](super::rules::ApkRules::with_tags).
    pub tags: Vec<(String, String)>,
    /// The lines of `etc/apk/world`, sorted, each once.
    pub lines: Vec<String>,
}

/// Something that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be asked for: {reason}")]
pub struct WorldError {
    /// What was asked for.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl World {
    /// Reads what is asked for.
    ///
    /// # Errors
    /// When something of it is no dependency.
    pub fn parse<'text>(texts: impl IntoIterator<Item = &'text str>) -> Result<Self, WorldError> {
        let mut world = Self::default();
        for text in texts {
            let fault = |reason| WorldError { text: text.to_owned(), reason };
            let asked = Dependency::parse(text.as_bytes()).map_err(fault)?;
            let [name, tag, version] =
                [asked.name, asked.tag, asked.version].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            world.lines.push(text.to_owned());
            if !tag.is_empty() {
                world.tags.push((name.clone(), tag));
            }
            match (asked.conflict, asked.comparison) {
                (false, comparison) => world.requests.push(Request { name, comparison, version }),
                (true, Comparison::Any) => drop(world.excluded.insert(name)),
                (true, comparison) => {
                    let target = PinTarget::Version(comparison, version);
                    world.pins.push(Pin { package: Some(name), target, priority: -1 });
                }
            }
        }
        world.lines.sort();
        world.lines.dedup();
        Ok(world)
    }
}

/// Returns the lines of `etc/apk/world` for what a profile asks for and excludes, sorted.
pub fn lines(asked: &Bundled) -> Vec<String> {
    let request = |(name, wish): (&String, &Option<VersionWish>)| {
        let tag = asked.tags.get(name).map(|tag| format!("@{tag}")).unwrap_or_default();
        let wish = wish.as_ref().map(|wish| format!("{}{}", sign(wish.comparison), wish.version)).unwrap_or_default();
        format!("{name}{tag}{wish}")
    };
    let excluded = asked.settings.excluded.iter().map(|name| format!("!{name}"));
    let mut lines: Vec<String> = asked.requests.iter().map(request).chain(excluded).collect();
    lines.sort();
    lines
}

/// Returns how apk writes a comparison.
fn sign(comparison: VersionComparison) -> &'static str {
    match comparison {
        VersionComparison::Less => "<",
        VersionComparison::LessEqual => "<=",
        VersionComparison::Equal => "=",
        VersionComparison::GreaterEqual => ">=",
        VersionComparison::Greater => ">",
        VersionComparison::Similar => "~",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_asks_for_becomes_lines() {
        use VersionComparison::{Equal, Greater, GreaterEqual, Less, LessEqual, Similar};
        let wishes = [
            ("a", Some(Less)),
            ("b", Some(LessEqual)),
            ("c", Some(Equal)),
            ("d", Some(GreaterEqual)),
            ("e", Some(Greater)),
            ("f", Some(Similar)),
            ("g", None),
            ("so:h.so.1", None),
            ("i", None),
        ];
        let wish = |comparison| VersionWish { comparison, version: "1.2-r0".into() };
        let mut asked = Bundled {
            requests: wishes.map(|(name, comparison)| (name.to_owned(), comparison.map(wish))).into(),
            tags: [("f", "edge"), ("i", "edge")].map(|(name, tag)| (name.to_owned(), tag.to_owned())).into(),
            settings: crate::resolve::PackageSettings::default(),
            sources: Vec::new(),
        };
        asked.settings.excluded.insert("z".into());
        let lines = lines(&asked);
        let expected = [
            "!z",
            "a<1.2-r0",
            "b<=1.2-r0",
            "c=1.2-r0",
            "d>=1.2-r0",
            "e>1.2-r0",
            "f@edge~1.2-r0",
            "g",
            "i@edge",
            "so:h.so.1",
        ];
        assert_eq!(lines, expected);
        // Who reads them back finds the same: nothing is lost.
        let world = World::parse(lines.iter().map(String::as_str)).unwrap();
        assert_eq!(world.lines, expected);
        assert_eq!((world.requests.len(), world.excluded, world.tags.len()), (9, ["z".to_owned()].into(), 2));
    }

    #[test]
    fn lines_become_a_question() {
        let world = World::parse(["b@edge>=1", "a", "!c", "!d<2", "a"]).unwrap();
        let labels: Vec<String> = world.requests.iter().map(Request::label).collect();
        assert_eq!(labels, ["b >= 1", "a", "a"]);
        assert_eq!(world.tags, [("b".to_owned(), "edge".to_owned())]);
        assert_eq!((world.excluded.len(), world.pins[0].priority), (1, -1));
        assert_eq!(world.lines, ["!c", "!d<2", "a", "b@edge>=1"]);
        assert_eq!(
            World::parse(["a="]).unwrap_err().to_string(),
            "`a=` cannot be asked for: expected a version after the sign"
        );
    }
}
