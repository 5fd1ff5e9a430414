//! An image that is a file.
use crate::tree::Tree;
/// x
#[derive(Debug, thiserror::Error)]
pub enum WriteImageError {
    /// x
    #[error("x")]
    Io(#[from] std::io::Error),
}
/// x
#[derive(Debug)]
pub struct Signer;
impl Signer {
    /// x
    pub fn certificate_digest(&self) -> crate::digest::Digest {
        crate::digest::Digest::of("")
    }
}
/// x
pub fn write_image(
    _tree: &Tree,
    _output: &crate::resolve::ImageOutput,
    _architecture: crate::distro::Architecture,
    _signer: Option<&Signer>,
    _file: &std::fs::File,
) -> Result<(), WriteImageError> {
    Err(std::io::Error::other("x").into())
}
