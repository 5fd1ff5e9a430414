//! `[output.KIND]`: the shapes to write.

use schemars::JsonSchema;
use serde::Deserialize;

use super::merge::{Merge, merge_fields};
use super::source::{Located, Table};
use super::value::{Name, Number, Scalar, UnitName};
use super::version::{KernelVersion, SystemdVersion};

/// `[output.KIND]`: the shapes to write.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputTables {
    /// A directory and a Dockerfile that copies it over a base image.
    pub rootfs: Option<RootfsTable>,
    /// The tree as one tar archive.
    pub tar: Option<TarTable>,
    /// What belongs below /usr and /opt, as an image that systemd-sysext merges.
    pub sysext: Option<SysextTable>,
    /// What belongs below /etc, as an image that systemd-confext merges.
    pub confext: Option<ConfextTable>,
    /// The whole tree with its units, as an image that portablectl attaches.
    pub portable: Option<PortableTable>,
    /// The tree in layers, as an image that container engines take.
    pub oci: Option<OciTable>,
}

/// `[output.rootfs]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootfsTable {
    /// Where packages come from; `external` by default.
    pub packages: Option<Located<PackageOrigin>>,
    /// The process that the image starts; needed when there are several.
    pub process: Option<Located<Name>>,
}

/// `[output.tar]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TarTable {
    /// How the archive is compressed; `none` by default.
    pub compression: Option<Located<TarCompression>>,
    /// Where packages come from; `external` by default.
    pub packages: Option<Located<PackageOrigin>>,
}

/// How a tar archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TarCompression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// `[output.oci]`: see the OCI image specification.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OciTable {
    /// The name of what is written; the profile's own by default.
    pub name: Option<Located<Name>>,
    /// What is written; `directory` by default.
    pub format: Option<Located<OciFormat>>,
    /// What the image is called where it is loaded, such as `registry.example.org/shop/web:1.4`; rendered as a template.
    pub reference: Option<Located<String>>,
    /// Where packages come from; `external` by default.
    pub packages: Option<Located<PackageOrigin>>,
    /// What is below the layers: `scratch` is nothing; what `[from]` of the profile says by default.
    pub from: Option<Located<String>>,
    /// How layers are compressed; `zstd` by default, and `none` in a `docker-archive`.
    pub compression: Option<Located<LayerCompression>>,
    /// How hard, from 1: to 19 for zstd, 3 by default; to 12 for gzip, 6 by default.
    pub level: Option<Located<Number>>,
    /// The most layers that the image may have, 1 to 127; 64 by default.
    pub max_layers: Option<Located<Number>>,
    /// What it runs on, an image for each: `x86_64`, `aarch64`, `riscv64`; what is rendered for by default.
    pub architectures: Option<Vec<Located<String>>>,
    /// The process that the image starts; needed when there are several.
    pub process: Option<Located<Name>>,
    /// Annotations of the manifest, beside those that are made from the profile; values are rendered as templates.
    #[serde(default)]
    pub annotations: Table<String, Located<String>>,
    /// Lists of what is in it, to be attached; none by default.
    pub sbom: Option<Vec<Located<SbomFormat>>>,
    /// Whether a statement about how it was made is attached; `false` by default.
    pub provenance: Option<Located<bool>>,
    /// Whether a signature is attached; the key comes from the command line; `false` by default.
    pub sign: Option<Located<bool>>,
}

/// What an OCI image is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OciFormat {
    /// An image layout.
    Directory,
    /// An image layout in a tar archive.
    Tar,
    /// What `docker save` writes and `docker load` reads.
    DockerArchive,
}

/// How the layers of an OCI image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerCompression {
    /// Not at all.
    None,
    /// gzip, RFC 1952, which every engine reads.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// A form of a list of what is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SbomFormat {
    /// SPDX 2.3.
    Spdx,
    /// CycloneDX 1.6.
    Cyclonedx,
}

/// Where packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageOrigin {
    /// The distribution's package manager installs them when the image is built.
    External,
    /// They are part of what is written: those that the lock names.
    Bundled,
}

