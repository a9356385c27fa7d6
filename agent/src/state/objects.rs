//! The state as a ConfigMap and a Secret, with the names and keys of the Go agent.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use miniserde::json::{self, Object, Value};

use super::{Saved, StateError};
use crate::cluster::OwnClient;
use crate::secret::Secret;

/// How often a write that somebody else overtook is tried again.
const CONFLICTS: usize = 3;

/// Where the two objects are.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) client: OwnClient,
    pub(crate) namespace: String,
    pub(crate) configmap: String,
    pub(crate) secret: String,
}

impl fmt::Display for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConfigMap:{0}/{1}, Secret:{0}/{2}", self.namespace, self.configmap, self.secret)
    }
}

/// One of the two objects, as far as they differ.
struct Shape<'a> {
    resource: &'static str,
    kind: &'static str,
    component: &'static str,
    name: &'a str,
}

impl Objects {
    fn configmap(&self) -> Shape<'_> {
        Shape { resource: "configmaps", kind: "ConfigMap", component: "state", name: &self.configmap }
    }

    fn secret(&self) -> Shape<'_> {
        Shape { resource: "secrets", kind: "Secret", component: "secrets", name: &self.secret }
    }

    pub(super) async fn read(&self) -> Result<Saved, StateError> {
        let mut saved = Saved::default();
        if let Some(object) = self.get(&self.configmap()).await? {
            let data = data(&object);
            saved.agent_id = text(data, "agent_id");
            saved.cluster_id = text(data, "cluster_id");
            saved.gateway_url = text(data, "gateway_ws_url");
        }
        // An agent that may not read Secrets is still the same agent.
        match self.get(&self.secret()).await {
            Ok(Some(object)) => {
                let data = data(&object);
                saved.cluster_token = decoded(data, "cluster_token").map(Secret::new);
                saved.ca_data = decoded(data, "cluster_cert_data");
            }
            Ok(None) => {}
            Err(StateError::Status(403)) => log::debug!("The state's Secret may not be read"),
            Err(error) => return Err(error),
        }
        Ok(saved)
    }

    pub(super) async fn write(&self, saved: &Saved) -> Result<(), StateError> {
        let plain = |value: &Option<String>| value.clone();
        let entries = [
            ("agent_id", plain(&saved.agent_id)),
            ("cluster_id", plain(&saved.cluster_id)),
            ("gateway_ws_url", plain(&saved.gateway_url)),
        ];
        self.put(&self.configmap(), &entries).await?;
        let encoded = |value: Option<&str>| value.map(|value| STANDARD.encode(value));
        let entries = [
            ("cluster_token", encoded(saved.cluster_token.as_ref().map(Secret::expose))),
            ("cluster_cert_data", encoded(saved.ca_data.as_deref())),
        ];
        if entries.iter().any(|(_, value)| value.is_some()) {
            match self.put(&self.secret(), &entries).await {
                Err(StateError::Status(403)) => log::debug!("The state's Secret may not be written"),
                result => return result,
            }
        }
        Ok(())
    }

    /// Writes both as they are and has nothing of it kept. Whether the Secret may be written too.
    pub(super) async fn rehearse(&self) -> Result<bool, StateError> {
        self.rehearse_one(&self.configmap()).await?;
        match self.rehearse_one(&self.secret()).await {
            Ok(()) => Ok(true),
            Err(StateError::Status(403)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn rehearse_one(&self, shape: &Shape<'_>) -> Result<(), StateError> {
        let (method, path, object) = match self.get(shape).await? {
            None => (Method::POST, self.path(shape), self.fresh(shape, &[])),
            Some(object) => (Method::PUT, format!("{}/{}", self.path(shape), shape.name), object),
        };
        let body = json::to_string(&object).into_bytes();
        let answer = self.client.request(method, &format!("{path}?dryRun=All"), Some(body)).await.map_err(StateError::Request)?;
        match answer.status {
            // Somebody writes at the same time: so can the agent.
            200 | 201 | 409 => Ok(()),
            status => Err(StateError::Status(status)),
        }
    }

    fn path(&self, shape: &Shape<'_>) -> String {
        format!("/api/v1/namespaces/{}/{}", self.namespace, shape.resource)
    }

    async fn get(&self, shape: &Shape<'_>) -> Result<Option<Object>, StateError> {
        let path = format!("{}/{}", self.path(shape), shape.name);
        let answer = self.client.request(Method::GET, &path, None).await.map_err(StateError::Request)?;
        match answer.status {
            200 => answer.object().map(Some).ok_or(StateError::Content),
            404 => Ok(None),
            status => Err(StateError::Status(status)),
        }
    }

    /// Sets entries of the object's data and leaves all others as they are. Reads first, so that nothing is written that is there
    /// already, and so that the verbs are those that the Go agent's rights contain: get, create, update.
    async fn put(&self, shape: &Shape<'_>, entries: &[(&str, Option<String>)]) -> Result<(), StateError> {
        for _ in 0..CONFLICTS {
            let (method, path, object) = match self.get(shape).await? {
                None => (Method::POST, self.path(shape), self.fresh(shape, entries)),
                Some(mut object) => {
                    if !merge(&mut object, entries) {
                        return Ok(());
                    }
                    (Method::PUT, format!("{}/{}", self.path(shape), shape.name), object)
                }
            };
            let body = json::to_string(&object).into_bytes();
            let answer = self.client.request(method, &path, Some(body)).await.map_err(StateError::Request)?;
            match answer.status {
                200 | 201 => return Ok(()),
                409 => {}
                status => return Err(StateError::Status(status)),
            }
        }
        Err(StateError::Status(409))
    }

    fn fresh(&self, shape: &Shape<'_>, entries: &[(&str, Option<String>)]) -> Object {
        let string = |text: &str| Value::String(text.into());
        let mut labels = Object::new();
        labels.insert("app.kubernetes.io/name".into(), string("pipeops-agent"));
        labels.insert("app.kubernetes.io/component".into(), string(shape.component));
        labels.insert("app.kubernetes.io/managed-by".into(), string("pipeops-agent"));
        let mut metadata = Object::new();
        metadata.insert("name".into(), string(shape.name));
        metadata.insert("namespace".into(), string(&self.namespace));
        metadata.insert("labels".into(), Value::Object(labels));
        let mut object = Object::new();
        object.insert("apiVersion".into(), string("v1"));
        object.insert("kind".into(), string(shape.kind));
        object.insert("metadata".into(), Value::Object(metadata));
        merge(&mut object, entries);
        object
    }
}

/// True when that changed something.
fn merge(object: &mut Object, entries: &[(&str, Option<String>)]) -> bool {
    let mut data = match object.remove("data") {
        Some(Value::Object(data)) => data,
        _ => Object::new(),
    };
    let mut changed = false;
    for (key, value) in entries {
        if let Some(value) = value
            && text(Some(&data), key).as_ref() != Some(value)
        {
            data.insert((*key).into(), Value::String(value.clone()));
            changed = true;
        }
    }
    object.insert("data".into(), Value::Object(data));
    changed
}

fn data(object: &Object) -> Option<&Object> {
    match object.get("data") {
        Some(Value::Object(data)) => Some(data),
        _ => None,
    }
}

fn text(data: Option<&Object>, key: &str) -> Option<String> {
    match data?.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn decoded(data: Option<&Object>, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text(data, key)?).ok()?).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::kubeconfig::ClusterAccess;
    use devkube::{DevKube, Options, Token};
    use serde_json::json;

    /// Runs `test` against an API server with the state's objects in its namespace `default`.
    fn with_kube<T: Future<Output = ()>>(token: Token, test: impl FnOnce(std::rc::Rc<DevKube>, Objects) -> T) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let secret = token.token.clone();
            let kube = DevKube::start(Options { tokens: vec![token], ..Options::default() }).await.unwrap();
            let access = ClusterAccess::of_a_pod(kube.addr().port(), &secret, None);
            let client = Cluster::new(&access, false).unwrap().own;
            let objects = Objects { client, namespace: "default".into(), configmap: "state".into(), secret: "secrets".into() };
            test(std::rc::Rc::new(kube), objects).await;
        });
    }

    fn saved() -> Saved {
        Saved {
            agent_id: Some("agent-1".into()),
            cluster_id: Some("c".into()),
            gateway_url: Some("wss://g".into()),
            cluster_token: Some(Secret::new("t")),
            ca_data: Some("cGVt".into()),
        }
    }

    #[test]
    fn what_is_written_is_read_with_the_keys_of_the_go_agent() {
        with_kube(Token::admin("t", "agent"), async |kube, objects| {
            assert_eq!(objects.read().await.unwrap(), Saved::default());
            objects.write(&saved()).await.unwrap();
            assert_eq!(objects.read().await.unwrap(), saved());
            let configmap = kube.get("configmaps", "default", "state").unwrap();
            assert_eq!(configmap["data"], json!({"agent_id": "agent-1", "cluster_id": "c", "gateway_ws_url": "wss://g"}));
            let secret = kube.get("secrets", "default", "secrets").unwrap();
            assert_eq!(secret["data"], json!({"cluster_token": "dA==", "cluster_cert_data": "Y0dWdA=="}));
        });
    }

    #[test]
    fn what_others_keep_there_stays_and_what_is_there_is_not_written_again() {
        with_kube(Token::admin("t", "agent"), async |kube, objects| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "state", "namespace": "default"},
                "data": {"agent_id": "agent-1", "theirs": "1"}});
            kube.put(object).unwrap();
            objects.write(&saved()).await.unwrap();
            let configmap = kube.get("configmaps", "default", "state").unwrap();
            assert_eq!(configmap["data"]["theirs"], "1");
            assert_eq!(configmap["data"]["cluster_id"], "c");
            kube.clear_requests();
            objects.write(&saved()).await.unwrap();
            assert!(kube.requests().iter().all(|request| request.method == "GET"), "nothing changed, nothing written");
        });
    }

    #[test]
    fn a_rehearsal_writes_nothing_and_finds_what_is_forbidden() {
        with_kube(Token::admin("t", "agent"), async |kube, objects| {
            assert!(objects.rehearse().await.unwrap());
            assert!(kube.get("configmaps", "default", "state").is_none() && kube.get("secrets", "default", "secrets").is_none());
            objects.write(&saved()).await.unwrap();
            let before = kube.version();
            assert!(objects.rehearse().await.unwrap());
            assert_eq!(kube.version(), before);
            let elsewhere = Objects { namespace: "nowhere".into(), ..objects };
            assert!(matches!(elsewhere.rehearse().await, Err(StateError::Status(404))));
        });
        with_kube(Token::read_only("t", "agent"), async |_, objects| {
            assert!(matches!(objects.rehearse().await, Err(StateError::Status(403))));
        });
    }

    #[test]
    fn an_agent_without_the_right_to_secrets_is_still_the_same_agent() {
        with_kube(Token::read_only("t", "agent"), async |kube, objects| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "state", "namespace": "default"},
                "data": {"agent_id": "agent-1", "cluster_id": "c"}});
            kube.put(object).unwrap();
            let read = objects.read().await.unwrap();
            assert_eq!((read.agent_id.as_deref(), read.cluster_id.as_deref()), (Some("agent-1"), Some("c")));
            assert!(matches!(objects.write(&saved()).await, Err(StateError::Status(403))));
        });
    }
}
