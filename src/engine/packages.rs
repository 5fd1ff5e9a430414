//! The packages that outputs carry: chosen, kept in the lock, fetched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::packages::{PackageMaker, PackageSet, PackageTree, PackagesError};
use crate::build::{BuildError, Stacked};
use crate::distro::Architecture;
use crate::error::Error;
use crate::event::Reporter;
use crate::fetch::parallel;
use crate::lock::{Bundle, Difference, Lock, LockError, LockedPackage, LockedSource, target_of};
use crate::packages::apk::world;
use crate::packages::{self, Means, Network, PackageError, Upgrade, Wanted, apt_sources};
use crate::resolve::{Bundled, Keys, Recipe};
use crate::sandbox::check_architecture;
use crate::spec::{Family, Scripts};
use crate::store::Store;

/// Where packages come from.
pub(super) struct Packages<'run> {
    pub(super) store: &'run Store,
    pub(super) network: Option<&'run Network>,
    pub(super) reporter: &'run dyn Reporter,
    /// The lock as it is on disk, and where.
    pub(super) lock: Option<&'run Lock>,
    pub(super) path: &'run Path,
    /// Whether nothing may be chosen that is not in the lock.
    pub(super) locked: bool,
    /// What is chosen again.
    pub(super) upgrade: &'run Upgrade,
}

/// The packages that outputs carry, by target and architecture.
pub(super) type Bundles = BTreeMap<(String, Architecture), Bundle>;

/// Packages that were put together before, and what the lock says about them.
type KnownPackages = (Arc<PackageTree>, Arc<Bundle>);

