//! Which addresses are those of nodes: what listens there is the machine's own, and no service of the cluster.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use miniserde::json::{self, Object};
use tokio::time::Instant;

use super::lookup::{objects, text};
use crate::cluster::OwnClient;

/// How long the list is believed.
const BELIEVED: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: Mutex<Option<(Instant, BTreeSet<IpAddr>)>>,
}

impl Nodes {
    /// Whether `address` is one of this machine, or of a node that the API server knows.
    pub(super) async fn has(&self, client: &OwnClient, address: IpAddr) -> bool {
        if is_of_this_machine(address) {
            return true;
        }
        if let Some(answer) = self.remembered(address) {
            return answer;
        }
        let listed = list(client).await.unwrap_or_default();
        let answer = listed.contains(&address);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), listed));
        answer
    }

    fn remembered(&self, address: IpAddr) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(since, _)| since.elapsed() < BELIEVED).map(|(_, listed)| listed.contains(&address))
    }
}

/// Only what belongs to this machine can be bound to.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

async fn list(client: &OwnClient) -> Option<BTreeSet<IpAddr>> {
    let answer = client.request(Method::GET, "/api/v1/nodes?limit=200", None).await.ok()?;
    let list: Object = json::from_str(core::str::from_utf8(&answer.body).ok()?).ok()?;
    let addresses = objects(&list, "items").into_iter().filter_map(|node| match node.get("status") {
        Some(json::Value::Object(status)) => Some(objects(status, "addresses")),
        _ => None,
    });
    Some(addresses.flatten().filter_map(|address| text(address, "address").parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_a_node() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()), "reserved for documentation");
    }
}
