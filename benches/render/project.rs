//! A project to render, the same each time.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Result;

const LAYERS: usize = 20;
/// Directories of each layer's tree, nested up to [`DEPTH`].
const DIRECTORIES: usize = 30;
const DEPTH: usize = 4;
/// Files of each layer that are copied as they are.
const PLAIN: usize = 490;
/// Files of each layer's tree that are rendered; as many are named by tables.
const RENDERED: usize = 5;
/// One in so many files is large.
const RARE: u64 = 250;
const LINKS: usize = 5;

/// What the project has.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    /// The number of layers.
    pub(crate) layers: usize,
    /// The number of files in the rendered tree.
    pub(crate) files: usize,
    /// How many of them come from templates.
    pub(crate) templates: usize,
    /// The number of directories in the layers' trees.
    pub(crate) directories: usize,
    /// The bytes of all files that are copied.
    pub(crate) bytes: u64,
    /// A file that can be edited, relative to the project.
    #[serde(skip)]
    pub(crate) edited: PathBuf,
}

/// Numbers that look like chance and are the same each time (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns a size of about 4 KiB; now and then one of up to a megabyte.
    fn size(&mut self) -> usize {
        let size = match self.below(RARE) {
            0 => (256 << 10) + self.below(768 << 10),
            _ => 64 + self.below(4096) + if self.below(3) == 0 { self.below(12 << 10) } else { 0 },
        };
        size as usize
    }

    /// Returns lines of letters.
    fn text(&mut self, size: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size + 8);
        while text.len() < size {
            text.extend(self.next().to_le_bytes().map(|byte| b'a' + byte % 26));
            if text.len() % 64 == 56 {
                text.extend(b"       \n");
            }
        }
        text.truncate(size);
        text
    }
}

/// Writes the project to the new directory `root`.
pub(crate) fn generate(root: &Path) -> Result<Facts> {
    let mut chance = Chance(1);
    let mut profile = String::from("name = \"bench\"\nversion = \"1\"\nlayers = [");
    let mut facts = Facts {
        layers: LAYERS,
        files: LAYERS * (PLAIN + 2 * RENDERED),
        templates: LAYERS * 2 * RENDERED,
        directories: LAYERS * DIRECTORIES,
        bytes: 0,
        edited: PathBuf::new(),
    };
    for number in 0..LAYERS {
        let name = format!("layer-{number:02}");
        write!(profile, "\"{name}\", ")?;
        let edited = layer(&root.join("layers").join(&name), number, &mut chance, &mut facts.bytes)?;
        if number == LAYERS / 2 {
            facts.edited = edited.strip_prefix(root)?.to_owned();
        }
    }
    profile
        .push_str("]\n\n[distro.alpine]\n[distro.arch]\n[distro.debian]\n[distro.ubuntu]\n\n[user.app]\nuid = 65532\n");
    profile.push_str("\n[variable.site]\ndefault = \"example.org\"\n\n[output.rootfs]\n");
    fs::create_dir_all(root.join("profiles"))?;
    fs::write(root.join("profiles/bench.toml"), profile)?;
    Ok(facts)
}

/// Writes one layer; adds the bytes of its plain files to `bytes` and returns one of them.
fn layer(folder: &Path, number: usize, chance: &mut Chance, bytes: &mut u64) -> Result<PathBuf> {
    let tier = ["base", "distro", "application", "application", "overlay"][number * 5 / LAYERS];
    let mut document = format!(
        "tier = \"{tier}\"\n\n[variable.port_{number}]\ndefault = {}\nminimum = 1024\n\n[variable.hosts_{number}]\n\
         default = [\"one\", \"two\", \"three\"]\n\n[package.curl]\n",
        8000 + number
    );
    let directories = directories(number, chance);
    for directory in &directories {
        fs::create_dir_all(folder.join("files").join(directory))?;
    }
    fs::create_dir_all(folder.join("templates"))?;
    let mut plain = Vec::new();
    for index in 0..PLAIN {
        let extension = ["conf", "txt", "sh", "html"][index % 4];
        let path =
            folder.join("files").join(&directories[index % DIRECTORIES]).join(format!("file-{index}.{extension}"));
        let size = chance.size();
        fs::write(&path, chance.text(size))?;
        *bytes += size as u64;
        plain.push(path);
    }
    for (index, directory) in directories.iter().enumerate().take(RENDERED) {
        fs::write(
            folder.join("files").join(directory).join(format!("page-{index}.conf.j2")),
            template(number, chance),
        )?;
        fs::write(folder.join(format!("templates/table-{index}.j2")), template(number, chance))?;
        let only = if index % 2 == 0 { "only = [\"alpine\", \"debian\"]\n" } else { "except = [\"arch\"]\n" };
        write!(
            document,
            "\n[file.\"/{directory}/table-{index}.conf\"]\ntemplate = \"table-{index}.j2\"\nmode = \"0640\"\n{only}"
        )?;
    }
    for (index, directory) in directories.iter().enumerate().take(LINKS) {
        symlink(format!("file-{index}"), folder.join("files").join(directory).join(format!("link-{index}")))?;
    }
    write!(document, "\n[file.\"/{}/**/*.sh\"]\nmode = \"0755\"\n", directories[0])?;
    if number.is_multiple_of(5) {
        fs::create_dir_all(folder.join("files.debian/etc/default"))?;
        fs::write(folder.join(format!("files.debian/etc/default/layer-{number:02}")), chance.text(1000))?;
    }
    fs::write(folder.join("layer.toml"), document)?;
    plain.into_iter().nth(PLAIN / 2).ok_or_else(|| "a layer has files".into())
}

/// Returns the directories of a layer, each below one before it.
fn directories(number: usize, chance: &mut Chance) -> Vec<String> {
    let top = ["etc", "usr/share", "usr/lib", "srv"][number % 4];
    let mut directories = vec![format!("{top}/layer-{number:02}")];
    while directories.len() < DIRECTORIES {
        let above = &directories[chance.below(directories.len() as u64) as usize];
        if above.matches('/').count() < DEPTH {
            directories.push(format!("{above}/directory-{}", directories.len()));
        }
    }
    directories
}

/// Returns a template of about 4 KiB that renders in every layer of the project.
fn template(number: usize, chance: &mut Chance) -> String {
    let filler = String::from_utf8(chance.text(3000)).unwrap_or_default();
    let mut text =
        format!("# {{{{ profile.name }}}} for {{{{ distro.name }}}}\nserver_name {{{{ site }}}};\n{filler}\n");
    for index in 0..10 {
        let _ = write!(
            text,
            "{{% for host in hosts_{number} %}}\nupstream {{{{ host }}}}:{{{{ port_{number} + {index} }}}};\n{{% endfor %}}\n\
             {{% if distro.family == \"apk\" %}}\nuser {{{{ user.app.uid }}}};\n{{% else %}}\nuser root;\n{{% endif %}}\n"
        );
    }
    text
}
