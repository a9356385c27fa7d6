//! Where a service is.

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use miniserde::json::{Array, Number, Object, Value};
use pipeops_agent_core::policy::Refusal;
use pipeops_agent_core::streams::UpstreamError;

use crate::cluster::{OwnClient, Told};

/// The most addresses of one service that are looked at.
const MOST: usize = 16;

/// For DNS to contradict the API server.
const DOUBTFUL: Duration = Duration::from_millis(1500);

/// What was found out about one port of a service.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// The port at that place.
    pub(super) port: u16,
    /// Whether TLS is spoken there.
    pub(super) secure: bool,
}

/// Who says where.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// The API server, which gave the service this address.
    Cluster(IpAddr),
    /// The API server, which knows the pods behind it.
    Pods(Vec<IpAddr>),
    /// The cluster's DNS.
    Resolved(Vec<IpAddr>),
}

pub(super) async fn find(client: &OwnClient, namespace: &str, name: &str, port: u16) -> Result<Found, UpstreamError> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    match client.ask(&path).await {
        Told::Object(service) => match read_service(&service, port)? {
            Service::At(found) => Ok(found),
            Service::Headless { port_name, secure } => {
                let path = format!(
                    "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}&limit=16"
                );
                let Told::Object(slices) = client.ask(&path).await else {
                    return Err(UpstreamError::Unreachable("the service's endpoints are not known"));
                };
                let (addresses, port) =
                    read_slices(&slices, &port_name).ok_or(UpstreamError::Unreachable("the service has no endpoint"))?;
                Ok(Found { place: Place::Pods(addresses), port, secure })
            }
        },
        // Names that only DNS knows are rare, and where there is no DNS nobody should wait for it.
        Told::Absent => match tokio::time::timeout(DOUBTFUL, resolve(namespace, name, port)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Unreachable("there is no such service")),
        },
        Told::Nothing => resolve(namespace, name, port).await,
    }
}

/// Asks the name server. What a service's name resolves to is for the policy to judge.
async fn resolve(namespace: &str, name: &str, port: u16) -> Result<Found, UpstreamError> {
    const UNKNOWN: UpstreamError = UpstreamError::Unreachable("the service's name cannot be resolved");
    let search = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let host = format!("{name}.{namespace}.svc.{}", cluster_domain(&search));
    // The dot at the end keeps the search list of this machine out of it, and with it questions that no server can answer; without
    // the dot, files of hosts know the name as well. Whichever is found first is it.
    let dotted = format!("{host}.");
    let mut exact = pin!(addresses(&dotted, port));
    let mut lenient = pin!(addresses(&host, port));
    let addresses = tokio::select! {
        found = &mut exact => if found.is_empty() { lenient.await } else { found },
        found = &mut lenient => if found.is_empty() { exact.await } else { found },
    };
    if addresses.is_empty() { Err(UNKNOWN) } else { Ok(Found { place: Place::Resolved(addresses), port, secure: port == 443 }) }
}

/// What a name resolves to; nothing where it does not.
async fn addresses(host: &str, port: u16) -> Vec<IpAddr> {
    let found = tokio::net::lookup_host((host, port)).await;
    found.into_iter().flatten().take(MOST).map(|address| address.ip()).collect()
}

/// What stands behind `svc.` in the search list, as kubelet writes it.
fn cluster_domain(resolv_conf: &str) -> &str {
    let searched = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("search")).flat_map(str::split_whitespace);
    let domains = searched.filter_map(|entry| entry.strip_prefix("svc.").or_else(|| Some(entry.split_once(".svc.")?.1)));
    let mut domains = domains.map(|domain| domain.trim_end_matches('.')).filter(|domain| !domain.is_empty());
    domains.next().unwrap_or("cluster.local")
}

enum Service {
    At(Found),
    Headless { port_name: String, secure: bool },
}

fn read_service(service: &Object, port: u16) -> Result<Service, UpstreamError> {
    let spec =
        object(service, "spec").ok_or(UpstreamError::Broken("the API server's answer about the service makes no sense"))?;
    if text(spec, "type") == "ExternalName" {
        return Err(UpstreamError::Denied(Refusal::ServiceExternal));
    }
    let ports = objects(spec, "ports");
    let named = ports.into_iter().find(|entry| number(entry, "port") == Some(port));
    let named = named.ok_or(UpstreamError::Unreachable("the service has no such port"))?;
    let port_name = text(named, "name");
    let protocol = text(named, "appProtocol");
    let secure = port == 443
        || matches!(protocol, "https" | "kubernetes.io/wss" | "wss")
        || (protocol.is_empty() && (port_name == "https" || port_name.starts_with("https-")));
    match text(spec, "clusterIP").parse() {
        Ok(address) => Ok(Service::At(Found { place: Place::Cluster(address), port, secure })),
        Err(_) => Ok(Service::Headless { port_name: port_name.to_owned(), secure }),
    }
}

