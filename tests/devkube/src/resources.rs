//! The table of resource types. Everything that depends on "which kinds exist" reads it; nothing else lists kinds.

/// A resource type, as discovery describes it.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Has a `/status` subresource, and so a status that plain writes cannot touch.
    pub(crate) status: bool,
    pub(crate) in_all: bool,
    pub(crate) access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Full,
    /// Present so that clients which look find an empty list.
    ReadOnly,
    /// A question answered by POST, never stored.
    Review,
}

impl Resource {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, the way messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        match self.access {
            Access::Full => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            Access::ReadOnly => &["get", "list", "watch"],
            Access::Review => &["create"],
        }
    }
}

const BASE: Resource = Resource {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    short: &[],
    namespaced: true,
    status: false,
    in_all: false,
    access: Access::Full,
};

const fn review(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, plural, kind, namespaced: false, access: Access::Review, ..BASE }
}

pub(crate) static RESOURCES: &[Resource] = &[
    Resource { plural: "configmaps", kind: "ConfigMap", short: &["cm"], ..BASE },
    Resource { plural: "endpoints", kind: "Endpoints", short: &["ep"], ..BASE },
    Resource { plural: "events", kind: "Event", short: &["ev"], ..BASE },
    Resource { plural: "namespaces", kind: "Namespace", short: &["ns"], namespaced: false, status: true, ..BASE },
    Resource { plural: "nodes", kind: "Node", short: &["no"], namespaced: false, status: true, ..BASE },
    Resource { plural: "pods", kind: "Pod", short: &["po"], status: true, in_all: true, ..BASE },
    Resource { plural: "secrets", kind: "Secret", ..BASE },
    Resource { plural: "serviceaccounts", kind: "ServiceAccount", short: &["sa"], ..BASE },
    Resource { plural: "services", kind: "Service", short: &["svc"], status: true, in_all: true, ..BASE },
    Resource {
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        short: &["crd", "crds"],
        namespaced: false,
        access: Access::ReadOnly,
        ..BASE
    },
    Resource { group: "apps", plural: "daemonsets", kind: "DaemonSet", short: &["ds"], status: true, in_all: true, ..BASE },
    Resource { group: "apps", plural: "deployments", kind: "Deployment", short: &["deploy"], status: true, in_all: true, ..BASE },
    Resource { group: "apps", plural: "replicasets", kind: "ReplicaSet", short: &["rs"], status: true, in_all: true, ..BASE },
    review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    review("authentication.k8s.io", "tokenreviews", "TokenReview"),
    review("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    review("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    review("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
    Resource { group: "coordination.k8s.io", plural: "leases", kind: "Lease", ..BASE },
    Resource { group: "discovery.k8s.io", plural: "endpointslices", kind: "EndpointSlice", ..BASE },
    Resource { group: "networking.k8s.io", plural: "ingressclasses", kind: "IngressClass", namespaced: false, ..BASE },
    Resource { group: "networking.k8s.io", plural: "ingresses", kind: "Ingress", short: &["ing"], status: true, ..BASE },
    Resource {
        group: "storage.k8s.io",
        plural: "storageclasses",
        kind: "StorageClass",
        short: &["sc"],
        namespaced: false,
        ..BASE
    },
];

/// The place of a resource in the table; it orders the store.
pub(crate) fn position(group: &str, plural: &str) -> Option<usize> {
    RESOURCES.iter().position(|r| r.is(group, plural))
}

pub(crate) fn by_kind(api_version: &str, kind: &str) -> Option<usize> {
    RESOURCES.iter().position(|r| r.kind == kind && r.api_version() == api_version)
}

/// The named groups, in table order, each once.
pub(crate) fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&'static str> = RESOURCES.iter().map(|r| r.group).filter(|g| !g.is_empty()).collect();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_contiguous_so_that_each_is_named_once() {
        let groups = groups();
        let mut unique = groups.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), groups.len());
    }

    #[test]
    fn kinds_are_found_by_version_and_kind() {
        let found = by_kind("apps/v1", "Deployment").map(|i| RESOURCES[i].plural);
        assert_eq!(found, Some("deployments"));
        assert_eq!(by_kind("v1", "Deployment"), None);
    }
}
