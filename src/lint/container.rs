//! OC: container images (OCI image specification, Kubernetes pod security standards).

use super::release::resolve;
use super::subject::{Class, Subject};
use super::table::Report;

/// What the configuration of a container image says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// `User`: a number or name, and a group behind a colon.
    pub user: String,
    /// `Volumes`: paths that something is mounted at.
    pub volumes: Vec<String>,
    /// Paths that the program writes to.
    pub writable: Vec<String>,
}

pub(super) fn user(subject: &Subject<'_>, report: &mut Report) {
    let config = subject.container.filter(|_| subject.class == Class::Oci && subject.target.non_root);
    let Some(config) = config else { return };
    let user = config.user.split(':').next().unwrap_or_default();
    match user.parse::<u32>() {
        _ if user.is_empty() => report.whole("it names no user: programs run as root"),
        Err(_) => report.whole(format!("its user `{user}` is a name")),
        Ok(0) => report.whole("its user is root"),
        Ok(_) => {}
    }
}

pub(super) fn writable(subject: &Subject<'_>, report: &mut Report) {
    let Some(config) = subject.container.filter(|_| subject.class == Class::Oci) else { return };
    for path in &config.writable {
        let below = |volume: &String| {
            path.strip_prefix(volume.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !config.volumes.iter().any(below) {
            report.whole(format!("`{path}` is written to, but is no volume"));
        }
    }
    let Some(tree) = subject.tree else { return };
    for path in &config.volumes {
        let there =
            path.parse().ok().and_then(|path| resolve(tree, &path)).is_some_and(|(_, node)| node.kind.is_directory());
        if !there {
            report.whole(format!("there is no directory `{path}` in the image"));
        }
    }
}
