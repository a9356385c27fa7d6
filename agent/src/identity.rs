//! The agent's id: configured, saved, or made from what the machine is.

use std::fs;
use std::path::Path;

use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

/// Variables that tell one pod from another, where they are set.
const POD_VARIABLES: [&str; 3] = ["POD_UID", "POD_NAMESPACE", "POD_NAME"];

/// The machine's host name, as the kernel knows it.
pub(crate) fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// An id in the Go agent's form, `agent-` and sixteen hexadecimal digits, from host name, machine id, network address and pod.
/// On the same machine it comes out the same, so that even a lost state does not make a stranger of it.
pub(crate) fn generate() -> String {
    let machine_id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| fs::read_to_string(path).ok());
    let parts: Vec<String> = [hostname(), machine_id.map(|id| id.trim().to_owned()), network_address()]
        .into_iter()
        .flatten()
        .chain(POD_VARIABLES.iter().filter_map(|name| std::env::var(name).ok()))
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        // A machine without any name: the id is as good as the state that keeps it.
        return format!("agent-{:016x}", fastrand::u64(..));
    }
    format!("agent-{}", digest(parts.join("|").as_bytes()))
}

/// The first sixteen hexadecimal digits of the SHA-256, computed by the TLS library that is here anyway.
fn digest(bytes: &[u8]) -> String {
    let Some(suite) = TLS13_AES_128_GCM_SHA256.tls13() else { return format!("{:016x}", fastrand::u64(..)) };
    let hash = suite.common.hash_provider.hash(bytes);
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The hardware address of the first interface that is up and not the loopback.
fn network_address() -> Option<String> {
    let mut names: Vec<_> = fs::read_dir(Path::new("/sys/class/net")).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names.iter().find_map(|path| {
        let up = fs::read_to_string(path.join("operstate")).is_ok_and(|state| state.trim() == "up");
        let address = fs::read_to_string(path.join("address")).ok()?.trim().to_owned();
        (up && !address.is_empty() && address != "00:00:00:00:00:00").then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_has_the_form_that_planes_know_and_is_stable() {
        let id = generate();
        assert_eq!(id.len(), 22);
        assert!(id.starts_with("agent-") && id[6..].bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert_eq!(id, generate());
    }

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea");
    }
}
