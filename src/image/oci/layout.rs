//! Image layouts (image-spec, image-layout.md): a directory, or a tar archive of one.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::config::ImageConfig;
use super::descriptor::{Descriptor, media_type};
use super::manifest::{DOCUMENT_MAX, Index, Manifest, parse, to_bytes};
use super::{OciError, Platform};
use crate::digest::{Digest, Hasher};
use crate::fs;
use crate::tree::{Content, ContentSource, Kind, Tree, TreePath, read_tar};

/// The file that marks a layout.
pub(super) const MARK: &str = "oci-layout";
/// The file that names what is in it.
pub(super) const INDEX: &str = "index.json";
/// The folder of the blobs.
pub(super) const BLOBS: &str = "blobs/sha256";
/// How deep indexes may stand in indexes.
const DEPTH: usize = 4;
/// How many descriptors are followed.
const DESCRIPTORS: usize = 100_000;
/// Bytes copied at a time.
const CHUNK: usize = 1 << 17;

/// Keys of annotations (image-spec, annotations.md).
pub mod annotation {
    /// In an index: the name or tag of a manifest.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// In an index: the whole reference, as containerd writes and reads it.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// When something was made, by RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The name of a base image.
    pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
    /// The digest of the manifest of a base image.
    pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
}

/// The content of the file [`MARK`].
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

/// The bytes of the file [`MARK`].
pub(super) fn mark() -> Vec<u8> {
    to_bytes(&Mark { version: "1.0.0".into() })
}

/// An image layout that is read.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    /// The members of an archive; nothing for a directory.
    archive: Option<Tree>,
    index: Index,
}

impl Layout {
    /// Opens the layout at `path`: a directory, or a tar archive, which may be compressed: it is decompressed into the
    /// directory `unpacked`, see [`read_tar`].
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn open(path: &Path, unpacked: &Path) -> Result<Self, OciError> {
        let stat = std::fs::metadata(path).map_err(fs::Error::on("look at", path))?;
        let archive = if stat.is_dir() { None } else { Some(read_tar(path, unpacked)?) };
        Self::of(path, archive)
    }

    /// Takes the members of an archive, or the directory at `path`, for a layout.
    pub(super) fn of(path: &Path, archive: Option<Tree>) -> Result<Self, OciError> {
        let refuse = |reason| OciError::NotALayout { path: path.to_owned(), reason };
        let mut layout = Self { path: path.to_owned(), archive, index: Index::new(Vec::new()) };
        let mark = layout.file(MARK)?.ok_or_else(|| refuse("it has no file `oci-layout`"))?;
        let mark: Mark = parse("file `oci-layout`", &read(&mark, DOCUMENT_MAX)?)?;
        if mark.version != "1.0.0" {
            return Err(refuse("it is of another version than 1.0.0"));
        }
        let index = layout.file(INDEX)?.ok_or_else(|| refuse("it has no file `index.json`"))?;
        layout.index = Index::read(&read(&index, DOCUMENT_MAX)?)?;
        Ok(layout)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is in it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the members of the archive that it is; nothing for a directory.
    pub fn archive(&self) -> Option<&Tree> {
        self.archive.as_ref()
    }

    /// Returns what its index names itself: images and indexes, each once, but nothing that is attached to another manifest.
    ///
    /// # Errors
    /// When a document is missing or damaged.
    pub fn roots(&self) -> Result<Vec<Descriptor>, OciError> {
        let mut roots: Vec<Descriptor> = Vec::new();
        for descriptor in &self.index.manifests {
            let is_root = match descriptor.media_type.as_str() {
                kind if media_type::is_index(kind) => true,
                kind if media_type::is_manifest(kind) => self.manifest(descriptor)?.subject.is_none(),
                _ => false,
            };
            if is_root && roots.iter().all(|known| known.digest != descriptor.digest) {
                roots.push(descriptor.clone());
            }
        }
        Ok(roots)
    }

    /// Returns a file of the layout, whatever it holds: its digest is only known for archives.
    fn file(&self, name: &str) -> Result<Option<Content>, OciError> {
        let Some(tree) = &self.archive else {
            let path = self.path.join(name);
            let stat = match std::fs::metadata(&path).map_err(fs::Error::on("look at", &*path)) {
                Err(error) if error.is_not_found() => return Ok(None),
                stat => stat?,
            };
            let source = ContentSource::File(path.into());
            return Ok(stat.is_file().then(|| Content { digest: Digest::of(b""), length: stat.len(), source }));
        };
        let path = TreePath::from_relative(name.as_bytes()).ok();
        Ok(path.and_then(|path| match &tree.lookup(&path)?.kind {
            Kind::Regular(content) => Some(content.clone()),
            _ => None,
        }))
    }

    /// Returns the bytes that a descriptor names. Their number is the descriptor's; that they have its digest is known only
    /// when they have been read to their end, as [`Layout::check`] and [`Layout::document`] do.
    ///
    /// # Errors
    /// When they are not there, or are more or fewer.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Content, OciError> {
        let Descriptor { digest, size, .. } = *descriptor;
        let content = self.file(&format!("{BLOBS}/{}", digest.hex()))?.ok_or(OciError::Missing { digest })?;
        if content.length != size {
            return Err(OciError::Size { digest, expected: size, found: content.length });
        }
        if self.archive.is_some() && content.digest != digest {
            return Err(OciError::Digest { digest, found: content.digest });
        }
        Ok(Content { digest, ..content })
    }

