//! Hooks: what is done after packages were installed, as files of packages say (alpm-hooks(5)).

use globset::{GlobBuilder, GlobMatcher};

/// What has to happen for a hook to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trigger {
    /// Whether an installation is meant.
    pub install: bool,
    /// Whether the targets are packages; else they are paths.
    pub packages: bool,
    /// Patterns of packages or paths; those with `!` before them are not meant. The last that fits decides.
    pub targets: Vec<String>,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hook {
    /// What has to happen; any one of them.
    pub triggers: Vec<Trigger>,
    /// Whether it is run after packages were installed; else it is run before.
    pub after: bool,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The packages that have to be there for it to run.
    pub depends: Vec<String>,
    /// Whether it reads the names of what triggered it.
    pub needs_targets: bool,
}

impl Hook {
    /// Reads a hook.
    ///
    /// # Errors
    /// When it is none; says why, after the number of the line.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut hook = Self::default();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let fault = |words: &str| (number + 1, words.to_owned());
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
                match name {
                    "Trigger" => hook.triggers.push(Trigger::default()),
                    "Action" => {}
                    _ => return Err(fault("expected `[Trigger]` or `[Action]`")),
                }
                continue;
            }
            let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
            hook.take(section, key, value).map_err(|words| fault(&words))?;
        }
        let whole = !hook.triggers.is_empty() && hook.triggers.iter().all(|trigger| !trigger.targets.is_empty());
        if !whole || hook.command.is_empty() {
            return Err((text.lines().count(), "expected a trigger with targets, and `Exec`".to_owned()));
        }
        Ok(hook)
    }

    fn take(&mut self, section: &str, key: &str, value: &str) -> Result<(), String> {
        match (section, key, self.triggers.last_mut()) {
            ("Trigger", "Operation", Some(trigger)) => trigger.install |= value == "Install",
            ("Trigger", "Type", Some(trigger)) => {
                trigger.packages = match value {
                    "Package" => true,
                    "Path" | "File" => false,
                    _ => return Err("expected `Package` or `Path`".into()),
                }
            }
            ("Trigger", "Target", Some(trigger)) => trigger.targets.push(value.to_owned()),
            ("Action", "When", _) => {
                self.after = match value {
                    "PostTransaction" => true,
                    "PreTransaction" => false,
                    _ => return Err("expected `PreTransaction` or `PostTransaction`".into()),
                }
            }
            ("Action", "Exec", _) => self.command = words(value).ok_or("a quote is not closed")?,
            ("Action", "Depends", _) => self.depends.push(value.to_owned()),
            ("Action", "NeedsTargets", _) => self.needs_targets = true,
            ("Action", "Description" | "AbortOnFail", _) => {}
            _ => return Err(format!("`{}` means nothing here", key.escape_debug())),
        }
        Ok(())
    }

    /// Returns what of the packages and paths that are installed triggers the hook, sorted; nothing when it is not triggered
    /// by an installation.
    ///
    /// # Errors
    /// When a target is no pattern; returns it.
    pub fn targets(&self, packages: &[&str], paths: &[String]) -> Result<Vec<String>, String> {
        let mut found: Vec<String> = Vec::new();
        for trigger in self.triggers.iter().filter(|trigger| trigger.install) {
            let patterns = trigger.patterns()?;
            let fits = |name: &str| {
                let last = patterns.iter().rfind(|(_, pattern)| pattern.is_match(name));
                last.is_some_and(|(wanted, _)| *wanted)
            };
            if trigger.packages {
                found.extend(packages.iter().filter(|name| fits(name)).map(|name| (*name).to_owned()));
            } else {
                found.extend(paths.iter().filter(|path| fits(path)).cloned());
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

impl Trigger {
    fn patterns(&self) -> Result<Vec<(bool, GlobMatcher)>, String> {
        let pattern = |text: &String| {
            let (wanted, text) = text.strip_prefix('!').map_or((true, text.as_str()), |text| (false, text));
            // As fnmatch(3) without flags: `*` stands for slashes, too.
            let glob = GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build();
            glob.map(|glob| (wanted, glob.compile_matcher())).map_err(|_| text.to_owned())
        };
        self.targets.iter().map(pattern).collect()
    }
}

/// Splits a command into words: quotes keep words together, a backslash takes the next letter as it is.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: &str = "# comment\n[Trigger]\nType = Path\nOperation = Install\nOperation = Upgrade\nTarget = usr/lib/sysusers.d/*.conf\n\
                        Target = !usr/lib/sysusers.d/no.conf\n\n[Trigger]\nType = Package\nOperation = Install\nTarget = systemd*\n\n\
                        [Action]\nDescription = x\nWhen = PostTransaction\nExec = /bin/sh -c 'a b' \"c\\\"d\"\nDepends = sh\nNeedsTargets\n";

    #[test]
    fn hooks_are_triggered_by_paths_and_packages() {
        let hook = Hook::parse(HOOK).unwrap();
        assert_eq!(hook.command, ["/bin/sh", "-c", "a b", "c\"d"]);
        assert!(hook.after && hook.needs_targets);
        let paths = ["usr/lib/sysusers.d/a.conf", "usr/lib/sysusers.d/no.conf", "usr/lib/sysusers.d/d/b.conf"]
            .map(str::to_owned);
        assert_eq!(
            hook.targets(&["bash", "systemd-libs"], &paths).unwrap(),
            ["systemd-libs", "usr/lib/sysusers.d/a.conf", "usr/lib/sysusers.d/d/b.conf"]
        );
        let removal = Hook::parse(&HOOK.replace("Install", "Remove")).unwrap();
        assert_eq!(removal.targets(&["systemd"], &paths).unwrap(), [""; 0]);
        assert!(Hook::parse(&HOOK.replace("systemd*", "systemd[")).unwrap().targets(&["x"], &[]).is_err());
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [
            ("[Other]\n", 1),
            ("x = 1\n", 1),
            ("[Trigger]\nType = Thing\n", 2),
            ("[Action]\nExec = 'a\n", 2),
            ("[Trigger]\nTarget = a\n", 2),
            ("[Action]\nExec = a\n", 2),
        ] {
            assert_eq!(Hook::parse(text).unwrap_err().0, line, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "(\\[Trigger\\]|\\[Action\\]|Target|Exec|=|'|\"|\\\\|[a*!\\[ \n]){0,20}") {
            if let Ok(hook) = Hook::parse(&text) {
                let _ = hook.targets(&["a"], &["a/b".to_owned()]);
            }
        }
    }
}
