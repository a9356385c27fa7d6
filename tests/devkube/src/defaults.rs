//! The fields that the server fills in by itself. Only those that clients look at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::resources::Resource;

/// Fills a field of the object at a pointer, where there is such an object and the field is not set.
fn set(object: &mut Value, pointer: &str, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        let place = fields.entry(field).or_insert(Value::Null);
        if place.is_null() {
            *place = value.into();
        }
    }
}

fn each<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `number` is unique in the store; addresses are made from it.
pub(crate) fn fill(resource: &Resource, object: &mut Value, number: u64) {
    match (resource.group, resource.plural) {
        ("", "pods") => {
            set(object, "", "status", json!({}));
            set(object, "/status", "phase", "Pending");
            pod_spec(object, "/spec");
        }
        ("", "services") => service(object, number),
        ("", "secrets") => secret(object),
        ("", "namespaces") => {
            let name = object["metadata"]["name"].clone();
            set(object, "/metadata", "labels", json!({}));
            set(object, "/metadata/labels", "kubernetes.io/metadata.name", name);
            set(object, "", "spec", json!({"finalizers": ["kubernetes"]}));
            set(object, "", "status", json!({}));
            set(object, "/status", "phase", "Active");
        }
        ("apps", "deployments" | "replicasets") => {
            set(object, "/spec", "replicas", 1);
            set(object, "", "status", json!({}));
            pod_spec(object, "/spec/template/spec");
        }
        ("apps", "daemonsets") => pod_spec(object, "/spec/template/spec"),
        _ => {}
    }
}

fn pod_spec(object: &mut Value, at: &str) {
    set(object, at, "restartPolicy", "Always");
    set(object, at, "terminationGracePeriodSeconds", 30);
    set(object, at, "dnsPolicy", "ClusterFirst");
    set(object, at, "serviceAccountName", "default");
    set(object, at, "schedulerName", "default-scheduler");
    set(object, at, "securityContext", json!({}));
    for container in each(object, &format!("{at}/containers")) {
        set(container, "", "resources", json!({}));
        set(container, "", "imagePullPolicy", "IfNotPresent");
        set(container, "", "terminationMessagePath", "/dev/termination-log");
        set(container, "", "terminationMessagePolicy", "File");
        for port in each(container, "/ports") {
            set(port, "", "protocol", "TCP");
        }
    }
}

fn service(object: &mut Value, number: u64) {
    set(object, "", "spec", json!({}));
    set(object, "", "status", json!({"loadBalancer": {}}));
    set(object, "/spec", "type", "ClusterIP");
    set(object, "/spec", "sessionAffinity", "None");
    let kind = object["spec"]["type"].clone();
    if kind != "ExternalName" {
        set(object, "/spec", "clusterIP", format!("10.43.{}.{}", 1 + number / 250 % 250, 2 + number % 250));
        let address = object["spec"]["clusterIP"].clone();
        if address != "None" {
            set(object, "/spec", "clusterIPs", json!([address]));
        }
    }
    let outside = kind == "NodePort" || kind == "LoadBalancer";
    for (place, port) in each(object, "/spec/ports").enumerate() {
        set(port, "", "protocol", "TCP");
        let same = port.get("port").cloned().unwrap_or_default();
        set(port, "", "targetPort", same);
        if outside {
            set(port, "", "nodePort", 30_000 + (number + place as u64) % 2_768);
        }
    }
}

fn secret(object: &mut Value) {
    set(object, "", "type", "Opaque");
    let Some(texts) = object.as_object_mut().and_then(|fields| fields.remove("stringData")) else {
        return;
    };
    set(object, "", "data", json!({}));
    let Some(data) = object.pointer_mut("/data").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, text) in texts.as_object().into_iter().flatten() {
        data.insert(name.clone(), STANDARD.encode(text.as_str().unwrap_or_default()).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{RESOURCES, position};

    fn filled(plural: &str, mut object: Value) -> Value {
        fill(&RESOURCES[position("", plural).unwrap()], &mut object, 7);
        object
    }

    #[test]
    fn secrets_take_plain_text() {
        let secret = filled("secrets", json!({"stringData": {"a": "hi"}, "data": {"b": "eA=="}}));
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "aGk=", "b": "eA=="}}));
    }

    #[test]
    fn services_get_an_address_and_keep_what_they_say() {
        let service = filled("services", json!({"spec": {"ports": [{"port": 80}]}}));
        assert_eq!(service["spec"]["clusterIP"], "10.43.1.9");
        assert_eq!(service["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
        assert_eq!(filled("services", json!({"spec": {"clusterIP": "None"}}))["spec"]["clusterIP"], "None");
    }

    #[test]
    fn broken_shapes_are_left_alone() {
        for plural in ["pods", "services", "secrets", "namespaces"] {
            filled(plural, json!({"spec": 7, "metadata": [], "data": 1, "stringData": {"a": 1}, "status": "x"}));
            filled(plural, json!({"spec": {"containers": [1, {"ports": 2}], "ports": [3]}}));
        }
    }
}
