//! Inside a pod, where the state is in two objects: what is needed of them, and how it is said that something is missing.

use devkube::{DevKube, Options, Token};

use super::report::{Finding, Verdict};
use super::{rights, state};
use crate::arguments::Arguments;
use crate::cluster::Cluster;
use crate::config::fake::World;
use crate::config::{Config, Features};
use crate::kubeconfig::ClusterAccess;
use crate::start;

/// What the checks say to an agent with this token in this namespace: rights needed, rights not needed, state.
/// `forbidden` is what the state is told about the rights.
fn examine(token: Token, namespace: &str, forbidden: bool) -> [Finding; 3] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let secret = token.token.clone();
        let kube = DevKube::start(Options { tokens: vec![token], ..Options::default() }).await.unwrap();
        let access = ClusterAccess::of_a_pod(kube.addr().port(), &secret, Some(namespace));
        let world = World::default()
            .set("PIPEOPS_API_URL", "https://plane.example")
            .set("PIPEOPS_TOKEN", "abc")
            .set("PIPEOPS_CLUSTER_NAME", "east")
            .set("PIPEOPS_K8S_SERVICE_TOKEN", "another");
        let arguments = Arguments::parse(["doctor"]).unwrap();
        let (config, _) = Config::load(&arguments, &world, &world, Features { ingress_sync: false }).unwrap();
        let cluster = Cluster::new(&access, false).unwrap();
        let store = start::store(&config, Some(&access), Some(&cluster));
        let before = kube.version();
        let findings = [
            rights::needed(&cluster.own, &config, &store).await,
            rights::excess(&cluster.own, &config).await,
            state::check(&config, &store, forbidden).await,
        ];
        assert_eq!(kube.version(), before, "nothing was written");
        findings
    })
}

#[test]
fn with_all_rights_nothing_is_missing() {
    let [needed, excess, state] = examine(Token::admin("t", "system:serviceaccount:default:agent"), "default", false);
    assert_eq!(needed.verdict, Verdict::Pass, "{needed:?}");
    assert!(needed.seen.contains("update configmaps/pipeops-agent-state in default"), "{needed:?}");
    assert!(needed.seen.contains("create secrets in default"), "{needed:?}");
    // The control plane has a token of its own here.
    assert!(excess.verdict == Verdict::Warn && !excess.seen.contains("same token"), "{excess:?}");
    assert_eq!(state.verdict, Verdict::Pass, "{state:?}");
}

#[test]
fn rights_that_the_state_needs_are_named_with_their_role() {
    let [needed, excess, state] = examine(Token::read_only("t", "system:serviceaccount:default:agent"), "default", true);
    assert_eq!(needed.verdict, Verdict::Fail);
    assert!(
        needed.seen.starts_with("missing: update configmaps/pipeops-agent-state in default, create configmaps"),
        "{needed:?}"
    );
    assert_eq!(
        needed.cure,
        [
            "kubectl -n default create role pipeops-agent-state --verb=get,create,update --resource=configmaps,secrets",
            "kubectl -n default create rolebinding pipeops-agent-state --role=pipeops-agent-state --serviceaccount=default:agent",
        ]
    );
    assert_eq!(excess.verdict, Verdict::Pass);
    assert_eq!(state.verdict, Verdict::Skip, "said once: {state:?}");
    // Where the rights are there and something else forbids it, that is news.
    let [_, _, state] = examine(Token::read_only("t", "agent"), "default", false);
    assert!(state.verdict == Verdict::Fail && state.seen.contains("403"), "{state:?}");
}

#[test]
fn a_namespace_that_is_not_there_is_to_be_made() {
    let [_, _, state] = examine(Token::admin("t", "agent"), "nowhere", false);
    assert_eq!((state.verdict, state.cure), (Verdict::Fail, vec!["kubectl create namespace nowhere".to_owned()]));
}
