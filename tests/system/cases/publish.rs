//! Published versions in the eyes of systemd: which is newer, and how a host gets it.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layerforge::publish::compare;

use super::site::contains;
use crate::Outcome;
use crate::command::{explain, program, run};
use crate::machine::tree::{DEBIAN_13, Tree};
use crate::peer;
use crate::world::World;

/// Parts that versions are made of, to be put together in every way.
const PARTS: [&str; 12] = ["", "0", "1", "01", "10", "a", "B", ".", "-", "~", "^", "_"];

/// Versions as they are.
const VERSIONS: [&str; 10] = [
    "122.1",
    "123~rc1-1",
    "123",
    "123-a",
    "123-a.1",
    "123-1",
    "123^post1",
    "123.a-1",
    "20260101T1200",
    "99999999999999999999",
];

/// systemd finds every version as new as we do (systemd-analyze(1), `compare-versions`).
pub(super) fn versions_are_ordered(world: &World) -> Outcome {
    let (tree, folder) = (world.tree(&DEBIAN_13)?, world.folder("versions")?);
    let mut texts: Vec<String> = VERSIONS.map(str::to_owned).into();
    for one in PARTS {
        texts.extend(PARTS.map(|other| format!("{one}{other}")));
    }
    // Every text beside some others, spread evenly.
    let count = texts.len();
    let pairs: Vec<(&str, &str)> = (0..count)
        .flat_map(|place| (1..13).map(move |step| (place, (place + step * step * 7) % count)))
        .map(|(one, other)| (&*texts[one], &*texts[other]))
        .collect();
    let lines: String = pairs.iter().map(|(one, other)| format!("={one} ={other}\n")).collect();
    fs::write(folder.join("pairs"), lines).map_err(explain("write the pairs"))?;
    let script = r#"while read -r one other; do
    systemd-analyze compare-versions -- "${one#=}" "${other#=}" >/dev/null
    echo $?
done <pairs"#;
    let answers = run(tree.program("sh", &folder).args(["-c", script]))?;
    let answers: Vec<&str> = answers.lines().collect();
    if answers.len() != pairs.len() {
        return Err(format!("{} pairs, {} answers", pairs.len(), answers.len()));
    }
    for ((one, other), answer) in pairs.into_iter().zip(answers) {
        let ours = match compare(one, other) {
            Ordering::Less => "12",
            Ordering::Equal => "0",
            Ordering::Greater => "11",
        };
        if ours != answer {
            return Err(format!("`{one}` and `{other}`: we say {ours}, systemd-analyze {answer}"));
        }
    }
    Ok(())
}

