//! What is attached to a container image: lists of what is in it, how it was made, and who vouches for it.
//!
//! The documents say the same wherever and whenever they are made: identities are derived from the digest of the manifest, and
//! times are the epoch.

use serde_json::{Value, json};

use super::BuildError;
use crate::build::Stacked;
use crate::build::packages::{InstalledPackage, package_url, spdx as expression};
use crate::digest::Digest;
use crate::image::oci::{Annotations, Blobs, Descriptor, Manifest, annotation, cosign, media_type, rfc3339};
use crate::image::signature::Signer;
use crate::resolve::{OciOutput, Recipe, target_name};
use crate::spec::SbomFormat;
use crate::tree::{Kind, TreePath};

/// The media types of the documents, which are also the types of the artifacts.
const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What the documents speak of.
pub(super) struct Subject<'run> {
    pub(super) recipe: &'run Recipe,
    pub(super) stacked: &'run Stacked,
    pub(super) output: &'run OciOutput,
    /// What the image is called.
    pub(super) reference: &'run str,
    /// Its manifest.
    pub(super) manifest: &'run Descriptor,
}

/// Makes everything that is attached and returns the descriptors of its manifests.
///
/// # Errors
/// When it is to be signed and nobody is there to, or signing fails.
pub(super) fn attach(
    subject: &Subject<'_>,
    blobs: &mut Blobs,
    signer: Option<&Signer>,
) -> Result<Vec<Descriptor>, BuildError> {
    let mut documents = Vec::new();
    for format in &subject.output.sbom {
        documents.push(match format {
            SbomFormat::Spdx => (SPDX, spdx(subject)),
            SbomFormat::Cyclonedx => (CYCLONEDX, cyclonedx(subject)),
        });
    }
    if subject.output.provenance {
        documents.push((IN_TOTO, provenance(subject)));
    }
    let created = rfc3339(subject.recipe.profile.epoch);
    let mut attached = Vec::new();
    for (kind, document) in documents {
        let bytes = serde_json::to_vec(&document).expect("a document is made of texts and numbers");
        let blob = blobs.add_bytes(kind, bytes);
        let annotations = Annotations::from([(annotation::CREATED.to_owned(), created.clone())]);
        attached.push(add(blobs, Manifest::attached(kind, vec![blob], subject.manifest.clone(), annotations)));
    }
    attached.extend(signature(subject.output, subject.manifest, subject.reference, blobs, signer)?);
    Ok(attached)
}

/// Signs a manifest or an index, where the output says so.
///
/// # Errors
/// When nobody is there to sign, or signing fails.
pub(super) fn signature(
    output: &OciOutput,
    manifest: &Descriptor,
    reference: &str,
    blobs: &mut Blobs,
    signer: Option<&Signer>,
) -> Result<Option<Descriptor>, BuildError> {
    if !output.sign {
        return Ok(None);
    }
    let signer = signer.ok_or_else(|| BuildError::NoSigner { name: output.name.clone() })?;
    let signed = cosign::sign(manifest, reference, signer, blobs);
    signed.map(Some).map_err(|source| BuildError::Sign { name: output.name.clone(), source })
}

fn add(blobs: &mut Blobs, manifest: Manifest) -> Descriptor {
    blobs.add_bytes(media_type::EMPTY, crate::image::oci::EMPTY.to_vec());
    blobs.add_manifest(&manifest)
}