/// Defines the table of an image that systemd takes: its own keys, and those that all of them share. serde's `flatten`
/// would say the same, but loses the position of mistakes.
macro_rules! image_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The name of the image, and of what is in it; the profile's own by default.
            pub name: Option<Located<Name>>,
            /// What holds the tree: a directory, a file system, or a file system in a partition table; `raw` by default.
            pub format: Option<Located<ImageFormat>>,
            /// The file system of an image that is a file; `erofs` by default.
            pub filesystem: Option<Located<Filesystem>>,
            /// How the file system is compressed; `default` by default.
            pub compression: Option<Located<ImageCompression>>,
            /// What protects the content of a `ddi`; `hash` by default.
            pub verity: Option<Located<Verity>>,
            /// The UUID that those of a `ddi` and its salt are made from; one made from its content by default.
            pub seed: Option<Located<String>>,
            /// The oldest Linux that has to read it, such as `6.1`; that of the distro's release by default.
            pub kernel: Option<Located<KernelVersion>>,
            /// The oldest systemd that has to take it, such as `252`; that of the distro's release by default.
            pub systemd: Option<Located<SystemdVersion>>,
            $($(#[$key_doc])* pub $key: $type,)*
        }

        merge_fields!($name {
            name, format, filesystem, compression, verity, seed, kernel, systemd, $($key),*
        });

        impl $name {
            /// Returns the keys that all images share.
            pub fn image(&self) -> ImageTable {
                ImageTable {
                    name: self.name.clone(),
                    format: self.format.clone(),
                    filesystem: self.filesystem.clone(),
                    compression: self.compression.clone(),
                    verity: self.verity.clone(),
                    seed: self.seed.clone(),
                    kernel: self.kernel.clone(),
                    systemd: self.systemd.clone(),
                }
            }
        }
    };
}

/// The keys that the tables of all images share.
#[derive(Debug, Clone, Default)]
pub struct ImageTable {
    /// The name of the image.
    pub name: Option<Located<Name>>,
    /// What holds the tree.
    pub format: Option<Located<ImageFormat>>,
    /// The file system of an image that is a file.
    pub filesystem: Option<Located<Filesystem>>,
    /// How the file system is compressed.
    pub compression: Option<Located<ImageCompression>>,
    /// What protects the content.
    pub verity: Option<Located<Verity>>,
    /// The UUID that other UUIDs and the salt are made from.
    pub seed: Option<Located<String>>,
    /// The oldest Linux that has to read it.
    pub kernel: Option<Located<KernelVersion>>,
    /// The oldest systemd that has to take it.
    pub systemd: Option<Located<SystemdVersion>>,
}

image_table!(
    /// `[output.sysext]`: see systemd-sysext(8).
    SysextTable {
        /// Whether it carries packages, those that the lock names: `bundled` needs to know what the host has (`over`).
        packages: Option<Located<PackageOrigin>>,
        /// Where it may be merged; `system` and `portable` by default.
        scope: Option<Vec<Located<Scope>>>,
        /// The host it is made for; `distro` by default.
        host: Option<Located<Host>>,
        /// `SYSEXT_LEVEL`: what the host has to offer, when that is not the version of its distribution.
        level: Option<Located<String>>,
        /// What becomes of the content of /etc; `factory` by default.
        etc: Option<Located<EtcContent>>,
        /// Whether its services start when it is merged; `true` by default.
        start: Option<Located<bool>>,
        /// Whether it has a list of the packages that it carries, which scanners find; `false` by default.
        scanners: Option<Located<bool>>,
        /// Lists of what is in it that are written beside it; none by default.
        sbom: Option<Vec<Located<SbomFormat>>>,
        /// Units of the host that are restarted when it is merged or unmerged (systemd 262).
        restart_units: Option<Vec<Located<UnitName>>>,
        /// What the host has already: of it, only what is different is carried.
        over: Option<OverTable>,
    }
);

