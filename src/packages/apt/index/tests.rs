use std::io::Write;

use super::*;
use crate::packages::model::shown;
use crate::packages::model::{PackageId, merge};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn stanza(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}.deb\nSize: 12\nSHA256: {DIGEST}\n\n"
    )
}

fn pool(text: &str) -> Pool {
    parse("Packages", text.as_bytes(), "amd64").unwrap()
}

fn fault(text: &str) -> String {
    parse("Packages", text.as_bytes(), "amd64").unwrap_err().to_string()
}

/// Writes everything that a pool holds.
fn dump(pool: &Pool) -> Vec<String> {
    let line = |id: PackageId| {
        let (relations, provides) = (shown::relations(pool, id), shown::provides(pool, id));
        let package = pool.package(id);
        let location = pool.location(id).unwrap();
        format!("{} {location} {} [{}] [{}]", pool.label(id), package.size, relations, provides)
    };
    pool.ids().map(line).collect()
}

#[test]
fn packages_come_sorted_with_all_they_say() {
    let text = stanza("b", "2", "Depends: a (>= 1) | c, libc6\nBreaks: d:any (<< 3)\nPre-Depends: x\n")
        + &stanza("a", "1:1-1", "Provides: c, e (= 2)\nEssential: yes\npriority: required\nMulti-Arch: foreign\n")
        + "Package: other\nArchitecture: i386\nVersion: 1\n\n";
    let pool = pool(&text);
    assert_eq!(
        dump(&pool),
        [
            "a 1:1-1 pool/a.deb 12 [] [c=; e=2]",
            "b 2 pool/b.deb 12 [depends on a >= 1 | c; depends on libc6; depends on x; breaks d < 3] []"
        ]
    );
    let a = pool.named(pool.find(b"a").unwrap()).next().unwrap();
    let package = pool.package(a);
    assert!(package.essential && package.multi_arch == MultiArch::Foreign && package.priority == Priority::Required);
    assert_eq!(pool.digest(a).unwrap().unwrap().hex(), DIGEST);
    assert_eq!(pool.providers(pool.find(b"c").unwrap()).len(), 1);
    assert_eq!(pool.find(b"other"), None);
}

#[test]
fn every_compression_gives_the_same() {
    let text: String = (0..3000).map(|number| stanza(&format!("package-{number}"), "1", "Depends: a | b\n")).collect();
    let expected = dump(&pool(&text));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(text.as_bytes()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(text.as_bytes()).unwrap();
    let forms = [
        (Compression::None, text.clone().into_bytes()),
        (Compression::Gzip, gzip.finish().unwrap()),
        (Compression::Xz, xz.finish().unwrap()),
        (Compression::Bzip2, bzip2.finish().unwrap()),
        (Compression::Zstd, zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ];
    for (compression, bytes) in forms {
        assert_eq!(dump(&read("Packages", &bytes, compression, "amd64").unwrap()), expected, "{compression}");
        if compression != Compression::None {
            let short = read("Packages", &bytes[..bytes.len() / 2], compression, "amd64").unwrap_err();
            assert!(matches!(short, IndexError::Damaged { .. }), "{compression}: {short}");
        }
    }
}

#[test]
fn a_line_is_named_in_any_block() {
    let text: String = (0..40_000).map(|number| stanza(&format!("package-{number}"), "1", "")).collect();
    let broken = text.clone() + &stanza("broken", "not a version", "");
    let line = text.lines().count() + 2;
    let error = read("Packages", broken.as_bytes(), Compression::None, "amd64").unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("`Packages`, line {line}: the package `broken` has no valid `Version`")),
        "{error}"
    );
}

#[test]
fn mistakes_are_told() {
    for (text, expected) in [
        (stanza("../a", "1", ""), "line 1: `../a` is no package"),
        (stanza("a", "1", "Depends: b c\n"), "line 4: in `Depends`: expected `,`"),
        (stanza("a", "1", "Provides: b (\n"), "line 4: in `Provides`"),
        (stanza("a", "1", "Multi-Arch: maybe\n"), "no valid `Multi-Arch`"),
        (stanza("a", "1", "").replace("pool/a.deb", "pool/../../a.deb"), "it leaves the repository"),
        (stanza("a", "1", "").replace("pool/a.deb", "/pool/a.deb"), "it leaves the repository"),
        (stanza("a", "1", "").replace("Size: 12", "Size: many"), "no valid `Size`"),
        (stanza("a", "1", "").replace("SHA256: e3", "SHA256: x3"), "no valid `SHA256`"),
        (stanza("a", "1", "").replace("SHA256", "MD5sum"), "no valid `SHA256`"),
    ] {
        assert!(fault(&text).contains(expected), "{}", fault(&text));
    }
}

#[test]
fn merging_keeps_everything_in_its_order() {
    let one = stanza("a", "1", "Depends: z\n") + &stanza("c", "1", "Provides: virtual\n");
    let other = stanza("b", "2", "Depends: a\n") + &stanza("a", "2", "Provides: virtual (= 2)\n");
    let merged = merge(vec![pool(&one), pool(&other)]).unwrap();
    let sources: Vec<_> = merged.ids().map(|id| (merged.label(id), merged.package(id).source)).collect();
    assert_eq!(sources, [("a 1".into(), 0), ("a 2".into(), 1), ("b 2".into(), 1), ("c 1".into(), 0)]);
    assert_eq!(dump(&merged)[1], "a 2 pool/a.deb 12 [] [virtual=2]");
    let virtual_name = merged.find(b"virtual").unwrap();
    let providers: Vec<_> = merged.providers(virtual_name).iter().map(|(id, _)| merged.label(*id)).collect();
    assert_eq!(providers, ["a 2", "c 1"]);
    let names: Vec<_> =
        (0..merged.name_count()).map(|id| merged.name(crate::packages::model::NameId(id as u32))).collect();
    assert!(names.is_sorted() && names.len() == 5, "{names:?}");
}
