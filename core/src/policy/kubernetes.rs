//! The rules for requests to the Kubernetes API.

use crate::policy::request::Request;
use crate::policy::service::Target;
use crate::policy::verb::{Verb, Verbs};
use crate::policy::{DEFAULT_RULE, Pattern, Policy, Refusal};

/// A request to the Kubernetes API, as far as the rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct KubernetesCall<'a> {
    /// In upper case, as [`method`](crate::policy::method) gives it.
    pub method: &'a str,
    /// Decoded, as it came.
    pub path: &'a str,
    /// Raw, with or without the question mark.
    pub query: &'a str,
    /// Whether the request asks for another protocol on the same connection.
    pub upgrade: bool,
}

/// What the policy makes of a request to the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// What the request does; of two things the one that was refused.
    pub verb: Verb,
    /// The namespace that it names; empty for none or all.
    pub namespace: &'a str,
    /// The name of the rule that allows it, [`DEFAULT_RULE`] if no setting had to, or the refusal.
    pub verdict: Result<&'static str, Refusal>,
}

impl Policy {
    /// Whether the plane may send this request. The spelling of its parts is for [`kubernetes_path`](crate::policy::kubernetes_path)
    /// and its siblings to check.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn kubernetes(&self, call: &KubernetesCall<'_>) -> Result<(), Refusal> {
        self.explain_kubernetes(call).verdict.map(|_| ())
    }

    /// The same, with what the request was taken for and the rule that decides.
    #[must_use]
    pub fn explain_kubernetes<'a>(&self, call: &KubernetesCall<'a>) -> Explanation<'a> {
        let request = match Request::read(call) {
            Ok(request) => request,
            Err(refusal) => return Explanation { verb: Verb::of_method(call.method), namespace: "", verdict: Err(refusal) },
        };
        let namespace = request.namespace;
        let explanation = |verb, verdict| Explanation { verb, namespace, verdict };
        for verb in [Some(request.verb), request.also].into_iter().flatten() {
            if let Err(refusal) = self.check_verb(verb, &request) {
                return explanation(verb, Err(refusal));
            }
        }
        let checked = self
            .check_namespace(&request)
            .and_then(|()| self.check_path(&request))
            .and_then(|()| self.check_proxied_service(&request));
        explanation(request.verb, checked.map(|()| self.allowing_rule(&request)))
    }

    fn check_verb(&self, verb: Verb, request: &Request<'_>) -> Result<(), Refusal> {
        let review = request.is_self_review();
        if self.read_only && !verb.is_read() && !review {
            return Err(Refusal::ReadOnly);
        }
        // A review reads, so those who may read may ask what they may read.
        let named = |verbs: Verbs| verbs.contains(verb) || (review && verbs.contains(Verb::Get));
        if self.verbs.is_none_or(named) { Ok(()) } else { Err(Refusal::Verbs) }
    }

    fn check_namespace(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let names = |patterns: &[Pattern]| {
            !request.namespace.is_empty() && patterns.iter().any(|pattern| pattern.matches(request.namespace))
        };
        if names(&self.deny_namespaces) || (!self.deny_namespaces.is_empty() && request.spans_namespaces()) {
            return Err(Refusal::DenyNamespaces);
        }
        match &self.namespaces {
            Some(allowed) if !names(allowed) && !is_everybodys(request) => Err(Refusal::Namespaces),
            Some(_) | None => Ok(()),
        }
    }

    fn check_path(&self, request: &Request<'_>) -> Result<(), Refusal> {
        // The old /watch/ must not be a way around a rule for the path that everybody writes.
        let modern = request.modern_segments();
        let modern = modern.as_deref().unwrap_or(&request.segments);
        if self.deny_paths.iter().any(|pattern| pattern.matches(&request.segments) || pattern.matches(modern)) {
            return Err(Refusal::DenyPaths);
        }
        match &self.paths {
            Some(allowed) if !allowed.iter().any(|pattern| pattern.matches(modern)) && !is_everybodys(request) => {
                Err(Refusal::Paths)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The API server's own way to services must not lead around the rules for services.
    fn check_proxied_service(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(resource) = request.resource.filter(|resource| request.verb == Verb::Proxy && resource.kind == "services")
        else {
            return Ok(());
        };
        // "name", "name:port", or "scheme:name:port".
        let mut parts = resource.name.split(':');
        let (name, port) = match (parts.next(), parts.next(), parts.next()) {
            (Some(_), Some(name), Some(port)) => (name, port),
            (Some(name), Some(port), None) => (name, port),
            (name, ..) => (name.unwrap_or_default(), ""),
        };
        self.target(&Target { namespace: request.namespace, name, port: port.parse().ok() })
    }

    /// The narrowest of the settings that had to allow it.
    fn allowing_rule(&self, request: &Request<'_>) -> &'static str {
        let everybodys = is_everybodys(request);
        if self.paths.is_some() && !everybodys {
            Refusal::Paths.rule()
        } else if self.namespaces.is_some() && !everybodys {
            Refusal::Namespaces.rule()
        } else if self.verbs.is_some() {
            Refusal::Verbs.rule()
        } else if self.read_only {
            Refusal::ReadOnly.rule()
        } else {
            DEFAULT_RULE
        }
    }
}

/// What no list of namespaces or paths needs to name, since nothing works without it and it shows no object.
fn is_everybodys(request: &Request<'_>) -> bool {
    request.is_discovery() || request.is_self_review()
}