image_table!(
    /// `[output.confext]`: see systemd-confext(8).
    ConfextTable {
        /// Where it may be merged; `system` and `portable` by default.
        scope: Option<Vec<Located<Scope>>>,
        /// The host it is made for; `distro` by default.
        host: Option<Located<Host>>,
        /// `CONFEXT_LEVEL`: what the host has to offer, when that is not the version of its distribution.
        level: Option<Located<String>>,
        /// Units of the host that are restarted when it is merged or unmerged (systemd 262).
        restart_units: Option<Vec<Located<UnitName>>>,
        /// What the host has already: of it, only what is different is carried.
        over: Option<OverTable>,
    }
);

image_table!(
    /// `[output.portable]`: see portablectl(1).
    PortableTable {
        /// Where packages come from; `external` by default.
        packages: Option<Located<PackageOrigin>>,
        /// Prefixes of the units that may be attached; the name of the image by default.
        prefixes: Option<Vec<Located<Name>>>,
    }
);

/// `over`: what an extension is laid over.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverTable {
    /// A directory, tar archive or image with the tree of the host, relative to the project.
    pub path: Option<Located<String>>,
    /// The container image that the host is made from, by its name in a registry. Only for a sysext that carries packages.
    pub image: Option<Located<String>>,
    /// The packages of the host: a variant such as `minbase`, or a list of packages beside `[packages] variant`. Only for a
    /// sysext that carries packages.
    pub packages: Option<Located<Scalar>>,
    /// The profile of the project whose lock names the packages of the host. Only for a sysext that carries packages.
    pub lock: Option<Located<Name>>,
}

/// What holds the tree of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// A directory.
    Directory,
    /// A file system, nothing around it.
    Raw,
    /// A discoverable disk image: a partition table with the file system and, when wanted, dm-verity data.
    Ddi,
}

/// The file system of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filesystem {
    /// EROFS.
    Erofs,
    /// squashfs.
    Squashfs,
}

/// How a file system is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageCompression {
    /// Not at all.
    None,
    /// For a short edit-and-try loop.
    Fast,
    /// For shipping.
    Default,
    /// As small as it gets, slowly.
    Small,
}

/// What protects the content of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verity {
    /// Nothing.
    None,
    /// A hash tree.
    Hash,
    /// A hash tree and a signature; the key comes from the command line.
    Signed,
    /// A hash tree and room for a signature that is added later.
    Defer,
}

/// Where an extension may be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Into a running system.
    System,
    /// Into an initial RAM disk.
    Initrd,
    /// Into a portable service.
    Portable,
}

impl Scope {
    /// Returns its word in an extension-release file.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Initrd => "initrd",
            Self::Portable => "portable",
        }
    }
}

/// The host that an extension is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// The distribution and release it is rendered for.
    Distro,
    /// Any host: only for what needs nothing of it.
    Any,
}

/// What becomes of the content of /etc in a system extension, which cannot carry any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EtcContent {
    /// It goes to /usr/share/factory, from where systemd-tmpfiles copies what is missing.
    Factory,
    /// The confext of the same profile carries it.
    Confext,
    /// It is left out, and listed.
    Omit,
}

merge_fields!(RootfsTable { packages, process });
merge_fields!(TarTable { compression, packages });
merge_fields!(OciTable {
    name,
    format,
    reference,
    packages,
    from,
    compression,
    level,
    max_layers,
    architectures,
    process,
    annotations,
    sbom,
    provenance,
    sign,
});
merge_fields!(OutputTables { rootfs, tar, sysext, confext, portable, oci });
merge_fields!(OverTable { path, image, packages, lock });

/// Implements [`Merge`] for an optional table: one that is only below or only above counts whole.
macro_rules! merge_optional {
    ($($type:ty),*) => {
        $(impl Merge for Option<$type> {
            fn merge_with(&mut self, over: Self) {
                match (self.as_mut(), over) {
                    (Some(below), Some(over)) => below.merge_with(over),
                    (None, Some(over)) => *self = Some(over),
                    (_, None) => {}
                }
            }
        })*
    };
}
merge_optional!(RootfsTable, TarTable, SysextTable, ConfextTable, PortableTable, OciTable, OverTable);
