//! Images, from a repository into the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::client::{Client, Repository};
use super::manifest::Document;
use super::{Reference, RegistryError};
use crate::digest::Digest;
use crate::event::{Event, Reporter};
use crate::fetch::parallel;
use crate::fs;
use crate::image::oci::{
    DOCUMENT_MAX, Descriptor, Index, Layout, LayoutWriter, Manifest, OciError, Platform, annotation, media_type,
};
use crate::store::{Begun, Store};

/// How deep indexes may stand in indexes.
const DEPTH: usize = 4;
/// How many manifests one reference may stand for.
const MANIFESTS: usize = 1024;

/// What of an image is wanted.
#[derive(Debug, Clone)]
pub enum Selected {
    /// All platforms.
    All,
    /// One platform.
    Platform(Platform),
}

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What it is called, with the digest that the registry has under that name.
    pub reference: Reference,
    /// The image for the platform that was wanted, or the index of all of them.
    pub root: Document,
    /// Every manifest and index, what names others after those; what is attached to them last.
    pub documents: Vec<Document>,
}

/// The places that an image is pulled from.
struct Places<'run> {
    client: &'run Client,
    reference: &'run Reference,
    /// Known when something is asked for: what is in the store needs none. Each with whether it has failed.
    repositories: OnceLock<Vec<(Repository<'run>, AtomicBool)>>,
    reporter: &'run dyn Reporter,
}

impl Client {
    /// Returns the digest that a registry has under a reference, or the one that the reference names.
    ///
    /// # Errors
    /// When the registry cannot be asked, or has nothing there.
    pub fn digest(
        &self,
        store: &Store,
        reference: &Reference,
        reporter: &dyn Reporter,
    ) -> Result<Digest, RegistryError> {
        if let Some(digest) = reference.digest {
            return Ok(digest);
        }
        Ok(self.places(reference, reporter).root(store)?.descriptor.digest)
    }

    /// Fetches an image into the store. What is named by its digest and there is not asked for.
    ///
    /// # Errors
    /// When it cannot be had, is not what it says, or is not for the platform that is wanted.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        selected: &Selected,
        reporter: &dyn Reporter,
    ) -> Result<Pulled, RegistryError> {
        let places = self.places(reference, reporter);
        let named = places.root(store)?;
        let reference = reference.pinned(named.descriptor.digest);
        let root = match selected {
            Selected::Platform(platform) => places.platform(store, named, platform)?,
            Selected::All => named,
        };
        let mut documents = Vec::new();
        places.collect(store, &root, 0, &mut documents)?;
        let mut blobs: Vec<Descriptor> = Vec::new();
        for document in documents.iter().filter(|document| !document.is_index()) {
            let manifest = Manifest::read(&document.bytes)?;
            blobs.extend(std::iter::once(manifest.config).chain(manifest.layers));
        }
        let mut seen = BTreeSet::new();
        blobs.retain(|blob| seen.insert(blob.digest));
        parallel(&blobs, self.parallel, |blob| places.blob(store, blob))?;
        Ok(Pulled { reference, root, documents })
    }

    /// Fetches what is attached to a pulled image, too, and adds it to the documents.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn pull_attached(
        &self,
        store: &Store,
        pulled: &mut Pulled,
        reporter: &dyn Reporter,
    ) -> Result<(), RegistryError> {
        let reference = pulled.reference.clone();
        let places = self.places(&reference, reporter);
        let mut subjects: Vec<Digest> = pulled.documents.iter().map(|document| document.descriptor.digest).collect();
        let mut seen: BTreeSet<Digest> = subjects.iter().copied().collect();
        while let Some(subject) = subjects.pop() {
            for descriptor in places.each(|repository| repository.referrers(&subject))? {
                if seen.len() > MANIFESTS {
                    return Err(OciError::Limit { what: "attached manifests", limit: MANIFESTS as u64 }.into());
                }
                if !seen.insert(descriptor.digest) || !media_type::is_manifest(&descriptor.media_type) {
                    continue;
                }
                let document = places.document(store, &descriptor.digest)?;
                let manifest = Manifest::read(&document.bytes)?;
                for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    places.blob(store, blob)?;
                }
                subjects.push(descriptor.digest);
                pulled.documents.push(document);
            }
        }
        Ok(())
    }

    fn places<'run>(&'run self, reference: &'run Reference, reporter: &'run dyn Reporter) -> Places<'run> {
        Places { client: self, reference, repositories: OnceLock::new(), reporter }
    }

    fn repositories(&self, reference: &Reference) -> Result<Vec<(Repository<'_>, AtomicBool)>, RegistryError> {
        let mut repositories = Vec::new();
        let mut failure = None;
        for endpoint in self.settings.mirrors.pull(reference)? {
            match self.pull_from(endpoint) {
                Ok(repository) => repositories.push((repository, AtomicBool::new(false))),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if repositories.is_empty() => Err(error),
            _ => Ok(repositories),
        }
    }
}

