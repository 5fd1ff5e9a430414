//! `[output.oci]`, as meant.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::default_process;
use super::recipe::{Contract, Recipe};
use super::resolver::Resolver;
use crate::distro::Architecture;
use crate::spec::{LayerCompression, OciFormat, OciTable, Problem, RootfsTable, SbomFormat, SpecError};

/// How an image for container engines is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OciOutput {
    /// The name of what is written.
    pub name: String,
    /// What is written.
    pub format: OciFormat,
    /// What the image is called where it is loaded; made from the profile when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// How layers are compressed.
    pub compression: LayerCompression,
    /// How hard; 0 for layers that are not.
    pub level: i32,
    /// Whether there is nothing below its layers, whatever the profile stands on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scratch: bool,
    /// The most layers that it may have.
    pub max_layers: usize,
    /// What it runs on, sorted; empty for what is rendered for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Architecture>,
    /// The process that it starts; nothing when the profile has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Annotations of the manifest, beside those that are made from the profile.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Lists of what is in it that are attached, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sbom: Vec<SbomFormat>,
    /// Whether a statement about how it was made is attached.
    pub provenance: bool,
    /// Whether a signature is attached.
    pub sign: bool,
}

/// The most layers of an image when nobody says another number: enough for every layer of most profiles, and far from
/// what engines take.
const LAYERS: usize = 64;
/// The most layers that engines take: overlayfs is mounted with 128 directories (moby, overlay2, `maxDepth`).
const LAYERS_MAX: i64 = 127;

/// Returns what a profile would render to if it declared `[output.oci]`.
///
/// # Errors
/// When it does not say which of several processes the image starts.
pub fn default_oci(recipe: &Recipe) -> Result<OciOutput, SpecError> {
    let process = match &recipe.outputs.rootfs {
        Some(rootfs) => rootfs.process.clone(),
        None => default_process(recipe, "oci")?,
    };
    Ok(OciOutput {
        name: recipe.profile.name.clone(),
        format: OciFormat::Directory,
        reference: None,
        compression: LayerCompression::Zstd,
        level: level(LayerCompression::Zstd),
        scratch: false,
        max_layers: LAYERS,
        architectures: Vec::new(),
        process,
        annotations: BTreeMap::new(),
        sbom: Vec::new(),
        provenance: false,
        sign: false,
    })
}

/// Returns how hard layers are compressed when nobody says another level: that of the programs `zstd` and `gzip`.
fn level(compression: LayerCompression) -> i32 {
    match compression {
        LayerCompression::None => 0,
        LayerCompression::Gzip => 6,
        LayerCompression::Zstd => 3,
    }
}

