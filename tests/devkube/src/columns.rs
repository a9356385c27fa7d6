//! The columns that `kubectl get` shows for each kind, and which part of an object each reads.

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::cells::{address, addresses, count, event_age, joined, list, map, node_status, or_none, pairs, plain, pod_status};
use crate::resources::Resource;
use crate::time::age;

type Cell = fn(&Value, SystemTime) -> Value;

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// Above zero only with `-o wide`.
    pub(crate) priority: u8,
    pub(crate) cell: Cell,
}

const fn text(name: &'static str, cell: Cell) -> Column {
    Column { name, kind: "string", priority: 0, cell }
}

const fn number(name: &'static str, cell: Cell) -> Column {
    Column { name, kind: "integer", priority: 0, cell }
}

const fn wide(name: &'static str, cell: Cell) -> Column {
    Column { name, kind: "string", priority: 1, cell }
}

const NAME: Column = text("Name", |o, _| plain(&o["metadata"]["name"], ""));
const AGE: Column = text("Age", |o, now| age(o["metadata"]["creationTimestamp"].as_str(), now).into());
const CONTAINERS: Column = wide("Containers", |o, _| joined(&o["spec"]["template"]["spec"]["containers"], "name"));
const IMAGES: Column = wide("Images", |o, _| joined(&o["spec"]["template"]["spec"]["containers"], "image"));
const TEMPLATE_SELECTOR: Column = wide("Selector", |o, _| pairs(&o["spec"]["selector"]["matchLabels"]));

static GENERIC: &[Column] = &[NAME, AGE];

static PODS: &[Column] = &[
    NAME,
    text("Ready", |o, _| {
        let ready = list(&o["status"]["containerStatuses"]).iter().filter(|c| c["ready"] == true).count();
        format!("{ready}/{}", list(&o["spec"]["containers"]).len()).into()
    }),
    text("Status", |o, _| pod_status(o)),
    text("Restarts", |o, _| {
        let restarts = list(&o["status"]["containerStatuses"]).iter().filter_map(|c| c["restartCount"].as_u64());
        restarts.sum::<u64>().to_string().into()
    }),
    AGE,
    wide("IP", |o, _| plain(&o["status"]["podIP"], "<none>")),
    wide("Node", |o, _| plain(&o["spec"]["nodeName"], "<none>")),
    wide("Nominated Node", |o, _| plain(&o["status"]["nominatedNodeName"], "<none>")),
    wide("Readiness Gates", |_, _| "<none>".into()),
];

static NODES: &[Column] = &[
    NAME,
    text("Status", |o, _| node_status(o)),
    text("Roles", |o, _| {
        let roles = map(&o["metadata"]["labels"]).map(Map::keys).into_iter().flatten();
        let roles: Vec<&str> = roles.filter_map(|k| k.strip_prefix("node-role.kubernetes.io/")).collect();
        or_none(roles.join(","))
    }),
    AGE,
    text("Version", |o, _| plain(&o["status"]["nodeInfo"]["kubeletVersion"], "")),
    wide("Internal-IP", |o, _| address(o, "InternalIP")),
    wide("External-IP", |o, _| address(o, "ExternalIP")),
    wide("OS-Image", |o, _| plain(&o["status"]["nodeInfo"]["osImage"], "<unknown>")),
    wide("Kernel-Version", |o, _| plain(&o["status"]["nodeInfo"]["kernelVersion"], "<unknown>")),
    wide("Container-Runtime", |o, _| plain(&o["status"]["nodeInfo"]["containerRuntimeVersion"], "<unknown>")),
];

static SERVICES: &[Column] = &[
    NAME,
    text("Type", |o, _| plain(&o["spec"]["type"], "ClusterIP")),
    text("Cluster-IP", |o, _| plain(&o["spec"]["clusterIP"], "<none>")),
    text("External-IP", |o, _| {
        let ingress = addresses(&o["status"]["loadBalancer"]["ingress"]);
        let none = if o["spec"]["type"] == "LoadBalancer" { "<pending>" } else { "<none>" };
        if ingress.is_empty() { none.into() } else { ingress.into() }
    }),
    text("Port(s)", |o, _| {
        let port = |p: &Value| match p["nodePort"].as_u64() {
            Some(node) => format!("{}:{node}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP")),
            None => format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP")),
        };
        or_none(list(&o["spec"]["ports"]).iter().map(port).collect::<Vec<_>>().join(","))
    }),
    AGE,
    wide("Selector", |o, _| pairs(&o["spec"]["selector"])),
];

