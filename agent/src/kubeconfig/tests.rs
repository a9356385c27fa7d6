//! Kubeconfig files as K3s, kubeadm and cloud providers write them, and ones that are refused.

use super::*;
use crate::config::fake::World;

/// "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n"
const CA_DATA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkNBCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
/// "-----BEGIN EC PRIVATE KEY-----\nCANARY\n-----END EC PRIVATE KEY-----\n"
const KEY_DATA: &str = "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCkNBTkFSWQotLS0tLUVORCBFQyBQUklWQVRFIEtFWS0tLS0tCg==";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n";
const FOLDER: &str = "/sa";

fn select(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

fn find_in(world: &World, paths: &[&str], in_cluster: bool) -> Result<Option<ClusterAccess>, KubeconfigError> {
    let kubeconfig = select(paths);
    let selection = Selection { kubeconfig: &kubeconfig, in_cluster, service_account_folder: Path::new(FOLDER) };
    find(&selection, world, world)
}

fn k3s() -> String {
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {CA_DATA}
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: {CA_DATA}
    client-key-data: {KEY_DATA}
"
    )
}

/// A small kubeconfig with the given bodies of its cluster and its user.
fn small(cluster: &str, user: &str) -> String {
    format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: n}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

fn pod() -> World {
    World::default()
        .set("KUBERNETES_SERVICE_HOST", "10.43.0.1")
        .set("KUBERNETES_SERVICE_PORT", "443")
        .file_with_mode("/sa/token", "abc\n", 0o644)
        .file_with_mode("/sa/ca.crt", CERTIFICATE, 0o644)
        .file_with_mode("/sa/namespace", "pipeops-system\n", 0o644)
}

#[test]
fn the_file_of_k3s() {
    let world = World::default().file(K3S_KUBECONFIG, &k3s());
    let access = find_in(&world, &[], false).unwrap().unwrap();
    let server = ApiServer { secure: true, host: "127.0.0.1".to_owned(), port: 6443, base_path: String::new() };
    assert_eq!(access.server, server);
    assert_eq!(access.ca_pem.as_deref(), Some(CERTIFICATE.as_bytes()));
    let certificate = access.credentials.certificate.as_ref().unwrap();
    assert_eq!(certificate.certificate_pem, CERTIFICATE.as_bytes());
    assert!(certificate.key_pem.expose().contains("CANARY"));
    assert_eq!((access.credentials.token.as_ref(), access.namespace.as_deref()), (None, None));
    assert_eq!(access.source, Source::Kubeconfig(K3S_KUBECONFIG.into()));
    assert!(!format!("{access:?}").contains("CANARY"));
}