/// The ready pods of a headless service, and the port that they listen on.
fn read_slices(list: &Object, port_name: &str) -> Option<(Vec<IpAddr>, u16)> {
    let mut addresses = Vec::new();
    let mut port = None;
    for slice in objects(list, "items") {
        let here = objects(slice, "ports").into_iter().find(|entry| text(entry, "name") == port_name);
        let Some(here) = here.and_then(|entry| number(entry, "port")) else { continue };
        // Slices of one service may differ in the port; one connection goes to one of them.
        if *port.get_or_insert(here) != here {
            continue;
        }
        for endpoint in objects(slice, "endpoints") {
            let ready = object(endpoint, "conditions").is_none_or(|it| !matches!(it.get("ready"), Some(Value::Bool(false))));
            let listed = array(endpoint, "addresses").into_iter().flatten().filter_map(|address| match address {
                Value::String(address) => address.parse::<IpAddr>().ok(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
            });
            if ready {
                addresses.extend(listed.take(MOST.saturating_sub(addresses.len())));
            }
        }
    }
    port.filter(|_| !addresses.is_empty()).map(|port| (addresses, port))
}

fn object<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    match object.get(key) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn array<'a>(object: &'a Object, key: &str) -> Option<&'a Array> {
    match object.get(key) {
        Some(Value::Array(array)) => Some(array),
        _ => None,
    }
}

pub(super) fn objects<'a>(object: &'a Object, key: &str) -> Vec<&'a Object> {
    let values = array(object, key).into_iter().flatten();
    values
        .filter_map(|value| match value {
            Value::Object(object) => Some(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        })
        .collect()
}

pub(super) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    match object.get(key) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn number(object: &Object, key: &str) -> Option<u16> {
    match object.get(key) {
        Some(Value::Number(Number::U64(number))) => u16::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniserde::json;

    fn service(text: &str) -> Object {
        json::from_str(text).unwrap()
    }

    #[test]
    fn b25_tls_is_spoken_where_the_port_says_so() {
        let ports = r#"{"spec":{"clusterIP":"10.43.0.7","ports":[
            {"name":"web","port":80},{"name":"https","port":8443},{"name":"x","port":443},
            {"name":"https-admin","port":9443,"appProtocol":"http"},{"port":7000,"appProtocol":"https"}]}}"#;
        for (port, secure) in [(80, false), (8443, true), (443, true), (9443, false), (7000, true)] {
            let Ok(Service::At(found)) = read_service(&service(ports), port) else { panic!("{port}") };
            let place = Place::Cluster("10.43.0.7".parse().unwrap());
            assert_eq!(found, Found { place, port, secure }, "{port}");
        }
        assert!(matches!(read_service(&service(ports), 81), Err(UpstreamError::Unreachable(_))));
    }

    #[test]
    fn b38_a_name_for_something_outside_is_refused() {
        let external = service(r#"{"spec":{"type":"ExternalName","externalName":"example.com","ports":[{"port":80}]}}"#);
        assert!(matches!(read_service(&external, 80), Err(UpstreamError::Denied(Refusal::ServiceExternal))));
    }

    #[test]
    fn a_headless_service_is_its_ready_pods() {
        let headless = service(r#"{"spec":{"clusterIP":"None","ports":[{"name":"web","port":80}]}}"#);
        let Ok(Service::Headless { port_name, secure: false }) = read_service(&headless, 80) else { panic!() };
        let slices = service(
            r#"{"items":[{"ports":[{"name":"web","port":9093}],"endpoints":[
                {"addresses":["10.42.0.5"],"conditions":{"ready":true}},
                {"addresses":["10.42.0.6"],"conditions":{"ready":false}},
                {"addresses":["10.42.0.7"]}]}]}"#,
        );
        let addresses = vec!["10.42.0.5".parse().unwrap(), "10.42.0.7".parse().unwrap()];
        assert_eq!(read_slices(&slices, &port_name), Some((addresses, 9093)));
        assert_eq!(read_slices(&slices, "other"), None);
    }

    #[test]
    fn the_clusters_domain_is_read_from_the_search_list() {
        for (text, domain) in [
            ("search default.svc.cluster.test svc.cluster.test cluster.test\n", "cluster.test"),
            ("nameserver 10.43.0.10\nsearch svc.k3s.home.\n", "k3s.home"),
            ("search lan\n", "cluster.local"),
            ("", "cluster.local"),
        ] {
            assert_eq!(cluster_domain(text), domain, "{text}");
        }
    }
}
