//! Layouts, into a repository.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::client::{Client, Repository};
use super::manifest::Document;
use super::upload::Blob;
use super::{Reference, RegistryError};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::fetch::parallel;
use crate::image::oci::{Descriptor, Index, Layout, Manifest, OciError, annotation, media_type};
use crate::store::Store;

pub use super::upload::Sent;

/// An image that is in a registry now.
#[derive(Debug, Clone, Serialize)]
pub struct Pushed {
    /// What it is called, with its digest.
    pub reference: String,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Whether the registry had all of it.
    pub unchanged: bool,
    /// Its blobs that were looked for, and how each came to be there.
    pub blobs: Vec<PushedBlob>,
    /// What is attached to it, by the digests of its manifests.
    pub attached: Vec<Digest>,
}

/// A blob that is in a registry now.
#[derive(Debug, Clone, Serialize)]
pub struct PushedBlob {
    /// Its digest.
    pub digest: Digest,
    /// The number of its bytes.
    pub size: u64,
    /// How it came to be there.
    pub sent: Sent,
}

/// What a push works with.
struct Push<'run> {
    repository: Repository<'run>,
    store: &'run Store,
    layout: &'run Layout,
    reporter: &'run dyn Reporter,
    blobs: Vec<PushedBlob>,
}

impl Client {
    /// Brings the image of a layout, with all that is attached to it, to where a reference says.
    ///
    /// # Errors
    /// When the layout is damaged or it is not clear which image is meant, or the registry does not take it.
    pub fn push(
        &self,
        store: &Store,
        layout: &Layout,
        reference: &Reference,
        reporter: &dyn Reporter,
    ) -> Result<Pushed, RegistryError> {
        let root = root_of(layout, reference)?;
        let digest = root.descriptor.digest;
        if let Some(expected) = reference.digest.filter(|expected| *expected != digest) {
            return Err(RegistryError::Digest { name: reference.name(), expected, found: digest });
        }
        let repository = self.push_to(reference)?;
        let mut push = Push { repository, store, layout, reporter, blobs: Vec::new() };
        let under = reference.tag.clone().unwrap_or_else(|| digest.to_string());
        let current = match push.repository.manifest(&under) {
            Ok(document) => Some(document),
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let unchanged = current.as_ref().is_some_and(|current| current.descriptor.digest == digest);
        let documents = documents(layout, &root)?;
        if !unchanged {
            push.content(&documents, current.as_ref())?;
        }
        let attached = push.attached(&documents)?;
        if !unchanged {
            push.repository.put_manifest(&under, &root)?;
        }
        let reference = Reference { tag: reference.tag.clone(), ..reference.pinned(digest) }.to_string();
        Ok(Pushed { reference, digest, unchanged, blobs: push.blobs, attached })
    }
}

impl Push<'_> {
    /// Sends what the documents name, and all of them but the last one.
    fn content(&mut self, documents: &[Document], current: Option<&Document>) -> Result<(), RegistryError> {
        let mut present: BTreeSet<Digest> = current.map(named).transpose()?.unwrap_or_default();
        let mut wanted: BTreeMap<Digest, Descriptor> = BTreeMap::new();
        let mut missing = Vec::new();
        for (place, document) in documents.iter().enumerate() {
            let is_root = place + 1 == documents.len();
            let digest = document.descriptor.digest;
            // What is under its digest has all that it names.
            if !is_root && (present.contains(&digest) || self.has_manifest(&digest)?) {
                present.extend(named(document)?);
                continue;
            }
            if !is_root {
                missing.push(document);
            }
            if !document.is_index() {
                let manifest = Manifest::read(&document.bytes)?;
                wanted.extend(std::iter::once(manifest.config).chain(manifest.layers).map(|blob| (blob.digest, blob)));
            }
        }
        wanted.retain(|digest, _| !present.contains(digest));
        self.send(wanted.into_values().collect())?;
        for document in missing {
            self.repository.put_manifest(&document.descriptor.digest.to_string(), document)?;
        }
        Ok(())
    }

