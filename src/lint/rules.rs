//! The table of rules. What each looks for is in the module of what it is about.

use super::subject::Subject;
use super::table::{Report, Rule, Severity};
use super::{container, content, disk, extension, file_system, hygiene, portable, publish, units};

/// Every rule.
pub const RULES: &[Rule] = &{
    use Severity::{Error as E, Warning as W};
    const fn row(
        id: &'static str,
        severity: Severity,
        [rule, reason, mend]: [&'static str; 3],
        check: fn(&Subject<'_>, &mut Report),
    ) -> Rule {
        Rule { id, severity, rule, reason, mend, check }
    }
    [
        row(
            "SX01",
            E,
            [
                "a system extension has no /usr/lib/os-release",
                "systemd-sysext refuses to merge anything while it lies there",
                "remove it; extension-release files say what the extension is for",
            ],
            extension::no_os_release,
        ),
        row(
            "SX02",
            E,
            [
                "an extension has an extension-release file where its class wants it",
                "a raw image without one stops all merging, a directory is ignored",
                "add /usr/lib/extension-release.d/extension-release.NAME, or /etc/extension-release.d/extension-release.NAME for a confext",
            ],
            extension::has_release,
        ),
        row(
            "SX03",
            E,
            [
                "the extension-release file has the name of the image",
                "systemd ignores the extension or stops merging",
                "rename one of them, or set user.extension-release.strict=0 on the file",
            ],
            extension::release_is_named,
        ),
        row(
            "SX04",
            E,
            [
                "only one extension-release file may stand for an image with another name",
                "systemd finds several and takes none",
                "keep one, with the name of the image",
            ],
            extension::release_is_unique,
        ),
        row(
            "SX05",
            W,
            [
                "a release file that is matched by an extended attribute stays in what carries attributes",
                "the attribute is lost in archives and copies, and with it the extension",
                "name the file after the image",
            ],
            extension::attribute_is_carried,
        ),
        row(
            "SX06",
            E,
            [
                "the extension-release file is a regular file",
                "systemd does not follow links when it looks for one",
                "put the file itself there",
            ],
            extension::release_is_regular,
        ),
        row(
            "SX07",
            E,
            [
                "ID= names the distribution; ID=_any only where programs bring everything they need",
                "without ID= it is never merged; a program that needs the loader or libraries of another distribution does not start",
                "set ID= to that of the host, or link programs statically",
            ],
            extension::id_is_named,
        ),
        row(
            "SX08",
            E,
            [
                "VERSION_ID= or a level says for which release it is",
                "hosts with a VERSION_ID refuse it",
                "add VERSION_ID=, or SYSEXT_LEVEL= (CONFEXT_LEVEL=) where hosts have one",
            ],
            extension::release_has_version,
        ),
        row(
            "SX09",
            E,
            [
                "ARCHITECTURE= is a word of systemd",
                "it is compared by letter and never fits",
                "use x86-64, arm64, riscv64, … or _any",
            ],
            extension::architecture_is_known,
        ),
        row(
            "SX10",
            E,
            [
                "programs are for the architecture that the extension names",
                "they cannot run where it is merged",
                "build for one architecture and name it in ARCHITECTURE=",
            ],
            extension::architecture_fits,
        ),
        row(
            "SX11",
            W,
            [
                "SYSEXT_SCOPE= (CONFEXT_SCOPE=) has where the extension is to be merged",
                "it is ignored there",
                "add the scope: system, initrd or portable",
            ],
            extension::scope_fits,
        ),
        row(
            "SX12",
            E,
            [
                "everything lies in what is merged: /usr and /opt, or /etc for a confext",
                "the rest is left out without a word",
                "move it, or ship it in an extension of the other class",
            ],
            content::in_hierarchies,
        ),
        row(
            "SX13",
            E,
            [
                "directories have the mode that the host has: 0755",
                "the mode of a directory replaces the host's: 0700 on /usr/lib locks everybody out",
                "chmod 0755",
            ],
            content::directory_modes,
        ),
        row(
            "SX14",
            E,
            [
                "directories belong to root, files too",
                "the owner of a directory replaces the host's",
                "chown 0:0 in the image",
            ],
            content::owners,
        ),
        row(
            "SX15",
            E,
            [
                "what is a directory on hosts is a directory",
                "a link or file hides the whole directory of the host, which no longer works",
                "make it a directory, with what is meant to be in it",
            ],
            content::no_masking,
        ),
        row(
            "SX16",
            E,
            [
                "there are no whiteouts",
                "they hide files of the host, or lie there as junk",
                "remove them: an extension only adds",
            ],
            content::no_whiteouts,
        ),
        row(
            "SX17",
            W,
            [
                "nothing of the base system is replaced",
                "an extension adds, it does not override (UAPI.4)",
                "install it under another path",
            ],
            content::no_base_paths,
        ),
        row(
            "SX18",
            W,
            [
                "an extension with units has the manager reload",
                "they are not started when it is merged",
                "set EXTENSION_RELOAD_MANAGER=1 in the extension-release file",
            ],
            units::reloads,
        ),
        row(
            "SX19",
            W,
            [
                "something pulls the units of an extension in",
                "[Install] means nothing to an extension: nobody enables its units",
                "add a drop-in with Upholds=, or a link in .wants/",
            ],
            units::are_pulled_in,
        ),
        row(
            "SX20",
            W,
            [
                "units do not depend on users or directories that merging does not make",
                "sysusers.d and tmpfiles.d are not read on merge",
                "use DynamicUser= and StateDirectory=",
            ],
            units::need_no_accounts,
        ),
        row(
            "SX21",
            W,
            [
                "a system extension has nothing in /usr/local, and what it needs in /etc and /var is made at run time",
                "hosts may have /usr/local as a mount of its own, which hides it",
                "move it to /usr; use StateDirectory=, or tmpfiles.d with C and /usr/share/factory",
            ],
            content::no_local,
        ),
        row(
            "SX22",
            E,
            [
                "a configuration extension has nothing to run",
                "/etc is mounted noexec and nosuid while merged",
                "ship programs in a system extension",
            ],
            content::nothing_to_run,
        ),
        row(
            "SX23",
            W,
            [
                "there are no devices, fifos and sockets",
                "extensions are mounted nodev; programs make the others",
                "remove them",
            ],
            content::no_devices,
        ),
        row(
            "SX24",
            W,
            [
                "versions of one extension do not lie side by side",
                "all of them are merged",
                "put them into NAME.raw.v/",
            ],
            extension::one_version,
        ),
        row(
            "SX25",
            E,
            [
                "EXTENSION_RESTART_UNITS= names units",
                "systemd cannot restart what is none; before version 262 it does not read it",
                "name units in full, such as web.service",
            ],
            units::restarted_are_units,
        ),
        row(
            "SX26",
            W,
            [
                "a version is not joined to the name by a dash",
                "the dash is part of the name for systemd, so that no release file fits",
                "write NAME_VERSION.raw, or link NAME.raw to it",
            ],
            extension::no_dashed_version,
        ),
        row(
            "FS01",
            E,
            [
                "the file system is one that systemd mounts, with features that the kernel has",
                "it is refused, and merging stops",
                "use erofs or squashfs with features of the oldest kernel",
            ],
            file_system::is_mountable,
        ),
        row(
            "FS02",
            E,
            ["EROFS has blocks of 4096 bytes", "kernels with smaller pages cannot mount others", "mkfs.erofs -b4096"],
            file_system::block_size,
        ),
        row(
            "FS03",
            W,
            [
                "a file system has fixed identity and times",
                "the same input gives other bytes each time",
                "set UUID and times from the content and SOURCE_DATE_EPOCH",
            ],
            file_system::is_reproducible,
        ),
        row(
            "FS04",
            W,
            [
                "files have SELinux labels where the system enforces them",
                "they are unlabelled there; nothing relabels a read-only image",
                "write security.selinux when the image is made",
            ],
            file_system::is_labelled,
        ),
        row(
            "DD01",
            E,
            [
                "every partition is marked read-only and none to be grown",
                "systemd 260 and later refuse to start portable services from it",
                "set bit 60 and clear bit 59 of the partition flags",
            ],
            disk::flags,
        ),
        row(
            "DD02",
            E,
            [
                "no partition is marked not to be discovered",
                "systemd does not find it, and merging stops",
                "clear bit 63 of the partition flags",
            ],
            disk::discoverable,
        ),
        row(
            "DD03",
            E,
            [
                "the partition UUIDs are the halves of the root hash",
                "systemd 258 and later take the root hash from them",
                "set them when the hash tree is made",
            ],
            disk::uuids,
        ),
        row(
            "DD04",
            E,
            [
                "the type of the data partition fits what is in it",
                "systemd mounts it where it does not belong",
                "use the type root for a tree with /usr in it, usr for the content of /usr; root for a confext",
            ],
            disk::role,
        ),
        row(
            "DD05",
            E,
            [
                "both partition tables are whole, and partitions lie in order on 4 KiB",
                "systemd falls back without a word, other tools refuse it",
                "write the table anew (sgdisk -v tells more)",
            ],
            disk::table,
        ),
        row(
            "DD06",
            E,
            [
                "the signature is one that systemd takes",
                "the image is refused where signatures are asked for",
                "sign the lower-case hexadecimal root hash anew: layerforge sign",
            ],
            disk::signature,
        ),
        row(
            "DD07",
            W,
            [
                "certificateFingerprint is that of the signing certificate",
                "tools that choose a key by it choose the wrong one",
                "sign anew, with the certificate that belongs to the key",
            ],
            disk::fingerprint,
        ),
        row(
            "DD08",
            W,
            [
                "a reproducible image is signed with RSA",
                "an ECDSA signature is another one each time",
                "sign with an RSA key, or apart from the build",
            ],
            disk::deterministic,
        ),
        row(
            "DD09",
            E,
            [
                "there is one verity pair, and it belongs to the data partition",
                "systemd refuses the image",
                "remove the partitions that belong to something else",
            ],
            disk::one_pair,
        ),
        row(
            "DD10",
            W,
            [
                "an image for the initrd or a strict policy is signed",
                "only signed images are taken there",
                "sign it: layerforge sign",
            ],
            disk::is_signed,
        ),
        row(
            "PS01",
            E,
            [
                "a portable service has an os-release with ID=",
                "portablectl refuses to attach it",
                "add /usr/lib/os-release",
            ],
            portable::has_os_release,
        ),
        row(
            "PS02",
            E,
            [
                "it has units whose names begin with the name of the image, of types that can be attached",
                "portablectl finds nothing to attach",
                "name units after the image: NAME.service, NAME-x.service",
            ],
            portable::has_units,
        ),
        row(
            "PS03",
            E,
            [
                "PORTABLE_PREFIXES= has the name of the image",
                "portablectl refuses to attach it; without the key every unit can be attached",
                "set PORTABLE_PREFIXES= in os-release to the names of the units",
            ],
            portable::prefixes,
        ),
        row(
            "PS04",
            E,
            [
                "mount points are in the image: /proc /sys /dev /run /tmp /var/tmp /etc/machine-id /etc/resolv.conf",
                "a read-only image cannot get them later: services fail with 226/NAMESPACE",
                "add empty directories and files",
            ],
            portable::mount_points,
        ),
        row(
            "PS05",
            E,
            [
                "directories that units have mounted or made are in the image",
                "services fail with 226/NAMESPACE",
                "add the empty directory",
            ],
            portable::unit_directories,
        ),
        row(
            "PS06",
            E,
            ["/etc/machine-id is empty", "every host would have the same identity", "truncate it"],
            portable::machine_id,
        ),
        row(
            "PS07",
            W,
            [
                "units need nothing beside them",
                "drop-ins and links in .wants/ are not copied when a service is attached",
                "write it into the unit itself",
            ],
            portable::nothing_attached,
        ),
        row(
            "PS08",
            W,
            [
                "users of units exist, or are dynamic",
                "the service fails with 217/USER, or shares `nobody` with others",
                "use DynamicUser=yes",
            ],
            portable::users,
        ),
        row(
            "PS09",
            W,
            [
                "programs of units are in the image",
                "the service fails with 203/EXEC",
                "add the program with its loader",
            ],
            portable::programs,
        ),
        row(
            "PS10",
            W,
            [
                "units get along with the profile that they are attached with",
                "the profile forbids what they ask for",
                "attach with another profile, or ask for less",
            ],
            portable::profile,
        ),
        row(
            "PS11",
            W,
            [
                "PORTABLE_SCOPE= says that users may attach it",
                "it is taken for a service of the system only",
                "set PORTABLE_SCOPE=user or any",
            ],
            portable::scope,
        ),
        row(
            "UN01",
            W,
            [
                "units use what the oldest systemd knows",
                "it ignores the line",
                "raise the oldest systemd, or accept that the setting has no effect there",
            ],
            units::directives,
        ),
        row(
            "UN02",
            W,
            [
                "services are no more exposed than wanted",
                "what breaks out of the service can do more than it needs",
                "restrict it: systemd-analyze security tells by what",
            ],
            units::exposure,
        ),
        row(
            "UN03",
            E,
            [
                "sysusers.d and tmpfiles.d can be read",
                "systemd refuses the line: the user or directory is missing",
                "correct the line",
            ],
            units::declarations,
        ),
        row(
            "UP01",
            E,
            [
                "versions have letters, digits and .~^- only",
                "`_` and `+` end a version in the name of an image",
                "write another version",
            ],
            publish::versions,
        ),
        row(
            "UP02",
            E,
            [
                "files fit exactly one pattern of a transfer, and sums name plain files",
                "systemd-sysupdate does not find the version, or refuses the list",
                "name files as the pattern says",
            ],
            publish::patterns,
        ),
        row(
            "UP03",
            W,
            [
                "an update keeps the version before, and its list of sums is signed",
                "there is no way back; or nothing is installed at all",
                "set InstancesMax=2 and sign SHA256SUMS",
            ],
            publish::keeps_versions,
        ),
        row(
            "OC01",
            E,
            [
                "the user of an image is a number that is not 0",
                "Kubernetes cannot tell that a name is not root, and refuses the pod",
                "USER 65532:65532",
            ],
            container::user,
        ),
        row(
            "OC02",
            W,
            [
                "what is written to is a volume, and its directory is in the image",
                "with a read-only root the program cannot write there",
                "declare the path as writable, and make the directory",
            ],
            container::writable,
        ),
        row(
            "HY01",
            E,
            [
                "there are no private keys",
                "everybody who has the image has the key",
                "remove it in a layer, and give it as a secret at run time",
            ],
            hygiene::no_private_keys,
        ),
        row(
            "HY02",
            E,
            [
                "there are no SSH host keys",
                "all machines made from the image are one host to their clients",
                "remove /etc/ssh/ssh_host_* in a layer, and have `ssh-keygen -A` make them at first start",
            ],
            hygiene::no_host_keys,
        ),
        row(
            "HY03",
            E,
            [
                "there is no database cluster",
                "it is another one in each build, with identity and secrets of its own, and is copied with the image",
                "remove it in a layer, or keep packages from making it, and make it at first start",
            ],
            hygiene::no_databases,
        ),
        row(
            "HY04",
            E,
            [
                "there are no secrets that were made with the image",
                "everybody who has the image knows them",
                "remove the file in a layer, and make it at first start",
            ],
            hygiene::no_secrets,
        ),
        row(
            "HY05",
            W,
            [
                "there is no identity of a machine",
                "all machines made from the image take themselves for one",
                "empty /etc/machine-id, and remove the others",
            ],
            hygiene::no_identity,
        ),
        row(
            "HY06",
            E,
            [
                "nobody else writes to a program that changes who runs it",
                "whoever may write to a setuid or setgid file, or put another one in its place, becomes its owner or group",
                "take the write permission or the bit away",
            ],
            hygiene::no_writable_setuid,
        ),
        row(
            "HY07",
            W,
            [
                "setuid and setgid programs are where programs are",
                "elsewhere nobody looks for them, and no package of a distribution has them there",
                "remove the file, or take the bit away",
            ],
            hygiene::setuid_among_programs,
        ),
    ]
};
