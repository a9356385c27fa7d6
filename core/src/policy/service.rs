//! Which services may be asked.

use crate::policy::{DEFAULT_RULE, Pattern, PatternError, Policy, Refusal};

/// Services by namespace, name and port: `monitoring/grafana:3000`, `team-*/*`, `*/*:443`. Without a port all of them are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePattern {
    namespace: Pattern,
    name: Pattern,
    /// `None`: every port.
    port: Option<u16>,
}

impl ServicePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (namespace, rest) = text.split_once('/').ok_or(PatternError::Service)?;
        let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
        let port = match port {
            None | Some("*") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port != 0).ok_or(PatternError::Port)?)
            }
            Some(_) => return Err(PatternError::Port),
        };
        Ok(Self { namespace: Pattern::parse(namespace)?, name: Pattern::parse(name)?, port })
    }

    fn matches(&self, target: &Target<'_>, unknown_port_matches: bool) -> bool {
        let port = match (self.port, target.port) {
            (None, _) => true,
            (Some(_), None) => unknown_port_matches,
            (Some(wanted), Some(port)) => wanted == port,
        };
        port && self.namespace.matches(target.namespace) && self.name.matches(target.name)
    }

    /// Whether it names just this service, not one among others.
    fn names(&self, target: &Target<'_>) -> bool {
        self.namespace.is(target.namespace) && self.name.is(target.name) && self.matches(target, false)
    }
}

/// A service that is asked, directly or through the API server.
pub(super) struct Target<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// `None`: a port by name, or none at all.
    pub(super) port: Option<u16>,
}

