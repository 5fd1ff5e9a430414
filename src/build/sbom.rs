//! Lists of what is in an output: SPDX 2.3 and CycloneDX 1.6.
//!
//! The documents say the same wherever and whenever they are made: identities are derived from the digest of what they speak of,
//! and times are the epoch.

use serde_json::{Value, json};

use super::Stacked;
use super::packages::{InstalledPackage, spdx as expression};
use crate::digest::Digest;
use crate::image::oci::rfc3339;
use crate::resolve::Recipe;
use crate::spec::SbomFormat;
use crate::tree::{Kind, Tree, TreePath};

/// What kind of thing a document speaks of: in SPDX the identifier and the purpose, in CycloneDX the reference and the type.
#[derive(Debug, Clone, Copy)]
pub(super) struct DescribedKind {
    spdx: (&'static str, &'static str),
    cyclonedx: (&'static str, &'static str),
}

/// A container image.
pub(super) const IMAGE: DescribedKind =
    DescribedKind { spdx: ("SPDXRef-Image", "CONTAINER"), cyclonedx: ("image", "container") };
/// A system extension.
pub(super) const EXTENSION: DescribedKind =
    DescribedKind { spdx: ("SPDXRef-Extension", "ARCHIVE"), cyclonedx: ("extension", "file") };

/// What a document speaks of.
#[derive(Debug, Clone)]
pub(super) struct Described<'run> {
    pub(super) recipe: &'run Recipe,
    pub(super) stacked: &'run Stacked,
    /// Everything that is in it.
    pub(super) tree: &'run Tree,
    /// The packages in it.
    pub(super) packages: Vec<&'run InstalledPackage>,
    /// What it is called.
    pub(super) name: &'run str,
    pub(super) kind: DescribedKind,
    /// What its identity is derived from.
    pub(super) identity: Digest,
    /// The digest of the file that it is; nothing when it does not know its own.
    pub(super) digest: Option<Digest>,
}

/// Returns the packages of an output that bundles them.
pub(super) fn packages(stacked: &Stacked) -> &[InstalledPackage] {
    stacked.packages.as_deref().map_or(&[], |packages| &packages.packages)
}

