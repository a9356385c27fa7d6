//! The Kubernetes API and the agent's rights.

use devkube::{Behaviour, Token};

use super::diagnosis::{bed, examine, patient};
use super::harness::{ADMIN_TOKEN, AGENT_TOKEN, Bed, Kube, Setup};

/// What cannot be looked at without the API server.
const BEHIND: [&str; 7] = ["rights", "excess_rights", "exec", "storage_class", "helm", "monitoring_crds", "monitoring_namespace"];

#[test]
fn the_api_server_is_down() {
    let mut bed = bed();
    bed.kube.as_mut().unwrap().stop();
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("kubernetes");
    assert!(line.seen.contains("cannot connect to 127.0.0.1"), "{line:?}");
    assert!(line.cure.contains("systemctl status k3s"), "{line:?}");
    for id in BEHIND {
        assert_eq!(diagnosis.line(id).result, "skip", "{id}");
    }
    assert_eq!(diagnosis.line("state").result, "pass");
}

#[test]
fn the_api_server_is_another_one() {
    let bed = bed();
    let other = Kube::start(|_| {});
    // The other's address with this one's authority.
    let path = bed.folder().join("kubeconfig");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&bed.kube().url(), &other.url())).unwrap();
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("kubernetes");
    assert!(line.seen.contains("TLS"), "{line:?}");
    assert!(line.cure.contains("certificate authority"), "{line:?}");
}

#[test]
fn the_api_server_hangs() {
    let bed = bed();
    bed.kube().api().set_behaviour("/version", Behaviour::Hang);
    let line_seen = examine(patient(&bed)).only_failure("kubernetes").seen.clone();
    assert!(line_seen.contains("no answer in time"), "{line_seen}");
}

#[test]
fn something_else_answers_in_its_place() {
    let bed = bed();
    bed.kube().api().set_behaviour("/version", Behaviour::Status(502));
    let diagnosis = examine(patient(&bed));
    assert!(diagnosis.only_failure("kubernetes").seen.contains("status 502"));
}

#[test]
fn the_credentials_are_of_another_cluster() {
    let bed = bed();
    bed.kube().write_kubeconfig(bed.folder(), "a-token-of-yesterday");
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("kubernetes");
    assert!(line.seen.contains("401") && line.cure.contains("kubeconfig"), "{line:?}");
    assert!(!format!("{diagnosis:?}").contains("a-token-of-yesterday"));
}

#[test]
fn the_kubeconfig_cannot_be_used() {
    let bed = bed();
    std::fs::write(bed.folder().join("kubeconfig"), "current-context: nowhere\n").unwrap();
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("cluster_access");
    assert!(line.seen.contains("nowhere") && line.cure.contains("kubernetes.kubeconfig"), "{line:?}");
}

#[test]
fn there_is_no_cluster() {
    let bed = Bed::new(Setup { kube: false, ..Setup::default() });
    let diagnosis = examine(patient(&bed).env("HOME", "/nonexistent"));
    diagnosis.only_failure("cluster_access");
    assert_eq!(diagnosis.line("kubernetes").result, "skip");
}

#[test]
fn no_rights_at_all() {
    let bed = Bed::with_kube(Setup::default(), |options| {
        options.tokens = vec![Token::powerless(AGENT_TOKEN, "system:serviceaccount:pipeops-system:pipeops-agent")];
    });
    let diagnosis = examine(patient(&bed));
    let line = diagnosis.only_failure("rights");
    for right in ["get services", "list endpointslices", "list nodes", "list pods"] {
        assert!(line.seen.contains(right), "{line:?}");
    }
    let commands: Vec<&str> = line.cure.lines().collect();
    assert_eq!(
        commands,
        [
            "kubectl create clusterrole pipeops-agent --verb=get,list --resource=services,endpointslices.discovery.k8s.io,nodes,pods",
            "kubectl create clusterrolebinding pipeops-agent --clusterrole=pipeops-agent \
             --serviceaccount=pipeops-system:pipeops-agent",
        ]
    );
    // The way is open although the right is not there.
    assert_eq!(diagnosis.line("exec").result, "pass");
    assert!(diagnosis.line("storage_class").cure.contains("kubectl get storageclass"));
}

#[test]
fn where_services_are_off_their_rights_are_not_needed() {
    let bed = Bed::with_kube(Setup::default(), |options| options.tokens = vec![Token::powerless(AGENT_TOKEN, "alice")]);
    let diagnosis = examine(patient(&bed).set("policy.services", false));
    diagnosis.only_warnings(&["rights"]);
    let line = diagnosis.line("rights");
    assert_eq!(line.seen, "missing: list nodes, list pods");
    assert!(line.cure.contains("--user=alice"), "{line:?}");
}

#[test]
fn an_administrators_kubeconfig_is_a_warning() {
    let bed = bed();
    bed.kube().write_kubeconfig(bed.folder(), ADMIN_TOKEN);
    let diagnosis = examine(patient(&bed));
    diagnosis.only_warnings(&["excess_rights"]);
    let line = diagnosis.line("excess_rights");
    assert!(line.seen.contains("cluster-admin") && line.seen.contains("given the same token"), "{line:?}");
    assert!(line.cure.contains("kubectl -n pipeops-system create token pipeops-agent --duration=8760h"), "{line:?}");
    assert!(line.cure.contains("serviceaccount") && line.cure.contains("kubernetes.kubeconfig"), "{line:?}");
    assert!(diagnosis.line("exec").seen.contains("not there"), "{diagnosis:#?}");
}

#[test]
fn the_way_of_a_command_is_tried_to_its_end_and_starts_nothing() {
    let bed = bed();
    bed.kube().write_kubeconfig(bed.folder(), ADMIN_TOKEN);
    examine(patient(&bed)).only_warnings(&["excess_rights"]);
    let requests = bed.kube().requests();
    let exec = requests.iter().find(|request| request.path.ends_with("/exec")).unwrap();
    assert_eq!(exec.header("upgrade"), Some("websocket"), "{exec:?}");
    assert_eq!(exec.status, Some(404));
    for request in &requests {
        let asks = request.method == "GET" || request.path.contains("/selfsubject");
        assert!(asks, "{} {}: the doctor changes nothing", request.method, request.path);
    }
    let broken = Behaviour::Status(400);
    bed.kube().api().set_behaviour("/api/v1/namespaces/default/pods", broken);
    examine(patient(&bed)).only_failure("exec");
}
