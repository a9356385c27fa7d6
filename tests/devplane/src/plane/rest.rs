//! The controller's REST endpoints: ingress routes and IP intelligence.

use serde_json::{Map, Value, json};

use super::fields::{Field, Kind, check, optional, required};
use super::{Breach, Faults, Plane, percent_decode};

const REGISTER: &str = "/api/v1/gateway/routes/register";
const SYNC: &str = "/api/v1/gateway/routes/sync";
const UNREGISTER: &str = "/api/v1/gateway/routes/unregister";
const INTELLIGENCE: &str = "/api/v1/public/ip-intel/";

const ROUTE: &[Field] = &[
    required("hostname", Kind::Text),
    required("cluster_uuid", Kind::Filled),
    required("namespace", Kind::Filled),
    required("service_name", Kind::Filled),
    required("service_port", Kind::Count),
    required("ingress_name", Kind::Filled),
    required("path", Kind::Text),
    required("path_type", Kind::Filled),
    required("tls", Kind::Boolean),
    optional("annotations", Kind::TextMap),
    optional("public_endpoint", Kind::Filled),
    optional("routing_mode", Kind::OneOf(&["tunnel", "direct"])),
    optional("deployment_id", Kind::Filled),
    optional("deployment_name", Kind::Filled),
];
const ALL_ROUTES: &[Field] = &[
    required("cluster_uuid", Kind::Filled),
    optional("public_endpoint", Kind::Filled),
    optional("routing_mode", Kind::OneOf(&["tunnel", "direct"])),
    optional("ingress_controller", Kind::Object),
    required("ingresses", Kind::List),
];
const CONTROLLER: &[Field] = &[
    required("name", Kind::Filled),
    required("namespace", Kind::Filled),
    required("port", Kind::Count),
    required("type", Kind::OneOf(&["traefik", "nginx", "unknown"])),
];
const INGRESS: &[Field] = &[
    required("namespace", Kind::Filled),
    required("ingress_name", Kind::Filled),
    optional("annotations", Kind::TextMap),
    required("rules", Kind::List),
];
const RULE: &[Field] = &[required("host", Kind::Text), required("tls", Kind::Boolean), required("paths", Kind::List)];
const PATH: &[Field] = &[
    required("path", Kind::Text),
    required("path_type", Kind::Filled),
    required("service_name", Kind::Filled),
    required("service_port", Kind::Count),
];
const HOST: &[Field] = &[required("hostname", Kind::Text)];

/// A plain HTTP request of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestRequest {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The answer, or none for one left hanging.
#[derive(Clone, Debug, PartialEq)]
pub struct RestAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

/// A request and its fate.
#[derive(Clone, Debug)]
pub struct RestRecord {
    pub at: u64,
    pub request: RestRequest,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// 0 for one left hanging.
    pub status: u16,
}

impl Plane {
    /// Answers a REST request; `None` leaves it hanging.
    pub fn rest(&mut self, now: u64, request: RestRequest) -> Option<RestAnswer> {
        self.now = now;
        let json: Option<Value> = serde_json::from_slice(&request.body).ok();
        let answer = self.judge_rest(&request, json.as_ref());
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        self.records.rest.push(RestRecord { at: now, request, json, status });
        answer
    }

    fn judge_rest(&mut self, request: &RestRequest, json: Option<&Value>) -> Option<RestAnswer> {
        if let Some(refusal) = Faults::take_refusal(&mut self.faults.refuse_rest) {
            let headers = refusal.retry_after.map(|value| ("Retry-After".to_owned(), value));
            let body = json!({"error": "refused on purpose"});
            return Some(RestAnswer { status: refusal.status, headers: headers.into_iter().collect(), body });
        }
        if self.faults.hang_rest {
            return None;
        }
        let (status, body) = self.endpoint(request, json);
        Some(RestAnswer { status, headers: Vec::new(), body })
    }

    fn endpoint(&mut self, request: &RestRequest, json: Option<&Value>) -> (u16, Value) {
        let path = request.path.as_str();
        if let Some((_, address)) = path.split_once(INTELLIGENCE) {
            return self.intelligence(request, &percent_decode(address));
        }
        let Some(endpoint) = [REGISTER, SYNC, UNREGISTER].into_iter().find(|known| path.ends_with(known)) else {
            self.note(None, Breach::RestUnknown { method: request.method.clone(), path: path.to_owned() });
            return (404, json!({"error": "no such endpoint"}));
        };
        let header =
            |name: &str| request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if !self.knows_token(token) {
            return (401, json!({"error": "unauthorized"}));
        }
        let mut breaches = Vec::new();
        if header("content-type").is_none_or(|kind| !kind.starts_with("application/json")) {
            let value = header("content-type").unwrap_or("missing").to_owned();
            breaches.push(Breach::FieldValue { message: endpoint.into(), field: "Content-Type".into(), value });
        }
        let payload = json.and_then(Value::as_object);
        match payload {
            None => breaches.push(Breach::NotAnObject),
            Some(payload) if endpoint == REGISTER => check(endpoint, payload, ROUTE, &mut breaches),
            Some(payload) if endpoint == SYNC => check_sync(payload, &mut breaches),
            Some(payload) => check(endpoint, payload, HOST, &mut breaches),
        }
        if let Some(id) = payload.and_then(|payload| payload.get("cluster_uuid")).and_then(Value::as_str)
            && self.clusters.find(id).is_none()
        {
            let (message, field) = (endpoint.to_owned(), "cluster_uuid".to_owned());
            breaches.push(Breach::FieldValue { message, field, value: id.to_owned() });
        }
        let status = match (request.method.as_str(), payload) {
            ("POST", Some(_)) => 200,
            ("POST", None) => 400,
            _ => 405,
        };
        for breach in breaches {
            self.note(None, breach);
        }
        (status, json!({"success": status == 200}))
    }

    fn intelligence(&mut self, request: &RestRequest, address: &str) -> (u16, Value) {
        if request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            self.note(None, Breach::TokenSentNeedlessly);
        }
        match &self.config.intelligence {
            Some(Value::Object(facts)) => {
                let mut facts: Map<String, Value> = facts.clone();
                facts.insert("ip".into(), address.into());
                (200, json!({"success": true, "data": facts}))
            }
            _ => (404, json!({"success": false, "error": "unknown address"})),
        }
    }
}

fn check_sync(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check(SYNC, payload, ALL_ROUTES, breaches);
    if let Some(Value::Object(controller)) = payload.get("ingress_controller") {
        check("sync.ingress_controller", controller, CONTROLLER, breaches);
    }
    for ingress in objects(payload, "ingresses") {
        check("sync.ingresses", ingress, INGRESS, breaches);
        for rule in objects(ingress, "rules") {
            check("sync.ingresses.rules", rule, RULE, breaches);
            for path in objects(rule, "paths") {
                check("sync.ingresses.rules.paths", path, PATH, breaches);
            }
        }
    }
}

fn objects<'a>(map: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    map.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}
