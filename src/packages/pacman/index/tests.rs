use std::io::Write as _;

use base64ct::Encoding as _;

use super::*;
use crate::packages::archive::made::{File, tar};
use crate::packages::model::shown;
use crate::packages::model::{PackageId, RelationKind};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Makes what a database says about a package; further sections are `NAME: value value`.
pub(in crate::packages::pacman) fn desc(name: &str, version: &str, more: &[&str]) -> String {
    let mut text = format!(
        "%FILENAME%\n{name}-{version}-any.pkg.tar.zst\n\n%NAME%\n{name}\n\n%BASE%\n{name}\n\n%VERSION%\n{version}\n\n\
         %CSIZE%\n12\n\n%ISIZE%\n34\n\n%SHA256SUM%\n{DIGEST}\n\n%ARCH%\nany\n\n"
    );
    for line in more {
        let (section, values) = line.split_once(": ").unwrap();
        text += &format!("%{section}%\n{}\n\n", values.replace(' ', "\n"));
    }
    text
}

/// Makes a database of the names of packages and what is said about them.
pub(in crate::packages::pacman) fn database(packages: &[(&str, String)]) -> Vec<u8> {
    let names: Vec<String> = packages.iter().map(|(name, _)| format!("{name}/desc")).collect();
    let members: Vec<File<'_>> =
        names.iter().zip(packages).map(|(name, (_, text))| (name.as_str(), b'0', 0o644, "", text.as_str())).collect();
    tar(&members)
}

pub(in crate::packages::pacman) fn pool(packages: &[(&str, String)]) -> Pool {
    read("core.db", &database(packages), "x86_64").unwrap()
}

fn dump(pool: &Pool) -> Vec<String> {
    let line = |id: PackageId| {
        let (relations, provides) = (shown::relations(pool, id), shown::provides(pool, id));
        let package = pool.package(id);
        format!(
            "{} {} [{}] [{}] {}",
            pool.label(id),
            pool.location(id).unwrap(),
            relations,
            provides,
            pool.shown(package.section)
        )
    };
    pool.ids().map(line).collect()
}

#[test]
fn packages_come_with_all_they_say() {
    let more = [
        "DEPENDS: a>=1 libx.so=1-64",
        "CONFLICTS: c<2",
        "PROVIDES: virtual d=3 liby.so=",
        "REPLACES: old",
        "OPTDEPENDS: w:",
        "GROUPS: base-devel x",
        "PGPSIG: AQID",
        "LATER: what",
    ];
    let texts = [
        ("b-2", desc("b", "1:2-1", &more)),
        ("a-1", desc("a", "1-1", &[])),
        ("o-1", desc("o", "1", &[]).replace("any\n", "armv7h\n")),
    ];
    let plain = database(&texts);
    let expected = [
        "a 1-1 a-1-1-any.pkg.tar.zst [] [] ",
        "b 1:2-1 b-1:2-1-any.pkg.tar.zst [depends on a >= 1; depends on libx.so = 1-64; conflicts with c < 2; replaces files of \
         old; suggests w:] [virtual=; d=3] base-devel x",
    ];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [plain, gzip.finish().unwrap(), zstd] {
        let pool = read("core.db", &bytes, "x86_64").unwrap();
        assert_eq!(dump(&pool), expected);
        let b = pool.ids().nth(1).unwrap();
        assert_eq!(
            (&*pool.stored(pool.package(b).signature).unwrap(), pool.digest(b).unwrap().unwrap().hex()),
            (&[1, 2, 3][..], DIGEST.into())
        );
        for length in (0..bytes.len().saturating_sub(1024)).step_by(13) {
            let _ = read("core.db", &bytes[..length], "x86_64");
        }
        for place in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let _ = read("core.db", &changed, "x86_64");
        }
        assert!(read("core.db", &bytes[..bytes.len() / 3], "x86_64").is_err());
    }
}

