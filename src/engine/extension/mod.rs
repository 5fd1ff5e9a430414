//! The packages that system extensions add to those of their hosts: chosen, kept in the lock, fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::base::Bases;
use super::host::Place;
use super::lock_file;
use super::packages::Packages;
use crate::build::packages::{HostTree, PackageMaker, PackageSet, PackageTree};
use crate::build::{BuildError, Stacked};
use crate::digest::Digest;
use crate::distro::{Architecture, Wish};
use crate::error::Error;
use crate::lock::{Bundle, Difference, Lock, LockError, LockedPackage, target_of};
use crate::packages::{self, Host, Upgrade, Wanted};
use crate::resolve::{
    Bundled, ExtensionPackages, Library, OverPackages, PackageSource, Recipe, Request, User, resolve, target_name,
};

/// The packages that a system extension adds, and those of its host.
#[derive(Debug, Clone)]
pub(super) struct Extended {
    /// What the lock says of it.
    pub(super) bundle: Bundle,
    /// The packages of the host.
    host: Vec<LockedPackage>,
    /// Where those come from.
    sources: Vec<PackageSource>,
    /// The tree of the host, where its packages are not put together but there already.
    tree: Option<Onto>,
    /// The users and groups of the host and of the profile.
    accounts: (BTreeMap<String, User>, BTreeMap<String, u32>),
}

/// The tree of a host.
#[derive(Debug, Clone)]
enum Onto {
    /// As it was read.
    Tree(HostTree),
    /// Still to be fetched: its digest is known.
    Place(Place),
}

/// The packages that system extensions add, by target and architecture.
pub(super) type Extensions = BTreeMap<(String, Architecture), Extended>;

impl Onto {
    /// Returns the tree.
    fn read(&self, recipe: &Recipe, bases: &Bases<'_>) -> Result<HostTree, Error> {
        match self {
            Self::Tree(tree) => Ok(tree.clone()),
            Self::Place(place) => bases.host(recipe, place),
        }
    }
}

