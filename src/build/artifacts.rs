//! What is written for each output kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::contents::contents;
use super::images::{self, Means};
use super::{BuildError, Stacked, bundled, manifest, oci};
use crate::deploy::{self, ImageTree};
use crate::digest::Hasher;
use crate::image::{Manifest, ManifestFile, carried_by_copy, write_tar, write_tar_selected};
use crate::plan::{OutputKind, Plan, Step};
use crate::resolve::Recipe;
use crate::spec::TarCompression;
use crate::tree::{Node, Tree};

/// Everything that is written for one output kind.
#[derive(Debug)]
pub struct Product<'tree> {
    /// The kind.
    pub kind: OutputKind,
    /// Its artifacts, the manifest last.
    pub artifacts: Vec<Artifact<'tree>>,
    /// What whoever reads the report should know.
    pub remarks: Vec<Remark>,
}

/// Something about an output that does not stop the work but should be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// A file or directory to write.
#[derive(Debug)]
pub struct Artifact<'tree> {
    /// Its name in the destination.
    pub name: String,
    /// What is in it.
    pub body: Body<'tree>,
}

/// Writes an archive, the same bytes each time it is called.
pub type ArchiveWriter<'tree> = Box<dyn Fn(&mut dyn Write) -> io::Result<()> + Sync + Send + 'tree>;

/// What is in an artifact.
pub enum Body<'tree> {
    /// A directory made from a tree.
    Directory(Cow<'tree, Tree>),
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file with what the function writes.
    Writer(ArchiveWriter<'tree>),
    /// The same, when the function reads no file of the host.
    Text(ArchiveWriter<'tree>),
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Directory(_) => "Directory",
            Self::Bytes(_) => "Bytes",
            Self::Writer(_) => "Writer",
            Self::Text(_) => "Text",
        })
    }
}

/// The directory that a Dockerfile copies.
pub const ROOTFS: &str = "rootfs";
/// The archive of what a COPY cannot carry.
pub const ROOTFS_TAR: &str = "rootfs.tar";
/// The description of `rootfs/` and `rootfs.tar`.
pub const MANIFEST: &str = "manifest.json";

/// Makes everything that `plan` writes. Large archives are only written when they are asked for their bytes.
///
/// # Errors
/// When a deployment file cannot be made, or an archive cannot hold the tree.
pub fn artifacts<'tree>(
    plan: &Plan,
    recipe: &'tree Recipe,
    stacked: &'tree Stacked,
    means: &Means<'_>,
) -> Result<Vec<Product<'tree>>, BuildError> {
    let mut products = Vec::new();
    for action in &plan.actions {
        let bundled = action.bundled;
        let stacked = stacked.for_output(bundled)?;
        let first = products.len();
        match &action.step {
            Step::Packages | Step::Layer(_) | Step::Stack => {}
            Step::Rootfs { process } => products.push(rootfs(recipe, stacked, process.as_deref(), bundled)?),
            Step::Tar { compression } => products.push(tar(recipe, stacked, *compression)?),
            Step::Sysext(_) | Step::Confext(_) | Step::Portable(_) => {
                if let Some((kind, output, contents)) = contents(recipe, stacked, &action.step, means.store)? {
                    // What an extension adds to its host is told as that.
                    let over = stacked.over_host.as_deref().filter(|_| action.step.extends());
                    let described = over.map_or(stacked, |over| &over.stacked);
                    products.push(images::write(kind, recipe, described, output, contents, means)?);
                }
            }
            Step::Oci(output) => products.push(oci::oci(recipe, stacked, (output, bundled), means)?),
        }
        if bundled {
            let kind = products.get(first).map(|product| product.kind);
            let remarks = kind.map(|kind| bundled::judge(kind, recipe, &stacked.tree)).transpose()?.unwrap_or_default();
            products[first..].iter_mut().take(1).for_each(|product| product.remarks.extend(remarks.iter().cloned()));
        }
    }
    Ok(products)
}

/// Tells whether a node has to go through `rootfs.tar`.
fn is_special(node: &Node) -> bool {
    !carried_by_copy(node)
}

