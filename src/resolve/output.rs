//! The shapes to write, as meant: every default applied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::oci::OciOutput;
use super::over::Over;
use super::recipe::{Contract, Recipe};
use super::resolver::Resolver;
use crate::distro::Distro;
use crate::spec::{
    ConfextTable, EtcContent, Filesystem, Host, ImageCompression, ImageFormat, ImageTable, KernelVersion, Located,
    Name, PackageOrigin, Place, PortableTable, Problem, SbomFormat, Scope, SpecError, SysextTable, SystemdVersion,
    TarCompression, UnitName, Verity,
};

/// The shapes that a profile declares.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// A directory and a Dockerfile.
    pub rootfs: Option<RootfsOutput>,
    /// One tar archive.
    pub tar: Option<TarCompression>,
    /// An image for systemd-sysext.
    pub sysext: Option<SysextOutput>,
    /// An image for systemd-confext.
    pub confext: Option<ConfextOutput>,
    /// An image for portablectl.
    pub portable: Option<PortableOutput>,
    /// An image for container engines.
    pub oci: Option<OciOutput>,
    /// Which of them carry packages.
    pub bundled: Bundling,
}

/// Which outputs carry the packages that the lock names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bundling {
    /// `[output.rootfs]`.
    pub rootfs: bool,
    /// `[output.tar]`.
    pub tar: bool,
    /// `[output.portable]`.
    pub portable: bool,
    /// `[output.oci]`.
    pub oci: bool,
}

impl Bundling {
    /// Tells whether any does.
    pub fn any(self) -> bool {
        self.rootfs || self.tar || self.portable || self.oci
    }
}

/// How the directory and the Dockerfile are written.
#[derive(Debug, Clone)]
pub struct RootfsOutput {
    /// The name of the process that the image starts; nothing when the profile has none.
    pub process: Option<String>,
}

/// What every image that systemd takes has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageOutput {
    /// The name of the image.
    pub name: String,
    /// What holds the tree.
    pub format: ImageFormat,
    /// The file system, when the image is a file.
    pub filesystem: Filesystem,
    /// How the file system is compressed.
    pub compression: ImageCompression,
    /// What protects the content of a disk image.
    pub verity: Verity,
    /// What UUIDs and the salt are made from; from the content when nothing is said.
    #[serde(serialize_with = "as_hexadecimal", skip_serializing_if = "Option::is_none")]
    pub seed: Option<[u8; 16]>,
    /// The oldest Linux that has to read it.
    pub kernel: KernelVersion,
    /// The oldest systemd that has to take it.
    pub systemd: SystemdVersion,
}

/// What an extension says about the hosts it fits: its extension-release file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseMatch {
    /// Where it may be merged; systemd's own default when empty.
    pub scope: Vec<Scope>,
    /// The host it is made for.
    pub host: Host,
    /// What the host has to offer, when that is not the version of its distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Units of the host that are restarted when it is merged or unmerged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_units: Vec<String>,
}

/// How a system extension is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SysextOutput {
    /// The image.
    pub image: ImageOutput,
    /// The hosts it fits.
    pub release: ReleaseMatch,
    /// What becomes of the content of /etc.
    pub etc: EtcContent,
    /// Whether its services start when it is merged.
    pub start: bool,
    /// Whether it has a list of the packages that it carries.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scanners: bool,
    /// Lists of what is in it that are written beside it, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sbom: Vec<SbomFormat>,
    /// What the host has, of which only what is different is carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
}

/// How a configuration extension is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfextOutput {
    /// The image.
    pub image: ImageOutput,
    /// The hosts it fits.
    pub release: ReleaseMatch,
    /// Where the tree of the host is, of which only what is different is carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<PathBuf>,
}

/// How a portable service is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortableOutput {
    /// The image.
    pub image: ImageOutput,
    /// Prefixes of the units that may be attached.
    pub prefixes: Vec<String>,
}

/// The kernel that images are made for where the distro does not say: the first with packed files.
const KERNEL: KernelVersion = KernelVersion::new(6, 1);

/// Returns what a profile would render to if it declared `[output.rootfs]`.
///
/// # Errors
/// When it does not say which of several processes the image starts.
pub fn default_rootfs(recipe: &Recipe) -> Result<RootfsOutput, SpecError> {
    Ok(RootfsOutput { process: default_process(recipe, "rootfs")? })
}

/// Returns the process that an image starts when nobody says another: the only one.
///
/// # Errors
/// When there are several.
pub(super) fn default_process(recipe: &Recipe, kind: &str) -> Result<Option<String>, SpecError> {
    let names: Vec<&String> = recipe.contract.processes.keys().collect();
    match names.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).clone())),
        several => Err(Problem::anywhere(format!(
            "the profile `{}` has {} processes and does not say which one an image starts",
            recipe.profile.name,
            several.len()
        ))
        .help(format!("add `[output.{kind}]` with `process = \"…\"` to the profile"))
        .into()),
    }
}

