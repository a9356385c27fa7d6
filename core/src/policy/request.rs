//! What a request to the Kubernetes API asks for, read as the API server reads it.

use alloc::vec::Vec;

use crate::policy::verb::Verb;
use crate::policy::{KubernetesCall, Refusal};

/// A request, taken apart.
pub(super) struct Request<'a> {
    pub(super) verb: Verb,
    /// A second verb that must be allowed too: where a request can be read in two ways, or is two things at once.
    pub(super) also: Option<Verb>,
    /// Empty: no namespace, or all of them.
    pub(super) namespace: &'a str,
    /// `None`: discovery, health and what else is no resource.
    pub(super) resource: Option<Resource<'a>>,
    pub(super) segments: Vec<&'a str>,
    /// Where the old `/watch/` or `/proxy/` stands in `segments`.
    pub(super) special: Option<usize>,
}

/// Empty texts for parts that are not there.
#[derive(Clone, Copy, Default)]
pub(super) struct Resource<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) subresource: &'a str,
}

impl<'a> Request<'a> {
    /// # Errors
    /// [`Refusal::EmptyPath`] and [`Refusal::PathSegment`] for a path that [`kubernetes_path`](crate::policy::kubernetes_path)
    /// would refuse: nothing can be said about it.
    pub(super) fn read(call: &KubernetesCall<'a>) -> Result<Self, Refusal> {
        let path = call.path.strip_prefix('/').unwrap_or(call.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Err(Refusal::EmptyPath);
        }
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(Refusal::PathSegment);
        }
        let verb = Verb::of_method(call.method);
        let mut request = Self { verb, also: None, namespace: "", resource: None, segments, special: None };
        request.read_resource(call);
        request.read_upgrade(call);
        Ok(request)
    }

    fn read_resource(&mut self, call: &KubernetesCall<'a>) {
        let (group, start) = match self.segments.as_slice() {
            ["api", _, _, ..] => ("", 2),
            ["apis", group, _, _, ..] => (*group, 3),
            _ => return,
        };
        let mut parts = self.segments.get(start..).unwrap_or_default();
        let old = match parts.first() {
            Some(&"watch") => Some(Verb::Watch),
            Some(&"proxy") => Some(Verb::Proxy),
            Some(_) | None => None,
        };
        if old.is_some() {
            self.special = Some(start);
            parts = parts.get(1..).unwrap_or_default();
        }
        if let ["namespaces", namespace, rest @ ..] = parts {
            self.namespace = namespace;
            // What follows is a resource in the namespace, unless it is part of the namespace's own object.
            if rest.first().is_some_and(|next| !matches!(*next, "status" | "finalize")) {
                parts = rest;
            }
        }
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        // Behind the old /proxy/ everything is the target's own path.
        let subresource = if old == Some(Verb::Proxy) { "" } else { part(2) };
        let resource = Resource { group, kind: part(0), name: part(1), subresource };
        self.resource = Some(resource);
        let by_method = self.verb;
        (self.verb, self.also) = match (subresource, old) {
            ("exec", _) => (Verb::Exec, None),
            ("attach", _) => (Verb::Attach, None),
            ("portforward", _) => (Verb::PortForward, None),
            ("proxy", _) => (Verb::Proxy, kubelet(resource, part(3))),
            (_, Some(Verb::Proxy)) => (Verb::Proxy, kubelet(resource, part(2))),
            (_, Some(watch)) => (watch, Some(by_method).filter(|verb| *verb != Verb::Get)),
            (_, None) if resource.name.is_empty() && by_method == Verb::Get => list_or_watch(call.query),
            (_, None) if resource.name.is_empty() && by_method == Verb::Delete => (Verb::DeleteCollection, None),
            (_, None) => (by_method, None),
        };
    }

    /// An upgraded connection is a pipe to something. A log and a watch come over one as well; what else there is (consoles of
    /// virtual machines, say) counts as exec, whatever its method makes of it.
    fn read_upgrade(&mut self, call: &KubernetesCall<'_>) {
        let named = matches!(self.verb, Verb::Exec | Verb::Attach | Verb::PortForward | Verb::Proxy | Verb::Watch);
        if call.upgrade && !named && !self.is_log() {
            self.also = Some(self.verb);
            self.verb = Verb::Exec;
        }
    }

    fn is_log(&self) -> bool {
        let log = |resource: &Resource<'_>| resource.group.is_empty() && resource.kind == "pods" && resource.subresource == "log";
        self.verb == Verb::Get && self.resource.as_ref().is_some_and(log)
    }

    /// Discovery, versions and health: what every client reads before it does anything.
    pub(super) fn is_discovery(&self) -> bool {
        self.resource.is_none() && self.verb == Verb::Get
    }

    /// A question about one's own rights or name. It is put by POST, but changes nothing.
    pub(super) fn is_self_review(&self) -> bool {
        let review = |resource: &Resource<'_>| {
            resource.name.is_empty()
                && matches!(
                    (resource.group, resource.kind),
                    ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
                        | ("authentication.k8s.io", "selfsubjectreviews")
                )
        };
        self.verb == Verb::Create
            && self.also.is_none()
            && self.namespace.is_empty()
            && self.resource.as_ref().is_some_and(review)
    }

    /// Whether it can reach into namespaces that it does not name. Of a resource that is not known, it can.
    pub(super) fn spans_namespaces(&self) -> bool {
        let Some(resource) = &self.resource else {
            return false;
        };
        if !self.namespace.is_empty() || self.is_self_review() {
            return false;
        }
        // A node's proxy leads to the pods of every namespace.
        if matches!(self.verb, Verb::Proxy | Verb::Exec | Verb::Attach | Verb::PortForward) {
            return true;
        }
        // What has a name and no namespace is itself in no namespace. The same goes for what is created.
        resource.name.is_empty() && self.verb != Verb::Create && !is_cluster_scoped(resource)
    }

    /// The segments of the path without the old `/watch/` or `/proxy/`, if there is one.
    pub(super) fn modern_segments(&self) -> Option<Vec<&'a str>> {
        let special = self.special?;
        let kept = self.segments.iter().enumerate().filter(|(index, _)| *index != special);
        Some(kept.map(|(_, segment)| *segment).collect())
    }
}

