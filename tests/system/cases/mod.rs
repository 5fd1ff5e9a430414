//! The cases, by name.

mod added;
mod alpine;
mod apt;
mod arch;
mod bootstrapped;
mod ddi;
mod dockerfile;
mod drawings;
mod engines;
mod erofs;
mod exposure;
mod extensions;
mod oci;
mod owners;
mod pacman;
mod publish;
mod readers;
mod registries;
pub(crate) mod packages;
mod repositories;
pub(crate) mod sandbox;
mod schedules;
mod services;
mod site;
mod units;

use crate::Outcome;
use crate::world::World;

/// A case: works with what all share, and says what went wrong.
type Case = fn(&World) -> Outcome;

/// Every case, in the order in which they run.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("alpine_from_profile_to_tree", alpine::from_profile_to_tree),
    ("alpine_is_alike", alpine::is_alike),
    ("alpine_is_solved", alpine::is_solved),
    ("alpine_has_tags", alpine::has_tags),
    ("alpine_without_apk", alpine::without_apk),
    ("alpine_is_locked_and_vendored", alpine::is_locked_and_vendored),
    ("alpine_is_guarded", alpine::is_guarded),
    ("arch_from_profile_to_tree", arch::from_profile_to_tree),
    ("arch_without_scripts", arch::without_scripts),
    ("arch_without_pacman", arch::without_pacman),
    ("arch_without_signatures", arch::without_signatures),
    ("arch_is_locked_and_vendored", arch::is_locked_and_vendored),
    ("arch_is_guarded", arch::is_guarded),
    ("apt_minimal_system_in_the_eyes_of_dpkg", apt::minimal_system_in_the_eyes_of_dpkg),
    ("apt_solver_with_recommends", apt::solver_with_recommends),
    ("apt_solver_without_recommends", apt::solver_without_recommends),
    ("ddi_as_systemd_repart_257", ddi::as_systemd_repart_257),
    ("ddi_as_systemd_repart_of_testing", ddi::as_systemd_repart_of_testing),
    ("ddi_as_veritysetup", ddi::as_veritysetup),
    ("ddi_signed_with_every_key", ddi::signed_with_every_key),
    ("graphs_are_read", drawings::graphs_are_read),
    ("systemd_takes_schedules", schedules::systemd_agrees),
    ("the_manual_is_read", drawings::the_manual_is_read),
    ("erofs_images_in_the_kernel", erofs::kernel),
    ("erofs_images_and_fsck", erofs::fsck),
    ("erofs_image_of_a_sparse_file", erofs::sparse),
    ("exposure_of_generated_units", exposure::of_generated_units),
    ("exposure_of_debian_services", exposure::of_debian_services),
    ("units_are_read", units::are_read),
    ("units_run_in_debian_13", units::run_in_debian_13),
    ("units_run_in_debian_12", units::run_in_debian_12),
    ("dockerfiles_are_clean", dockerfile::dockerfiles_are_clean),
    ("owners_and_modes_with_docker", owners::with_docker),
    ("owners_and_modes_with_buildkit", owners::with_buildkit),
    ("owners_and_modes_with_buildah", owners::with_buildah),
    ("pacman_orders_versions_so", pacman::orders_versions_so),
    ("pacman_and_a_root_of_ours", pacman::and_a_root_of_ours),
    ("pacman_keyring_of_arch", pacman::keyring_of_arch),
    ("oci_unpacked_by_umoci", oci::unpacked_by_umoci),
    ("oci_copied_by_skopeo", oci::copied_by_skopeo),
    ("oci_run_by_podman", oci::run_by_podman),
    ("oci_run_by_docker", oci::run_by_docker),
    ("oci_read_as_docker_saves", oci::read_as_docker_saves),
    ("oci_in_debian_12", engines::in_debian_12),
    ("oci_in_debian_13", engines::in_debian_13),
    ("oci_for_several_platforms", engines::several_platforms),
    ("oci_laid_over_others", engines::laid_over_others),
    ("oci_lists_are_valid", engines::lists_are_valid),
    ("oci_signed_for_others", oci::signed_for_others),
    ("site_runs_read_only_with_docker", site::with_docker),
    ("site_runs_read_only_with_podman", site::with_podman),
    ("site_runs_in_a_whole_image", site::in_a_whole_image),
    ("postgresql_keeps_its_data", services::postgresql),
    ("readers_of_other_tools", readers::of_other_tools),
    ("readers_of_sgdisk", readers::of_sgdisk),
    ("squashfs_elsewhere", readers::squashfs_elsewhere),
    ("registries_hold_images", registries::images_are_pushed_and_pulled),
    ("registries_are_guarded", registries::registries_are_guarded),
    ("registries_fail_for_a_while", registries::pushes_survive_faults),
    ("registries_are_pushed_on_to", registries::pushes_go_on),
    ("registries_that_are_damaged", registries::damaged_registries_are_refused),
    ("registries_and_two_pushes", registries::tags_race),
    ("registries_and_no_threads", registries::pulls_need_no_threads),
    ("registries_take_attachments", registries::what_is_attached_goes_along),
    ("registries_have_base_images", registries::profiles_stand_on_images),
    ("registries_and_hostile_images", registries::hostile_images_are_contained),
    ("repositories_are_locked_as_apt_installs", repositories::as_apt_installs),
    ("repositories_are_solved", repositories::are_solved),
    ("repositories_are_guarded", repositories::are_guarded),
    ("repositories_are_vendored", repositories::are_vendored),
    ("repositories_are_known_later", repositories::are_known_later),
    ("repositories_need_an_emulator", repositories::need_an_emulator),
    ("redis_keeps_its_data", services::redis),
    ("discourse_is_configured", services::discourse),
    ("packages_are_alike_whoever_puts_them_together", packages::alike_and_bootable),
    ("packages_become_what_mmdebstrap_makes", bootstrapped::minimal),
    ("packages_by_the_hundred_become_what_mmdebstrap_makes", bootstrapped::large),
    ("packages_are_unpacked_as_dpkg_does", bootstrapped::unpacked),
    ("packages_have_scripts_that_are_contained", packages::contained),
    ("packages_need_no_scripts", packages::without_scripts),
    ("scripts_run_alike_in_a_minimal_system", sandbox::minimal),
    ("scripts_run_alike_with_services", sandbox::services),
    ("extensions_are_merged", extensions::are_merged),
    ("extensions_are_merged_by_debian_12", extensions::are_merged_by_debian_12),
    ("extensions_are_taken_by_testing", extensions::are_taken_by_testing),
    ("extensions_are_their_manifests", extensions::are_their_manifests),
    ("extensions_carry_packages", added::carry_packages),
    ("extensions_are_portable", extensions::are_portable),
    ("extensions_are_signed", extensions::are_signed),
    ("versions_are_ordered", publish::versions_are_ordered),
    ("versions_are_fetched", publish::versions_are_fetched),
];