/// systemd-sysupdate fetches the newest version from a signed folder, and nothing from one that was changed; what it has
/// fetched, and what was published on the host itself, is merged.
pub(super) fn versions_are_fetched(world: &World) -> Outcome {
    let (tree, folder) = (world.tree(&DEBIAN_13)?, world.folder("fetched")?);
    let (www, host) = (folder.join("www"), folder.join("host"));
    let gpg = Keyring::make(world.folder("gnupg")?)?;
    let sign = format!("gpg --homedir {} --batch --quiet --detach-sign", gpg.home.display());
    for version in ["1.9", "1.10"] {
        let folder = world.folder(&format!("fetched/{version}"))?;
        let fetched = image(&tree, &folder, "fetched", version)?;
        let optional = image(&tree, &folder, "optional", version)?;
        let local = image(&tree, &folder, "local", version)?;
        run(publish(&fetched, &www).args(["--gpg", &sign, "--url", "file:///www"]))?;
        run(publish(&optional, &www).args(["--gpg", &sign, "--url", "/www", "--feature", "100 % optional"]))?;
        run(publish(&local, &host).args(["--layout", "v"]))?;
    }
    run(program("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&www))?;
    run(program(LAYERFORGE).arg("lint").arg(&www))?;
    let transcript = world
        .machine("fetched", &tree)?
        .with(&www, "/www")?
        .with(&host.join("local.raw.v"), "/images/local.raw.v")?
        .with(&gpg.public, "/etc/systemd/import-pubring.gpg")?
        .with(&www.join("fetched.transfer"), "/etc/sysupdate.fetched.d/fetched.transfer")?
        .with(&www.join("optional.transfer"), "/etc/sysupdate.optional.d/optional.transfer")?
        .with(&www.join("optional.feature"), "/etc/sysupdate.optional.d/optional.feature")?
        .script("fetched", &format!("{UPDATE}=fetched update\n{}", newest_is_merged("fetched")))?
        .script("enabled", &format!("{ENABLE}\n{UPDATE}=optional update\n{}", newest_is_merged("optional")))?
        .script("local", &format!("cp -a /images/local.raw.v /var/lib/extensions/\n{}", newest_is_merged("local")))?
        .script("changed", &format!("echo >>/www/SHA256SUMS\nrefused {UPDATE}=fetched update\ntest ! -e {EXTENSIONS}"))?
        .run_in_container()?;
    contains(transcript.output("fetched"), "Good signature from")?;
    contains(transcript.output("enabled"), "100 % optional")?;
    contains(transcript.output("changed"), "BAD signature from")
}

/// Makes the image of a sysext that says its version. Files of a few bytes are more than systemd-pull can take.
fn image(tools: &Tree, folder: &Path, name: &str, version: &str) -> Outcome<PathBuf> {
    let tree = peer::sysext(folder, name)?;
    let release = tree.join(format!("usr/lib/extension-release.d/extension-release.{name}"));
    let text = fs::read_to_string(&release).map_err(explain("read the release file"))?;
    fs::write(&release, format!("{text}SYSEXT_IMAGE_VERSION={version}\n"))
        .map_err(explain("write the release file"))?;
    fs::write(tree.join(format!("usr/share/{name}/filler")), "filler\n".repeat(5000))
        .map_err(explain("fill the image"))?;
    let mut command = tools.program("mkfs.erofs", folder);
    run(command.args(["--quiet", "--all-root", "-T1", &format!("/mnt/{name}.raw"), &format!("/mnt/{name}")]))?;
    Ok(folder.join(format!("{name}.raw")))
}

const LAYERFORGE: &str = env!("CARGO_BIN_EXE_layerforge");
const UPDATE: &str = "/usr/lib/systemd/systemd-sysupdate --component";
const EXTENSIONS: &str = "/var/lib/extensions/fetched.raw.v/fetched_1.10.raw";

/// Nothing is fetched of a feature before it is enabled.
const ENABLE: &str = "\
refused /usr/lib/systemd/systemd-sysupdate --component=optional update
mkdir /etc/sysupdate.optional.d/optional.feature.d
printf '[Feature]\\nEnabled=yes\\n' >/etc/sysupdate.optional.d/optional.feature.d/enable.conf
/usr/lib/systemd/systemd-sysupdate --component=optional features";

/// The newest version of an extension is picked and merged, and leaves nothing.
fn newest_is_merged(name: &str) -> String {
    let folder = format!("/var/lib/extensions/{name}.raw.v");
    format!(
        "test \"$(systemd-vpick --suffix=.raw {folder})\" = {folder}/{name}_1.10.raw\n\
         test \"$(stat -c %a {folder}/{name}_1.10.raw)\" = 444\n\
         systemd-sysext merge\n\
         grep -x 'note of {name}' /usr/share/{name}/note\n\
         grep -x SYSEXT_IMAGE_VERSION=1.10 /usr/lib/extension-release.d/extension-release.{name}\n\
         systemctl stop {name}.service\n\
         systemd-sysext unmerge\n\
         rm -r {folder}\n"
    )
}

fn publish(image: &Path, folder: &Path) -> Command {
    let mut command = program(LAYERFORGE);
    command.arg("publish").arg(image).arg("--dir").arg(folder);
    command
}

/// A key of GnuPG, with which nothing but these tests is signed.
struct Keyring {
    home: PathBuf,
    public: PathBuf,
}

impl Keyring {
    fn make(home: PathBuf) -> Outcome<Self> {
        run(program("chmod").arg("700").arg(&home))?;
        let public = home.join("public.gpg");
        let this = Self { home, public };
        let key = ["--passphrase", "", "--quick-generate-key", "tests", "ed25519", "sign", "never"];
        run(this.gpg().args(key))?;
        run(this.gpg().args(["--export", "--output"]).arg(&this.public))?;
        Ok(this)
    }

    fn gpg(&self) -> Command {
        let mut command = program("gpg");
        command.args(["--batch", "--quiet", "--homedir"]).arg(&self.home);
        command
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // It ends by itself when its folder is gone, but later.
        let _ = run(program("gpgconf").arg("--homedir").arg(&self.home).args(["--kill", "gpg-agent"]));
    }
}