impl Policy {
    /// Whether the plane may send this request to this service; the method in upper case. The verbs are for the Kubernetes API alone.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn service(&self, namespace: &str, name: &str, port: u16, method: &str, upgrade: bool) -> Result<(), Refusal> {
        self.explain_service(namespace, name, port, method, upgrade).map(|_| ())
    }

    /// The same, and the name of the rule that allows the request.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn explain_service(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
        method: &str,
        upgrade: bool,
    ) -> Result<&'static str, Refusal> {
        if !is_label(namespace) || !is_label(name) || port == 0 {
            return Err(Refusal::ServiceName);
        }
        if self.read_only && (upgrade || !matches!(method, "GET" | "HEAD" | "OPTIONS")) {
            return Err(Refusal::ReadOnly);
        }
        if self.deny_namespaces.iter().any(|pattern| pattern.matches(namespace)) {
            return Err(Refusal::DenyNamespaces);
        }
        if self.namespaces.as_ref().is_some_and(|allowed| !allowed.iter().any(|pattern| pattern.matches(namespace))) {
            return Err(Refusal::Namespaces);
        }
        self.target(&Target { namespace, name, port: Some(port) })?;
        Ok(if self.allow_services.is_some() {
            Refusal::AllowServices.rule()
        } else if self.namespaces.is_some() {
            Refusal::Namespaces.rule()
        } else if self.read_only {
            Refusal::ReadOnly.rule()
        } else {
            DEFAULT_RULE
        })
    }

    /// The rules about services alone, which hold on the way through the API server as well.
    pub(super) fn target(&self, target: &Target<'_>) -> Result<(), Refusal> {
        if !self.services {
            return Err(Refusal::Services);
        }
        if self.deny_services.iter().any(|pattern| pattern.matches(target, true)) {
            return Err(Refusal::DenyServices);
        }
        let allowed = self.allow_services.as_deref();
        // A request to the API as a service would pass by the rules for verbs and paths, so a pattern does not do.
        let kubernetes = target.namespace == "default" && target.name == "kubernetes";
        if kubernetes && !allowed.is_some_and(|allowed| allowed.iter().any(|pattern| pattern.names(target))) {
            return Err(Refusal::ServiceKubernetes);
        }
        match allowed {
            Some(allowed) if !allowed.iter().any(|pattern| pattern.matches(target, false)) => Err(Refusal::AllowServices),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the text is a label of a DNS name (RFC 1123), which is what namespaces and services are called.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn patterns(texts: &[&str]) -> Vec<ServicePattern> {
        texts.iter().map(|text| ServicePattern::parse(text).unwrap()).collect()
    }

    fn get(policy: &Policy, namespace: &str, name: &str, port: u16) -> Result<&'static str, Refusal> {
        policy.explain_service(namespace, name, port, "GET", false)
    }

    #[test]
    fn by_default_every_service_but_the_api() {
        let policy = Policy::default();
        assert_eq!(get(&policy, "default", "web", 80), Ok("default"));
        assert_eq!(policy.service("default", "0web", 65535, "DELETE", true), Ok(()));
        assert_eq!(get(&policy, "other", "kubernetes", 443), Ok("default"));
        assert_eq!(get(&policy, "default", "kubernetes", 443), Err(Refusal::ServiceKubernetes));
    }

    #[test]
    fn the_api_is_a_service_only_where_it_is_named() {
        for (pattern, expected) in [
            ("default/kubernetes", Ok("allow-services")),
            ("default/kubernetes:443", Ok("allow-services")),
            ("default/kubernetes:80", Err(Refusal::ServiceKubernetes)),
            ("default/*", Err(Refusal::ServiceKubernetes)),
            ("*/kubernetes", Err(Refusal::ServiceKubernetes)),
        ] {
            let policy = Policy { allow_services: Some(patterns(&[pattern])), ..Policy::default() };
            assert_eq!(get(&policy, "default", "kubernetes", 443), expected, "{pattern}");
        }
    }

    #[test]
    fn names_are_labels() {
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "a b", "a:80", "a@b", "\u{e4}", "..", long.as_str()] {
            assert_eq!(get(&Policy::default(), bad, "web", 80), Err(Refusal::ServiceName), "{bad}");
            assert_eq!(get(&Policy::default(), "default", bad, 80), Err(Refusal::ServiceName), "{bad}");
        }
        assert_eq!(get(&Policy::default(), "default", &long[1..], 80), Ok("default"));
        assert_eq!(get(&Policy::default(), "default", "web", 0), Err(Refusal::ServiceName));
    }

    #[test]
    fn lists() {
        let policy = Policy {
            allow_services: Some(patterns(&["team-*/*", "monitoring/grafana:3000", "*/shared:*"])),
            deny_services: patterns(&["team-a/secret", "*/*:22"]),
            ..Policy::default()
        };
        for (namespace, name, port, expected) in [
            ("team-a", "web", 80, Ok("allow-services")),
            ("team-a", "secret", 80, Err(Refusal::DenyServices)),
            ("team-b", "secret", 80, Ok("allow-services")),
            ("team-b", "web", 22, Err(Refusal::DenyServices)),
            ("monitoring", "grafana", 3000, Ok("allow-services")),
            ("monitoring", "grafana", 3001, Err(Refusal::AllowServices)),
            ("x", "shared", 1, Ok("allow-services")),
            ("team", "web", 80, Err(Refusal::AllowServices)),
        ] {
            assert_eq!(get(&policy, namespace, name, port), expected, "{namespace}/{name}:{port}");
        }
        let off = Policy { services: false, ..policy };
        assert_eq!(get(&off, "team-a", "web", 80), Err(Refusal::Services));
    }

    #[test]
    fn namespaces_and_read_only_hold_for_services_too() {
        let team = Policy {
            namespaces: Some(alloc::vec![Pattern::parse("team-*").unwrap()]),
            deny_namespaces: alloc::vec![Pattern::parse("team-x").unwrap()],
            ..Policy::default()
        };
        assert_eq!(get(&team, "team-a", "web", 80), Ok("namespaces"));
        assert_eq!(get(&team, "team-x", "web", 80), Err(Refusal::DenyNamespaces));
        assert_eq!(get(&team, "default", "web", 80), Err(Refusal::Namespaces));
        let reading = Policy { read_only: true, ..Policy::default() };
        for (method, upgrade, expected) in [
            ("GET", false, Ok("read-only")),
            ("HEAD", false, Ok("read-only")),
            ("OPTIONS", false, Ok("read-only")),
            ("POST", false, Err(Refusal::ReadOnly)),
            ("get", false, Err(Refusal::ReadOnly)),
            ("GET", true, Err(Refusal::ReadOnly)),
        ] {
            assert_eq!(reading.explain_service("default", "web", 80, method, upgrade), expected, "{method} {upgrade}");
        }
    }

    #[test]
    fn bad_patterns() {
        for (text, error) in [
            ("web", PatternError::Service),
            ("", PatternError::Service),
            ("/web", PatternError::Empty),
            ("default/", PatternError::Empty),
            ("default/web:", PatternError::Port),
            ("default/web:0", PatternError::Port),
            ("default/web:65536", PatternError::Port),
            ("default/web:http", PatternError::Port),
            ("default/a/b", PatternError::Character),
            ("*x/web", PatternError::Star),
            ("Default/web", PatternError::Character),
        ] {
            assert_eq!(ServicePattern::parse(text), Err(error), "{text:?}");
        }
    }
}
