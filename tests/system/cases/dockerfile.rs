//! Dockerfiles of every shipped profile and distro, read by hadolint.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::world::{World, layerforge, repository};

/// Not a single remark about any Dockerfile.
pub(super) fn dockerfiles_are_clean(world: &World) -> Outcome {
    let folder = world.folder("dockerfiles")?;
    let profiles = fs::read_dir(repository().join("profiles")).map_err(explain("list the profiles"))?;
    let mut found = Vec::new();
    for profile in profiles {
        let path = profile.map_err(explain("list the profiles"))?.path();
        let (Some(name), Some("toml")) = (stem(&path), path.extension().and_then(|end| end.to_str())) else { continue };
        let destination = folder.join(name);
        run(layerforge(&world.folder("project")?, name).args(["--distro", "all"]).arg("--dest").arg(&destination))?;
        for distro in fs::read_dir(&destination).map_err(explain("list what was rendered"))? {
            let dockerfile = distro.map_err(explain("list what was rendered"))?.path().join("Dockerfile");
            found.extend(dockerfile.exists().then_some(dockerfile));
        }
    }
    if found.len() < 16 {
        return Err(format!("four profiles for four distros have {} Dockerfiles", found.len()));
    }
    run(program("hadolint").arg("--no-color").args(&found)).map(drop)
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem().and_then(|stem| stem.to_str())
}
