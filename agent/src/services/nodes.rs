//! Which addresses are those of nodes, as the API server lists them: what listens there is the machine's own, and no service of the
//! cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use miniserde::json::{Object, Value};
use tokio::time::Instant;

use super::lookup::{objects, text};
use crate::cluster::{OwnClient, Told};

/// How long the list is believed.
const BELIEVED: Duration = Duration::from_secs(300);
/// The most pages of the list: nodes are large objects, and there may be a thousand.
const PAGES: usize = 60;

type Addresses = Arc<BTreeSet<IpAddr>>;

#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: Mutex<Option<(Instant, Addresses)>>,
}

impl Nodes {
    /// The addresses of all nodes. Where the API server does not tell, those of a while ago, or none.
    pub(super) async fn addresses(&self, client: &OwnClient) -> Addresses {
        if let Some((_, listed)) = self.remembered().filter(|(since, _)| since.elapsed() < BELIEVED) {
            return listed;
        }
        match list(client).await {
            Some(listed) => {
                let listed = Arc::new(listed);
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), listed.clone()));
                listed
            }
            None => self.remembered().map(|(_, listed)| listed).unwrap_or_default(),
        }
    }

    fn remembered(&self) -> Option<(Instant, Addresses)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// None where the API server does not tell, or does not come to an end.
async fn list(client: &OwnClient) -> Option<BTreeSet<IpAddr>> {
    let mut addresses = BTreeSet::new();
    let mut path = String::from("/api/v1/nodes?limit=25");
    for _ in 0..PAGES {
        let Told::Object(list) = client.ask(&path).await else { return None };
        addresses.extend(read(&list));
        let more = match list.get("metadata") {
            Some(Value::Object(metadata)) => text(metadata, "continue"),
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
        Some(Value::Object(status)) => Some(objects(status, "addresses")),
        _ => None,
    });
    addresses.flatten().filter_map(|address| text(address, "address").parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniserde::json;

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
