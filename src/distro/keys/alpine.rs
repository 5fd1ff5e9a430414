//! The keys of Alpine, by what their files are: they are fetched when they are needed, and refused when they are others.

use crate::digest::Digest;

/// A key of Alpine by the name of its file and the digest of that; it is fetched when it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApkKey {
    /// The identifier in its name.
    id: &'static str,
    digest: &'static str,
}

impl ApkKey {
    /// Returns the name of its file.
    pub fn name(&self) -> String {
        format!("alpine-devel@lists.alpinelinux.org-{}.rsa.pub", self.id)
    }

    /// Returns where Alpine publishes it.
    pub fn url(&self) -> String {
        format!("https://alpinelinux.org/keys/{}", self.name())
    }

    /// Returns the digest of its file.
    pub fn digest(&self) -> Digest {
        format!("sha256:{}", self.digest).parse().expect("the digests below are written as digests are")
    }
}

/// The keys of Alpine's releases, by architecture.
const PINNED: &[(&str, &[(&str, &str)])] = &[
    (
        "x86_64",
        &[
            ("4a6a0840", "9c102bcc376af1498d549b77bdbfa815ae86faa1d2d82f040e616b18ef2df2d4"),
            ("5261cecb", "12f899e55a7691225603d6fb3324940fc51cd7f133e7ead788663c2b7eecb00c"),
            ("6165ee59", "207e4696d3c05f7cb05966aee557307151f1f00217af4143c1bcaf33b8df733f"),
        ],
    ),
    (
        "aarch64",
        &[
            ("58199dcc", "73867d92083f2f8ab899a26ccda7ef63dfaa0032a938620eda605558958a8041"),
            ("616ae350", "d11f6b21c61b4274e182eb888883a8ba8acdbf820dcc7a6d82a7d9fc2fd2836d"),
        ],
    ),
    ("armhf", &[("524d27bb", "1bb2a846c0ea4ca9d0e7862f970863857fc33c32f5506098c636a62a726a847b")]),
    (
        "armv7",
        &[
            ("524d27bb", "1bb2a846c0ea4ca9d0e7862f970863857fc33c32f5506098c636a62a726a847b"),
            ("616adfeb", "ebe717d228555aa58133c202314a451f81e71f174781fd7ff8d8970d6cfa60da"),
        ],
    ),
    ("x86", &[("4a6a0840", "9c102bcc376af1498d549b77bdbfa815ae86faa1d2d82f040e616b18ef2df2d4")]),
    (
        "riscv64",
        &[
            ("60ac2099", "db0b49163f07ffba64a5ca198bcf1688610b0bd1f0d8d5afeaf78559d73f2278"),
            ("616db30d", "40a216cbd163f22e5f16a9e0929de7cde221b9cbae8e36aa368b1e128afe0a31"),
        ],
    ),
];

/// Returns the keys that Alpine signs the indexes of an architecture with.
pub fn apk_keys(architecture: &str) -> Vec<ApkKey> {
    let keys = PINNED.iter().filter(|(name, _)| *name == architecture).flat_map(|(_, keys)| keys.iter());
    keys.map(|(id, digest)| ApkKey { id, digest }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_alpine_are_pinned() {
        let keys = apk_keys("aarch64");
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[1].name(), "alpine-devel@lists.alpinelinux.org-616ae350.rsa.pub");
        for (architecture, _) in PINNED {
            apk_keys(architecture).iter().for_each(|key| assert_eq!(key.digest().hex().len(), 64));
        }
        assert!(apk_keys("sparc").is_empty());
    }
}
