//! What is attached to a container image: lists of what is in it, how it was made, and who vouches for it.
//!
//! The documents say the same wherever and whenever they are made: identities are derived from the digest of the manifest, and
//! times are the epoch.

use serde_json::{Value, json};

use super::BuildError;
use crate::build::Stacked;
use crate::build::packages::package_url;
use crate::build::sbom::{self, Described};
use crate::image::oci::{Annotations, Blobs, Descriptor, Manifest, annotation, cosign, media_type, rfc3339};
use crate::image::signature::Signer;
use crate::resolve::{OciOutput, Recipe, target_name};
use crate::spec::SbomFormat;

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

impl<'run> Subject<'run> {
    /// Returns what lists of what is in the image speak of.
    fn described(&self) -> Described<'run> {
        let Self { recipe, stacked, output, reference, manifest } = *self;
        Described {
            recipe,
            stacked,
            tree: super::tree_of(stacked, output),
            packages: sbom::packages(stacked).iter().collect(),
            name: reference,
            kind: sbom::IMAGE,
            identity: manifest.digest,
            digest: Some(manifest.digest),
        }
    }
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
        let document = subject.described().document(*format);
        documents.push(match format {
            SbomFormat::Spdx => (SPDX, document),
            SbomFormat::Cyclonedx => (CYCLONEDX, document),
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