impl Packages<'_> {
    /// Returns the packages that system extensions of recipes add: those of the lock as long as the same is asked for and
    /// the host is the same.
    ///
    /// # Errors
    /// When they cannot be chosen, their host is not known, or the lock does not know them and must not change.
    pub(super) fn extensions(
        &self,
        library: &Library,
        recipes: &[Recipe],
        bases: &Bases<'_>,
    ) -> Result<Extensions, Error> {
        let mut extensions = Extensions::new();
        for recipe in recipes {
            let Some(extension) = recipe.extension() else { continue };
            let extended = match &extension.over {
                OverPackages::Chosen { variant, requests } => {
                    let mut host: Bundled = extension.bundled.clone();
                    host.settings.variant = *variant;
                    host.requests = requests.iter().map(|name| (name.clone(), None)).collect();
                    self.over_chosen(recipe, &extension, &host)?
                }
                OverPackages::Lock(profile) => self.over_lock(library, recipe, &extension, profile)?,
                OverPackages::Path { path, name } => {
                    let place = Place::Path { path: path.clone(), name: name.clone() };
                    self.over_tree(recipe, &extension, place, bases)?
                }
                OverPackages::Image(name) => {
                    let known = self.lock.and_then(|lock| lock.extension(&recipe.requirements())?.over);
                    if known.is_none() && self.locked {
                        return Err(self.stale_extension(recipe, &extension, None));
                    }
                    let known = known.filter(|_| !bases.upgrade);
                    let place = Place::Image(bases.host_image(name, known)?);
                    self.over_tree(recipe, &extension, place, bases)?
                }
            };
            extensions.insert((target_of(&recipe.distro), recipe.distro.architecture), extended);
        }
        Ok(extensions)
    }

    /// Returns what an extension adds to a host whose packages are chosen, too.
    fn over_chosen(&self, recipe: &Recipe, extension: &ExtensionPackages, host: &Bundled) -> Result<Extended, Error> {
        let bundle = match self.locked_extension(recipe) {
            Some(known) => known.clone(),
            None if self.locked => return Err(self.stale_extension(recipe, extension, None)),
            None => self.choose_both(recipe, extension, host)?,
        };
        let (host, sources) = (bundle.below.clone(), extension.bundled.sources.clone());
        let accounts = (recipe.users.clone(), recipe.groups.clone());
        Ok(Extended { bundle, host, sources, tree: None, accounts })
    }

    /// Returns what an extension adds to a host that is there as a tree.
    fn over_tree(
        &self,
        recipe: &Recipe,
        extension: &ExtensionPackages,
        place: Place,
        bases: &Bases<'_>,
    ) -> Result<Extended, Error> {
        let known = self.locked_extension(recipe);
        // The digest of an image is in the lock; what is here has to be read.
        let (digest, onto) = match &place {
            Place::Image(reference) => (reference.digest, Onto::Place(place.clone())),
            Place::Path { .. } => {
                let host = bases.host(recipe, &place)?;
                (Some(host.installed.of()), Onto::Tree(host))
            }
        };
        let (bundle, onto) = match known.filter(|known| known.over == digest) {
            Some(known) => (known.clone(), onto),
            None if self.locked => return Err(self.stale_extension(recipe, extension, digest)),
            None => {
                let host = onto.read(recipe, bases)?;
                let bundle = self.choose_over(recipe, extension, &Host::Installed(&host.installed))?;
                (bundle, Onto::Tree(host))
            }
        };
        // The accounts of the host are in its tree.
        let accounts = (BTreeMap::new(), BTreeMap::new());
        Ok(Extended { bundle, host: Vec::new(), sources: Vec::new(), tree: Some(onto), accounts })
    }

    /// Chooses the packages of a host, and then those of the extension.
    fn choose_both(&self, recipe: &Recipe, extension: &ExtensionPackages, host: &Bundled) -> Result<Bundle, Error> {
        let earlier = self.lock.and_then(|lock| lock.earlier_extension(&recipe.distro));
        let below = earlier.map(|earlier| Bundle { packages: earlier.below.clone(), ..earlier.clone() });
        let (distro, upgrade) = (&recipe.distro, self.upgrade);
        let wanted = Wanted { distro, bundled: host, earlier: below.as_ref(), upgrade };
        let below = packages::choose(&wanted, &self.means()?)?.packages;
        let bundle = self.choose_over(recipe, extension, &Host::Locked { packages: &below, sources: &host.sources })?;
        Ok(Bundle { below, ..bundle })
    }

    fn choose_over(&self, recipe: &Recipe, extension: &ExtensionPackages, host: &Host<'_>) -> Result<Bundle, Error> {
        let earlier = self.lock.and_then(|lock| lock.earlier_extension(&recipe.distro));
        let wanted = Wanted { distro: &recipe.distro, bundled: &extension.bundled, earlier, upgrade: self.upgrade };
        let bundle = packages::choose_over(&wanted, host, &self.means()?)?;
        Ok(Bundle { asked: extension.digest(), ..bundle })
    }

    /// Returns what an extension adds to a host whose packages are in the lock of another profile.
    fn over_lock(
        &self,
        library: &Library,
        recipe: &Recipe,
        extension: &ExtensionPackages,
        profile: &str,
    ) -> Result<Extended, Error> {
        let (host, locked) = host_of(library, recipe, profile)?;
        let over = Bundle::digest_of(&locked.packages);
        let bundle = match self.locked_extension(recipe).filter(|known| known.over == Some(over)) {
            Some(known) => known.clone(),
            None if self.locked => return Err(self.stale_extension(recipe, extension, Some(over))),
            None => {
                let host = Host::Locked { packages: &locked.packages, sources: &host.package_sources };
                self.choose_over(recipe, extension, &host)?
            }
        };
        let (mut users, mut groups) = (host.users, host.groups);
        users.extend(recipe.users.clone());
        groups.extend(recipe.groups.clone());
        let (host, sources) = (locked.packages, host.package_sources);
        Ok(Extended { bundle, host, sources, tree: None, accounts: (users, groups) })
    }

    fn locked_extension(&self, recipe: &Recipe) -> Option<&Bundle> {
        let known = self.lock.and_then(|lock| lock.extension(&recipe.requirements()));
        known.filter(|_| *self.upgrade == Upgrade::Nothing)
    }

    /// Returns the error for an extension whose packages the lock does not know: others are asked for, or its host is
    /// another.
    fn stale_extension(&self, recipe: &Recipe, extension: &ExtensionPackages, host: Option<Digest>) -> Error {
        let Some(lock) = self.lock else { return LockError::Missing { path: self.path.to_owned() }.into() };
        let shown = |digest: Digest| digest.hex()[..12].to_owned();
        let (target, asked) = (target_of(&recipe.distro), extension.digest());
        let locked = lock.earlier_extension(&recipe.distro);
        let difference = match locked.filter(|locked| locked.asked == asked).zip(host) {
            Some((locked, host)) => Difference {
                target,
                what: "host of the extension",
                locked: locked.over.map(shown),
                wanted: Some(shown(host)),
            },
            None => Difference {
                target,
                what: "request for packages of the extension",
                locked: locked.map(|locked| shown(locked.asked)),
                wanted: Some(shown(asked)),
            },
        };
        LockError::Stale { path: self.path.to_owned(), differences: vec![difference] }.into()
    }

    /// Puts the packages of a host, and those of the system extension, below the layers when such an extension is `wanted`.
    ///
    /// # Errors
    /// When a package cannot be fetched, they cannot be put together, or the layers do not fit over them.
    pub(super) fn over_host(
        &self,
        recipe: &Recipe,
        wanted: bool,
        stacked: Stacked,
        (extensions, bases): (&Extensions, &Bases<'_>),
    ) -> Result<Stacked, Error> {
        let extended = extensions.get(&(target_of(&recipe.distro), recipe.distro.architecture));
        let (true, Some(extended)) = (wanted, extended) else { return Ok(stacked) };
        let onto = extended.tree.as_ref().map(|onto| onto.read(recipe, bases)).transpose()?;
        let host = self.tree_of(recipe, (extended, onto.as_ref()), &[])?;
        let whole = self.tree_of(recipe, (extended, onto.as_ref()), &extended.bundle.packages)?;
        Ok(stacked.with_host(host, whole, Arc::new(extended.bundle.clone()), recipe.profile.epoch)?)
    }

    /// Returns what the packages of a host are together with those that are `added`.
    fn tree_of(
        &self,
        recipe: &Recipe,
        (extended, onto): (&Extended, Option<&HostTree>),
        added: &[LockedPackage],
    ) -> Result<Arc<PackageTree>, Error> {
        let maker = PackageMaker::new(self.store, self.reporter);
        let set = |mut packages: Vec<(LockedPackage, std::path::PathBuf)>| {
            packages.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
            let (users, groups) = extended.accounts.clone();
            let settings = recipe.package_settings.clone();
            let set = PackageSet::new(&recipe.distro, packages, settings, recipe.profile.epoch);
            PackageSet { host: onto.cloned(), ..set.accounts(users, groups) }
        };
        let named = extended.host.iter().chain(added).map(|package| (package.clone(), std::path::PathBuf::new()));
        if let Some(known) = maker.known(&set(named.collect())).map_err(BuildError::from)? {
            return Ok(Arc::new(known));
        }
        self.check_scripts(recipe, true)?;
        let mut packages = Vec::new();
        for (list, sources) in [(&*extended.host, &extended.sources), (added, &recipe.package_sources)] {
            let files = packages::fetch(list, &recipe.distro, sources, &self.means()?)?;
            packages.extend(list.iter().cloned().zip(files));
        }
        Ok(Arc::new(maker.tree(&set(packages)).map_err(BuildError::from)?))
    }
}

