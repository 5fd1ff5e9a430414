//! Archives made for tests.

/// A member of a tar archive: name, and after `|` the name of its owner; type flag, mode, link target, content.
pub(in crate::packages) type File<'text> = (&'text str, u8, u32, &'text str, &'text str);

/// Makes a tar archive as dpkg-deb does.
pub(in crate::packages) fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut bytes = open_tar(files);
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Makes a tar archive without its end.
pub(in crate::packages) fn open_tar(files: &[File<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, flag, mode, link, content) in files {
        let mut header = [0_u8; 512];
        let mut put = |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
        put(0, name.split('|').next().unwrap_or_default());
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000012");
        put(148, "        ");
        put(157, link);
        put(257, "ustar  ");
        let (_, owner) = name.split_once('|').unwrap_or_default();
        put(265, owner);
        put(297, owner);
        header[156] = *flag;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes
}
