//! What the kernel says about this process. What it does not say is left out.

use std::fs;

/// Memory in use, bytes.
pub(super) fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Files and sockets that are open.
pub(super) fn open_files() -> Option<u64> {
    // One of them is the folder itself, which is closed again.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells() {
        assert!(resident_bytes().unwrap() > 100 * 1024);
        let before = open_files().unwrap();
        let _file = fs::File::open("/proc/self/status").unwrap();
        // Other tests open files as well.
        assert!(before >= 3 && open_files().unwrap() >= 3);
    }
}