static DEPLOYMENTS: &[Column] = &[
    NAME,
    text("Ready", |o, _| {
        let wanted = o["spec"]["replicas"].as_u64().unwrap_or(1);
        format!("{}/{wanted}", o["status"]["readyReplicas"].as_u64().unwrap_or_default()).into()
    }),
    number("Up-to-date", |o, _| count(&o["status"]["updatedReplicas"])),
    number("Available", |o, _| count(&o["status"]["availableReplicas"])),
    AGE,
    CONTAINERS,
    IMAGES,
    TEMPLATE_SELECTOR,
];

static REPLICA_SETS: &[Column] = &[
    NAME,
    number("Desired", |o, _| o["spec"]["replicas"].as_u64().unwrap_or(1).into()),
    number("Current", |o, _| count(&o["status"]["replicas"])),
    number("Ready", |o, _| count(&o["status"]["readyReplicas"])),
    AGE,
    CONTAINERS,
    IMAGES,
    TEMPLATE_SELECTOR,
];

static DAEMON_SETS: &[Column] = &[
    NAME,
    number("Desired", |o, _| count(&o["status"]["desiredNumberScheduled"])),
    number("Current", |o, _| count(&o["status"]["currentNumberScheduled"])),
    number("Ready", |o, _| count(&o["status"]["numberReady"])),
    number("Up-to-date", |o, _| count(&o["status"]["updatedNumberScheduled"])),
    number("Available", |o, _| count(&o["status"]["numberAvailable"])),
    text("Node Selector", |o, _| pairs(&o["spec"]["template"]["spec"]["nodeSelector"])),
    AGE,
    CONTAINERS,
    IMAGES,
    TEMPLATE_SELECTOR,
];

static CONFIG_MAPS: &[Column] = &[
    NAME,
    text("Data", |o, _| {
        let data = [&o["data"], &o["binaryData"]].into_iter().filter_map(map).map(Map::len).sum::<usize>();
        data.to_string().into()
    }),
    AGE,
];

static SECRETS: &[Column] = &[
    NAME,
    text("Type", |o, _| plain(&o["type"], "Opaque")),
    text("Data", |o, _| map(&o["data"]).map_or(0, Map::len).to_string().into()),
    AGE,
];

static NAMESPACES: &[Column] = &[NAME, text("Status", |o, _| plain(&o["status"]["phase"], "Active")), AGE];

static INGRESSES: &[Column] = &[
    NAME,
    text("Class", |o, _| plain(&o["spec"]["ingressClassName"], "<none>")),
    text("Hosts", |o, _| {
        let hosts = list(&o["spec"]["rules"]).iter().filter_map(|rule| rule["host"].as_str());
        let hosts: Vec<&str> = hosts.filter(|host| !host.is_empty()).collect();
        if hosts.is_empty() { "*".into() } else { hosts.join(",").into() }
    }),
    text("Address", |o, _| addresses(&o["status"]["loadBalancer"]["ingress"]).into()),
    text("Ports", |o, _| if list(&o["spec"]["tls"]).is_empty() { "80".into() } else { "80, 443".into() }),
    AGE,
];