    fn has_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        Ok(self.repository.manifest_digest(&digest.to_string())?.is_some())
    }

    fn send(&mut self, blobs: Vec<Descriptor>) -> Result<(), RegistryError> {
        let (repository, store, layout, reporter) = (&self.repository, self.store, self.layout, self.reporter);
        let sent = parallel(&blobs, repository.client.parallel, |descriptor| {
            let content = layout.blob(descriptor)?;
            let sent = repository.send_blob(store, &Blob { descriptor, content: &content, layout }, reporter)?;
            Ok::<_, RegistryError>(PushedBlob { digest: descriptor.digest, size: descriptor.size, sent })
        })?;
        self.blobs.extend(sent);
        Ok(())
    }

    /// Sends what is attached to the documents, and what is attached to that.
    fn attached(&mut self, documents: &[Document]) -> Result<Vec<Digest>, RegistryError> {
        let mut subjects: Vec<Digest> = documents.iter().map(|document| document.descriptor.digest).collect();
        let mut seen = BTreeSet::new();
        while let Some(subject) = subjects.pop() {
            let mut own = self.layout.referrers(&subject)?;
            own.retain(|(descriptor, _)| seen.insert(descriptor.digest));
            if own.is_empty() {
                continue;
            }
            let known: BTreeSet<Digest> =
                self.repository.referrers(&subject)?.iter().map(|known| known.digest).collect();
            for (descriptor, manifest) in own {
                subjects.push(descriptor.digest);
                if known.contains(&descriptor.digest) {
                    continue;
                }
                let mut blobs = vec![manifest.config];
                blobs.extend(manifest.layers);
                blobs.dedup_by_key(|blob| blob.digest);
                self.send(blobs)?;
                self.repository
                    .attach(&Document::new(self.layout.document(&descriptor)?, Some(&descriptor.media_type)))?;
            }
        }
        Ok(seen.into_iter().collect())
    }
}

/// Returns what a document names.
fn named(document: &Document) -> Result<BTreeSet<Digest>, RegistryError> {
    if document.is_index() {
        return Ok(Index::read(&document.bytes)?.manifests.into_iter().map(|manifest| manifest.digest).collect());
    }
    let manifest = Manifest::read(&document.bytes)?;
    Ok(manifest.layers.into_iter().chain([manifest.config]).map(|blob| blob.digest).collect())
}

/// Returns the manifests and indexes that `root` needs, `root` last.
fn documents(layout: &Layout, root: &Document) -> Result<Vec<Document>, RegistryError> {
    let mut documents = Vec::new();
    if root.is_index() {
        for inner in Index::read(&root.bytes)?.manifests {
            let needed = layout.blobs(&inner)?.into_iter();
            for descriptor in
                needed.filter(|one| media_type::is_manifest(&one.media_type) || media_type::is_index(&one.media_type))
            {
                documents.push(Document::new(layout.document(&descriptor)?, Some(&descriptor.media_type)));
            }
        }
    }
    let mut seen = BTreeSet::new();
    documents.retain(|document: &Document| seen.insert(document.descriptor.digest));
    documents.push(root.clone());
    Ok(documents)
}

/// Returns the image of a layout that is meant: the only one, or the one that has the tag as its name, or all of them as the
/// platforms of one image.
fn root_of(layout: &Layout, reference: &Reference) -> Result<Document, RegistryError> {
    let mut roots = layout.roots()?;
    let is_named = |root: &Descriptor| root.annotations.get(annotation::REF_NAME) == reference.tag.as_ref();
    if roots.len() > 1 && roots.iter().filter(|root| is_named(root)).count() == 1 {
        roots.retain(is_named);
    }
    let document = |root: &Descriptor| Ok(Document::new(layout.document(root)?, Some(&root.media_type)));
    match roots.as_slice() {
        [root] => document(root),
        [] => Err(OciError::NotALayout { path: layout.path().to_owned(), reason: "there is no image in it" }.into()),
        several => Ok(Document::new(platforms(layout, several)?.to_bytes(), Some(media_type::INDEX))),
    }
}

/// Returns the index of images for different platforms.
fn platforms(layout: &Layout, images: &[Descriptor]) -> Result<Index, RegistryError> {
    let distinct: BTreeSet<_> = images.iter().filter_map(|image| image.platform.as_ref()).collect();
    if distinct.len() < images.len() {
        let reason = "several images are in it, and not one for each platform: push one that has the tag as its name";
        return Err(OciError::NotALayout { path: layout.path().to_owned(), reason }.into());
    }
    let plain = |image: &Descriptor| Descriptor {
        platform: image.platform.clone(),
        ..Descriptor::new(&image.media_type, image.digest, image.size)
    };
    Ok(Index::new(images.iter().map(plain).collect()))
}
