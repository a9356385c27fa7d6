//! Requests as a caller describes them, and the many spellings they can have on the wire.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A request for a cluster.
#[derive(Clone, Debug, Default)]
pub struct ProxyRequest {
    /// The cluster's id; `None` takes the first that is online.
    pub cluster: Option<String>,
    /// Otherwise made by the plane.
    pub request_id: Option<String>,
    /// Left out when empty.
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<String>)>,
    pub body: Body,
    /// Ask for header, chunks and end instead of one message.
    pub streaming_answer: bool,
    pub spelling: Spelling,
    /// Milliseconds or a duration such as `"30s"`.
    pub timeout: Option<Value>,
    /// RFC 3339.
    pub deadline: Option<String>,
    pub scheme: Option<String>,
    pub namespace: Option<String>,
    pub service_name: Option<String>,
    pub service_port: Option<u16>,
    /// The request is a WebSocket's.
    pub is_websocket: bool,
    /// What the client has sent right after its request to upgrade.
    pub head_data: Vec<u8>,
    /// Further payload fields; they replace those above.
    pub extra: Map<String, Value>,
}

/// How a request's body travels.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    #[default]
    None,
    Base64(Vec<u8>),
    Raw(String),
    Json(Value),
    /// `body_binary`, and the body in the binary message that follows.
    Binary(Vec<u8>),
    /// Given later, with `body_chunk` and `body_end`.
    Chunked,
}

/// Where the protocol knows two spellings. `Default` is the gateway's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    /// `use_streaming` instead of `streaming`.
    pub use_streaming: bool,
    /// `data` instead of `chunk` in body chunks.
    pub data: bool,
    /// A header with one value as a plain string instead of an array.
    pub plain_headers: bool,
}

impl ProxyRequest {
    /// A `GET` with a streaming answer.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET".into(), path: path.into(), streaming_answer: true, ..Self::default() }
    }

    /// A `GET` that asks for another protocol: any token.
    #[must_use]
    pub fn upgrade(path: impl Into<String>, token: &str) -> Self {
        Self::get(path).header("Connection", "Upgrade").header("Upgrade", token)
    }

    /// A WebSocket's `GET`.
    #[must_use]
    pub fn websocket(path: impl Into<String>) -> Self {
        let mut request = Self::upgrade(path, "websocket")
            .header("Sec-Websocket-Version", "13")
            .header("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        request.is_websocket = true;
        request
    }

    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), vec![value.into()]));
        self
    }

    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// One `proxy_response` instead of a stream.
    #[must_use]
    pub fn buffered(mut self) -> Self {
        self.streaming_answer = false;
        self
    }

    /// In any of the ways the protocol knows.
    pub(super) fn asks_for_upgrade(&self) -> bool {
        let flag = |name: &str| self.extra.get(name).is_some_and(|value| *value == Value::Bool(true));
        self.is_websocket
            || flag("is_websocket")
            || flag("isWebSocket")
            || self.extra.get("protocol").and_then(Value::as_str).is_some_and(|protocol| !protocol.is_empty())
            || self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"))
    }

    pub(super) fn payload(&self, cluster_id: &str, cluster_uuid: &str) -> Value {
        let mut payload = Map::new();
        let mut put = |key: &str, value: Value| {
            payload.insert(key.into(), value);
        };
        if !self.method.is_empty() {
            put("method", self.method.as_str().into());
        }
        put("path", self.path.as_str().into());
        put("query", self.query.as_str().into());
        put("headers", headers(&self.headers, self.spelling.plain_headers));
        put("cluster_id", cluster_id.into());
        put("cluster_uuid", cluster_uuid.into());
        put("supports_response_streaming", self.streaming_answer.into());
        match &self.body {
            Body::None => {}
            Body::Base64(bytes) => {
                put("body", STANDARD.encode(bytes).into());
                put("body_encoding", "base64".into());
            }
            Body::Raw(text) => put("body", text.as_str().into()),
            Body::Json(value) => put("body", value.clone()),
            Body::Binary(bytes) => {
                put("body_binary", true.into());
                put("body_size", bytes.len().into());
            }
            Body::Chunked => {
                put(if self.spelling.use_streaming { "use_streaming" } else { "streaming" }, true.into());
            }
        }
        let options = [
            ("timeout", self.timeout.clone()),
            ("deadline", self.deadline.as_deref().map(Value::from)),
            ("scheme", self.scheme.as_deref().map(Value::from)),
            ("namespace", self.namespace.as_deref().map(Value::from)),
            ("service_name", self.service_name.as_deref().map(Value::from)),
            ("service_port", self.service_port.map(Value::from)),
            ("is_websocket", self.is_websocket.then(|| true.into())),
            ("head_data", (!self.head_data.is_empty()).then(|| STANDARD.encode(&self.head_data).into())),
        ];
        for (key, value) in options {
            if let Some(value) = value {
                put(key, value);
            }
        }
        for (key, value) in &self.extra {
            put(key, value.clone());
        }
        payload.into()
    }
}

