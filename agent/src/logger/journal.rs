//! Whether standard error goes to systemd's journal.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

/// True if the journal itself reads what is written. A program that was started by a service and then redirected has the variable
/// and another file; so the file is compared, as systemd.exec(5) asks for.
pub(super) fn reads_standard_error() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some(named) = device_and_inode(&named) else { return false };
    let copy = std::io::stderr().as_fd().try_clone_to_owned();
    let metadata = copy.and_then(|copy| File::from(copy).metadata());
    metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == named)
}

/// `device:inode`, both decimal and nothing else.
fn device_and_inode(text: &str) -> Option<(u64, u64)> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let (device, inode) = text.split_once(':')?;
    Some((number(device)?, number(inode)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_a_stream() {
        assert_eq!(device_and_inode("8:12345"), Some((8, 12345)));
        for text in ["", ":", "8", "8:", ":1", "8:1:2", " 8:1", "8:1 ", "+8:1", "8:-1", "0x8:1", "8:99999999999999999999999"] {
            assert_eq!(device_and_inode(text), None, "{text}");
        }
    }
}
