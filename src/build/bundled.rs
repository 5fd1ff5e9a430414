//! Layers over the packages of their profile: outputs that are a whole root filesystem.

use std::sync::Arc;

use super::packages::{PackageTree, package_url};
use super::{BuildError, Stacked, Told};
use crate::image::read::Format;
use crate::image::{ManifestPackage, ManifestSource};
use crate::lint::{Class, Finding, Severity, Subject, Target, lint};
use crate::lock::{Bundle, LockedPackage, LockedSource};
use crate::plan::OutputKind;
use crate::resolve::{Recipe, target_name};
use crate::tree::Tree;

use super::artifacts::Remark;

/// What the rules about whole root filesystems begin with.
const RULES: &str = "HY";

impl Stacked {
    /// Lays the layers over packages as well: outputs whose packages are bundled are made from that. `bundle` is what the
    /// lock says about them.
    ///
    /// # Errors
    /// When the layers do not fit over the packages.
    pub fn with_packages(
        mut self,
        packages: Arc<PackageTree>,
        bundle: Arc<Bundle>,
        epoch: i64,
    ) -> Result<Self, BuildError> {
        let tree = self.over(&packages.tree, epoch)?;
        let whole = Self {
            tree,
            origins: self.origins.clone(),
            // They are removed from the packages, which are in the tree.
            removed: Vec::new(),
            stack: self.stack.clone(),
            base: None,
            whole: None,
            packages: Some(packages),
            bundle: Some(bundle),
            over_packages: None,
            over_host: None,
        };
        self.over_packages = Some(Box::new(whole));
        Ok(self)
    }

    /// Returns the layers as an output takes them: over the packages when these are bundled.
    ///
    /// # Errors
    /// When they are to be bundled, and nobody has put them together.
    pub(super) fn for_output(&self, bundled: bool) -> Result<&Self, BuildError> {
        if bundled { self.over_packages.as_deref().ok_or(BuildError::NoPackages) } else { Ok(self) }
    }
}

/// Returns where the packages come from that an output made from `stacked` carries.
pub(super) fn sources_of(stacked: &Stacked) -> Vec<ManifestSource> {
    let sources = stacked.bundle.iter().flat_map(|bundle| &bundle.sources);
    let source = |source: &LockedSource| ManifestSource {
        name: source.name.clone(),
        suite: source.suite.clone(),
        trusted: source.trusted,
    };
    sources.map(source).collect()
}

/// Returns the packages that an output made from `stacked` carries.
pub(super) fn packages_of(recipe: &Recipe, stacked: &Stacked) -> Vec<ManifestPackage> {
    let packages = stacked.bundle.iter().flat_map(|bundle| &bundle.packages);
    let package = |package: &LockedPackage| ManifestPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        purl: package_url(&recipe.distro, package),
        sha256: package.sha256,
        source: package.source.clone(),
    };
    packages.map(package).collect()
}

/// Judges the tree of a whole root filesystem by what belongs into none; what the profile allows is not told.
///
/// # Errors
/// When it breaks a rule that is not allowed to be broken.
pub(super) fn judge(kind: OutputKind, recipe: &Recipe, tree: &Tree) -> Result<Vec<Remark>, BuildError> {
    let target = Target::default();
    let mut subject = Subject::new(Class::Oci, &recipe.profile.name, Format::Directory, &target);
    subject.tree = Some(tree);
    let counts = |finding: &Finding| {
        finding.id.starts_with(RULES) && !recipe.allowed_rules.keys().any(|id| id.as_str() == finding.id)
    };
    let (findings, warnings): (Vec<_>, Vec<_>) =
        lint(&subject).into_iter().filter(counts).partition(|finding| finding.severity == Severity::Error);
    let title = format!("{} for {}", recipe.profile.name, target_name(&recipe.distro));
    if !findings.is_empty() {
        return Err(BuildError::Lint { kind, title, findings });
    }
    let remark = |finding: Finding| Remark {
        message: format!("the {kind} of {title}: {}", Told(&finding)),
        hint: format!("{}; or allow it: `[lint.allow]` with `{} = \"why\"`", finding.mend, finding.id),
    };
    Ok(warnings.into_iter().map(remark).collect())
}
