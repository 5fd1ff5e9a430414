//! Signatures of images in the form of cosign: "simple signing" (containers/image, docs/containers-signature.5.md, "JSON
//! Data Format"; sigstore, SIGNATURE_SPEC.md).
//!
//! Comes in: the descriptor of a manifest, who signs. Goes out: a manifest that is attached to it and has the tag that cosign
//! looks for, and back: whether a signature is one by the key of a certificate. Always holds: what is signed names the digest
//! of the manifest. Of an image for several platforms the index is signed, which is what its name leads to, and each image
//! in it.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::OciError;
use super::config::{ImageConfig, RootFs};
use super::descriptor::{Annotations, Descriptor, media_type};
use super::files::{Blobs, FilesError};
use super::layout::{Layout, annotation};
use super::manifest::{Index, Manifest, to_bytes};
use crate::digest::Digest;
use crate::image::WriteTarError;
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

/// An image layout with what was added to sign it.
#[derive(Debug, Clone)]
pub struct SignedLayout {
    /// The blobs that are new.
    pub blobs: Blobs,
    /// What takes the place of its index.
    pub index: Index,
    /// The digests of the manifests and indexes that are signed now.
    pub subjects: Vec<Digest>,
    /// Whether one of them had a signature by the same key.
    pub replaced: bool,
}

/// A layout that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignLayoutError {
    /// It cannot be read, or written.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The signature cannot be made.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The archive around it is compressed, and would not be afterwards.
    #[error("the archive is compressed: decompress it, sign it, and compress it again")]
    Compressed,
    /// Something in the archive is in the way.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The archive around it cannot be written.
    #[error(transparent)]
    Archive(#[from] WriteTarError),
}

/// Signs every image and index in a layout. Signatures by other keys stay; one by the same key gives way.
///
/// # Errors
/// When the layout is damaged, holds no image, or a signature cannot be made.
pub fn sign_layout(layout: &Layout, signer: &Signer) -> Result<SignedLayout, SignLayoutError> {
    let mut signed =
        SignedLayout { blobs: Blobs::default(), index: layout.index().clone(), subjects: Vec::new(), replaced: false };
    for root in layout.roots()? {
        let name =
            [annotation::CONTAINERD_NAME, annotation::REF_NAME].iter().find_map(|key| root.annotations.get(*key));
        let reference = name.map_or("", String::as_str);
        for subject in layout.blobs(&root)? {
            if !media_type::is_manifest(&subject.media_type) && !media_type::is_index(&subject.media_type) {
                continue;
            }
            if signed.subjects.contains(&subject.digest) {
                continue;
            }
            let known = signatures(layout, &subject.digest)?;
            signed.index.manifests.retain(|one| known.iter().all(|(manifest, _)| manifest.digest != one.digest));
            let known = known.into_iter().flat_map(|(_, layers)| layers);
            let (own, others): (Vec<_>, Vec<_>) = known.partition(|signature| signature.is_by(signer.certificate()));
            signed.replaced |= !own.is_empty();
            let others = others.into_iter().map(|signature| signature.layer).collect();
            let added = sign_beside(others, &subject, reference, signer, &mut signed.blobs)?;
            signed.index.manifests.push(added);
            signed.subjects.push(subject.digest);
        }
    }
    if signed.subjects.is_empty() {
        let reason = "there is no image in it";
        return Err(OciError::NotALayout { path: layout.path().to_owned(), reason }.into());
    }
    Ok(signed)
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
    sign_beside(Vec::new(), subject, reference, signer, blobs)
}

/// Signs beside others: the signatures of a manifest are layers of one, under its tag.
fn sign_beside(
    others: Vec<Descriptor>,
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
    let mut layer = blobs.add_bytes(SIMPLE_SIGNING, payload);
    layer.annotations.insert(SIGNATURE.into(), signature);
    let mut layers = others;
    layers.push(layer);
    // cosign reads an image configuration here, of layers that are no archives.
    let config = ImageConfig {
        created: None,
        architecture: String::new(),
        os: String::new(),
        variant: None,
        config: None,
        rootfs: RootFs::layers(layers.iter().map(|layer| layer.digest).collect()),
        history: Vec::new(),
    };
    let config = blobs.add_bytes(media_type::CONFIG, config.to_bytes());
    let attached = Manifest::attached(ARTIFACT, layers, subject.clone(), Annotations::new());
    let mut descriptor = blobs.add_manifest(&Manifest { config, ..attached });
    descriptor.annotations.insert(annotation::REF_NAME.into(), tag(&subject.digest));
    Ok(descriptor)
}

