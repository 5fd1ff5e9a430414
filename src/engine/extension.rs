//! The packages that system extensions add to those of their hosts: chosen, kept in the lock, fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lock_file;
use super::packages::Packages;
use crate::build::packages::{PackageMaker, PackageSet, PackageTree};
use crate::build::{BuildError, Stacked};
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
    /// The users and groups of the host and of the profile.
    accounts: (BTreeMap<String, User>, BTreeMap<String, u32>),
}

/// The packages that system extensions add, by target and architecture.
pub(super) type Extensions = BTreeMap<(String, Architecture), Extended>;

impl Packages<'_> {
    /// Returns the packages that system extensions of recipes add: those of the lock as long as the same is asked for and
    /// the host is the same.
    ///
    /// # Errors
    /// When they cannot be chosen, their host is not known, or the lock does not know them and must not change.
    pub(super) fn extensions(&self, library: &Library, recipes: &[Recipe]) -> Result<Extensions, Error> {
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
            };
            extensions.insert((target_of(&recipe.distro), recipe.distro.architecture), extended);
        }
        Ok(extensions)
    }

    /// Returns what an extension adds to a host whose packages are chosen, too.
    fn over_chosen(&self, recipe: &Recipe, extension: &ExtensionPackages, host: &Bundled) -> Result<Extended, Error> {
        let bundle = match self.locked_extension(recipe) {
            Some(known) => known.clone(),
            None if self.locked => return Err(self.stale_extension(recipe, extension)),
            None => self.choose_both(recipe, extension, host)?,
        };
        let (host, sources) = (bundle.below.clone(), extension.bundled.sources.clone());
        Ok(Extended { bundle, host, sources, accounts: (recipe.users.clone(), recipe.groups.clone()) })
    }

    /// Chooses the packages of a host, and then those of the extension.
    fn choose_both(&self, recipe: &Recipe, extension: &ExtensionPackages, host: &Bundled) -> Result<Bundle, Error> {
        let earlier = self.lock.and_then(|lock| lock.earlier_extension(&recipe.distro));
        let below = earlier.map(|earlier| Bundle { packages: earlier.below.clone(), ..earlier.clone() });
        let (distro, upgrade) = (&recipe.distro, self.upgrade);
        let wanted = Wanted { distro, bundled: host, earlier: below.as_ref(), upgrade };
        let below = packages::choose(&wanted, &self.means()?)?.packages;
        let bundle = self.choose_over(recipe, extension, &Host { packages: &below, sources: &host.sources })?;
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
            None if self.locked => return Err(self.stale_extension(recipe, extension)),
            None => {
                let host = Host { packages: &locked.packages, sources: &host.package_sources };
                self.choose_over(recipe, extension, &host)?
            }
        };
        let (mut users, mut groups) = (host.users, host.groups);
        users.extend(recipe.users.clone());
        groups.extend(recipe.groups.clone());
        Ok(Extended { bundle, host: locked.packages, sources: host.package_sources, accounts: (users, groups) })
    }

    fn locked_extension(&self, recipe: &Recipe) -> Option<&Bundle> {
        let known = self.lock.and_then(|lock| lock.extension(&recipe.requirements()));
        known.filter(|_| *self.upgrade == Upgrade::Nothing)
    }

    /// Returns the error for an extension whose packages the lock does not know.
    fn stale_extension(&self, recipe: &Recipe, extension: &ExtensionPackages) -> Error {
        let Some(lock) = self.lock else { return LockError::Missing { path: self.path.to_owned() }.into() };
        let shown = |bundle: &Bundle| bundle.asked.hex()[..12].to_owned();
        let difference = Difference {
            target: target_of(&recipe.distro),
            what: "request for packages of the extension, or its host,",
            locked: lock.earlier_extension(&recipe.distro).map(shown),
            wanted: Some(extension.digest().hex()[..12].to_owned()),
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
        extensions: &Extensions,
    ) -> Result<Stacked, Error> {
        let extended = extensions.get(&(target_of(&recipe.distro), recipe.distro.architecture));
        let (true, Some(extended)) = (wanted, extended) else { return Ok(stacked) };
        let host = self.tree_of(recipe, extended, &[])?;
        let whole = self.tree_of(recipe, extended, &extended.bundle.packages)?;
        Ok(stacked.with_host(host, whole, Arc::new(extended.bundle.clone()), recipe.profile.epoch)?)
    }

    /// Returns what the packages of a host are together with those that are `added`.
    fn tree_of(
        &self,
        recipe: &Recipe,
        extended: &Extended,
        added: &[LockedPackage],
    ) -> Result<Arc<PackageTree>, Error> {
        let maker = PackageMaker::new(self.store, self.reporter);
        let set = |mut packages: Vec<(LockedPackage, std::path::PathBuf)>| {
            packages.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
            let (users, groups) = extended.accounts.clone();
            PackageSet::new(&recipe.distro, packages, recipe.package_settings.clone(), recipe.profile.epoch)
                .accounts(users, groups)
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
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::{RenderRequest, Selection, render};
    use crate::event::Silent;
    use crate::fetch::{Fetcher, Headers, Request as Sent, Response, Transport, TransportError};
    use crate::fs;
    use crate::packages::{Mirrors, Network};
    use crate::spec::Project;
    use crate::store::Store;
    use crate::tree::{Content, Kind, Meta, Node, Tree};

    /// A network in which there is nothing but the files of this machine.
    #[derive(Debug, Clone)]
    struct Files;

    impl Transport for Files {
        fn send(&self, request: Sent<'_>) -> Result<Response, TransportError> {
            let bytes = fs::read(&request.url.to_file_path().unwrap()).unwrap();
            let headers = Headers::new().with("content-length", bytes.len().to_string());
            Ok(Response { status: 200, headers, url: request.url, body: Box::new(std::io::Cursor::new(bytes)) })
        }
    }

    fn archive(path: &str, text: &str) -> Vec<u8> {
        let (mut tree, mut bytes) = (Tree::new(), Vec::new());
        let kind = Kind::Regular(Content::inline(text.as_bytes()));
        tree.insert(path.parse().unwrap(), Node { kind, meta: Meta::root_owned(0o755, 0) }).unwrap();
        tree.complete(|_| Meta::root_owned(0o755, 0));
        crate::image::write_tar(&tree, &mut bytes).unwrap();
        bytes
    }

    /// Puts a package with the program of its name into a folder.
    pub(in crate::engine) fn package(folder: &Path, name: &str, version: &str, fields: &str) {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}");
        let members = [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar", archive("/control", &control)),
            ("data.tar", archive(&format!("/usr/bin/{name}"), version)),
        ];
        let mut bytes = b"!<arch>\n".to_vec();
        for (member, content) in members {
            let head = format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
            bytes.extend(head.bytes());
            bytes.extend(&content);
            bytes.extend((content.len() % 2 == 1).then_some(b'\n'));
        }
        fs::write_atomic(&folder.join(format!("{name}_{version}.deb")), &bytes).unwrap();
    }

    pub(in crate::engine) fn profile(folder: &Path, name: &str, more: &str) {
        let text = format!(
            "[distro.debian.source.debian]\nwhen = 'false'\n[distro.debian.source.debian-security]\nwhen = 'false'\n\
             [source.own]\ndirectory = 'packages'\n[packages]\nvariant = 'none'\n{more}"
        );
        fs::write_atomic(&folder.join(format!("profiles/{name}.toml")), text.as_bytes()).unwrap();
    }

    pub(in crate::engine) fn rendered(folder: &Path, name: &str, locked: bool) -> Result<(), Error> {
        let store = Store::open(&folder.join("store")).unwrap();
        let network = Network { fetcher: Fetcher::new(Files, false), mirrors: Mirrors::default(), now: 0 };
        let request = RenderRequest {
            selection: Selection { profile: Some(name.into()), ..Selection::default() },
            destination: Some(folder.join(name)),
            locked,
            network: Some(Arc::new(network)),
            ..RenderRequest::default()
        };
        render(&Arc::new(Project::open(folder)), &store, &request, &Silent, &mut |_| {})
    }

    #[test]
    fn an_extension_over_the_lock_of_another_profile() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        for name in ["packages", "newer", "profiles", "layers"] {
            fs::create_directory(&folder.join(name)).unwrap();
        }
        package(&folder.join("packages"), "base", "1", "");
        package(&folder.join("packages"), "app", "1", "Depends: base\n");
        package(&folder.join("packages"), "more", "1", "");
        profile(folder, "server", "[package.base]\n[output.rootfs]\npackages = 'bundled'\n");
        let extension = "[output.sysext]\npackages = 'bundled'\nformat = 'directory'\nover.lock = 'server'\n";
        profile(folder, "web", &format!("[package.app]\n{extension}"));
        let error = rendered(folder, "web", false).unwrap_err().to_string();
        assert!(error.contains("server.lock` does not exist"), "{error}");

        rendered(folder, "server", false).unwrap();
        rendered(folder, "web", false).unwrap();
        let lock = fs::read_to_string(&folder.join("profiles/web.lock")).unwrap();
        assert!(lock.contains("name = \"app\"") && !lock.contains("name = \"base\""), "{lock}");
        let has = |path: &str| folder.join("web/sysext/web").join(path).exists();
        assert!(has("usr/bin/app") && !has("usr/bin/base") && !has("var"));
        rendered(folder, "web", true).unwrap();

        // What needs a newer base is refused, whatever there is to choose from.
        package(&folder.join("newer"), "base", "2", "");
        package(&folder.join("newer"), "app", "2", "Depends: base (>= 2)\n");
        profile(
            folder,
            "web",
            &format!("[source.newer]\ndirectory = 'newer'\n[package.app]\nversion = '>=2'\n{extension}"),
        );
        let error = rendered(folder, "web", false).unwrap_err().to_string();
        assert!(error.contains("`base` is 1 there, and would become 2: app 2 depends on base >= 2"), "{error}");

        // Another host is another extension: whoever must not change the lock is told.
        profile(folder, "web", &format!("[package.app]\n{extension}"));
        profile(folder, "server", "[package.base]\n[package.more]\n[output.rootfs]\npackages = 'bundled'\n");
        rendered(folder, "server", false).unwrap();
        let error = rendered(folder, "web", true).unwrap_err().to_string();
        assert!(error.contains("web.lock` is stale"), "{error}");
    }

    #[test]
    fn an_extension_over_chosen_packages() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        for name in ["packages", "newer", "profiles", "layers"] {
            fs::create_directory(&folder.join(name)).unwrap();
        }
        package(&folder.join("packages"), "base", "1", "");
        package(&folder.join("packages"), "app", "1", "Depends: base\n");
        let web =
            "[package.app]\n[output.sysext]\npackages = 'bundled'\nformat = 'directory'\nover.packages = ['base']\n";
        profile(folder, "web", web);
        rendered(folder, "web", false).unwrap();
        let has = |path: &str| folder.join("web/sysext/web").join(path).exists();
        assert!(has("usr/bin/app") && !has("usr/bin/base"));
        let lock = fs::read_to_string(&folder.join("profiles/web.lock")).unwrap();
        assert!(lock.contains(".below]]") && lock.contains("name = \"base\""), "{lock}");
        rendered(folder, "web", true).unwrap();
    }
}