impl Described<'_> {
    /// Returns the document of a format.
    pub(super) fn document(&self, format: SbomFormat) -> Value {
        match format {
            SbomFormat::Spdx => self.spdx(),
            SbomFormat::Cyclonedx => self.cyclonedx(),
        }
    }

    /// Returns the version of what is shipped; documents have none that is empty.
    fn version(&self) -> &str {
        let version = &self.recipe.profile.version;
        if version.is_empty() { "0" } else { version }
    }

    fn purl(&self, package: &InstalledPackage) -> String {
        package.purl(&self.recipe.distro.id, self.recipe.distro.version_id.as_deref())
    }

    /// Returns a UUID made from what a document speaks of (RFC 9562, version 8).
    fn identity(&self, kind: &str) -> String {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(format!("layerforge {kind} {}", self.identity)).as_bytes()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }

    /// Lists the layers and packages by SPDX 2.3. Files are not among them: SPDX wants their SHA-1.
    fn spdx(&self) -> Value {
        let package = |id: &str, name: &str, purpose: &str, digest: Option<Digest>| {
            let mut package = json!({
                "SPDXID": id,
                "name": name,
                "versionInfo": self.version(),
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": false,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "primaryPackagePurpose": purpose,
            });
            if let Some(digest) = digest {
                package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": digest.hex() }]);
            }
            package
        };
        let (own, purpose) = self.kind.spdx;
        let mut packages = vec![package(own, self.name, purpose, self.digest)];
        let mut relationships = vec![json!({
            "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": own,
        })];
        for (number, layer) in self.stacked.stack.layers.iter().enumerate() {
            let id = format!("SPDXRef-Layer-{number}");
            // The checksum is that of the tree: a layer of a profile is no file.
            packages.push(package(&id, &layer.name, "SOURCE", Some(layer.tree.digest())));
            relationships.push(json!({
                "spdxElementId": own, "relationshipType": "CONTAINS", "relatedSpdxElement": id,
            }));
        }
        for (number, package) in self.packages.iter().enumerate() {
            let id = format!("SPDXRef-Package-{number}");
            packages.push(spdx_package(&id, package, &self.purl(package)));
            relationships.push(json!({
                "spdxElementId": own, "relationshipType": "CONTAINS", "relatedSpdxElement": id,
            }));
        }
        json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": self.name,
            "documentNamespace": format!("urn:uuid:{}", self.identity("spdx")),
            "creationInfo": {
                "created": rfc3339(self.recipe.profile.epoch),
                "creators": [concat!("Tool: layerforge-", env!("CARGO_PKG_VERSION"))],
            },
            "packages": packages,
            "relationships": relationships,
        })
    }

    /// Returns the name of the package that a file comes from.
    fn owner(&self, path: &TreePath) -> Option<&str> {
        let tree = self.stacked.packages.as_deref().filter(|_| !self.stacked.origins.contains_key(path))?;
        let owner = &tree.packages[*tree.owners.get(path)?];
        self.packages.iter().any(|package| package.name == owner.name).then_some(&owner.name)
    }

    /// Lists every package and every file by CycloneDX 1.6, with the layer or package a file comes from.
    fn cyclonedx(&self) -> Value {
        let Self { recipe, stacked, .. } = self;
        let mut components: Vec<Value> =
            self.packages.iter().map(|package| cyclonedx_package(package, &self.purl(package))).collect();
        for (path, node, first) in self.tree.links() {
            let (Kind::Regular(content), None) = (&node.kind, first) else { continue };
            let layer = stacked.origins.get(path).map(|origin| &stacked.stack.layers[*origin].name);
            let layer = layer.map(|name| json!({ "name": "layerforge:layer", "value": name }));
            let package = self.owner(path).map(|name| json!({ "name": "layerforge:package", "value": name }));
            let properties: Vec<Value> = layer.into_iter().chain(package).collect();
            components.push(json!({
                "type": "file",
                "bom-ref": format!("file:{path}"),
                "name": path.to_string(),
                "hashes": [{ "alg": "SHA-256", "content": content.digest.hex() }],
                "properties": properties,
            }));
        }
        let (own, kind) = self.kind.cyclonedx;
        let mut component = json!({ "type": kind, "bom-ref": own, "name": self.name, "version": self.version() });
        if let Some(digest) = self.digest {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": digest.hex() }]);
        }
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": format!("urn:uuid:{}", self.identity("cyclonedx")),
            "version": 1,
            "metadata": {
                "timestamp": rfc3339(recipe.profile.epoch),
                "tools": { "components": [
                    { "type": "application", "name": "layerforge", "version": env!("CARGO_PKG_VERSION") },
                ] },
                "component": component,
            },
            "components": components,
        })
    }
}

fn spdx_package(id: &str, package: &InstalledPackage, purl: &str) -> Value {
    let (source, source_version) = &package.source;
    // All that are named hold for some part; one without a name of SPDX leaves the whole without.
    let licences: Option<Vec<String>> = package.licences.iter().map(|name| expression(name)).collect();
    let licences = licences.filter(|licences| !licences.is_empty()).map(|licences| {
        let bracketed = |licence: String| if licence.contains(" OR ") { format!("({licence})") } else { licence };
        let distinct: std::collections::BTreeSet<String> = licences.into_iter().map(bracketed).collect();
        distinct.into_iter().collect::<Vec<_>>().join(" AND ")
    });
    json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licences.unwrap_or_else(|| "NOASSERTION".into()),
        "copyrightText": "NOASSERTION",
        "sourceInfo": format!("built from {source} {source_version}"),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl,
        }],
    })
}

fn cyclonedx_package(package: &InstalledPackage, purl: &str) -> Value {
    let (source, source_version) = &package.source;
    let licences: Vec<Value> = package.licences.iter().map(|name| json!({ "license": { "name": name } })).collect();
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "licenses": licences,
        "purl": purl,
        "properties": [
            { "name": "layerforge:source", "value": source },
            { "name": "layerforge:source-version", "value": source_version },
        ],
    })
}