static EVENTS: &[Column] = &[
    text("Last Seen", |o, now| event_age(o, ["lastTimestamp", "eventTime", "firstTimestamp"], now)),
    text("Type", |o, _| plain(&o["type"], "")),
    text("Reason", |o, _| plain(&o["reason"], "")),
    text("Object", |o, _| {
        let object = &o["involvedObject"];
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        format!("{kind}/{}", object["name"].as_str().unwrap_or_default()).into()
    }),
    wide("Subobject", |o, _| plain(&o["involvedObject"]["fieldPath"], "")),
    wide("Source", |o, _| plain(&o["source"]["component"], "")),
    text("Message", |o, _| plain(&o["message"], "").as_str().unwrap_or_default().trim().into()),
    wide("First Seen", |o, now| event_age(o, ["firstTimestamp", "eventTime", "lastTimestamp"], now)),
    wide("Count", |o, _| o["count"].as_u64().unwrap_or(1).to_string().into()),
    wide("Name", |o, _| plain(&o["metadata"]["name"], "")),
];

static LEASES: &[Column] = &[NAME, text("Holder", |o, _| plain(&o["spec"]["holderIdentity"], "")), AGE];

static ENDPOINT_SLICES: &[Column] = &[
    NAME,
    text("AddressType", |o, _| plain(&o["addressType"], "")),
    text("Ports", |o, _| {
        let ports = list(&o["ports"]).iter().filter_map(|port| port["port"].as_u64());
        let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
        if ports.is_empty() { "<unset>".into() } else { ports.join(",").into() }
    }),
    text("Endpoints", |o, _| {
        let addresses = list(&o["endpoints"]).iter().flat_map(|endpoint| list(&endpoint["addresses"]));
        let addresses: Vec<&str> = addresses.filter_map(Value::as_str).collect();
        if addresses.is_empty() { "<unset>".into() } else { addresses.join(",").into() }
    }),
    AGE,
];

static INGRESS_CLASSES: &[Column] =
    &[NAME, text("Controller", |o, _| plain(&o["spec"]["controller"], "")), text("Parameters", |_, _| "<none>".into()), AGE];

pub(crate) fn columns(resource: &Resource) -> &'static [Column] {
    match (resource.group, resource.plural) {
        ("", "pods") => PODS,
        ("", "nodes") => NODES,
        ("", "services") => SERVICES,
        ("", "configmaps") => CONFIG_MAPS,
        ("", "secrets") => SECRETS,
        ("", "namespaces") => NAMESPACES,
        ("", "events") => EVENTS,
        ("apps", "deployments") => DEPLOYMENTS,
        ("apps", "replicasets") => REPLICA_SETS,
        ("apps", "daemonsets") => DAEMON_SETS,
        ("networking.k8s.io", "ingresses") => INGRESSES,
        ("networking.k8s.io", "ingressclasses") => INGRESS_CLASSES,
        ("coordination.k8s.io", "leases") => LEASES,
        ("discovery.k8s.io", "endpointslices") => ENDPOINT_SLICES,
        _ => GENERIC,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::{RESOURCES, position};

    fn row(group: &str, plural: &str, object: &Value) -> Vec<Value> {
        let resource = &RESOURCES[position(group, plural).unwrap()];
        let now = humantime::parse_rfc3339("2030-01-01T00:01:00Z").unwrap();
        columns(resource).iter().filter(|c| c.priority == 0).map(|c| (c.cell)(object, now)).collect()
    }

    #[test]
    fn a_pod_in_trouble_says_why() {
        let pod = json!({
            "metadata": {"name": "a", "creationTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "x"}, {"name": "y"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"ready": true, "restartCount": 2, "state": {"running": {}}},
                {"ready": false, "restartCount": 5, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            ]},
        });
        assert_eq!(row("", "pods", &pod), ["a", "1/2", "CrashLoopBackOff", "7", "60s"]);
    }

    #[test]
    fn a_service_shows_its_ports() {
        let service = json!({
            "metadata": {"name": "s"},
            "spec": {"type": "NodePort", "clusterIP": "10.43.0.9", "ports": [
                {"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
        });
        assert_eq!(row("", "services", &service), ["s", "NodePort", "10.43.0.9", "<none>", "80:30080/TCP,53/UDP", "<unknown>"]);
    }

    #[test]
    fn an_empty_object_breaks_no_column() {
        for resource in RESOURCES {
            for column in columns(resource) {
                (column.cell)(&json!({}), SystemTime::UNIX_EPOCH);
            }
        }
    }
}
