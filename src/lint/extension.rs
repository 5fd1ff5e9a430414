//! SX: what an extension says about itself (systemd-sysext(8), os-release(5), UAPI.4).

use super::release;
use super::subject::{Class, Subject};
use super::table::Report;
use crate::image::read::Format;

/// What systemd calls architectures (`uname` machine names translated, systemd.unit(5)).
const ARCHITECTURES: [&str; 22] = [
    "x86-64",
    "x86",
    "arm64",
    "arm64-be",
    "arm",
    "arm-be",
    "riscv64",
    "riscv32",
    "ppc64-le",
    "ppc64",
    "ppc",
    "ppc-le",
    "s390x",
    "s390",
    "loongarch64",
    "mips64-le",
    "mips64",
    "mips-le",
    "mips",
    "ia64",
    "alpha",
    "sparc64",
];

pub(super) fn no_os_release(subject: &Subject<'_>, report: &mut Report) {
    let Some(tree) = subject.tree_of(Class::Sysext) else { return };
    let path = "/usr/lib/os-release";
    if let (true, Ok(path)) = (release::exists(tree, path), path.parse()) {
        report.at(&path, "the extension has an os-release");
    }
}

pub(super) fn has_release(subject: &Subject<'_>, report: &mut Report) {
    if subject.extension().is_some() && subject.releases().is_empty() {
        report.whole(format!("there is no extension-release file in `{}`", subject.release_folder()));
    }
}

pub(super) fn release_is_named(subject: &Subject<'_>, report: &mut Report) {
    let (name, plain, systemd) = (subject.name(), subject.plain_name(), subject.target.systemd);
    let Some(first) = subject.releases().first() else { return };
    if name != plain && systemd < 255 {
        let class = &plain[name.len()..];
        report.warn(
            None,
            format!("`{class}` is part of the name for systemd {systemd}, which looks for `extension-release.{plain}`"),
        );
    }
    match subject.release() {
        // Several are another rule's.
        None if subject.releases().iter().filter(|file| file.suffix == subject.stem() || file.relaxed).count() > 1 => {}
        None => report.at(&first.path, format!("`{}` is not the name of the image, `{name}`", first.suffix)),
        Some(file) if file.suffix != name && !file.relaxed && systemd < 254 => {
            let message = format!(
                "systemd {systemd} looks for `extension-release.{name}` only; 254 and later leave the version out"
            );
            report.warn(Some(&file.path), message);
        }
        Some(_) => {}
    }
}

pub(super) fn release_is_unique(subject: &Subject<'_>, report: &mut Report) {
    let releases = subject.releases();
    let candidates = releases.iter().filter(|file| file.relaxed || file.suffix == subject.stem()).count();
    if candidates > 1 && releases.iter().all(|file| file.suffix != subject.name()) {
        report.whole(format!("{candidates} extension-release files may stand for `{}`", subject.name()));
    }
}

pub(super) fn attribute_is_carried(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release().filter(|file| file.relaxed && file.suffix != subject.name()) else { return };
    if matches!(subject.format, Format::Tar | Format::Directory) {
        report.at(&file.path, "only an extended attribute makes it stand for the image");
    }
}

pub(super) fn release_is_regular(subject: &Subject<'_>, report: &mut Report) {
    for file in subject.releases().iter().filter(|file| !file.regular) {
        report.at(&file.path, "it is no regular file");
    }
}

pub(super) fn id_is_named(subject: &Subject<'_>, report: &mut Report) {
    let Some((file, tree)) = subject.release().zip(subject.tree) else { return };
    match file.fields.get("ID").map(String::as_str) {
        None | Some("") => report.at(&file.path, "there is no `ID=`"),
        Some("_any") => {
            for binary in subject.binaries() {
                let missing = binary.interpreter.as_deref().filter(|loader| !release::exists(tree, loader));
                if let Some(loader) = missing {
                    report.at(
                        &binary.path,
                        format!("it needs `{loader}`, which is not in the extension, with `ID=_any`"),
                    );
                }
            }
        }
        Some(_) => {}
    }
}

pub(super) fn release_has_version(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release() else { return };
    let has = |key: &str| file.fields.get(key).is_some_and(|value| !value.is_empty());
    let level = if subject.class == Class::Confext { "CONFEXT_LEVEL" } else { "SYSEXT_LEVEL" };
    let any = file.fields.get("ID").is_some_and(|id| id == "_any");
    if has("ID") && !any && !has("VERSION_ID") && !has(level) {
        report.at(&file.path, format!("there is neither `VERSION_ID=` nor `{level}=`"));
    }
}

pub(super) fn architecture_is_known(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release() else { return };
    let Some(word) = file.fields.get("ARCHITECTURE").filter(|word| !word.is_empty() && *word != "_any") else { return };
    if !ARCHITECTURES.contains(&word.as_str()) {
        report.at(&file.path, format!("`{word}` is no architecture of systemd"));
    }
}

pub(super) fn architecture_fits(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release() else { return };
    let named = file.fields.get("ARCHITECTURE").map(String::as_str).filter(|word| !word.is_empty());
    let machines = || subject.binaries().iter().filter_map(|binary| Some((binary, binary.machine?)));
    match named {
        None => {
            if let Some((binary, machine)) = machines().next() {
                report.warn(
                    Some(&file.path),
                    format!("there is no `ARCHITECTURE=`, but `{}` is for {machine}", binary.path),
                );
            }
        }
        Some(word) => {
            for (binary, machine) in machines().filter(|(_, machine)| *machine != word) {
                report.at(&binary.path, format!("it is for {machine}, the extension for {word}"));
            }
        }
    }
}

pub(super) fn scope_fits(subject: &Subject<'_>, report: &mut Report) {
    let Some(file) = subject.release() else { return };
    let key = if subject.class == Class::Confext { "CONFEXT_SCOPE" } else { "SYSEXT_SCOPE" };
    let written = file.fields.get(key).map_or("system portable", String::as_str);
    for word in written.split_whitespace().filter(|word| !["system", "initrd", "portable"].contains(word)) {
        report.at(&file.path, format!("`{word}` is no scope"));
    }
    let wanted = subject.target.scope.word();
    if !written.split_whitespace().any(|word| word == wanted) {
        report.at(&file.path, format!("`{key}={written}` leaves out `{wanted}`"));
    }
}

pub(super) fn one_version(subject: &Subject<'_>, report: &mut Report) {
    let stem = subject.stem();
    if !subject.is_extension() || stem == subject.name() {
        return;
    }
    let other = subject.siblings.iter().find(|name| {
        let plain = name.strip_suffix(".raw");
        **name != *subject.file_name && plain.is_some_and(|plain| plain.split(['_', '+']).next() == Some(stem))
    });
    if let Some(other) = other {
        report.whole(format!("`{other}` lies beside it: both are merged"));
    }
}

pub(super) fn no_dashed_version(subject: &Subject<'_>, report: &mut Report) {
    if !subject.is_extension() {
        return;
    }
    let name = subject.name();
    let version =
        name.match_indices('-').find(|(at, _)| name[at + 1..].starts_with(|letter: char| letter.is_ascii_digit()));
    let Some((at, _)) = version else { return };
    let linked = subject.siblings.iter().any(|sibling| *sibling == format!("{}.raw", &name[..at]));
    if subject.release().is_none_or(|file| file.suffix != name) && !linked {
        report.whole(format!(
            "`{}` would be the name, `{}` the version, but systemd takes `{name}` for the name",
            &name[..at],
            &name[at + 1..]
        ));
    }
}
