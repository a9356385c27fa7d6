//! What the plane may ask for.
//!
//! Owns the rules for requests to the Kubernetes API and to services, for the addresses that a service may stand for, and the name
//! of the rule that refuses a request. A request is refused, never rewritten into something that was not asked for. Does not own
//! enforcement.

mod address;
mod headers;
mod kubernetes;
mod pattern;
mod refusal;
mod request;
mod service;
mod spelling;
#[cfg(test)]
mod tests;
mod verb;

use alloc::vec::Vec;

pub use address::{Cidr, CidrError};
pub use headers::{Authorized, is_hop_by_hop, is_of_usual_size, service_headers};
pub use kubernetes::{Explanation, KubernetesCall};
pub use pattern::{PathPattern, Pattern, PatternError};
pub use refusal::Refusal;
pub use service::ServicePattern;
pub use spelling::{is_kubernetes_path, kubernetes_path, method, query, service_path};
pub use verb::{Verb, Verbs};

/// The rule of what no setting speaks about: for the Kubernetes API that is RBAC's to decide.
pub const DEFAULT_RULE: &str = "default";

/// The settings of the policy. The default allows what RBAC allows, and services inside the cluster. What is denied stays denied,
/// whatever else is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Let `Impersonate-*` headers pass. The API server still checks that the plane's credential may impersonate.
    pub allow_impersonation: bool,
    /// Let nothing but reading pass: get, list, watch and reviews of one's own rights; of services GET, HEAD and OPTIONS.
    pub read_only: bool,
    /// The Kubernetes verbs that are allowed; `None`: all.
    pub verbs: Option<Verbs>,
    /// The namespaces that are allowed, for services too; `None`: all, and what belongs to none. If set, of what belongs to no
    /// namespace only discovery and reviews of one's own rights are allowed.
    pub namespaces: Option<Vec<Pattern>>,
    /// The namespaces that are denied, for services too. Requests over all namespaces are then denied as well.
    pub deny_namespaces: Vec<Pattern>,
    /// The paths of the Kubernetes API that are allowed, besides discovery; `None`: all.
    pub paths: Option<Vec<PathPattern>>,
    /// The paths of the Kubernetes API that are denied.
    pub deny_paths: Vec<PathPattern>,
    /// Whether there is traffic to services at all.
    pub services: bool,
    /// The services that are allowed; `None`: all.
    pub allow_services: Option<Vec<ServicePattern>>,
    /// The services that are denied.
    pub deny_services: Vec<ServicePattern>,
    /// Addresses that a service may stand for although a rule speaks against them.
    pub allow_addresses: Vec<Cidr>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_impersonation: false,
            read_only: false,
            verbs: None,
            namespaces: None,
            deny_namespaces: Vec::new(),
            paths: None,
            deny_paths: Vec::new(),
            services: true,
            allow_services: None,
            deny_services: Vec::new(),
            allow_addresses: Vec::new(),
        }
    }
}