impl Packages<'_> {
    /// Returns the packages that outputs of recipes carry: those of the lock as long as the same is asked for. What has to
    /// be chosen is chosen for several at once.
    ///
    /// # Errors
    /// When they cannot be chosen, or the lock does not know them and must not change.
    pub(super) fn look_up(&self, recipes: &[&Recipe]) -> Result<Bundles, Error> {
        let carrying: Vec<_> = recipes.iter().filter_map(|recipe| Some((*recipe, recipe.bundled()?))).collect();
        let at_once = rayon::current_num_threads();
        let bundles = parallel(&carrying, at_once, |(recipe, bundled)| self.bundle(recipe, bundled))?;
        let key = |recipe: &Recipe| (target_of(&recipe.distro), recipe.distro.architecture);
        Ok(carrying.iter().zip(bundles).map(|((recipe, _), bundle)| (key(recipe), bundle)).collect())
    }

    fn bundle(&self, recipe: &Recipe, bundled: &Bundled) -> Result<Bundle, Error> {
        let known = self.lock.and_then(|lock| lock.bundle(&recipe.requirements()));
        match known.filter(|_| *self.upgrade == Upgrade::Nothing) {
            Some(known) => Ok(known.clone()),
            None if self.locked => Err(self.stale(recipe)),
            None => self.choose(recipe, bundled, self.upgrade),
        }
    }

    /// Chooses the packages of a recipe anew.
    ///
    /// # Errors
    /// When they cannot be chosen.
    pub(super) fn choose(&self, recipe: &Recipe, bundled: &Bundled, upgrade: &Upgrade) -> Result<Bundle, Error> {
        let distro = &recipe.distro;
        let earlier = self.lock.and_then(|lock| lock.earlier_bundle(distro));
        let chosen = packages::choose(&Wanted { distro, bundled, earlier, upgrade }, &self.means()?);
        Ok(chosen.map_err(|error| located(error, recipe))?)
    }

    /// Puts the packages of a recipe below its layers when they are to be `bundled`.
    ///
    /// # Errors
    /// When a package cannot be fetched, they cannot be put together, or the layers do not fit over them.
    pub(super) fn below(
        &self,
        recipe: &Recipe,
        bundled: bool,
        stacked: Stacked,
        bundles: &Bundles,
    ) -> Result<Stacked, Error> {
        let bundle = bundles.get(&(target_of(&recipe.distro), recipe.distro.architecture));
        match if bundled { self.tree(recipe, bundles)?.zip(bundle) } else { None } {
            Some((tree, bundle)) => Ok(stacked.with_packages(tree, Arc::new(bundle.clone()), recipe.profile.epoch)?),
            None => Ok(stacked),
        }
    }

    /// Returns what the packages of a recipe are together: as it is kept in the store, or fetched and put together now.
    ///
    /// # Errors
    /// When one cannot be fetched, or they cannot be put together.
    fn tree(&self, recipe: &Recipe, bundles: &Bundles) -> Result<Option<Arc<PackageTree>>, Error> {
        let bundle = bundles.get(&(target_of(&recipe.distro), recipe.distro.architecture));
        let Some(bundle) = bundle else { return Ok(None) };
        let maker = PackageMaker::new(self.store, self.reporter);
        let set = set(recipe, bundle)?;
        let known = maker.known(&set).map_err(BuildError::from)?;
        let tree = match known {
            Some(known) => known,
            None => {
                self.check_scripts(recipe, true)?;
                let packages = self.locked(recipe, bundles)?;
                maker.tree(&PackageSet { packages, ..set }).map_err(BuildError::from)?
            }
        };
        Ok(Some(Arc::new(tree)))
    }

    /// Refuses scripts that nothing here can run, before anything is fetched for them. Packages that were put together before
    /// are there, wherever that was possible.
    ///
    /// # Errors
    /// When an output `bundles` packages of another architecture whose scripts are to run, and no emulator is registered.
    pub(super) fn check_scripts(&self, recipe: &Recipe, bundles: bool) -> Result<(), Error> {
        if !bundles || recipe.package_settings.scripts == Scripts::Skip {
            return Ok(());
        }
        match check_architecture(recipe.distro.architecture) {
            Err(error) if self.known_tree(recipe)?.is_none() => {
                Err(BuildError::from(PackagesError::from(error)).into())
            }
            _ => Ok(()),
        }
    }

    /// Returns what the packages of a recipe are together when the lock names them and that is kept in the store, and what
    /// the lock says about them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn known_tree(&self, recipe: &Recipe) -> Result<Option<KnownPackages>, Error> {
        let Some(bundle) = self.lock.and_then(|lock| lock.bundle(&recipe.requirements())) else { return Ok(None) };
        let known = PackageMaker::new(self.store, self.reporter).known(&set(recipe, bundle)?);
        Ok(known.map_err(BuildError::from)?.map(|tree| (Arc::new(tree), Arc::new(bundle.clone()))))
    }

    /// Returns the packages that a recipe carries as files, in the order of their names; nothing for one that carries none.
    ///
    /// # Errors
    /// When one cannot be fetched.
    pub(super) fn locked(&self, recipe: &Recipe, bundles: &Bundles) -> Result<Vec<(LockedPackage, PathBuf)>, Error> {
        let bundle = bundles.get(&(target_of(&recipe.distro), recipe.distro.architecture));
        let (Some(bundled), Some(bundle)) = (recipe.bundled(), bundle) else { return Ok(Vec::new()) };
        let files = packages::fetch(&bundle.packages, &recipe.distro, &bundled.sources, &self.means()?)?;
        Ok(bundle.packages.iter().cloned().zip(files).collect())
    }

    pub(super) fn means(&self) -> Result<Means<'_>, Error> {
        let network = self.network.ok_or_else(|| Error::usage("packages are needed, and there is no network"))?;
        Ok(Means { store: self.store, network, reporter: self.reporter })
    }

    /// Returns the error for packages that the lock does not know.
    pub(super) fn stale(&self, recipe: &Recipe) -> Error {
        let target = target_of(&recipe.distro);
        let Some(lock) = self.lock else { return LockError::Missing { path: self.path.to_owned() }.into() };
        // Which packages are asked for says more than that something is.
        let mut differences = lock.differences(&Lock::of(&lock.profile, [recipe.requirements()]));
        if differences.is_empty() {
            let short = |digest: crate::digest::Digest| digest.hex()[..12].to_owned();
            let difference = match (lock.earlier_bundle(&recipe.distro), recipe.bundled()) {
                (Some(earlier), Some(bundled)) => {
                    let (locked, wanted) = (Some(short(earlier.asked)), Some(short(bundled.digest())));
                    Difference { target, what: "request for packages", locked, wanted }
                }
                _ => {
                    let wanted = Some(format!("those for {}", recipe.distro.architecture));
                    Difference { target, what: "bundled packages", locked: None, wanted }
                }
            };
            differences.push(difference);
        }
        LockError::Stale { path: self.path.to_owned(), differences }.into()
    }
}

