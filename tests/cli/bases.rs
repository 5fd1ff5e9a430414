//! Profiles that stand on an image that they did not make: what their outputs hold, and what the image must have.

use std::fs;

use layerforge::image::read::open;
use layerforge::tree::{Kind, TreePath};

use crate::session::{Session, tar};

const PROFILE: &str = "\
[from]
path = \"base.tar\"
[distro.debian]
[process.web]
command = [\"/usr/bin/web\"]
user = 65532
[package.curl]
[file.\"/etc/issue\"]
content = \"of the profile\\n\"
[remove.\"/etc/doomed\"]
[output.oci]
compression = \"gzip\"
[output.tar]
[output.portable]
[output.sysext]
host = \"any\"
";

fn session() -> Session {
    let session = Session::empty();
    session.write("base/etc/os-release", "ID=debian\nVERSION_ID=13\n");
    session.write("base/etc/doomed", "of the base\n");
    session.write("base/etc/issue", "of the base\n");
    session.write("base/usr/bin/web", "#!/usr/bin/web\n");
    session.write("base/var/lib/dpkg/status", "Package: curl\nStatus: install ok installed\n");
    tar(&session.path("base"), &session.path("base.tar"), 0);
    session.write("profiles/web.toml", PROFILE);
    session
}

#[test]
fn outputs_that_are_whole_hold_the_image_below() {
    let session = session();
    // The image below has no time of its own, so that its times are told.
    let rendered = session.run("render web");
    assert_eq!(rendered.code, 0, "{}", rendered.shown());
    let out = "out/web/debian";
    let same = session.run(&format!("diff --times --owners {out}/oci.manifest.json {out}/oci/web"));
    assert_eq!((same.code, same.output.as_str()), (0, ""), "{}", same.shown());
    let digest = |path: &str| session.run(&format!("inspect --json {path}")).json()["summary"]["digest"].clone();
    assert_eq!(digest(&format!("{out}/web.tar")), digest(&format!("{out}/oci/web")), "an archive is the whole image");
    let archives = tempfile::tempdir().unwrap();
    let tree = |path: &str| open(&session.path(&format!("{out}/{path}")), archives.path()).unwrap().tree.unwrap();
    let text = |path: &str, file: &str| {
        let found = tree(path).lookup(&file.parse::<TreePath>().unwrap()).cloned()?;
        let Kind::Regular(content) = found.kind else { return None };
        Some(String::from_utf8(content.read(1 << 20).unwrap().unwrap()).unwrap())
    };
    for whole in ["web.tar", "oci/web", "portable/web.raw"] {
        assert_eq!(text(whole, "/etc/issue").as_deref(), Some("of the profile\n"), "{whole}");
        assert_eq!(text(whole, "/usr/bin/web").as_deref(), Some("#!/usr/bin/web\n"), "{whole}");
        assert_eq!(text(whole, "/etc/doomed"), None, "{whole}");
    }
    let release = text("portable/web.raw", "/etc/os-release").unwrap();
    assert!(release.starts_with("ID=debian\n") && release.contains("PORTABLE_PREFIXES="), "{release}");
    assert_eq!(text("sysext/web.raw", "/usr/bin/web"), None, "the host of an extension has what is below");
    assert!(!rendered.errors.contains("which no layer has"), "{}", rendered.shown());
    let plan = session.run("plan web --json").json();
    for output in plan[0]["outputs"].as_array().unwrap() {
        assert_eq!(
            (output["fresh"].as_bool(), &output["changes"]),
            (Some(false), &serde_json::json!([])),
            "{output:#}"
        );
    }
    assert_eq!(plan[0]["outputs"].as_array().unwrap().len(), 4);
}

#[test]
fn packages_are_in_the_image_below_or_named() {
    let session = session();
    let missing = "[package.nginx]\n[package.web]\nnames.debian = [\"curl\", \"jq\"]\n";
    session.write("profiles/web.toml", &format!("{PROFILE}{missing}"));
    let refused = session.run("render web");
    assert_eq!(refused.code, 1, "{}", refused.shown());
    assert!(refused.errors.contains("`base.tar` does not have `jq`, `nginx`:"), "{}", refused.shown());
    assert!(!session.path("out").exists(), "nothing is written");
    let dockerfile = session.run("render web --output rootfs");
    assert_eq!(dockerfile.code, 0, "a Dockerfile installs them: {}", dockerfile.shown());
    let scratch = session.path("profiles/web.toml");
    let text = fs::read_to_string(&scratch).unwrap().replace("compression = \"gzip\"", "from = \"scratch\"");
    session.write("profiles/web.toml", &text);
    let overlay = session.run("render web --output oci");
    assert_eq!(overlay.code, 0, "whoever copies it over an image has them there: {}", overlay.shown());
    assert!(overlay.errors.contains("its packages are not in it"), "{}", overlay.shown());
    fs::remove_file(session.path("base/var/lib/dpkg/status")).unwrap();
    tar(&session.path("base"), &session.path("base.tar"), 0);
    session.write("profiles/web.toml", PROFILE);
    let unknown = session.run("render web --output tar");
    assert!(unknown.code == 1 && unknown.errors.contains("has left a list in it"), "{}", unknown.shown());
}
