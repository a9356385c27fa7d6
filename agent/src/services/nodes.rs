//! Which addresses are those of nodes, as the API server lists them: what listens there is the machine's own, and no service of the
//! cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use miniserde::json::{self, Object};
use tokio::time::Instant;

use super::lookup::{objects, text};
use crate::cluster::OwnClient;

/// How long the list is believed.
const BELIEVED: Duration = Duration::from_secs(300);
/// The most pages of the list: nodes are large objects, and there may be a thousand.
const PAGES: usize = 60;

#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: Mutex<Option<(Instant, BTreeSet<IpAddr>)>>,
}

impl Nodes {
    /// Whether `address` is one of a node. Where the API server does not tell, nobody is taken for one.
    pub(super) async fn has(&self, client: &OwnClient, address: IpAddr) -> bool {
        if let Some(answer) = self.remembered(address) {
            return answer;
        }
        let listed = list(client).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = listed {
            *known = Some((Instant::now(), listed));
        }
        // What was true a while ago is better than nothing.
        known.as_ref().is_some_and(|(_, listed)| listed.contains(&address))
    }

    fn remembered(&self, address: IpAddr) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(since, _)| since.elapsed() < BELIEVED).map(|(_, listed)| listed.contains(&address))
    }
}

/// All addresses of all nodes; none where the API server does not tell, or does not come to an end.
async fn list(client: &OwnClient) -> Option<BTreeSet<IpAddr>> {
    let mut addresses = BTreeSet::new();
    let mut path = String::from("/api/v1/nodes?limit=25");
    for _ in 0..PAGES {
        let answer = client.request(Method::GET, &path, None).await.ok().filter(|answer| answer.status == 200)?;
        let list: Object = json::from_str(core::str::from_utf8(&answer.body).ok()?).ok()?;
        addresses.extend(read(&list));
        let more = match list.get("metadata") {
            Some(json::Value::Object(metadata)) => text(metadata, "continue"),
            _ => "",
        };
        if more.is_empty() {
            return Some(addresses);
        }
        path = format!("/api/v1/nodes?limit=25&continue={}", more.replace('+', "%2B").replace('=', "%3D").replace('&', "%26"));
    }
    None
}

fn read(list: &Object) -> BTreeSet<IpAddr> {
    let addresses = objects(list, "items").into_iter().filter_map(|node| match node.get("status") {
        Some(json::Value::Object(status)) => Some(objects(status, "addresses")),
        _ => None,
    });
    addresses.flatten().filter_map(|address| text(address, "address").parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_all_nodes_count_and_names_do_not() {
        let list: Object = json::from_str(
            r#"{"items":[{"status":{"addresses":[{"type":"InternalIP","address":"10.200.0.1"},{"type":"Hostname","address":"edge"}]}},
                {"status":{}},{},{"status":{"addresses":[{"type":"ExternalIP","address":"2001:db8::7"}]}}]}"#,
        )
        .unwrap();
        let expected: BTreeSet<IpAddr> = ["10.200.0.1", "2001:db8::7"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(read(&list), expected);
    }
}
