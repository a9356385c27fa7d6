//! What the configuration says about the policy.

use pipeops_agent_core::policy::{Cidr, PathPattern, Pattern, ServicePattern, Verb};

use super::*;

fn expected() -> Policy {
    Policy {
        allow_impersonation: true,
        read_only: true,
        verbs: Some([Verb::Get, Verb::PortForward].into_iter().collect()),
        namespaces: Some(vec![Pattern::parse("team-*").unwrap(), Pattern::parse("shared").unwrap()]),
        deny_namespaces: vec![Pattern::parse("kube-*").unwrap()],
        paths: Some(vec![PathPattern::parse("/api/v1/namespaces/*/pods").unwrap()]),
        deny_paths: vec![PathPattern::parse("/openapi").unwrap()],
        services: false,
        allow_services: Some(vec![ServicePattern::parse("shop/*").unwrap(), ServicePattern::parse("a/b:80").unwrap()]),
        deny_services: vec![ServicePattern::parse("*/*:22").unwrap()],
        allow_addresses: vec![Cidr::parse("192.0.2.0/24").unwrap(), Cidr::parse("2001:db8::7").unwrap()],
    }
}

#[test]
fn lists_in_a_file() {
    let text = "\
policy:
  allow_impersonation: true
  read_only: true
  verbs: [get, port-forward]
  namespaces:
  - team-*
  -  \"shared \"
  deny_namespaces: kube-*
  paths: [\"/api/v1/namespaces/*/pods\"]
  deny_paths: [/openapi]
  services: false
  allow_services: shop/*, a/b:80
  deny_services: [\"*/*:22\"]
  allow_addresses: [192.0.2.0/24, \"2001:db8::7\"]
services: {insecure_skip_verify: true}
";
    let (config, warnings) = load_file(text).unwrap();
    assert_eq!(config.policy, expected());
    assert!(config.services_insecure_skip_verify);
    assert_eq!(warnings.len(), 1);
    assert!(warnings.to_string().contains("services.insecure_skip_verify: the certificates of services are not verified"));
    assert_eq!(config.effective()[Setting::Namespaces as usize].text.as_deref(), Some("[team-*, shared]"));
    let empty = load_file("policy: {verbs: , deny_paths: [], allow_addresses: []}").unwrap().0.policy;
    assert_eq!(empty, Policy::default());
}

#[test]
fn lists_in_variables_replace_those_of_the_file() {
    let world = world_with_required()
        .file(FILE, "policy: {verbs: [list], namespaces: [other], deny_paths: [/version], services: true}")
        .set("PIPEOPS_ALLOW_IMPERSONATION", "true")
        .set("PIPEOPS_POLICY_READ_ONLY", "true")
        .set("PIPEOPS_POLICY_VERBS", "get,port-forward")
        .set("PIPEOPS_POLICY_NAMESPACES", " team-* , shared ")
        .set("PIPEOPS_POLICY_DENY_NAMESPACES", "kube-*")
        .set("PIPEOPS_POLICY_PATHS", "/api/v1/namespaces/*/pods")
        .set("PIPEOPS_POLICY_DENY_PATHS", "/openapi")
        .set("PIPEOPS_POLICY_SERVICES", "false")
        .set("PIPEOPS_POLICY_ALLOW_SERVICES", "shop/*,a/b:80")
        .set("PIPEOPS_POLICY_DENY_SERVICES", "*/*:22")
        .set("PIPEOPS_POLICY_ALLOW_ADDRESSES", "192.0.2.0/24,2001:db8::7");
    assert_eq!(load(&world, &["--config", FILE]).unwrap().0.policy, expected());
    let arguments = Arguments::parse(["--config", FILE]).unwrap();
    let loaded = Config::load_policy(&arguments, &world, &world).unwrap();
    assert_eq!(loaded.policy, expected());
    let (path, source) = loaded.setting_of("deny-paths").unwrap();
    assert_eq!((path, source), ("policy.deny_paths", &Source::Environment("PIPEOPS_POLICY_DENY_PATHS")));
    assert_eq!(loaded.setting_of("path-root"), None);
}