    /// Tells whether the blob with this digest is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn has(&self, digest: &Digest) -> Result<bool, OciError> {
        Ok(self.file(&format!("{BLOBS}/{}", digest.hex()))?.is_some())
    }

    /// Reads the blob of a descriptor to its end.
    ///
    /// # Errors
    /// When it is not there, or not what the descriptor says.
    pub fn check(&self, descriptor: &Descriptor) -> Result<(), OciError> {
        let content = self.blob(descriptor)?;
        let read = fs::Error::on("read", content.source.path());
        let (found, _) = Digest::of_stream(content.open()?).map_err(read)?;
        if found == descriptor.digest { Ok(()) } else { Err(OciError::Digest { digest: descriptor.digest, found }) }
    }

    /// Returns the bytes of a document: a manifest, an index, a configuration or something small that is attached.
    ///
    /// # Errors
    /// When it is not there, is not what the descriptor says, or has more than [`DOCUMENT_MAX`] bytes.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        let bytes = read(&self.blob(descriptor)?, DOCUMENT_MAX)?;
        let found = Digest::of(&bytes);
        if found == descriptor.digest { Ok(bytes) } else { Err(OciError::Digest { digest: descriptor.digest, found }) }
    }

    /// Returns the manifest that a descriptor names.
    ///
    /// # Errors
    /// As [`Layout::document`], and when it is no manifest.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest, OciError> {
        Manifest::read(&self.document(descriptor)?)
    }

    /// Returns the configuration of the image with this manifest.
    ///
    /// # Errors
    /// As [`Layout::document`], and when it is no configuration.
    pub fn config(&self, manifest: &Manifest) -> Result<ImageConfig, OciError> {
        ImageConfig::read(&self.document(&manifest.config)?)
    }

    /// Returns the manifests of all images in it, in their order, with the descriptors that name them: those of nested
    /// indexes too, but nothing that is attached to another manifest.
    ///
    /// # Errors
    /// When a document is missing or damaged, or there are too many.
    pub fn images(&self) -> Result<Vec<(Descriptor, Manifest)>, OciError> {
        let mut images = Vec::new();
        self.walk(&self.index.manifests, 0, &mut BTreeSet::new(), &mut |descriptor| {
            if media_type::is_manifest(&descriptor.media_type) {
                let manifest = self.manifest(descriptor)?;
                if manifest.subject.is_none() && media_type::is_config(&manifest.config.media_type) {
                    images.push((descriptor.clone(), manifest));
                }
            }
            Ok(())
        })?;
        Ok(images)
    }

    /// Returns the image that is meant: the only one, or the one for `platform` when there are several.
    ///
    /// # Errors
    /// When there is none, or it is not clear which; when a document is missing or damaged.
    pub fn image(&self, platform: &Platform) -> Result<(Descriptor, Manifest), OciError> {
        let mut images = self.images()?;
        if images.len() > 1 {
            images.retain(|(descriptor, _)| descriptor.platform.as_ref().is_some_and(|own| own.fits(platform)));
        }
        let refuse = |reason| OciError::NotALayout { path: self.path.clone(), reason };
        match images.len() {
            1 => Ok(images.remove(0)),
            0 => Err(refuse("no image in it is for this platform")),
            _ => Err(refuse("several images in it are for this platform: keep one of them")),
        }
    }

    /// Returns every blob that `root` needs, each once, in the order in which they are sent: what a manifest names before
    /// the manifest itself, `root` last.
    ///
    /// # Errors
    /// When a document is missing or damaged, or there are too many.
    pub fn blobs(&self, root: &Descriptor) -> Result<Vec<Descriptor>, OciError> {
        let mut found = Vec::new();
        self.walk(std::slice::from_ref(root), 0, &mut BTreeSet::new(), &mut |descriptor| {
            if media_type::is_manifest(&descriptor.media_type) {
                let manifest = self.manifest(descriptor)?;
                found.push(manifest.config);
                found.extend(manifest.layers);
            }
            found.push(descriptor.clone());
            Ok(())
        })?;
        let mut seen = BTreeSet::new();
        found.retain(|descriptor| seen.insert(descriptor.digest));
        Ok(found)
    }

    /// Returns what is attached to the manifest with this digest: the descriptors of manifests whose subject it is.
    ///
    /// # Errors
    /// When a document is missing or damaged, or there are too many.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<(Descriptor, Manifest)>, OciError> {
        let mut attached = Vec::new();
        self.walk(&self.index.manifests, 0, &mut BTreeSet::new(), &mut |descriptor| {
            if media_type::is_manifest(&descriptor.media_type) {
                let manifest = self.manifest(descriptor)?;
                if manifest.subject.as_ref().is_some_and(|named| named.digest == *subject) {
                    attached.push((descriptor.clone(), manifest));
                }
            }
            Ok(())
        })?;
        Ok(attached)
    }

    /// Hands every descriptor to `visit`, each blob once, those of nested indexes before the index itself.
    fn walk(
        &self,
        descriptors: &[Descriptor],
        depth: usize,
        seen: &mut BTreeSet<Digest>,
        visit: &mut dyn FnMut(&Descriptor) -> Result<(), OciError>,
    ) -> Result<(), OciError> {
        if depth > DEPTH {
            return Err(OciError::Limit { what: "indexes inside each other", limit: DEPTH as u64 });
        }
        for descriptor in descriptors {
            if !seen.insert(descriptor.digest) {
                continue;
            }
            if seen.len() > DESCRIPTORS {
                return Err(OciError::Limit { what: "manifests", limit: DESCRIPTORS as u64 });
            }
            if media_type::is_index(&descriptor.media_type) {
                let index = Index::read(&self.document(descriptor)?)?;
                self.walk(&index.manifests, depth + 1, seen, visit)?;
            }
            visit(descriptor)?;
        }
        Ok(())
    }
}

