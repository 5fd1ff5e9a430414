//! What the layers of a profile stand on: looked up, kept in the lock, fetched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::build;
use crate::digest::Digest;
use crate::error::Error;
use crate::event::Reporter;
use crate::fs;
use crate::image::oci::{BaseImage, LocalImage, Manifest, OciError, Platform};
use crate::lock::{Difference, Lock, LockError, target_of};
use crate::registry::{Client, Reference, RegistryError, Selected};
use crate::resolve::{Base, Recipe};
use crate::store::{Begun, Store};

/// Where bases come from.
pub(super) struct Bases<'run> {
    pub(super) store: &'run Store,
    pub(super) client: Option<&'run Client>,
    pub(super) reporter: &'run dyn Reporter,
    /// The lock as it is on disk, and where.
    pub(super) lock: Option<&'run Lock>,
    pub(super) path: &'run Path,
    /// Whether nothing may be looked up that is not in the lock.
    pub(super) locked: bool,
    /// Whether everything is looked up again.
    pub(super) upgrade: bool,
}

/// The digests of what layers stand on, by target.
pub(super) type Given = BTreeMap<String, Digest>;

/// What recipes stand on, in their order.
pub(super) type Images = Vec<Option<Arc<BaseImage>>>;

/// What a recipe stands on.
pub(super) struct Ground {
    /// The digest of what was asked for.
    pub(super) digest: Digest,
    /// The image's name with that digest, when it has one.
    pub(super) reference: Option<Reference>,
}

impl Bases<'_> {
    /// Finds out what a recipe stands on; nothing when it does not say.
    ///
    /// # Errors
    /// When it is not there, or the lock does not know it and must not change.
    pub(super) fn look_up(&self, recipe: &Recipe) -> Result<Option<Ground>, Error> {
        let Some(base) = &recipe.base else { return Ok(None) };
        let required = recipe.requirements();
        let given = self.lock.and_then(|lock| lock.given(&required));
        if let Base::Path { path, .. } = base {
            let digest =
                LocalImage::open(path, &platform(recipe), &self.store.archives()).map_err(RegistryError::from)?.digest;
            return Ok(Some(Ground { digest, reference: None }));
        }
        let reference: Reference = recipe.image.parse().map_err(RegistryError::Reference)?;
        let known = reference.digest.or(given.filter(|_| !self.upgrade));
        let digest = match known {
            Some(digest) => digest,
            None if self.locked => {
                let target = target_of(&recipe.distro);
                let differences =
                    vec![Difference { target, what: "digest", locked: None, wanted: Some(recipe.image.clone()) }];
                return Err(LockError::Stale { path: self.path.to_owned(), differences }.into());
            }
            None => self.client()?.digest(self.store, &reference, self.reporter)?,
        };
        Ok(Some(Ground { digest, reference: Some(reference.pinned(digest)) }))
    }

    /// Fetches what a recipe stands on.
    ///
    /// # Errors
    /// When it cannot be had, is damaged, or is of another distro than the recipe.
    pub(super) fn fetch(&self, recipe: &Recipe, ground: &Ground) -> Result<Arc<BaseImage>, Error> {
        let path = match &recipe.base {
            Some(Base::Path { path, .. }) => Some(path.as_path()),
            _ => None,
        };
        let image = self.image(recipe, path, ground)?;
        build::check_base(recipe, &image)?;
        Ok(Arc::new(image))
    }

    /// Fetches an image: the one at `path`, or that of a registry.
    ///
    /// # Errors
    /// When it cannot be had or is damaged.
    pub(super) fn image(&self, recipe: &Recipe, path: Option<&Path>, ground: &Ground) -> Result<BaseImage, Error> {
        let (archives, name) = (self.store.archives(), ground.reference.as_ref().map(ToString::to_string));
        let stored = |blob: &crate::image::oci::Descriptor| {
            self.store.downloaded(&blob.digest)?.ok_or(OciError::Missing { digest: blob.digest })
        };
        let image = match (path, &ground.reference) {
            (Some(path), _) => {
                let local = LocalImage::open(path, &platform(recipe), &archives).map_err(RegistryError::from)?;
                local.blobs.iter().try_for_each(|(blob, content)| self.keep(&blob.digest, content))?;
                BaseImage::read(name, (&local.manifest, local.digest), stored, &archives)
            }
            (_, Some(reference)) => {
                let wanted = Selected::Platform(platform(recipe));
                let pulled = self.client()?.pull(self.store, reference, &wanted, self.reporter)?;
                let manifest = Manifest::read(&pulled.root.bytes).map_err(RegistryError::from)?;
                BaseImage::read(name, (&manifest, pulled.root.descriptor.digest), stored, &archives)
            }
            _ => return Err(Error::usage("nothing is below the layers")),
        };
        Ok(image.map_err(RegistryError::from)?)
    }

    /// Fetches what a recipe for another architecture stands on: of the same image as those that were looked up.
    ///
    /// # Errors
    /// As [`Bases::fetch`].
    pub(super) fn other(&self, recipe: &Recipe, given: &Given) -> Result<Option<Arc<BaseImage>>, Error> {
        let Some(base) = &recipe.base else { return Ok(None) };
        let Some(digest) = given.get(&target_of(&recipe.distro)).copied() else { return Ok(None) };
        let reference = match base {
            Base::Path { .. } => None,
            Base::Image => Some(recipe.image.parse::<Reference>().map_err(RegistryError::Reference)?.pinned(digest)),
        };
        self.fetch(recipe, &Ground { digest, reference }).map(Some)
    }

    /// Keeps a blob of this machine in the store, checked.
    fn keep(&self, digest: &Digest, content: &crate::tree::Content) -> Result<(), Error> {
        let Begun::Partial(mut partial) = self.store.begin_download(digest)? else { return Ok(()) };
        partial.restart()?;
        let mut stream = content.open()?;
        let mut buffer = vec![0; 1 << 17];
        loop {
            match std::io::Read::read(&mut stream, &mut buffer) {
                Ok(0) => break,
                Ok(count) => partial.write(&buffer[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fs::Error::on("read", content.source.path())(error).into()),
            }
        }
        let found = partial.digest();
        if found != *digest {
            return Err(RegistryError::from(OciError::Digest { digest: *digest, found }).into());
        }
        partial.keep()?;
        Ok(())
    }

    pub(super) fn client(&self) -> Result<&Client, Error> {
        self.client.ok_or_else(|| Error::usage("an image of a registry is needed, and there is no network"))
    }
}

/// Returns the platform that a recipe is for.
pub(super) fn platform(recipe: &Recipe) -> Platform {
    Platform::linux(recipe.distro.architecture)
}