/// Returns what a profile would render to if it declared `[output.sysext]`.
///
/// # Errors
/// When the distro's release is too old.
pub fn default_sysext(recipe: &Recipe) -> Result<SysextOutput, SpecError> {
    Ok(sysext(&SysextTable::default(), image(&ImageTable::default(), recipe.of())?, recipe.of()))
}

/// Returns what a profile would render to if it declared `[output.confext]`.
///
/// # Errors
/// When the distro's release is too old.
pub fn default_confext(recipe: &Recipe) -> Result<ConfextOutput, SpecError> {
    Ok(confext(&ConfextTable::default(), image(&ImageTable::default(), recipe.of())?, recipe.of()))
}

/// Returns what a profile would render to if it declared `[output.portable]`.
///
/// # Errors
/// When the distro's release is too old, or the profile's name cannot be that of a portable service.
pub fn default_portable(recipe: &Recipe) -> Result<PortableOutput, SpecError> {
    Ok(portable(&PortableTable::default(), image(&ImageTable::default(), recipe.of())?)?)
}

impl Recipe {
    fn of(&self) -> Of<'_> {
        Of { distro: &self.distro, profile: &self.profile.name }
    }
}

/// What defaults of images are made from.
#[derive(Clone, Copy)]
struct Of<'recipe> {
    distro: &'recipe Distro,
    profile: &'recipe str,
}