impl Places<'_> {
    /// Returns what is under the reference.
    fn root(&self, store: &Store) -> Result<Document, RegistryError> {
        if let Some(digest) = &self.reference.digest {
            return self.document(store, digest);
        }
        let document = self.each(|repository| repository.manifest(&self.reference.wanted()))?;
        keep(store, &document)?;
        Ok(document)
    }

    /// Brings a blob into the store.
    fn blob(&self, store: &Store, blob: &Descriptor) -> Result<(), RegistryError> {
        if store.downloaded(&blob.digest)?.is_some() {
            return Ok(());
        }
        self.each(|repository| repository.blob(store, blob, self.reporter)).map(drop)
    }

    /// Does something in the first place that can; one that fails is not asked again.
    fn each<T>(&self, work: impl Fn(&Repository<'_>) -> Result<T, RegistryError>) -> Result<T, RegistryError> {
        let repositories = match self.repositories.get() {
            Some(repositories) => repositories,
            None => {
                let found = self.client.repositories(self.reference)?;
                self.repositories.get_or_init(|| found)
            }
        };
        let last = repositories.len().saturating_sub(1);
        for (index, (repository, failed)) in repositories.iter().enumerate() {
            if index < last && failed.load(Ordering::Relaxed) {
                continue;
            }
            match work(repository) {
                Err(error) if index < last => {
                    // A mirror that has not everything may have the rest; one that does not answer has nothing.
                    if !matches!(error, RegistryError::NotFound { .. }) {
                        failed.store(true, Ordering::Relaxed);
                        let message = format!("a mirror of {} is passed over: {error}", self.reference.registry);
                        self.reporter.report(Event::Warning { message, hint: None });
                    }
                }
                result => return result,
            }
        }
        Err(RegistryError::NotFound {
            registry: self.reference.registry.clone(),
            repository: self.reference.repository.clone(),
            what: "place to pull from".into(),
            detail: String::new(),
        })
    }

    /// Returns a manifest or index by its digest.
    fn document(&self, store: &Store, digest: &Digest) -> Result<Document, RegistryError> {
        if let Some(document) = stored(store, digest)? {
            return Ok(document);
        }
        let document = self.each(|repository| repository.manifest(&digest.to_string()))?;
        keep(store, &document)?;
        Ok(document)
    }

    /// Returns the image for a platform.
    fn platform(&self, store: &Store, named: Document, platform: &Platform) -> Result<Document, RegistryError> {
        let mut current = named;
        for _ in 0..=DEPTH {
            if !current.is_index() {
                return Ok(current);
            }
            let index = Index::read(&current.bytes)?;
            let fits = |one: &&Descriptor| one.platform.as_ref().is_some_and(|own| own.fits(platform));
            let Some(chosen) = index.manifests.iter().find(fits) else {
                let has = index.manifests.iter().filter_map(|one| one.platform.as_ref());
                let has: Vec<String> =
                    has.map(|own| format!("{}/{}", own.os, own.architecture)).take(MANIFESTS).collect();
                return Err(RegistryError::Platform {
                    reference: self.reference.to_string(),
                    wanted: format!("{}/{}", platform.os, platform.architecture),
                    has: has.join(", "),
                });
            };
            let mut document = self.document(store, &chosen.digest)?;
            document.descriptor.platform = chosen.platform.clone();
            current = document;
        }
        Err(OciError::Limit { what: "indexes inside each other", limit: DEPTH as u64 }.into())
    }

    /// Fetches the documents that one names, and puts them before it.
    fn collect(
        &self,
        store: &Store,
        document: &Document,
        depth: usize,
        found: &mut Vec<Document>,
    ) -> Result<(), RegistryError> {
        if depth > DEPTH {
            return Err(OciError::Limit { what: "indexes inside each other", limit: DEPTH as u64 }.into());
        }
        if document.is_index() {
            for inner in Index::read(&document.bytes)?.manifests {
                if found.len() >= MANIFESTS {
                    return Err(OciError::Limit { what: "manifests", limit: MANIFESTS as u64 }.into());
                }
                if media_type::is_manifest(&inner.media_type) || media_type::is_index(&inner.media_type) {
                    self.collect(store, &self.document(store, &inner.digest)?, depth + 1, found)?;
                }
            }
        }
        found.push(document.clone());
        Ok(())
    }
}

