//! What tells systemd-sysupdate of a host where versions come from and where they go (sysupdate.d(5),
//! sysupdate.features(5)).

use super::PublishError;

/// What a transfer file is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer<'a> {
    /// The name of the image.
    pub(super) name: &'a str,
    /// Where hosts find the folder: a URL or an absolute path.
    pub(super) url: &'a str,
    /// The folder of hosts that images of this kind are looked for in.
    pub(super) host_folder: &'a str,
    /// Whether the list of the folder is signed.
    pub(super) signed: bool,
    /// Whether nothing is fetched until the feature of the same name is enabled.
    pub(super) optional: bool,
}

impl Transfer<'_> {
    /// Returns the text of the file.
    ///
    /// No link to the current version is asked for: every systemd that reads such a file picks the newest version of a
    /// `.v` folder by itself.
    ///
    /// # Errors
    /// When the URL is none that systemd takes.
    pub(super) fn text(&self) -> Result<String, PublishError> {
        let Self { name, host_folder, .. } = self;
        let kind = self.source_type()?;
        // A percent sign begins a specifier.
        let path = self.url.replace('%', "%%");
        let verify = if self.signed { "yes" } else { "no" };
        let features = if self.optional { format!("Features={name}\n") } else { String::new() };
        Ok(format!(
            "# Where {name} comes from. It belongs into /etc/sysupdate.{name}.d/ of a host; then\n\
             #   /usr/lib/systemd/systemd-sysupdate --component={name} update\n\
             # fetches the newest version.\n\n\
             [Transfer]\n{features}Verify={verify}\n\n\
             [Source]\nType={kind}\nPath={path}\nMatchPattern={name}_@v.raw\n\n\
             [Target]\nType=regular-file\nPath={host_folder}/{name}.raw.v\nMatchPattern={name}_@v.raw\nMode=0444\n\
             InstancesMax=2\n"
        ))
    }

    fn source_type(&self) -> Result<&'static str, PublishError> {
        let plain = !self.url.chars().any(|letter| letter.is_whitespace() || letter.is_control());
        let has_host = |scheme: &str| self.url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
        match self.url {
            url if plain && url.starts_with('/') => Ok("regular-file"),
            _ if plain && ["https://", "http://", "file:///"].into_iter().any(has_host) => Ok("url-file"),
            url => Err(PublishError::Url(url.to_owned())),
        }
    }
}

/// Returns the text of a feature file: what can be switched on, and is not.
///
/// # Errors
/// When the title is not one line.
pub(super) fn feature(title: &str) -> Result<String, PublishError> {
    if title.trim().is_empty() || title.chars().any(char::is_control) || title.ends_with('\\') {
        return Err(PublishError::Title(title.to_owned()));
    }
    Ok(format!("[Feature]\nDescription={}\nEnabled=no\n", title.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(url: &str) -> Transfer<'_> {
        Transfer { name: "web", url, host_folder: "/var/lib/extensions", signed: true, optional: true }
    }

    #[test]
    fn a_transfer_says_where_from_and_where_to() {
        insta::assert_snapshot!(transfer("https://example.org/a%20b/").text().unwrap());
    }

    #[test]
    fn the_source_decides_how_it_is_read() {
        for (url, kind) in [("/srv/web", "regular-file"), ("file:///srv", "url-file"), ("http://[::1]:80/", "url-file")]
        {
            assert_eq!(transfer(url).source_type().unwrap(), kind);
        }
        for url in ["", "web", "ftp://example.org", "https://", "/srv/my web", "https://example.org/\nVerify=no"] {
            assert!(transfer(url).text().is_err(), "{url}");
        }
    }

    #[test]
    fn a_feature_is_off() {
        assert_eq!(feature("100 % of it").unwrap(), "[Feature]\nDescription=100 % of it\nEnabled=no\n");
        assert!(feature("a\nEnabled=yes").is_err() && feature(" ").is_err() && feature("a\\").is_err());
    }
}
