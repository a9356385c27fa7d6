//! The protobuf messages that are read, as tables: number, name and type of each field. Only fields that clients of
//! these kinds are known to fill; `protobuf` refuses the rest.

pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
}

#[derive(Clone, Copy)]
pub(crate) enum Type {
    /// The server's own business (a status), whatever the client says.
    Ignored,
    Text,
    Base64,
    Number,
    /// A pointer in Go: there when it is zero.
    NumberOrAbsent,
    Flag,
    FlagOrAbsent,
    Time,
    MicroTime,
    IntOrString,
    Quantity,
    Message(&'static Message),
    /// A message whose fields stand in the outer object.
    Inline(&'static Message),
    List(&'static Type),
    Map(&'static Type),
}

use Type::{
    Base64, Flag, FlagOrAbsent, Ignored, Inline, IntOrString, List, Map, MicroTime, Number, NumberOrAbsent, Quantity, Text, Time,
};

const fn f(number: u64, name: &'static str, kind: Type) -> Field {
    Field { number, name, kind }
}

macro_rules! message {
    ($name:ident { $($number:literal $json:literal $kind:expr),* $(,)? }) => {
        #[allow(non_upper_case_globals)] // The names are those of the messages.
        static $name: Message = Message { name: stringify!($name), fields: &[$(f($number, $json, $kind)),*] };
    };
}

const TEXTS: Type = List(&Text);
const TEXT_MAP: Type = Map(&Text);
const META: Type = Type::Message(&ObjectMeta);

pub(crate) fn of_kind(kind: &str) -> Option<&'static Message> {
    let all = [
        &ConfigMap,
        &DeleteOptions,
        &Deployment,
        &Ingress,
        &Lease,
        &Namespace,
        &Pod,
        &Secret,
        &SelfSubjectAccessReview,
        &SelfSubjectReview,
        &SelfSubjectRulesReview,
        &Service,
        &ServiceAccount,
        &SubjectAccessReview,
        &TokenReview,
    ];
    all.into_iter().find(|message| message.name == kind)
}

message!(ObjectMeta {
    1 "name" Text,
    2 "generateName" Text,
    3 "namespace" Text,
    5 "uid" Text,
    6 "resourceVersion" Text,
    7 "generation" Number,
    8 "creationTimestamp" Time,
    9 "deletionTimestamp" Time,
    10 "deletionGracePeriodSeconds" NumberOrAbsent,
    11 "labels" TEXT_MAP,
    12 "annotations" TEXT_MAP,
    13 "ownerReferences" List(&Type::Message(&OwnerReference)),
    14 "finalizers" TEXTS,
    17 "managedFields" Ignored,
});

message!(OwnerReference {
    1 "kind" Text,
    3 "name" Text,
    4 "uid" Text,
    5 "apiVersion" Text,
    6 "controller" FlagOrAbsent,
    7 "blockOwnerDeletion" FlagOrAbsent,
});

message!(DeleteOptions {
    1 "gracePeriodSeconds" NumberOrAbsent,
    2 "preconditions" Type::Message(&Preconditions),
    3 "orphanDependents" FlagOrAbsent,
    4 "propagationPolicy" Text,
    5 "dryRun" TEXTS,
});

message!(Preconditions { 1 "uid" Text, 2 "resourceVersion" Text });

message!(ConfigMap { 1 "metadata" META, 2 "data" TEXT_MAP, 3 "binaryData" Map(&Base64), 4 "immutable" FlagOrAbsent });

message!(Secret {
    1 "metadata" META,
    2 "data" Map(&Base64),
    3 "type" Text,
    4 "stringData" TEXT_MAP,
    5 "immutable" FlagOrAbsent,
});

message!(Namespace { 1 "metadata" META, 2 "spec" Type::Message(&NamespaceSpec), 3 "status" Ignored });
message!(NamespaceSpec { 1 "finalizers" TEXTS });

message!(ServiceAccount {
    1 "metadata" META,
    3 "imagePullSecrets" List(&Type::Message(&LocalObjectReference)),
    4 "automountServiceAccountToken" FlagOrAbsent,
});
message!(LocalObjectReference { 1 "name" Text });

message!(Service { 1 "metadata" META, 2 "spec" Type::Message(&ServiceSpec), 3 "status" Ignored });
message!(ServiceSpec {
    1 "ports" List(&Type::Message(&ServicePort)),
    2 "selector" TEXT_MAP,
    3 "clusterIP" Text,
    4 "type" Text,
    5 "externalIPs" TEXTS,
    7 "sessionAffinity" Text,
    8 "loadBalancerIP" Text,
    9 "loadBalancerSourceRanges" TEXTS,
    10 "externalName" Text,
    11 "externalTrafficPolicy" Text,
    12 "healthCheckNodePort" Number,
    13 "publishNotReadyAddresses" Flag,
    17 "ipFamilyPolicy" Text,
    18 "clusterIPs" TEXTS,
    19 "ipFamilies" TEXTS,
});
message!(ServicePort {
    1 "name" Text,
    2 "protocol" Text,
    3 "port" Number,
    4 "targetPort" IntOrString,
    5 "nodePort" Number,
    6 "appProtocol" Text,
});

message!(Deployment { 1 "metadata" META, 2 "spec" Type::Message(&DeploymentSpec), 3 "status" Ignored });
message!(DeploymentSpec {
    1 "replicas" NumberOrAbsent,
    2 "selector" Type::Message(&LabelSelector),
    3 "template" Type::Message(&PodTemplateSpec),
    4 "strategy" Type::Message(&DeploymentStrategy),
    5 "minReadySeconds" Number,
    6 "revisionHistoryLimit" NumberOrAbsent,
    7 "paused" Flag,
    9 "progressDeadlineSeconds" NumberOrAbsent,
});
message!(LabelSelector { 1 "matchLabels" TEXT_MAP, 2 "matchExpressions" List(&Type::Message(&LabelRequirement)) });
message!(LabelRequirement { 1 "key" Text, 2 "operator" Text, 3 "values" TEXTS });
message!(DeploymentStrategy { 1 "type" Text, 2 "rollingUpdate" Type::Message(&RollingUpdate) });
message!(RollingUpdate { 1 "maxUnavailable" IntOrString, 2 "maxSurge" IntOrString });
message!(PodTemplateSpec { 1 "metadata" META, 2 "spec" Type::Message(&PodSpec) });

message!(Pod { 1 "metadata" META, 2 "spec" Type::Message(&PodSpec), 3 "status" Ignored });
message!(PodSpec {
    2 "containers" List(&Type::Message(&Container)),
    3 "restartPolicy" Text,
    4 "terminationGracePeriodSeconds" NumberOrAbsent,
    5 "activeDeadlineSeconds" NumberOrAbsent,
    6 "dnsPolicy" Text,
    7 "nodeSelector" TEXT_MAP,
    8 "serviceAccountName" Text,
    9 "serviceAccount" Text,
    10 "nodeName" Text,
    11 "hostNetwork" Flag,
    12 "hostPID" Flag,
    13 "hostIPC" Flag,
    15 "imagePullSecrets" List(&Type::Message(&LocalObjectReference)),
    16 "hostname" Text,
    17 "subdomain" Text,
    19 "schedulerName" Text,
    20 "initContainers" List(&Type::Message(&Container)),
});
message!(Container {
    1 "name" Text,
    2 "image" Text,
    3 "command" TEXTS,
    4 "args" TEXTS,
    5 "workingDir" Text,
    6 "ports" List(&Type::Message(&ContainerPort)),
    7 "env" List(&Type::Message(&EnvVar)),
    8 "resources" Type::Message(&ResourceRequirements),
    13 "terminationMessagePath" Text,
    14 "imagePullPolicy" Text,
    16 "stdin" Flag,
    17 "stdinOnce" Flag,
    18 "tty" Flag,
    20 "terminationMessagePolicy" Text,
});
message!(ContainerPort {
    1 "name" Text,
    2 "hostPort" Number,
    3 "containerPort" Number,
    4 "protocol" Text,
    5 "hostIP" Text,
});
message!(EnvVar { 1 "name" Text, 2 "value" Text });
message!(ResourceRequirements { 1 "limits" Map(&Quantity), 2 "requests" Map(&Quantity) });

message!(Ingress { 1 "metadata" META, 2 "spec" Type::Message(&IngressSpec), 3 "status" Ignored });
message!(IngressSpec {
    1 "defaultBackend" Type::Message(&IngressBackend),
    2 "tls" List(&Type::Message(&IngressTLS)),
    3 "rules" List(&Type::Message(&IngressRule)),
    4 "ingressClassName" Text,
});
message!(IngressTLS { 1 "hosts" TEXTS, 2 "secretName" Text });
message!(IngressRule { 1 "host" Text, 2 "" Inline(&IngressRuleValue) });
message!(IngressRuleValue { 1 "http" Type::Message(&HTTPIngressRuleValue) });
message!(HTTPIngressRuleValue { 1 "paths" List(&Type::Message(&HTTPIngressPath)) });
message!(HTTPIngressPath { 1 "path" Text, 2 "backend" Type::Message(&IngressBackend), 3 "pathType" Text });
message!(IngressBackend { 4 "service" Type::Message(&IngressServiceBackend) });
message!(IngressServiceBackend { 1 "name" Text, 2 "port" Type::Message(&ServiceBackendPort) });
message!(ServiceBackendPort { 1 "name" Text, 2 "number" Number });

message!(Lease { 1 "metadata" META, 2 "spec" Type::Message(&LeaseSpec) });
message!(LeaseSpec {
    1 "holderIdentity" Text,
    2 "leaseDurationSeconds" NumberOrAbsent,
    3 "acquireTime" MicroTime,
    4 "renewTime" MicroTime,
    5 "leaseTransitions" NumberOrAbsent,
});

message!(SelfSubjectAccessReview { 1 "metadata" META, 2 "spec" Type::Message(&SelfAccessSpec), 3 "status" Ignored });
message!(SelfAccessSpec {
    1 "resourceAttributes" Type::Message(&ResourceAttributes),
    2 "nonResourceAttributes" Type::Message(&NonResourceAttributes),
});
message!(SubjectAccessReview { 1 "metadata" META, 2 "spec" Type::Message(&AccessSpec), 3 "status" Ignored });
message!(AccessSpec {
    1 "resourceAttributes" Type::Message(&ResourceAttributes),
    2 "nonResourceAttributes" Type::Message(&NonResourceAttributes),
    3 "user" Text,
    4 "groups" TEXTS,
    6 "uid" Text,
});
message!(ResourceAttributes {
    1 "namespace" Text,
    2 "verb" Text,
    3 "group" Text,
    4 "version" Text,
    5 "resource" Text,
    6 "subresource" Text,
    7 "name" Text,
});
message!(NonResourceAttributes { 1 "path" Text, 2 "verb" Text });
message!(SelfSubjectRulesReview { 1 "metadata" META, 2 "spec" Type::Message(&RulesSpec), 3 "status" Ignored });
message!(RulesSpec { 1 "namespace" Text });
message!(SelfSubjectReview { 1 "metadata" META, 2 "status" Ignored });
message!(TokenReview { 1 "metadata" META, 2 "spec" Type::Message(&TokenReviewSpec), 3 "status" Ignored });
message!(TokenReviewSpec { 1 "token" Text, 2 "audiences" TEXTS });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once() {
        for kind in ["Pod", "Service", "Deployment", "ConfigMap"] {
            let fields = of_kind(kind).map(|m| m.fields).unwrap_or_default();
            assert!(fields.windows(2).all(|pair| pair[0].number < pair[1].number), "{kind}");
        }
    }
}
