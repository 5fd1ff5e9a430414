//! What is kept in a binary form of our own, read back.

/// Reads little-endian numbers from the front of bytes; nothing when there are too few.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'bytes> {
    /// What has not been read yet.
    pub(super) bytes: &'bytes [u8],
}

impl Reader<'_> {
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