fn rootfs<'tree>(
    recipe: &'tree Recipe,
    stacked: &'tree Stacked,
    process: Option<&str>,
    bundled: bool,
) -> Result<Product<'tree>, BuildError> {
    let special = stacked.tree.iter().any(|(path, node)| !path.is_root() && is_special(node));
    let image = ImageTree { tree: &stacked.tree, removed: &stacked.removed, special, process, bundled };
    let dockerfile = deploy::dockerfile(recipe, &image)?.into_bytes();
    let mut artifacts = vec![Artifact { name: ROOTFS.into(), body: Body::Directory(Cow::Borrowed(&stacked.tree)) }];
    if special {
        let write = |out: &mut dyn Write| {
            write_tar_selected(&stacked.tree, out, |path, node| !path.is_root() && is_special(node))
                .map_err(io::Error::other)
        };
        artifacts.push(Artifact { name: ROOTFS_TAR.into(), body: Body::Writer(Box::new(write)) });
    }
    artifacts.push(Artifact { name: "Dockerfile".into(), body: Body::Bytes(dockerfile) });
    // Other outputs stand in the same folder and would be sent to the builder with it.
    artifacts.push(Artifact { name: ".dockerignore".into(), body: Body::Bytes(deploy::DOCKERIGNORE.into()) });
    describe((recipe, stacked), &stacked.tree, &mut artifacts, MANIFEST)?;
    Ok(Product { kind: OutputKind::Rootfs, artifacts, remarks: Vec::new() })
}

fn tar<'tree>(
    recipe: &'tree Recipe,
    stacked: &'tree Stacked,
    compression: TarCompression,
) -> Result<Product<'tree>, BuildError> {
    let extension = match compression {
        TarCompression::None => "tar",
        TarCompression::Gzip => "tar.gz",
        TarCompression::Zstd => "tar.zst",
    };
    let name = format!("{}.{extension}", recipe.profile.name);
    let write = move |out: &mut dyn Write| match compression {
        TarCompression::None => write_tar(stacked.whole(), out).map_err(io::Error::other),
        TarCompression::Gzip => {
            let mut gzip = flate2::GzBuilder::new().write(out, flate2::Compression::new(6));
            write_tar(stacked.whole(), &mut gzip).map_err(io::Error::other)?;
            gzip.finish().map(drop)
        }
        TarCompression::Zstd => {
            let mut zstd = zstd::stream::write::Encoder::new(out, 3)?;
            zstd.include_checksum(true)?;
            write_tar(stacked.whole(), &mut zstd).map_err(io::Error::other)?;
            zstd.finish().map(drop)
        }
    };
    let described = format!("{name}.manifest.json");
    let mut artifacts = vec![Artifact { name, body: Body::Writer(Box::new(write)) }];
    describe((recipe, stacked), stacked.whole(), &mut artifacts, &described)?;
    Ok(Product { kind: OutputKind::Tar, artifacts, remarks: Vec::new() })
}

/// Adds the manifest, which names the other files of the output with their digests.
///
/// It is only written out when it is asked for, beside the files that it describes.
fn describe<'tree>(
    (recipe, stacked): (&'tree Recipe, &'tree Stacked),
    tree: &'tree Tree,
    artifacts: &mut Vec<Artifact<'tree>>,
    name: &str,
) -> Result<(), BuildError> {
    let mut files = BTreeMap::new();
    for artifact in artifacts.iter() {
        let mut hasher = Hasher::new();
        match &artifact.body {
            Body::Directory(_) => continue,
            Body::Bytes(bytes) => hasher.update(bytes),
            Body::Writer(write) | Body::Text(write) => {
                write(&mut hasher).map_err(|source| BuildError::Archive { name: artifact.name.clone(), source })?
            }
        }
        let (digest, size) = hasher.finish();
        files.insert(artifact.name.clone(), ManifestFile { size, digest });
    }
    let write = move |out: &mut dyn Write| {
        let manifest = Manifest { files: files.clone(), ..manifest(recipe, tree, stacked) };
        out.write_all(manifest.to_text().as_bytes())
    };
    artifacts.push(Artifact { name: name.into(), body: Body::Text(Box::new(write)) });
    Ok(())
}