/// Returns a document that is in the store.
fn stored(store: &Store, digest: &Digest) -> Result<Option<Document>, RegistryError> {
    let Some(path) = store.downloaded(digest)? else { return Ok(None) };
    if fs::lstat(&path)?.len() > DOCUMENT_MAX {
        return Ok(None);
    }
    let document = Document::new(fs::read(&path)?, None);
    Ok((document.descriptor.digest == *digest).then_some(document))
}

fn keep(store: &Store, document: &Document) -> Result<(), RegistryError> {
    if let Begun::Partial(mut partial) = store.begin_download(&document.descriptor.digest)? {
        partial.restart()?;
        partial.write(&document.bytes)?;
        partial.keep()?;
    }
    Ok(())
}

impl Pulled {
    /// Returns the file in the store that holds a blob.
    ///
    /// # Errors
    /// When it is not there.
    pub fn blob(&self, store: &Store, digest: &Digest) -> Result<PathBuf, RegistryError> {
        Ok(store.downloaded(digest)?.ok_or(OciError::Missing { digest: *digest })?)
    }

    /// Writes it as a layout into a directory; of a layout that is there already, other images stay.
    ///
    /// # Errors
    /// When the directory holds something else, or cannot be written.
    pub fn write(&self, store: &Store, path: &Path) -> Result<Layout, RegistryError> {
        let mut index = match fs::exists(path)? && !fs::list(path)?.is_empty() {
            true => Layout::open(path, path)?.index().clone(),
            false => Index::new(Vec::new()),
        };
        let writer = LayoutWriter::create(path)?;
        let mut entries = Vec::new();
        for document in &self.documents {
            if !document.is_index() {
                let manifest = Manifest::read(&document.bytes)?;
                for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    writer.put(blob, fs::open(&self.blob(store, &blob.digest)?)?)?;
                }
                if manifest.subject.is_some() {
                    entries.push(document.descriptor.clone());
                }
            }
            writer.put(&document.descriptor, document.bytes.as_slice())?;
        }
        let mut root = self.root.descriptor.clone();
        let complete = Reference { digest: None, ..self.reference.clone() };
        if let Some(tag) = &self.reference.tag {
            root.annotations.insert(annotation::REF_NAME.into(), tag.clone());
            root.annotations.insert(annotation::CONTAINERD_NAME.into(), complete.to_string());
        }
        let name = root.annotations.get(annotation::REF_NAME).cloned();
        let replaced = |known: &Descriptor| {
            entries.iter().chain([&root]).any(|new| new.digest == known.digest)
                || name.is_some() && known.annotations.get(annotation::REF_NAME) == name.as_ref()
        };
        index.manifests.retain(|known| !replaced(known));
        index.manifests.push(root);
        index.manifests.extend(entries);
        Ok(writer.finish(&index)?)
    }
}
