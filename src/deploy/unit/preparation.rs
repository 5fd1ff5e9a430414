//! What makes accounts and files when an extension is merged into a host that has booted already.
//!
//! systemd-sysusers(8) and systemd-tmpfiles(8) run at boot, after extensions are merged; a later merge runs neither.

use super::file::{UnitBody, UnitFile};
use super::text::{self, UnitText};
use super::{DeployError, UnitOptions};

/// Where systemd looks for the units of a vendor.
const UNITS: &str = "/usr/lib/systemd/system/";

/// Returns the service `PREFIX-files.service`, which carries out the sysusers.d and tmpfiles.d files among `files`, what
/// starts it at merge, and for each service among them a drop-in that lets it wait for that. Nothing when there is nothing
/// to carry out.
///
/// # Errors
/// When a name has no form in a unit.
pub fn preparation(files: &[UnitFile], options: &UnitOptions) -> Result<Vec<UnitFile>, DeployError> {
    let below = |directory: &str| {
        let paths = files.iter().map(|file| file.path.to_string());
        paths.filter_map(|path| Some(path.strip_prefix(directory)?.to_owned())).collect::<Vec<String>>()
    };
    let (accounts, directories) = (below("/usr/lib/sysusers.d/"), below("/usr/lib/tmpfiles.d/"));
    if accounts.is_empty() && directories.is_empty() {
        return Ok(Vec::new());
    }
    let name = format!("{}-files.service", options.prefix);
    let mut unit = UnitText::default();
    unit.section("Unit");
    unit.set("Description", text::description(&format!("Accounts and files of {}", options.prefix)));
    unit.set("After", "systemd-sysusers.service systemd-tmpfiles-setup.service local-fs.target");
    unit.section("Service");
    unit.set("Type", "oneshot");
    unit.set("RemainAfterExit", "yes");
    if !accounts.is_empty() {
        // Services run by number: they start as well where /etc cannot be written.
        unit.set("ExecStart", format!("-systemd-sysusers {}", accounts.join(" ")));
    }
    if !directories.is_empty() {
        unit.set("ExecStart", format!("systemd-tmpfiles --create {}", directories.join(" ")));
    }
    let mut made = vec![UnitFile::unit(&name, unit.finish())?];
    if options.start {
        let start = format!("multi-user.target.d/10-{}-files.conf", options.prefix);
        made.push(UnitFile::unit(&start, drop_in("Upholds", &name))?);
    }
    for file in files.iter().filter(|file| matches!(file.body, UnitBody::Text(_))) {
        let path = file.path.to_string();
        let service = path.strip_prefix(UNITS).filter(|unit| unit.ends_with(".service") && !unit.contains('/'));
        if let Some(service) = service {
            let wait = format!("{service}.d/10-files.conf");
            made.push(UnitFile::unit(&wait, format!("{}After={name}\n", drop_in("Requires", &name)))?);
        }
    }
    Ok(made)
}

fn drop_in(key: &'static str, value: &str) -> String {
    let mut unit = UnitText::default();
    unit.section("Unit");
    unit.set(key, value);
    unit.finish()
}