impl Resolver<'_> {
    /// Resolves the shapes to write.
    pub(super) fn outputs(&mut self, contract: &Contract) -> Outputs {
        let library = self.library;
        let tables = &library.profile.output;
        let rootfs = tables.rootfs.as_ref().map(|table| {
            let written = table.process.as_ref().map(|name| (name.value.to_string(), Some(&name.place)));
            RootfsOutput { process: self.started_process(contract, written, "rootfs") }
        });
        let tar = tables
            .tar
            .as_ref()
            .map(|table| table.compression.as_ref().map_or(TarCompression::None, |compression| compression.value));
        let sysext = tables.sysext.as_ref().and_then(|table| {
            self.check_release(
                &table.image(),
                table.host.as_ref(),
                table.level.as_ref(),
                table.restart_units.as_deref(),
            );
            if let Some(etc) =
                table.etc.as_ref().filter(|etc| etc.value == EtcContent::Confext && tables.confext.is_none())
            {
                self.problems.push(
                    Problem::at(&etc.place, "the profile has no confext that could carry the content of /etc")
                        .help("declare it: `[output.confext]`"),
                );
            }
            let over = self.sysext_over(table);
            let output = self.image_output(&table.image())?;
            Some(SysextOutput { over, ..sysext(table, output, self.of()) })
        });
        let confext = tables.confext.as_ref().and_then(|table| {
            self.check_release(
                &table.image(),
                table.host.as_ref(),
                table.level.as_ref(),
                table.restart_units.as_deref(),
            );
            let over = self.confext_over(table);
            let output = self.image_output(&table.image())?;
            Some(ConfextOutput { over, ..confext(table, output, self.of()) })
        });
        let portable = tables.portable.as_ref().and_then(|table| {
            let output = self.image_output(&table.image())?;
            portable(table, output).map_err(|problem| self.problems.push(*problem)).ok()
        });
        let oci = tables.oci.as_ref().and_then(|table| self.oci(table, tables.rootfs.as_ref(), contract));
        Outputs { rootfs, tar, sysext, confext, portable, oci, bundled: self.bundling() }
    }

    /// Tells which outputs carry packages.
    pub(super) fn bundling(&mut self) -> Bundling {
        let outputs = &self.library.profile.output;
        let from = &self.library.profile.from;
        let origins = [
            outputs.rootfs.as_ref().and_then(|table| table.packages.as_ref()),
            outputs.tar.as_ref().and_then(|table| table.packages.as_ref()),
            outputs.portable.as_ref().and_then(|table| table.packages.as_ref()),
            outputs.oci.as_ref().and_then(|table| table.packages.as_ref()),
        ];
        let below = from.image.as_ref().or(from.path.as_ref());
        let [rootfs, tar, portable, oci] = origins.map(|origin| {
            let bundled = origin.filter(|origin| origin.value == PackageOrigin::Bundled);
            if let (Some(bundled), Some(below)) = (bundled, below) {
                self.problems.push(
                    Problem::at(&bundled.place, "the packages have no place: the layers stand on an image")
                        .related(&below.place, "the image")
                        .rule("bundled packages are the lowest part of a tree")
                        .help("leave `[from]` out, or choose `packages = \"external\"`"),
                );
            }
            bundled.is_some()
        });
        Bundling { rootfs, tar, portable, oci }
    }

    fn of(&self) -> Of<'_> {
        Of { distro: &self.distro, profile: &self.library.name }
    }

    fn image_output(&mut self, table: &ImageTable) -> Option<ImageOutput> {
        let output = image(table, self.of()).map_err(|problem| self.problems.push(*problem)).ok()?;
        let file = [
            ("filesystem", table.filesystem.as_ref().map(|value| &value.place)),
            ("compression", table.compression.as_ref().map(|value| &value.place)),
        ];
        let disk = [
            ("verity", table.verity.as_ref().map(|value| &value.place)),
            ("seed", table.seed.as_ref().map(|value| &value.place)),
        ];
        if output.format == ImageFormat::Directory {
            self.pointless(&file, "a directory has no file system of its own", "raw");
        }
        if let (Filesystem::Squashfs, ImageCompression::None, Some(written)) =
            (output.filesystem, output.compression, &table.compression)
        {
            self.problems.push(
                Problem::at(&written.place, "squashfs is always compressed here")
                    .help("leave `compression` out, or choose `filesystem = \"erofs\"`"),
            );
        }
        if output.format != ImageFormat::Ddi {
            self.pointless(&disk, "only a disk image has room for hashes and UUIDs", "ddi");
        }
        Some(output)
    }

    /// Reports keys that say nothing about the format that was chosen.
    fn pointless(&mut self, keys: &[(&str, Option<&Place>)], rule: &str, format: &str) {
        for (key, place) in keys {
            if let Some(place) = place {
                let problem = Problem::at(place, format!("`{key}` says nothing here")).rule(rule);
                self.problems.push(problem.help(format!("add `format = \"{format}\"`, or leave `{key}` out")));
            }
        }
    }

    /// Checks what an extension says about the hosts it fits.
    fn check_release(
        &mut self,
        image: &ImageTable,
        host: Option<&Located<Host>>,
        level: Option<&Located<String>>,
        restart_units: Option<&[Located<UnitName>]>,
    ) {
        if let (Some(host), Some(level)) = (host.filter(|host| host.value == Host::Any), level) {
            self.problems.push(
                Problem::at(&level.place, "`level` says nothing here")
                    .related(&host.place, "any host is accepted")
                    .rule("systemd compares levels only when the host is the distribution that the extension names"),
            );
        }
        let oldest = image.systemd.as_ref().map(|systemd| systemd.value).or(self.distro.systemd);
        if let (Some(unit), Some(oldest)) = (restart_units.and_then(<[_]>::first), oldest)
            && oldest < SystemdVersion(262)
        {
            self.problems.push(
                Problem::at(&unit.place, format!("systemd {oldest}, which has to take this image, restarts no units"))
                    .rule("`restart_units` needs systemd 262 or later")
                    .help("add `systemd = 262`, or leave `restart_units` out"),
            );
        }
    }

    /// Decides which process an image starts: the one that is named, or the only one.
    pub(super) fn started_process(
        &mut self,
        contract: &Contract,
        written: Option<(String, Option<&Place>)>,
        kind: &str,
    ) -> Option<String> {
        let names: Vec<&str> = contract.processes.keys().map(String::as_str).collect();
        match (written, names.as_slice()) {
            (Some((name, _)), names) if names.contains(&name.as_str()) => Some(name),
            (Some((name, place)), names) => {
                let message = format!("unknown process `{name}`");
                let problem = place.map_or_else(|| Problem::anywhere(&message), |place| Problem::at(place, &message));
                self.problems.push(problem.suggest(&name, "declared processes", names.iter().copied()));
                None
            }
            (None, []) => None,
            (None, [only]) => Some((*only).to_owned()),
            (None, several) => {
                self.problems.push(
                    Problem::at(&Place::whole(&self.library.source), "which process does the image start?")
                        .rule("an image starts one process")
                        .help(format!(
                            "say so under `[output.{kind}]`: `process = \"{}\"`",
                            several.join("\"` or `\"")
                        )),
                );
                None
            }
        }
    }
}