/// Returns a UUID made from what a document speaks of (RFC 9562, version 8).
fn identity(kind: &str, manifest: &Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(format!("layerforge {kind} {manifest}")).as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Returns the version of what is shipped; documents have none that is empty.
fn version(recipe: &Recipe) -> &str {
    if recipe.profile.version.is_empty() { "0" } else { &recipe.profile.version }
}

/// Lists the layers by SPDX 2.3. Files are not among them: SPDX wants their SHA-1.
fn spdx(subject: &Subject<'_>) -> Value {
    let Subject { recipe, stacked, manifest, reference, .. } = subject;
    let package = |id: &str, name: &str, purpose: &str, digest: String| {
        json!({
            "SPDXID": id,
            "name": name,
            "versionInfo": version(recipe),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": purpose,
            "checksums": [{ "algorithm": "SHA256", "checksumValue": digest }],
        })
    };
    let mut packages = vec![package("SPDXRef-Image", reference, "CONTAINER", manifest.digest.hex())];
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Image",
    })];
    for (number, layer) in stacked.stack.layers.iter().enumerate() {
        let id = format!("SPDXRef-Layer-{number}");
        // The checksum is that of the tree: a layer of a profile is no file.
        packages.push(package(&id, &layer.name, "SOURCE", layer.tree.digest().hex()));
        relationships.push(json!({
            "spdxElementId": "SPDXRef-Image", "relationshipType": "CONTAINS", "relatedSpdxElement": id,
        }));
    }
    for (number, package) in installed(stacked).iter().enumerate() {
        let id = format!("SPDXRef-Package-{number}");
        packages.push(spdx_package(&id, package, &purl(recipe, package)));
        relationships.push(json!({
            "spdxElementId": "SPDXRef-Image", "relationshipType": "CONTAINS", "relatedSpdxElement": id,
        }));
    }
    let identity = identity("spdx", &manifest.digest);
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": reference,
        "documentNamespace": format!("urn:uuid:{identity}"),
        "creationInfo": {
            "created": rfc3339(recipe.profile.epoch),
            "creators": [concat!("Tool: layerforge-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

/// Returns the packages of an image that bundles them.
fn installed(stacked: &Stacked) -> &[InstalledPackage] {
    stacked.packages.as_deref().map_or(&[], |packages| &packages.packages)
}

fn purl(recipe: &Recipe, package: &InstalledPackage) -> String {
    package.purl(&recipe.distro.id, recipe.distro.version_id.as_deref())
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

/// Lists every package and every file by CycloneDX 1.6, with the layer or package a file comes from.
fn cyclonedx(subject: &Subject<'_>) -> Value {
    let Subject { recipe, stacked, manifest, reference, output } = subject;
    let installed = installed(stacked);
    let mut components: Vec<Value> =
        installed.iter().map(|package| cyclonedx_package(package, &purl(recipe, package))).collect();
    let owner = |path: &TreePath| {
        let packages =
            stacked.packages.as_deref().filter(|_| !installed.is_empty() && !stacked.origins.contains_key(path))?;
        Some(&installed[*packages.owners.get(path)?].name)
    };
    for (path, node, first) in super::tree_of(stacked, output).links() {
        let (Kind::Regular(content), None) = (&node.kind, first) else { continue };
        let layer = stacked.origins.get(path).map(|origin| &stacked.stack.layers[*origin].name);
        let layer = layer.map(|name| json!({ "name": "layerforge:layer", "value": name }));
        let package = owner(path).map(|name| json!({ "name": "layerforge:package", "value": name }));
        let properties: Vec<Value> = layer.into_iter().chain(package).collect();
        components.push(json!({
            "type": "file",
            "bom-ref": format!("file:{path}"),
            "name": path.to_string(),
            "hashes": [{ "alg": "SHA-256", "content": content.digest.hex() }],
            "properties": properties,
        }));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", identity("cyclonedx", &manifest.digest)),
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(recipe.profile.epoch),
            "tools": { "components": [
                { "type": "application", "name": "layerforge", "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": reference,
                "version": version(recipe),
                "hashes": [{ "alg": "SHA-256", "content": manifest.digest.hex() }],
            },
        },
        "components": components,
    })
}

/// Says how the image was made: an in-toto statement with the predicate SLSA provenance v1.
fn provenance(subject: &Subject<'_>) -> Value {
    let Subject { recipe, stacked, manifest, reference, output, .. } = subject;
    let variables: serde_json::Map<String, Value> =
        recipe.variables.iter().map(|(name, variable)| (name.clone(), json!(variable.value))).collect();
    let base = stacked.base.as_deref().filter(|_| !output.scratch);
    let base = base.map(
        |base| json!({ "name": base.name.as_deref().unwrap_or("base"), "digest": { "sha256": base.digest.hex() } }),
    );
    let layers = stacked.stack.layers.iter().map(|layer| {
        let digest = json!({ "layerforgeTreeV1": layer.tree.digest().hex() });
        json!({ "name": layer.name, "digest": digest })
    });
    let trusted = |name: &str| {
        let sources = stacked.bundle.iter().flat_map(|bundle| &bundle.sources);
        sources.filter(|source| source.name == name).any(|source| source.trusted)
    };
    let packages = stacked.bundle.iter().flat_map(|bundle| &bundle.packages).map(|package| {
        let mut annotations = json!({ "layerforge:source": package.source });
        if trusted(&package.source) {
            annotations["layerforge:trusted"] = json!(true);
        }
        json!({
            "uri": package_url(&recipe.distro, package),
            "name": package.name,
            "digest": { "sha256": package.sha256.hex() },
            "annotations": annotations,
        })
    });
    let dependencies: Vec<Value> = base.into_iter().chain(layers).chain(packages).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": reference, "digest": { "sha256": manifest.digest.hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:layerforge:render:v1",
                "externalParameters": {
                    "profile": recipe.profile.name,
                    "version": recipe.profile.version,
                    "target": target_name(&recipe.distro),
                    "architecture": recipe.distro.architecture.to_string(),
                    "variables": variables,
                    "output": output,
                },
                "internalParameters": { "epoch": recipe.profile.epoch },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": "urn:layerforge:builder",
                    "version": { "layerforge": env!("CARGO_PKG_VERSION") },
                },
            },
        },
    })
}
