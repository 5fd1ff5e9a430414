//! The cases, by name.

mod dockerfile;
mod drawings;
mod owners;
mod schedules;
mod services;
mod site;

use crate::Outcome;
use crate::world::World;

/// A case: works with what all share, and says what went wrong.
type Case = fn(&World) -> Outcome;

/// Every case, in the order in which they run.
pub(crate) const ALL: [(&str, Case); 12] = [
    ("graphs_are_read", drawings::graphs_are_read),
    ("systemd_takes_schedules", schedules::systemd_agrees),
    ("the_manual_is_read", drawings::the_manual_is_read),
    ("dockerfiles_are_clean", dockerfile::dockerfiles_are_clean),
    ("owners_and_modes_with_docker", owners::with_docker),
    ("owners_and_modes_with_buildkit", owners::with_buildkit),
    ("owners_and_modes_with_buildah", owners::with_buildah),
    ("site_runs_read_only_with_docker", site::with_docker),
    ("site_runs_read_only_with_podman", site::with_podman),
    ("postgresql_keeps_its_data", services::postgresql),
    ("redis_keeps_its_data", services::redis),
    ("discourse_is_configured", services::discourse),
];