/// Returns the bytes of a content that is small enough.
fn read(content: &Content, limit: u64) -> Result<Vec<u8>, OciError> {
    let bytes = content.read(usize::try_from(limit).unwrap_or(usize::MAX))?;
    bytes.ok_or(OciError::Limit { what: "bytes of a document", limit })
}

/// An image layout that is written into a directory. Blobs appear whole, and the index last: until then it is no layout.
#[derive(Debug)]
pub struct LayoutWriter {
    path: PathBuf,
}

impl LayoutWriter {
    /// Begins a layout in the directory at `path`, which is created; blobs that are there already stay.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn create(path: &Path) -> Result<Self, OciError> {
        fs::create_directory(&path.join(BLOBS))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Returns where the blob with this digest is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join(BLOBS).join(digest.hex())
    }

    /// Puts a blob, unless it is there already: a whole one is never replaced.
    ///
    /// # Errors
    /// When `bytes` are not what the descriptor says, or cannot be read or written.
    pub fn put(&self, descriptor: &Descriptor, bytes: impl Read) -> Result<(), OciError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = self.blob_path(&descriptor.digest);
        if fs::exists(&path)? {
            return Ok(());
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.path.join(BLOBS).join(format!(".new.{}.{count}", std::process::id()));
        let written = copy(descriptor, bytes, &temporary).and_then(|()| Ok(fs::rename(&temporary, &path)?));
        if written.is_err() {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
        }
        written
    }

    /// Puts a blob with these bytes and returns its descriptor.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_bytes(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, OciError> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.put(&descriptor, bytes)?;
        Ok(descriptor)
    }

    /// Names what is in the layout, which is whole then, and opens it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self, index: &Index) -> Result<Layout, OciError> {
        fs::write_atomic(&self.path.join(MARK), &mark())?;
        fs::write_atomic(&self.path.join(INDEX), &index.to_bytes())?;
        Layout::of(&self.path, None)
    }
}