/// Returns the recipe of the profile that a host is made from, and its packages by the lock of that profile.
fn host_of(library: &Library, recipe: &Recipe, profile: &str) -> Result<(Recipe, Bundle), Error> {
    let host = Library::load(Arc::clone(&library.project), profile)?;
    let target = target_name(&recipe.distro);
    let found = host.distros()?.into_iter().find(|(name, _)| name.as_str() == recipe.distro.name);
    let Some((distro, table)) = found else {
        return Err(Error::usage(format!(
            "`over.lock`: the profile `{profile}` is not made for `{}`, which the extension is for",
            recipe.distro.name
        )));
    };
    let wish = Wish { release: Some(recipe.distro.release.clone()), architecture: Some(recipe.distro.architecture) };
    let request = Request { distro, table, wish, settings: Vec::new(), epoch: None };
    let below = resolve(&host, &request)?;
    let path = lock_file::path(&host);
    library.project.depends_on(&path)?;
    let lock = Lock::read(&path)?.ok_or_else(|| LockError::Missing { path: path.clone() })?;
    match lock.bundle(&below.requirements()) {
        Some(bundle) => {
            let bundle = bundle.clone();
            Ok((below, bundle))
        }
        None => Err(Error::usage(format!(
            "`over.lock`: `{}` does not name the packages that the profile `{profile}` asks for on {target}: give it an \
             output with `packages = \"bundled\"`, and run `layerforge lock {profile}`",
            path.display()
        ))),
    }
}

#[cfg(test)]
pub(super) mod tests;
