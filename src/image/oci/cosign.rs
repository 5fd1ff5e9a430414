//! Signatures of images in the form of cosign: "simple signing" (containers/image, docs/containers-signature.5.md, "JSON
//! Data Format"; sigstore, SIGNATURE_SPEC.md).
//!
//! Comes in: the descriptor of a manifest, who signs. Goes out: a manifest that is attached to it and has the tag that cosign
//! looks for, and back: whether a signature is one by the key of a certificate. Always holds: what is signed names the digest
//! of the manifest.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::OciError;
use super::config::{ImageConfig, RootFs};
use super::descriptor::{Annotations, Descriptor, media_type};
use super::files::Blobs;
use super::layout::{Layout, annotation};
use super::manifest::{Manifest, to_bytes};
use crate::digest::Digest;
use crate::image::signature::{Certificate, SignatureError, Signer};

/// The media type of what is signed.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The type of the artifact.
pub const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation of the layer that has the signature, in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload says it is.
const TYPE: &str = "cosign container image signature";

/// Returns the tag under which cosign looks for the signatures of a manifest.
pub fn tag(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

/// Signs the manifest of an image that is called `reference`, and returns the descriptor of the manifest with the signature.
///
/// # Errors
/// When the signature cannot be made.
pub fn sign(
    subject: &Descriptor,
    reference: &str,
    signer: &Signer,
    blobs: &mut Blobs,
) -> Result<Descriptor, SignatureError> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": subject.digest.to_string() },
            "type": TYPE,
        },
        "optional": null,
    });
    let payload = to_bytes(&payload);
    let signature = Base64::encode_string(&signer.sign_bytes(&payload)?);
    let diff_id = Digest::of(&payload);
    let mut layer = blobs.add_bytes(SIMPLE_SIGNING, payload);
    layer.annotations.insert(SIGNATURE.into(), signature);
    // cosign reads an image configuration here, of a layer that is no archive.
    let config = ImageConfig {
        created: None,
        architecture: String::new(),
        os: String::new(),
        variant: None,
        config: None,
        rootfs: RootFs::layers(vec![diff_id]),
        history: Vec::new(),
    };
    let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
    let attached = Manifest::attached(ARTIFACT, vec![layer], subject.clone(), Annotations::new());
    let mut descriptor = blobs.add_manifest(&Manifest { config, ..attached });
    descriptor.annotations.insert(annotation::REF_NAME.into(), tag(&subject.digest));
    Ok(descriptor)
}

/// Tells whether one of the signatures of a manifest in a layout is by the key of `certificate`.
///
/// # Errors
/// When a signature or what it signs is missing or damaged.
pub fn is_signed(layout: &Layout, subject: &Digest, certificate: &Certificate) -> Result<bool, OciError> {
    for (_, manifest) in layout.referrers(subject)? {
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING) {
            let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
            let payload = layout.document(layer)?;
            let names = named(&payload).is_some_and(|named| named == *subject);
            let signature = Base64::decode_vec(signature).unwrap_or_default();
            if names && certificate.verifies_bytes(&payload, &signature) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Returns the digest that a payload speaks of.
fn named(payload: &[u8]) -> Option<Digest> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let critical = payload.get("critical")?;
    (critical.get("type")?.as_str()? == TYPE).then_some(())?;
    critical.get("image")?.get("docker-manifest-digest")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::image::oci::{Index, LayoutWriter};
    use crate::image::signature::{KeyType, generate};

    fn signer() -> Signer {
        let made = generate(KeyType::EcdsaP256, "test", SystemTime::UNIX_EPOCH).unwrap();
        Signer::with_key(made.key, made.certificate).unwrap()
    }

    /// Writes a layout with an image and a signature of `signed` by `signer`, said to be one of the image.
    fn layout(folder: &std::path::Path, signed: Option<&Digest>, signer: &Signer) -> (Layout, Digest) {
        let writer = LayoutWriter::create(folder).unwrap();
        let config = writer.put_bytes("x", b"config").unwrap();
        let image = Manifest::image(config, Vec::new(), Annotations::new());
        let image = writer.put_bytes(media_type::MANIFEST, &image.to_bytes()).unwrap();
        let mut blobs = Blobs::default();
        let subject = Descriptor { digest: *signed.unwrap_or(&image.digest), ..image.clone() };
        let signature = sign(&subject, "web:1", signer, &mut blobs).unwrap();
        let bytes = blobs.get(&signature.digest).unwrap().read(1 << 20).unwrap().unwrap();
        let manifest = Manifest { subject: Some(image.clone()), ..Manifest::read(&bytes).unwrap() };
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            writer.put(blob, blobs.get(&blob.digest).unwrap().open().unwrap()).unwrap();
        }
        let signature = writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap();
        let digest = image.digest;
        (writer.finish(&Index::new(vec![image, signature])).unwrap(), digest)
    }

    #[test]
    fn a_signature_is_by_one_key_for_one_manifest() {
        let (ours, theirs) = (signer(), signer());
        let folder = tempfile::tempdir().unwrap();
        let (signed, digest) = layout(folder.path(), None, &ours);
        assert!(is_signed(&signed, &digest, ours.certificate()).unwrap());
        assert!(!is_signed(&signed, &digest, theirs.certificate()).unwrap(), "by another key");
        assert!(!is_signed(&signed, &Digest::of("x"), ours.certificate()).unwrap(), "of another manifest");
        let folder = tempfile::tempdir().unwrap();
        let (moved, digest) = layout(folder.path(), Some(&Digest::of("other")), &ours);
        assert!(!is_signed(&moved, &digest, ours.certificate()).unwrap(), "a signature that was attached elsewhere");
    }
}