#[test]
fn alpm_repo_db_reads_the_same() {
    use alpm_repo_db::desc::{RepoDescFileV1, RepoDescFileV2};
    let more = "%REPLACES%\nold\n\n%CONFLICTS%\nc<2\n\n%PROVIDES%\nvirtual\nd=3\nliby.so=2-64\n\n\
                %DEPENDS%\na>=1\nlibx.so=1-64\nlib:libz.so.1\n\n%OPTDEPENDS%\nw: for that\n\n%MAKEDEPENDS%\nm\n\n";
    let text = |sums: &str| {
        format!(
            "%FILENAME%\nb-1:2-1-x86_64.pkg.tar.zst\n\n%NAME%\nb\n\n%BASE%\nbase-b\n\n%VERSION%\n1:2-1\n\n%DESC%\nA thing\n\n\
             %GROUPS%\nbase-devel\nx\n\n%CSIZE%\n12\n\n%ISIZE%\n34\n\n{sums}%SHA256SUM%\n{DIGEST}\n\n\
             %URL%\nhttps://example.org/\n\n%LICENSE%\nMIT\n\n%ARCH%\nx86_64\n\n%BUILDDATE%\n1700000000\n\n\
             %PACKAGER%\nP <p@example.org>\n\n{more}"
        )
    };
    let signature = "iHUEABYKAB0WIQRizHP4hOUpV7L92IObeih9mi7GCAUCaBZuVAAKCRCbeih9mi7GCIlMAP9ws/jU4f580ZRQlTQKvUiLbAZOdcB7mQQj83hD1Nc/GwD/WIHhO1/OQkpMERejUrLo3AgVmY3b4/uGhx9XufWEbgE=";
    let two = text("");
    let theirs: RepoDescFileV2 = two.parse().unwrap();
    assert_eq!(theirs.to_string(), two, "it is as the specification has it");
    let one = text("%MD5SUM%\nd41d8cd98f00b204e9800998ecf8427e\n\n")
        .replace("%URL%", &format!("%PGPSIG%\n{signature}\n\n%URL%"));
    let signed: RepoDescFileV1 = one.parse().unwrap();
    for (text, signature) in [(two, None), (one, Some(signed.pgp_signature.to_string()))] {
        let pool = pool(&[("b-1:2-1", text)]);
        let id = pool.ids().next().unwrap();
        let package = pool.package(id);
        assert_eq!(pool.label(id), format!("{} {}", theirs.name, theirs.version));
        assert_eq!(pool.location(id).unwrap(), theirs.file_name.to_string());
        assert_eq!(pool.shown(package.architecture), theirs.arch.to_string());
        assert_eq!(package.size.to_string(), theirs.compressed_size.to_string());
        assert_eq!(package.installed_size.to_string(), theirs.installed_size.to_string());
        assert_eq!(pool.digest(id).unwrap().unwrap().hex(), theirs.sha256_checksum.to_string());
        assert_eq!(pool.shown(package.section).split(' ').collect::<Vec<_>>(), theirs.groups);
        assert!(pool.stored(package.origin).unwrap().starts_with(theirs.base.to_string().as_bytes()));
        let told = |kind: RelationKind| -> Vec<String> {
            let of = pool.relations(id).iter().filter(|relation| relation.kind == kind);
            of.map(|relation| pool.relation_label(relation).replace(' ', "")).collect()
        };
        let shown =
            |relations: &[alpm_types::PackageRelation]| relations.iter().map(ToString::to_string).collect::<Vec<_>>();
        let named = |all: &[alpm_types::RelationOrSoname]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(RelationKind::Depends), named(&theirs.dependencies));
        assert_eq!(told(RelationKind::Conflicts), shown(&theirs.conflicts));
        assert_eq!(told(RelationKind::Replaces), shown(&theirs.replaces));
        let provides: Vec<String> = pool
            .provides(id)
            .iter()
            .map(|one| match pool.shown(one.version) {
                version if version.is_empty() => String::from_utf8_lossy(pool.name(one.name)).into_owned(),
                version => format!("{}={version}", String::from_utf8_lossy(pool.name(one.name))),
            })
            .collect();
        assert_eq!(provides, named(&theirs.provides));
        let ours = &*pool.stored(package.signature).unwrap();
        assert_eq!(signature.unwrap_or_default(), base64ct::Base64::encode_string(ours));
    }
}

#[test]
fn mistakes_name_the_package() {
    for (text, part) in [
        (desc("../a", "1", &[]), "no valid `%NAME%`"),
        (desc("a", "1/2", &[]), "no valid `%VERSION%`"),
        (desc("a", "1", &[]).replace("a-1-any", "../a"), "no valid `%FILENAME%`"),
        (desc("a", "1", &[]).replace("%CSIZE%\n12", "%CSIZE%\nx"), "no valid `%CSIZE%`"),
        (desc("a", "1", &[]).replace("e3b0", "x3b0"), "no valid `%SHA256SUM%`"),
        (desc("a", "1", &["DEPENDS: b>>1"]), "in `%DEPENDS%`: `b>>1`"),
        (desc("a", "1", &["PROVIDES: b>1"]), "in `%PROVIDES%`: `b>1`"),
        (desc("a", "1", &["PGPSIG: !"]), "no valid `%PGPSIG%`"),
        (desc("a", "1", &["NAME: b"]), "stands twice"),
    ] {
        let error = read("core.db", &database(&[("a-1", text)]), "x86_64").unwrap_err().to_string();
        assert!(error.starts_with("in `core.db`, `a-1/desc`: ") && error.contains(part), "{error}");
    }
}
