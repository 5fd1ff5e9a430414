//! Documents of images and registries: whatever the bytes, they are read or refused, and what is read is written alike.

#![no_main]

use layerforge::image::oci::{ImageConfig, Index, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::read(bytes) {
        assert_eq!(Manifest::read(&manifest.to_bytes()).unwrap(), manifest);
    }
    if let Ok(index) = Index::read(bytes) {
        assert_eq!(Index::read(&index.to_bytes()).unwrap(), index);
    }
    if let Ok(config) = ImageConfig::read(bytes) {
        assert_eq!(ImageConfig::read(&config.to_bytes()).unwrap(), config);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        text.parse::<layerforge::registry::Reference>().ok();
    }
});