impl Resolver<'_> {
    /// Resolves `[output.oci]`.
    pub(super) fn oci(
        &mut self,
        table: &OciTable,
        rootfs: Option<&RootfsTable>,
        contract: &Contract,
    ) -> Option<OciOutput> {
        let format = table.format.as_ref().map_or(OciFormat::Directory, |format| format.value);
        let compression = self.layer_compression(table, format);
        if let Some(from) = table.from.as_ref().filter(|from| from.value != "scratch") {
            self.problems.push(
                Problem::at(&from.place, format!("`{}` cannot be below the layers", from.value))
                    .rule("`from` is `scratch`: the image holds the layers of the profile and nothing else")
                    .help("an image to stand on is named by `[from]` of the profile"),
            );
        }
        if format == OciFormat::DockerArchive {
            self.refuse_attached(table);
        }
        let written = table.process.as_ref().or_else(|| rootfs?.process.as_ref());
        let written = written.map(|name| (name.value.to_string(), Some(&name.place)));
        let process = self.started_process(contract, written, "oci");
        let mut annotations = BTreeMap::new();
        for (name, value) in &table.annotations {
            if let Some(value) = self.render(value) {
                annotations.insert(name.value.clone(), value);
            }
        }
        let mut sbom: Vec<SbomFormat> = table.sbom.iter().flatten().map(|sbom| sbom.value).collect();
        sbom.sort();
        sbom.dedup();
        Some(OciOutput {
            name: table.name.as_ref().map_or_else(|| self.library.name.clone(), |name| name.to_string()),
            format,
            reference: self.read(table.reference.as_ref(), |text| reference(text).map(|()| text.to_owned())),
            compression,
            level: self.layer_level(table, compression),
            scratch: table.from.is_some(),
            max_layers: self.number(table.max_layers.as_ref(), 1..=LAYERS_MAX).map_or(LAYERS, |layers| layers as usize),
            architectures: self.architectures(table, format),
            process,
            annotations,
            sbom,
            provenance: table.provenance.as_ref().is_some_and(|provenance| provenance.value),
            sign: table.sign.as_ref().is_some_and(|sign| sign.value),
        })
    }

    /// Reads what the image runs on: only what the distro is made for.
    fn architectures(&mut self, table: &OciTable, format: OciFormat) -> Vec<Architecture> {
        let mut architectures = Vec::new();
        for text in table.architectures.iter().flatten() {
            match text.value.parse::<Architecture>() {
                Ok(architecture) => architectures.push(architecture),
                Err(message) => self.problems.push(Problem::of_sentence(&text.place, message.as_str())),
            }
        }
        if let (OciFormat::DockerArchive, [_, second, ..]) =
            (format, table.architectures.as_deref().unwrap_or_default())
        {
            self.problems.push(
                Problem::at(&second.place, "a `docker-archive` holds the image of one architecture")
                    .help("choose `format = \"tar\"`"),
            );
        }
        architectures.sort();
        architectures.dedup();
        architectures
    }

    /// Reports what an archive of Docker has no room for.
    fn refuse_attached(&mut self, table: &OciTable) {
        let sbom = table.sbom.as_ref().and_then(|list| list.first()).map(|first| ("sbom", &first.place));
        let provenance = table.provenance.as_ref().filter(|wanted| wanted.value);
        let sign = table.sign.as_ref().filter(|wanted| wanted.value);
        let others = [("provenance", provenance), ("sign", sign)];
        let others = others.into_iter().filter_map(|(key, wanted)| Some((key, &wanted?.place)));
        for (key, place) in sbom.into_iter().chain(others) {
            self.problems.push(
                Problem::at(place, format!("`{key}` says nothing here"))
                    .rule("nothing can be attached to an image in a `docker-archive`")
                    .help(format!("choose `format = \"tar\"`, or leave `{key}` out")),
            );
        }
    }

    fn layer_compression(&mut self, table: &OciTable, format: OciFormat) -> LayerCompression {
        let archive = format == OciFormat::DockerArchive;
        let default = if archive { LayerCompression::None } else { LayerCompression::Zstd };
        let Some(written) = &table.compression else { return default };
        if archive && written.value != LayerCompression::None {
            self.problems.push(
                Problem::at(&written.place, "the layers of a `docker-archive` are not compressed")
                    .rule("`docker load` takes compressed ones in an image layout only")
                    .help("leave `compression` out, or choose `format = \"tar\"`"),
            );
        }
        written.value
    }

    fn layer_level(&mut self, table: &OciTable, compression: LayerCompression) -> i32 {
        let most = match compression {
            LayerCompression::None => {
                if let Some(written) = &table.level {
                    self.problems.push(
                        Problem::at(&written.place, "`level` says nothing here").rule("the layers are not compressed"),
                    );
                }
                return 0;
            }
            LayerCompression::Gzip => 12,
            LayerCompression::Zstd => 19,
        };
        self.number(table.level.as_ref(), 1..=most).map_or_else(|| level(compression), |level| level as i32)
    }
}

/// Checks the name of an image: `[HOST[:PORT]/]NAME[/NAME…][:TAG]` (distribution, reference grammar).
fn reference(text: &str) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("`{text}` cannot be the name of an image: {reason}"));
    if text.contains('@') {
        return wrong("a digest is known only when it is made");
    }
    let (path, tag) = match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    };
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
            && tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return wrong("a tag has letters, digits, `_`, `.` and `-`, at most 128");
    }
    let mut names: Vec<&str> = path.split('/').collect();
    let is_host = |name: &str| {
        let host = name.split_once(':').map_or(name, |(host, _)| host);
        let port = name.split_once(':').map_or("", |(_, port)| port);
        !host.is_empty()
            && host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter))
            && port.chars().all(|digit| digit.is_ascii_digit())
    };
    if names.len() > 1 && (names[0].contains(['.', ':']) || names[0] == "localhost") {
        if !is_host(names[0]) {
            return wrong("its host is none");
        }
        names.remove(0);
    }
    let is_name = |name: &&str| {
        let edge = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.starts_with(edge)
            && name.ends_with(edge)
            && name.chars().all(|letter| edge(letter) || "._-".contains(letter))
    };
    if path.len() > 255 || !names.iter().all(is_name) {
        return wrong("its names have small letters and digits, and `.`, `_` and `-` between them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_told_from_others() {
        for good in
            ["web", "web:1.4", "shop/web", "localhost/web", "localhost:5000/web:latest", "r.example.org/a/b-c:V1"]
        {
            assert_eq!(reference(good), Ok(()), "{good}");
        }
        for bad in
            ["", "Web", "web:", "web:a b", "web@sha256:00", "a//b", "/a", "a/", "-a", "host:x/web", "r.example.org/"]
        {
            assert!(reference(bad).is_err(), "{bad}");
        }
    }
}