#[test]
fn json_is_taken_and_unknown_keys_are_ignored() {
    let text = "{\"kind\":\"Config\",\"current-context\":\"c\",\"extensions\":[],\n\
        \"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\",\"user\":\"u\"}}],\n\
        \"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"https://[::1]:6443/k8s/\",\"disable-compression\":true,\
        \"tls-server-name\":\"kubernetes\",\"insecure-skip-tls-verify\":true}}],\n\
        \"users\":[{\"name\":\"u\",\"user\":{\"token\":\"abc\",\"exec\":null}}]}\n";
    let access = find_in(&World::default().file("/k.json", text), &["/k.json"], false).unwrap().unwrap();
    assert_eq!((access.server.host.as_str(), access.server.base_path.as_str()), ("::1", "/k8s"));
    assert_eq!(access.tls_server_name.as_deref(), Some("kubernetes"));
    assert!(access.insecure_skip_verify);
    assert_eq!(access.credentials.token, Some(Secret::new("abc")));
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file() {
    let text = small(
        "server: \"http://a:8080\", certificate-authority: pki/ca.crt",
        "tokenFile: token, token: other, client-certificate: /abs/c.crt, client-key: ../c.key",
    );
    let world = World::default()
        .file("/home/a/.kube/config", &text)
        .file("/home/a/.kube/pki/ca.crt", CERTIFICATE)
        .file("/home/a/.kube/token", "abc")
        .file("/abs/c.crt", CERTIFICATE)
        .file("/home/a/.kube/../c.key", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
        .set("HOME", "/home/a");
    let access = find_in(&world, &[], false).unwrap().unwrap();
    assert!(!access.server.secure);
    assert_eq!(access.ca_pem.as_deref(), Some(CERTIFICATE.as_bytes()));
    assert_eq!(access.credentials.token_file, Some("/home/a/.kube/token".into()), "the file goes first");
    assert!(access.credentials.certificate.is_some(), "both at once are possible");
    assert_eq!(access.namespace.as_deref(), Some("n"));
}

#[test]
fn the_service_account_of_a_pod() {
    let access = find_in(&pod(), &[], false).unwrap().unwrap();
    assert_eq!((access.server.secure, access.server.host.as_str(), access.server.port), (true, "10.43.0.1", 443));
    assert_eq!(access.credentials.token_file, Some("/sa/token".into()));
    assert_eq!(access.namespace.as_deref(), Some("pipeops-system"));
    assert_eq!(access.source, Source::InCluster);
    let access = find_in(&pod().set("KUBERNETES_SERVICE_HOST", "fd00::1"), &[], true).unwrap().unwrap();
    assert_eq!(access.server.host, "fd00::1");
}

#[test]
fn the_order_of_places() {
    let source =
        |world: &World, paths: &[&str], in_cluster| find_in(world, paths, in_cluster).unwrap().map(|access| access.source);
    let mut world = pod().file("/named", &k3s()).file(K3S_KUBECONFIG, &k3s()).set("HOME", "/h").file("/h/.kube/config", &k3s());
    assert_eq!(source(&world, &["/named"], false), Some(Source::Kubeconfig("/named".into())));
    assert_eq!(source(&world, &[], false), Some(Source::InCluster));
    world.files.remove(Path::new("/sa/token"));
    assert_eq!(source(&world, &[], false), Some(Source::Kubeconfig(K3S_KUBECONFIG.into())));
    world.denied.push(K3S_KUBECONFIG.into());
    assert_eq!(source(&world, &[], false), Some(Source::Kubeconfig("/h/.kube/config".into())));
    world.files.remove(Path::new("/h/.kube/config"));
    assert_eq!(source(&world, &[], false), None);
}

#[test]
fn of_several_files_the_first_that_holds_the_context_counts() {
    let world = World::default()
        .file("/a", "current-context: c\n")
        .file("/b", &small("server: \"https://b\"", "token: abc").replace("current-context: c", "current-context: other"))
        .file("/c", &small("server: \"https://c\"", "token: abc"));
    let access = find_in(&world, &["/missing", "/a", "/b", "/c"], false).unwrap().unwrap();
    assert_eq!((access.server.host.as_str(), access.source), ("b", Source::Kubeconfig("/b".into())));
}

#[test]
fn refused_with_place_and_reason() {
    let server = "server: \"https://a\"";
    let cases = [
        (
            small(server, "exec: {command: aws}"),
            "4:26: exec is not supported: this agent starts no programs; use a token, a token file or a client certificate",
        ),
        (
            small(server, "auth-provider: {name: gcp}"),
            "4:26: auth-provider is not supported: this agent asks no identity provider; use a token, a token file or a client certificate",
        ),
        (
            small(server, "username: a, password: CANARY"),
            "4:26: username is not supported: kube-apiservers take no passwords any more; use a token or a client certificate",
        ),
        (
            small(server, "token: abc, as: admin"),
            "4:38: as is not supported: this agent does not impersonate; use the credentials of that user",
        ),
        (
            small("server: \"https://a\", proxy-url: \"http://p\"", ""),
            "3:53: proxy-url is not supported: connect to the kube-apiserver directly",
        ),
        (small("server: a", ""), "3:40: server: a URL needs a scheme: begin it with https://"),
        (small("server: \"wss://a\"", ""), "3:40: server: the URL's scheme must be https or http"),
        (small("server: \"https://u:CANARY@a\"", ""), "3:40: server: a URL must not hold a user name or password"),
        (small("server: \"https://a?b=c\"", ""), "3:40: server: a query is not possible here"),
        (small("", ""), "3:31: the cluster has no server"),
        (small("server: [a]", ""), "3:40: server: a text is expected, found a list"),
        (
            small(&format!("{server}, certificate-authority-data: \"?\""), ""),
            "3:81: certificate-authority-data: not valid base64",
        ),
        (
            small(&format!("{server}, certificate-authority-data: aGVsbG8="), ""),
            "3:81: certificate-authority-data: no \"BEGIN CERTIFICATE\" in it",
        ),
        (
            small(&format!("{server}, insecure-skip-tls-verify: maybe"), ""),
            "3:79: insecure-skip-tls-verify is neither true nor false",
        ),
        (
            small(&format!("{server}, insecure-skip-tls-verify: true, certificate-authority-data: {CA_DATA}"), ""),
            "3:31: insecure-skip-tls-verify and a certificate authority exclude each other",
        ),
        (small(server, &format!("client-certificate-data: {CA_DATA}")), "4:25: a client certificate without its key"),
        (small(server, &format!("client-key-data: {KEY_DATA}")), "4:25: a client key without its certificate"),
        (
            small(server, "token: \"two CANARY\""),
            "4:33: token: the token holds white space or a character outside printable ASCII",
        ),
        (small(server, "tokenFile: /no"), "4:37: tokenFile: /no: the token file cannot be read"),
        ("current-context: c\nusers: &x []\n".to_owned(), "2:11: anchors (&name) are not supported: write the value out"),
        ("- a\n".to_owned(), "1:1: a mapping is expected, found a list"),
        (small(server, "").replace("cluster: k, ", ""), "2:31: the context names no cluster"),
    ];
    for (text, message) in cases {
        let error = find_in(&World::default().file("/k", &text), &["/k"], false).unwrap_err();
        assert_eq!(error.to_string(), format!("/k:{message}"), "{text}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[test]
fn names_that_lead_nowhere() {
    let text = small("server: \"https://a\"", "");
    let cases = [
        (text.replace("current-context: c", "current-context: x"), "/k: there is no context named \"x\""),
        (text.replace("cluster: k,", "cluster: x,"), "/k: there is no cluster named \"x\""),
        (text.replace("user: u,", "user: x,"), "/k: there is no user named \"x\""),
        (text.replace("current-context: c", "a: b"), "no current-context in /k"),
    ];
    for (text, message) in cases {
        let error = find_in(&World::default().file("/k", &text), &["/k"], false).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let error = find_in(&World::default(), &["/x", "/y"], false).unwrap_err();
    assert_eq!(error.to_string(), "no such kubeconfig file: /x, /y");
    let mut world = World::default();
    world.denied.push("/k".into());
    let error = find_in(&world, &["/k"], false).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /k");
    assert!(core::error::Error::source(&error).is_some());
    let missing = small("server: \"https://a\", certificate-authority: /no", "");
    let error = find_in(&World::default().file("/k", &missing), &["/k"], false).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /no");
}

#[test]
fn in_cluster_on_demand_fails_outside_a_cluster() {
    let error = find_in(&World::default(), &[], true).unwrap_err();
    assert_eq!(error.to_string(), "not in a cluster: the environment variable KUBERNETES_SERVICE_HOST is missing or wrong");
    let error = find_in(&pod().set("KUBERNETES_SERVICE_PORT", "x"), &[], true).unwrap_err();
    assert!(error.to_string().contains("KUBERNETES_SERVICE_PORT"));
    let mut world = pod();
    world.files.remove(Path::new("/sa/ca.crt"));
    assert_eq!(find_in(&world, &[], false).unwrap_err().to_string(), "cannot read /sa/ca.crt");
}