/// Writes a blob to a new file while it is checked.
fn copy(descriptor: &Descriptor, bytes: impl Read, to: &Path) -> Result<(), OciError> {
    let Descriptor { digest, size, .. } = *descriptor;
    let mut file = fs::create(to)?;
    let mut hasher = Hasher::new();
    // One byte more than there may be tells that there are too many.
    let mut bytes = bytes.take(size.saturating_add(1));
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fs::Error::on("read the bytes of", to)(error).into()),
        };
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(fs::Error::on("write", to))?;
    }
    let (found, length) = hasher.finish();
    if length != size {
        return Err(OciError::Size { digest, expected: size, found: length });
    }
    if found != digest {
        return Err(OciError::Digest { digest, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let writer = LayoutWriter::create(folder.path()).unwrap();
        let config = writer
            .put_bytes(
                media_type::CONFIG,
                br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#,
            )
            .unwrap();
        let layer = writer.put_bytes(media_type::LAYER, &[0; 1024]).unwrap();
        let manifest = Manifest::image(config, vec![layer.clone(), layer], Default::default());
        let image = writer.put_bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap();
        assert_eq!(image, manifest.descriptor());
        let note = writer.put_bytes("text/plain", b"note").unwrap();
        writer.put_bytes(media_type::EMPTY, super::super::EMPTY).unwrap();
        let attached = Manifest::attached("application/x-note", vec![note], image.clone(), Default::default());
        let referrer = writer.put_bytes(media_type::MANIFEST, &attached.to_bytes()).unwrap();
        let index = Index::new(vec![image, referrer]);
        let layout = writer.finish(&index).unwrap();
        (folder, layout)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_folder, layout) = layout();
        let images = layout.images().unwrap();
        assert_eq!(images.len(), 1);
        let (descriptor, manifest) = &images[0];
        assert_eq!(layout.config(manifest).unwrap().architecture, "amd64");
        let kinds: Vec<_> = layout.blobs(descriptor).unwrap().into_iter().map(|blob| blob.media_type).collect();
        assert_eq!(
            kinds,
            [media_type::CONFIG, media_type::LAYER, media_type::MANIFEST],
            "each once, the manifest last"
        );
        assert_eq!(layout.referrers(&descriptor.digest).unwrap().len(), 1);
        for blob in layout.blobs(descriptor).unwrap() {
            layout.check(&blob).unwrap();
        }
    }

    #[test]
    fn an_archive_of_a_layout_is_one() {
        let (folder, layout) = layout();
        let archive = tempfile::tempdir().unwrap();
        let file = archive.path().join("image.tar");
        let mut bytes = Vec::new();
        crate::image::write_tar(&crate::tree::scan(folder.path()).unwrap(), &mut bytes).unwrap();
        fs::write_atomic(&file, &bytes).unwrap();
        let other = Layout::open(&file, archive.path()).unwrap();
        assert_eq!(other.images().unwrap(), layout.images().unwrap());
    }

    #[test]
    fn damage_is_found() {
        let (folder, layout) = layout();
        let (descriptor, manifest) = layout.images().unwrap().remove(0);
        let path = |digest: &Digest| folder.path().join(BLOBS).join(digest.hex());
        fs::write_atomic(&path(&manifest.layers[0].digest), &[1; 1024]).unwrap();
        assert!(matches!(layout.check(&manifest.layers[0]), Err(OciError::Digest { .. })));
        fs::write_atomic(&path(&manifest.layers[0].digest), &[1; 1023]).unwrap();
        assert!(matches!(layout.blob(&manifest.layers[0]), Err(OciError::Size { .. })));
        fs::remove_file(&path(&manifest.config.digest)).unwrap();
        assert!(matches!(layout.config(&manifest), Err(OciError::Missing { .. })));
        fs::write_atomic(&path(&descriptor.digest), &vec![b' '; descriptor.size as usize]).unwrap();
        assert!(matches!(layout.images(), Err(OciError::Digest { .. })));
    }

    #[test]
    fn what_is_put_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let writer = LayoutWriter::create(folder.path()).unwrap();
        let descriptor = Descriptor::of("text/plain", b"text");
        assert!(matches!(writer.put(&descriptor, &b"tex"[..]), Err(OciError::Size { found: 3, .. })));
        assert!(matches!(writer.put(&descriptor, &b"text more"[..]), Err(OciError::Size { .. })));
        assert!(matches!(writer.put(&descriptor, &b"test"[..]), Err(OciError::Digest { .. })));
        assert_eq!(fs::list(&folder.path().join(BLOBS)).unwrap().len(), 0, "nothing half done stays");
        writer.put(&descriptor, &b"text"[..]).unwrap();
        assert!(Layout::open(folder.path(), folder.path()).is_err(), "without an index it is no layout");
    }

    #[test]
    fn an_index_that_holds_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        let writer = LayoutWriter::create(folder.path()).unwrap();
        let mut inner = writer.put_bytes(media_type::INDEX, &Index::new(Vec::new()).to_bytes()).unwrap();
        for _ in 0..DEPTH + 1 {
            inner = writer.put_bytes(media_type::INDEX, &Index::new(vec![inner; 30]).to_bytes()).unwrap();
        }
        let layout = writer.finish(&Index::new(vec![inner])).unwrap();
        assert!(matches!(layout.images(), Err(OciError::Limit { .. })));
    }
}