/// A WebSocket to the Kubernetes API (`ws_start`).
#[derive(Clone, Debug, Default)]
pub struct WebSocketRequest {
    pub cluster: Option<String>,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<String>)>,
    /// Sub-protocols, separated by commas.
    pub protocol: Option<String>,
    /// `proxy_websocket_start` and so on instead of `ws_start`.
    pub long_names: bool,
}

impl WebSocketRequest {
    pub(super) fn payload(&self, stream_id: &str, cluster_uuid: &str) -> Value {
        let mut payload = json!({
            "stream_id": stream_id, "cluster_uuid": cluster_uuid, "method": "GET", "path": self.path,
            "query": self.query, "headers": headers(&self.headers, false),
        });
        if let (Some(protocol), Some(fields)) = (&self.protocol, payload.as_object_mut()) {
            fields.insert("protocol".into(), protocol.as_str().into());
        }
        payload
    }
}

/// The binary message that carries a `body_binary` body.
pub(super) fn binary_body(request_id: &str, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(request_id.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(2 + request_id.len() + body.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(request_id.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn headers(list: &[(String, Vec<String>)], plain: bool) -> Value {
    let mut map: Map<String, Value> = Map::new();
    for (name, values) in list {
        match map.get_mut(name) {
            Some(Value::Array(present)) => present.extend(values.iter().cloned().map(Value::from)),
            _ => {
                map.insert(name.clone(), values.clone().into());
            }
        }
    }
    if plain {
        for value in map.values_mut() {
            let single = value.as_array_mut().filter(|list| list.len() == 1).and_then(Vec::pop);
            if let Some(single) = single {
                *value = single;
            }
        }
    }
    map.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_spellings() {
        let with = |body: Body| ProxyRequest { body, ..ProxyRequest::default() }.payload("c", "u");
        assert_eq!(with(Body::Base64(b"hello".to_vec()))["body"], "aGVsbG8=");
        assert_eq!(with(Body::Raw("x".into()))["body"], "x");
        assert_eq!(with(Body::Json(json!({"a": 1})))["body"]["a"], 1);
        assert_eq!(with(Body::Binary(vec![0; 3]))["body_size"], 3);
        assert_eq!(with(Body::Chunked)["streaming"], true);
        let spelling = Spelling { use_streaming: true, data: true, plain_headers: true };
        let payload = ProxyRequest { body: Body::Chunked, spelling, ..ProxyRequest::get("/x") }
            .header("A", "1")
            .header("B", "1")
            .header("B", "2")
            .payload("c", "u");
        assert_eq!(payload["use_streaming"], true);
        assert_eq!(payload["headers"], json!({"A": "1", "B": ["1", "2"]}));
    }

    #[test]
    fn upgrades() {
        let request = ProxyRequest { head_data: b"hello".to_vec(), ..ProxyRequest::websocket("/ws") };
        let payload = request.payload("c", "u");
        assert_eq!((&payload["is_websocket"], &payload["head_data"]), (&json!(true), &json!("aGVsbG8=")));
        assert_eq!(payload["headers"]["Upgrade"], json!(["websocket"]));
        let with = |name: &str, value: Value| {
            let extra = Map::from_iter([(name.to_owned(), value)]);
            ProxyRequest { extra, ..ProxyRequest::get("/x") }.asks_for_upgrade()
        };
        assert!(with("isWebSocket", json!(true)) && with("is_websocket", json!(true)) && with("protocol", json!("a")));
        assert!(
            !with("is_websocket", json!(false)) && !with("protocol", json!("")) && !ProxyRequest::get("/x").asks_for_upgrade()
        );
        assert!(ProxyRequest::get("/x").header("uPgrade", "x").asks_for_upgrade());
    }

    #[test]
    fn extra_fields_win() {
        let mut request = ProxyRequest::get("/x");
        request.extra.insert("path".into(), 7.into());
        assert_eq!(request.payload("c", "u")["path"], 7);
    }

    #[test]
    fn binary_body_layout() {
        assert_eq!(binary_body("r1", b"BODY"), b"\x00\x02r1BODY");
    }
}
