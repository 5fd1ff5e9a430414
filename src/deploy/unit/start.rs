//! What starts units: timers (systemd.timer(5)), and for a system extension a target that is started at merge.
//!
//! The merge of an extension reloads the manager; then `multi-user.target` upholds the target, which is not there yet
//! and is started, and with it what it wants. The units themselves are not upheld: what an administrator stops stays
//! stopped, and a process that has ended for good does, too.

use super::file::UnitFile;
use super::program::Program;
use super::text::{self, UnitText};
use super::{DeployError, Flavour, UnitOptions};
use crate::resolve::Recipe;

/// Returns the name of the target that wants the units of a system extension. Not the prefix alone: a profile may be
/// called `default`, which is the target that hosts boot into.
pub(super) fn target(options: &UnitOptions) -> String {
    format!("{}-services.target", options.prefix)
}

/// Writes the timer of a scheduled job.
pub(super) fn timer(program: &Program<'_>) -> Result<Option<String>, DeployError> {
    let Some(schedule) = program.job.and_then(|job| job.schedule.as_deref()) else { return Ok(None) };
    let mut unit = UnitText::default();
    unit.section("Unit");
    let profile = &program.recipe.profile;
    unit.set("Description", text::description(&format!("{} {}, on its schedule", profile.name, program.name)));
    if program.options.flavour == Flavour::Sysext {
        unit.set("PartOf", target(program.options));
    }
    unit.section("Timer");
    unit.set("OnCalendar", text::rest_of_line(&format!("the schedule of {}", program.title()), schedule)?);
    // What was missed while the host was down is made up for.
    unit.set("Persistent", "yes");
    if program.options.flavour == Flavour::Portable {
        unit.section("Install");
        unit.set("WantedBy", "timers.target");
    }
    Ok(Some(unit.finish()))
}

/// Returns the target of a system extension and the drop-in that starts it.
pub(super) fn at_merge(
    recipe: &Recipe,
    options: &UnitOptions,
    programs: &[Program<'_>],
) -> Result<Vec<UnitFile>, DeployError> {
    let started = super::started(programs);
    if started.is_empty() {
        return Ok(Vec::new());
    }
    let target = target(options);
    let mut unit = UnitText::default();
    unit.section("Unit");
    unit.set("Description", text::description(&format!("Processes and timers of {}", recipe.profile.name)));
    unit.set_list("Wants", &started);
    let mut drop_in = UnitText::default();
    drop_in.section("Unit");
    drop_in.set("Upholds", &target);
    let drop_in_name = format!("multi-user.target.d/10-{}.conf", options.prefix);
    Ok(vec![UnitFile::unit(&target, unit.finish())?, UnitFile::unit(&drop_in_name, drop_in.finish())?])
}
