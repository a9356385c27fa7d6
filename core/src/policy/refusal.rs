//! Why a request is refused, and the name of the rule.

use core::fmt;

/// Why a request is refused. `Display` gives the text that the plane sees; [`Refusal::rule`] is the stable name for logs.
///
/// A rule that the operator sets has the name of its setting below `policy.`, with dashes for underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path is empty.
    EmptyPath,
    /// The path holds a character that has no place in a decoded path.
    PathCharacter,
    /// The path has a `.` or `..` segment or an empty one.
    PathSegment,
    /// The path is not below one of the API server's roots.
    PathRoot,
    /// The path of a request to a service does not begin with a slash.
    PathRelative,
    /// The query holds a control character.
    QueryCharacter,
    /// A header name or value is not valid HTTP.
    Header,
    /// The request wants to act as somebody else, which the configuration does not allow.
    Impersonation,
    /// The request names no method that HTTP knows.
    Method,
    /// The request does more than read.
    ReadOnly,
    /// The verb is not among those that the configuration allows.
    Verbs,
    /// The namespace, or the cluster scope, is not among what the configuration allows.
    Namespaces,
    /// The namespace is one that the configuration denies, or could be.
    DenyNamespaces,
    /// The path is not among those that the configuration allows.
    Paths,
    /// The path is one that the configuration denies.
    DenyPaths,
    /// The configuration allows no traffic to services.
    Services,
    /// The service is not among those that the configuration allows.
    AllowServices,
    /// The service is one that the configuration denies.
    DenyServices,
    /// The namespace or name of the service is no DNS label, or the port is 0.
    ServiceName,
    /// The service is the Kubernetes API itself, which has its own way with its own rules.
    ServiceKubernetes,
    /// The service is a name for something outside the cluster (`ExternalName`).
    ServiceExternal,
    /// The target's address belongs to the machine, a node, a metadata service or a group.
    Address,
    /// The target's address is not a private one, and nobody but a name server says that it is in the cluster.
    AddressOutside,
}

impl Refusal {
    /// Every refusal, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::Method,
        Self::EmptyPath,
        Self::PathCharacter,
        Self::PathSegment,
        Self::PathRoot,
        Self::PathRelative,
        Self::QueryCharacter,
        Self::Header,
        Self::Impersonation,
        Self::ReadOnly,
        Self::Verbs,
        Self::Namespaces,
        Self::DenyNamespaces,
        Self::Paths,
        Self::DenyPaths,
        Self::Services,
        Self::AllowServices,
        Self::DenyServices,
        Self::ServiceName,
        Self::ServiceKubernetes,
        Self::ServiceExternal,
        Self::Address,
        Self::AddressOutside,
    ];

    /// The stable name of the rule.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::EmptyPath => "path-empty",
            Self::PathCharacter => "path-character",
            Self::PathSegment => "path-segment",
            Self::PathRoot => "path-root",
            Self::PathRelative => "path-relative",
            Self::QueryCharacter => "query-character",
            Self::Header => "header",
            Self::Impersonation => "impersonation",
            Self::Method => "method",
            Self::ReadOnly => "read-only",
            Self::Verbs => "verbs",
            Self::Namespaces => "namespaces",
            Self::DenyNamespaces => "deny-namespaces",
            Self::Paths => "paths",
            Self::DenyPaths => "deny-paths",
            Self::Services => "services",
            Self::AllowServices => "allow-services",
            Self::DenyServices => "deny-services",
            Self::ServiceName => "service-name",
            Self::ServiceKubernetes => "service-kubernetes",
            Self::ServiceExternal => "service-external",
            Self::Address => "address",
            Self::AddressOutside => "address-outside",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::EmptyPath => "the path is empty",
            Self::PathCharacter => "the path holds a character that is not allowed there",
            Self::PathSegment => "the path holds an empty, '.' or '..' segment",
            Self::PathRoot => "the path is not below a root of the Kubernetes API",
            Self::PathRelative => "the path does not begin with a slash",
            Self::QueryCharacter => "the query holds a control character",
            Self::Header => "a header is not valid HTTP",
            Self::Impersonation => "impersonation is not allowed by the agent's configuration",
            Self::Method => "the method is not valid HTTP",
            Self::ReadOnly => "the agent is configured to let nothing but reading pass",
            Self::Verbs => "the verb is not among those that the agent's configuration allows",
            Self::Namespaces => "the namespace is not among those that the agent's configuration allows",
            Self::DenyNamespaces => "the request can touch a namespace that the agent's configuration denies",
            Self::Paths => "the path is not among those that the agent's configuration allows",
            Self::DenyPaths => "the path is one that the agent's configuration denies",
            Self::Services => "the agent's configuration allows no traffic to services",
            Self::AllowServices => "the service is not among those that the agent's configuration allows",
            Self::DenyServices => "the service is one that the agent's configuration denies",
            Self::ServiceName => "the service's namespace or name is no DNS label, or its port is 0",
            Self::ServiceKubernetes => "the Kubernetes API is not reached as a service",
            Self::ServiceExternal => "the service stands for a name outside the cluster",
            Self::Address => "the target's address is not one of the cluster's pods or services",
            Self::AddressOutside => "the target's address is not a private one",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn every_rule_has_a_name_and_a_text_of_its_own() {
        let names: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.rule()).collect();
        let texts: BTreeSet<_> = Refusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!((names.len(), texts.len()), (Refusal::ALL.len(), Refusal::ALL.len()));
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }
}