/// What a path of the kubelet does besides being proxied.
fn kubelet(resource: Resource<'_>, first: &str) -> Option<Verb> {
    if resource.kind != "nodes" {
        return None;
    }
    match first {
        "exec" | "run" | "cri" => Some(Verb::Exec),
        "attach" => Some(Verb::Attach),
        "portForward" => Some(Verb::PortForward),
        _ => None,
    }
}

/// The verb of a read without a name, by the query. The API server takes the first `watch`; everything but `false` and `0` means
/// yes. It drops what it cannot decode and what holds a semicolon, others may not, so where the readings differ both verbs count.
fn list_or_watch(query: &str) -> (Verb, Option<Verb>) {
    let (mut yes, mut no, mut unclear) = (false, false, false);
    for pair in query.strip_prefix('?').unwrap_or(query).split('&') {
        for piece in pair.split(';') {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            if decode(key).is_none_or(|key| key != b"watch") {
                continue;
            }
            unclear |= pair.contains(';');
            match decode(value) {
                None => unclear = true,
                Some(value) if value.eq_ignore_ascii_case(b"false") || value == b"0" => no = true,
                Some(_) => yes = true,
            }
        }
    }
    if unclear || (yes && no) {
        (Verb::Watch, Some(Verb::List))
    } else if yes {
        (Verb::Watch, None)
    } else {
        (Verb::List, None)
    }
}

/// Decodes a part of a query (`application/x-www-form-urlencoded`), `None` if an escape is not one.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut nibble = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                nibble()? << 4 | nibble()?
            }
            other => other,
        });
    }
    Some(decoded)
}

/// The resources of Kubernetes itself that belong to no namespace and can be listed.
fn is_cluster_scoped(resource: &Resource<'_>) -> bool {
    match resource.group {
        "" => matches!(resource.kind, "namespaces" | "nodes" | "persistentvolumes" | "componentstatuses"),
        "admissionregistration.k8s.io" | "flowcontrol.apiserver.k8s.io" | "apiregistration.k8s.io" | "apiextensions.k8s.io" => {
            true
        }
        "certificates.k8s.io" => matches!(resource.kind, "certificatesigningrequests" | "clustertrustbundles"),
        "metrics.k8s.io" => resource.kind == "nodes",
        "networking.k8s.io" => matches!(resource.kind, "ingressclasses" | "ipaddresses" | "servicecidrs"),
        "node.k8s.io" => resource.kind == "runtimeclasses",
        "rbac.authorization.k8s.io" => matches!(resource.kind, "clusterroles" | "clusterrolebindings"),
        "scheduling.k8s.io" => resource.kind == "priorityclasses",
        "storage.k8s.io" => {
            matches!(
                resource.kind,
                "storageclasses" | "volumeattachments" | "csidrivers" | "csinodes" | "volumeattributesclasses"
            )
        }
        _ => false,
    }
}