/// Tells whether one of the signatures of a manifest in a layout is by the key of `certificate`.
///
/// # Errors
/// When a signature or what it signs is missing or damaged.
pub fn is_signed(layout: &Layout, subject: &Digest, certificate: &Certificate) -> Result<bool, OciError> {
    let known = signatures(layout, subject)?;
    Ok(known.iter().flat_map(|(_, signatures)| signatures).any(|signature| signature.is_by(certificate)))
}

/// A signature of a manifest, whoever made it.
struct Signature {
    layer: Descriptor,
    payload: Vec<u8>,
    bytes: Vec<u8>,
    /// Whether the payload speaks of the manifest that it is attached to.
    names_it: bool,
}

impl Signature {
    fn is_by(&self, certificate: &Certificate) -> bool {
        self.names_it && certificate.verifies_bytes(&self.payload, &self.bytes)
    }
}

/// Returns the signatures of a manifest, by the manifests that hold them.
fn signatures(layout: &Layout, subject: &Digest) -> Result<Vec<(Descriptor, Vec<Signature>)>, OciError> {
    let mut found = Vec::new();
    for (descriptor, manifest) in layout.referrers(subject)? {
        let mut signatures = Vec::new();
        for layer in manifest.layers.into_iter().filter(|layer| layer.media_type == SIMPLE_SIGNING) {
            let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
            let bytes = Base64::decode_vec(signature).unwrap_or_default();
            let payload = layout.document(&layer)?;
            let names_it = named(&payload).is_some_and(|named| named == *subject);
            signatures.push(Signature { layer, payload, bytes, names_it });
        }
        if !signatures.is_empty() {
            found.push((descriptor, signatures));
        }
    }
    Ok(found)
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

    /// Writes what was signed into the layout at `folder`.
    fn write(folder: &std::path::Path, signed: &SignedLayout) -> Layout {
        let writer = LayoutWriter::create(folder).unwrap();
        for (digest, content) in signed.blobs.iter() {
            writer.put(&Descriptor::new("", *digest, content.length), content.open().unwrap()).unwrap();
        }
        writer.finish(&signed.index).unwrap()
    }

    #[test]
    fn an_index_and_the_images_in_it_are_signed_by_several_keys() {
        let (ours, theirs) = (signer(), signer());
        let folder = tempfile::tempdir().unwrap();
        let writer = LayoutWriter::create(folder.path()).unwrap();
        let mut images = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let config = format!(
                r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
            );
            let config = writer.put_bytes(media_type::CONFIG, config.as_bytes()).unwrap();
            let manifest = Manifest::image(config, Vec::new(), Annotations::new());
            images.push(writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap());
        }
        let mut root = writer.put_bytes(media_type::INDEX, &Index::new(images.clone()).to_bytes()).unwrap();
        root.annotations.insert(annotation::REF_NAME.into(), "web:1".into());
        let plain = writer.finish(&Index::new(vec![root.clone()])).unwrap();
        let all: Vec<Digest> = images.iter().chain([&root]).map(|one| one.digest).collect();

        let first = sign_layout(&plain, &ours).unwrap();
        assert_eq!((first.subjects.clone(), first.replaced, first.index.manifests.len()), (all.clone(), false, 4));
        let layout = write(folder.path(), &first);
        assert_eq!(layout.roots().unwrap().len(), 1, "signatures are attached");
        let second = sign_layout(&layout, &theirs).unwrap();
        assert_eq!((second.replaced, second.index.manifests.len()), (false, 4), "one manifest holds both");
        let layout = write(folder.path(), &second);
        let again = sign_layout(&layout, &ours).unwrap();
        assert!(again.replaced);
        let layout = write(folder.path(), &again);
        for subject in &all {
            let signed = |by: &Signer| is_signed(&layout, subject, by.certificate()).unwrap();
            assert!(signed(&ours) && signed(&theirs) && !signed(&signer()));
            let held = signatures(&layout, subject).unwrap();
            assert_eq!(held.iter().map(|(_, signatures)| signatures.len()).collect::<Vec<_>>(), [2]);
            assert_eq!(held[0].0.annotations[annotation::REF_NAME], tag(subject));
        }
        assert_eq!(crate::image::oci::check(&layout).unwrap().images.len(), 2);
        let nothing = tempfile::tempdir().unwrap();
        let empty = LayoutWriter::create(nothing.path()).unwrap().finish(&Index::new(Vec::new())).unwrap();
        assert!(sign_layout(&empty, &ours).unwrap_err().to_string().contains("no image in it"));
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
