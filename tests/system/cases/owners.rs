//! Owners, modes, links and capabilities that a plain COPY does not carry.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::command::explain;
use crate::docker::Builder;
use crate::verify::matches_manifest;
use crate::world::World;

const IMAGE: &str = "localhost/layerforge-test-owners:latest";

pub(super) fn with_docker(world: &World) -> Outcome {
    build_and_compare(world, Builder::Legacy)
}

pub(super) fn with_buildkit(world: &World) -> Outcome {
    build_and_compare(world, Builder::BuildKit)
}

pub(super) fn with_buildah(world: &World) -> Outcome {
    let rendered = world.render_in(&project(world)?, "owners", &[])?;
    world.containers()?.build(&rendered.folder, IMAGE)?;
    world.containers()?.look_into(IMAGE, |root| compare(&rendered.folder, root))
}

fn build_and_compare(world: &World, builder: Builder) -> Outcome {
    let rendered = world.render_in(&project(world)?, "owners", &[])?;
    world.docker()?.build(builder, &rendered.folder, IMAGE)?;
    let root = world.folder(&format!("owners-{builder:?}"))?;
    world.docker()?.extract(IMAGE, &root)?;
    compare(&rendered.folder, &root)
}

fn compare(rendered: &Path, root: &Path) -> Outcome {
    matches_manifest(rendered, root)?;
    // The directories of the base that files were put into are as they were.
    for (path, mode) in [("tmp", 0o1777), ("root", 0o700), ("var/tmp", 0o1777), ("usr/bin", 0o755)] {
        let found =
            fs::metadata(root.join(path)).map_err(explain(format!("look at /{path}")))?.permissions().mode() & 0o7777;
        if found != mode {
            return Err(format!("/{path} has mode {found:04o} now, not {mode:04o}"));
        }
    }
    Ok(())
}

const PROFILE: &str = r##"
summary = "Every kind of owner and mode"
layers = ["owners"]
[distro.debian]
[output.rootfs]
"##;

const LAYER: &str = r##"
tier = "application"
tree = "tree"

[group.team]
gid = 7777
[user.other]
uid = 4321

[file."/usr/bin/become"]
content = "#!/bin/sh\n"
mode = "4755"
[file."/usr/bin/as-team"]
content = "#!/bin/sh\n"
mode = "2755"
group = "team"
[file."/usr/bin/plain"]
content = "#!/bin/sh\n"
mode = "0755"
[file."/etc/secret.conf"]
content = "x\n"
mode = "0600"
[file."/etc/team.conf"]
content = "x\n"
mode = "0640"
group = "team"

[directory."/srv/team"]
mode = "2775"
group = "team"
[file."/srv/team/note"]
content = "x\n"
[directory."/srv/other"]
mode = "0700"
owner = "other"
[file."/srv/other/note"]
content = "x\n"
mode = "0400"
owner = "other"
[directory."/srv/open"]
mode = "1777"

[file."/tmp/note"]
content = "x\n"
[file."/var/tmp/note"]
content = "x\n"
[file."/root/note"]
content = "x\n"
[link."/srv/link"]
target = "other/note"

[remove."/etc/issue"]
"##;

/// Writes the project that is rendered.
fn project(world: &World) -> Outcome<PathBuf> {
    let folder = world.folder("owners-project")?;
    let tree = folder.join("layers/owners/tree");
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap_or(path))
            .and_then(|()| fs::write(path, text))
            .map_err(explain("write a project"))
    };
    write(&folder.join("profiles/owners.toml"), PROFILE)?;
    write(&folder.join("layers/owners/layer.toml"), LAYER)?;
    if tree.exists() {
        return Ok(folder);
    }
    write(&tree.join("opt/app/one"), "the same file twice\n")?;
    write(&tree.join("opt/app/server"), "a program\n")?;
    write(&tree.join("opt/app/owned"), "the same file twice, of somebody\n")?;
    special_files(&tree).map_err(explain("write a tree"))?;
    Ok(folder)
}

pub(super) fn special_files(tree: &Path) -> std::io::Result<()> {
    let app = tree.join("opt/app");
    fs::hard_link(app.join("one"), app.join("two"))?;
    chown(app.join("owned"), Some(11), Some(12))?;
    fs::set_permissions(app.join("owned"), Permissions::from_mode(0o4750))?;
    fs::hard_link(app.join("owned"), app.join("owned-too"))?;
    symlink("one", app.join("link"))?;
    lchown(app.join("link"), Some(4321), Some(4321))?;
    // cap_net_bind_service, permitted and effective: VFS_CAP_REVISION_2 of capabilities(7).
    let capability: Vec<u8> = [0x0200_0001_u32, 1 << 10, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::set_permissions(app.join("server"), Permissions::from_mode(0o755))?;
    rustix::fs::setxattr(app.join("server"), "security.capability", &capability, rustix::fs::XattrFlags::empty())?;
    Ok(())
}