fn image(table: &ImageTable, of: Of<'_>) -> Result<ImageOutput, Box<Problem>> {
    let seed = table.seed.as_ref().map(read_uuid).transpose()?;
    let systemd = table.systemd.as_ref().map(|systemd| systemd.value).or(of.distro.systemd);
    let systemd = systemd.unwrap_or(SystemdVersion::OLDEST);
    if systemd < SystemdVersion::OLDEST {
        let place = table.systemd.as_ref().map(|systemd| &systemd.place);
        let message = match place {
            Some(_) => format!("systemd {systemd} is too old for images"),
            None => format!("{} {} has systemd {systemd}, too old for images", of.distro.title, of.distro.release),
        };
        let problem = place.map_or_else(|| Problem::anywhere(&message), |place| Problem::at(place, &message));
        let rule = format!("images are made for systemd {} or later", SystemdVersion::OLDEST);
        return Err(Box::new(problem.rule(rule).help("name the systemd of the hosts: `systemd = 255`")));
    }
    let value = |kernel: &Located<KernelVersion>| kernel.value;
    Ok(ImageOutput {
        name: table.name.as_ref().map_or_else(|| of.profile.to_owned(), |name| name.to_string()),
        format: table.format.as_ref().map_or(ImageFormat::Raw, |format| format.value),
        filesystem: table.filesystem.as_ref().map_or(Filesystem::Erofs, |filesystem| filesystem.value),
        compression: table.compression.as_ref().map_or(ImageCompression::Default, |compression| compression.value),
        verity: table.verity.as_ref().map_or(Verity::Hash, |verity| verity.value),
        seed,
        kernel: table.kernel.as_ref().map(value).or(of.distro.kernel).unwrap_or(KERNEL),
        systemd,
    })
}

fn sysext(table: &SysextTable, image: ImageOutput, of: Of<'_>) -> SysextOutput {
    let sbom: BTreeSet<SbomFormat> = table.sbom.iter().flatten().map(|sbom| sbom.value).collect();
    SysextOutput {
        image,
        release: release(
            table.scope.as_deref(),
            table.host.as_ref(),
            table.level.as_ref(),
            table.restart_units.as_deref(),
            of,
        ),
        etc: table.etc.as_ref().map_or(EtcContent::Factory, |etc| etc.value),
        start: table.start.as_ref().is_none_or(|start| start.value),
        scanners: table.scanners.as_ref().is_some_and(|scanners| scanners.value),
        sbom: sbom.into_iter().collect(),
        over: None,
    }
}

fn confext(table: &ConfextTable, image: ImageOutput, of: Of<'_>) -> ConfextOutput {
    let release =
        release(table.scope.as_deref(), table.host.as_ref(), table.level.as_ref(), table.restart_units.as_deref(), of);
    ConfextOutput { image, release, over: None }
}

fn release(
    scope: Option<&[Located<Scope>]>,
    host: Option<&Located<Host>>,
    level: Option<&Located<String>>,
    restart_units: Option<&[Located<UnitName>]>,
    of: Of<'_>,
) -> ReleaseMatch {
    let mut scope: Vec<Scope> = scope.into_iter().flatten().map(|scope| scope.value).collect();
    scope.sort();
    scope.dedup();
    // No host that merges extensions is a distribution without systemd.
    let default = if of.distro.systemd.is_some() { Host::Distro } else { Host::Any };
    ReleaseMatch {
        scope,
        host: host.map_or(default, |host| host.value),
        level: level.map(|level| level.value.clone()),
        restart_units: restart_units.into_iter().flatten().map(|unit| unit.value.to_string()).collect(),
    }
}

fn portable(table: &PortableTable, image: ImageOutput) -> Result<PortableOutput, Box<Problem>> {
    if image.name.contains('_') {
        let message = format!("`{}` cannot be the name of a portable service", image.name);
        let place = table.name.as_ref().map(|name: &Located<Name>| &name.place);
        let problem = place.map_or_else(|| Problem::anywhere(&message), |place| Problem::at(place, &message));
        let problem =
            problem.rule("portablectl takes what comes before the first `_` of a name as the prefix of its units");
        return Err(Box::new(
            problem.help(format!("say `name = \"{}\"` under `[output.portable]`", image.name.replace('_', "-"))),
        ));
    }
    let prefixes = match table.prefixes.as_deref() {
        Some(prefixes) => prefixes.iter().map(|prefix| prefix.value.to_string()).collect(),
        None => vec![image.name.clone()],
    };
    Ok(PortableOutput { image, prefixes })
}

/// Reads a UUID of RFC 9562: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn read_uuid(text: &Located<String>) -> Result<[u8; 16], Box<Problem>> {
    let invalid = || {
        let problem = Problem::at(&text.place, format!("`{}` is no UUID", **text));
        Box::new(problem.rule("32 hexadecimal digits: `\"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\"`"))
    };
    if text.split('-').map(str::len).ne([8, 4, 4, 4, 12]) {
        return Err(invalid());
    }
    let digits = text.replace('-', "");
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).map_err(|_| invalid())
}

fn as_hexadecimal<S: Serializer>(seed: &Option<[u8; 16]>, serializer: S) -> Result<S::Ok, S::Error> {
    seed.map(|seed| format!("{:032x}", u128::from_be_bytes(seed))).serialize(serializer)
}