/// Returns the packages of a recipe as a set, without their files.
///
/// # Errors
/// When the keys of a source cannot be read.
fn set(recipe: &Recipe, bundle: &Bundle) -> Result<PackageSet, PackageError> {
    let packages = bundle.packages.iter().map(|package| (package.clone(), PathBuf::new())).collect();
    let settings = recipe.package_settings.clone();
    let set = PackageSet::new(&recipe.distro, packages, settings, recipe.profile.epoch)
        .accounts(recipe.users.clone(), recipe.groups.clone())
        .origin(bundle)
        .repositories(repositories(recipe, bundle), repository_keys(recipe)?);
    if let Some(bundled) = recipe.bundled().filter(|_| recipe.distro.family == Family::Apk) {
        return Ok(set.world(world::lines(&bundled)));
    }
    let has = |name: &str| bundle.package(name).is_some();
    match recipe.bundled().filter(|_| recipe.distro.family == Family::Apt && has("apt")) {
        Some(bundled) => Ok(set.sources(apt_sources(&bundled.sources, has)?)),
        None => Ok(set),
    }
}

/// Returns the files of the keys that the profile names for sources of a system with apk: those of the distribution come with
/// its packages.
fn repository_keys(recipe: &Recipe) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let mut keys = BTreeMap::new();
    let Some(bundled) = recipe.bundled().filter(|_| recipe.distro.family == Family::Apk) else { return Ok(keys) };
    for source in &bundled.sources {
        let Keys::File { path, .. } = &source.keys else { continue };
        for (name, bytes) in packages::apk::key::files(path)? {
            if keys.get(&name).is_some_and(|other| *other != bytes) {
                return Err(PackageError::KeyTwice { name });
            }
            keys.insert(name, bytes);
        }
    }
    Ok(keys)
}

/// Returns the repositories that a system with apk takes packages from later: no package of Alpine names them.
fn repositories(recipe: &Recipe, bundle: &Bundle) -> Vec<String> {
    let Some(bundled) = recipe.bundled().filter(|_| recipe.distro.family == Family::Apk) else { return Vec::new() };
    let mut lines = Vec::new();
    for LockedSource { name, suite, .. } in &bundle.sources {
        let source = bundled.sources.iter().find(|source| source.name == *name);
        // What is a file here is none there.
        let mirror = source.and_then(|source| source.mirrors.iter().find(|mirror| mirror.scheme() != "file"));
        let tag = source.and_then(|source| source.tag.as_ref()).map(|tag| format!("@{tag} ")).unwrap_or_default();
        lines.extend(mirror.map(|mirror| format!("{tag}{mirror}{suite}").trim_end_matches('/').to_owned()));
    }
    lines
}

/// Adds to an explanation where the packages that take part are asked for.
fn located(error: PackageError, recipe: &Recipe) -> PackageError {
    let PackageError::Unsolvable { target, explanation, .. } = error else { return error };
    let place = |name: &str| {
        let package = recipe.packages.values().find(|package| package.names.iter().any(|own| own == name))?;
        Some((name.to_owned(), package.place.to_string()))
    };
    let asked = explanation.requests().into_iter().filter_map(place).collect();
    PackageError::Unsolvable { target, explanation, asked }
}
