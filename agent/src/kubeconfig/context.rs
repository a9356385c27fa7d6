//! From the current context of a kubeconfig to the cluster and the user it names.
//!
//! Several files are not merged as kubectl merges them: the first `current-context` counts, and the first file that
//! defines that context must define its cluster and its user too.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{ApiUrl, Files, decode_base64, parse_token, read_token};
use crate::kubeconfig::{ApiServer, ClientCertificate, ClusterAccess, Credentials, KubeconfigError, Source};
use crate::secret::Secret;
use crate::yaml;
use crate::yaml::{Entry, Node, Value};

/// Parts of a user that are refused, with what to do instead.
const UNSUPPORTED_IN_USER: [(&str, &str); 8] = [
    ("exec", "this agent starts no programs; use a token, a token file or a client certificate"),
    ("auth-provider", "this agent asks no identity provider; use a token, a token file or a client certificate"),
    ("username", "kube-apiservers take no passwords any more; use a token or a client certificate"),
    ("password", "kube-apiservers take no passwords any more; use a token or a client certificate"),
    ("as", "this agent does not impersonate; use the credentials of that user"),
    ("as-uid", "this agent does not impersonate; use the credentials of that user"),
    ("as-groups", "this agent does not impersonate; use the credentials of that user"),
    ("as-user-extra", "this agent does not impersonate; use the credentials of that user"),
];

/// Reads the files that exist of `paths` and resolves the current context.
pub(super) fn load(paths: &[PathBuf], files: &dyn Files) -> Result<ClusterAccess, KubeconfigError> {
    let mut read: Vec<Kubeconfig<'_>> = Vec::new();
    for path in paths {
        match files.read(path) {
            Ok(bytes) => read.push(Kubeconfig::parse(path, &bytes, files)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(KubeconfigError::Unreadable { path: path.clone(), error });
            }
        }
    }
    let Some(first) = read.first() else {
        return Err(KubeconfigError::NoFile(paths.to_vec()));
    };
    let mut current = None;
    for file in &read {
        current = file.text(&file.root, "current-context")?;
        if current.is_some() {
            break;
        }
    }
    let Some(name) = current.map(|field| field.text) else {
        return Err(KubeconfigError::NoCurrentContext(read.iter().map(|file| file.path.to_owned()).collect()));
    };
    for file in &read {
        if let Some(context) = file.named("contexts", "context", name)? {
            return file.access(context);
        }
    }
    Err(first.unknown("context", name))
}

/// One file.
struct Kubeconfig<'world> {
    path: &'world Path,
    root: Node,
    files: &'world dyn Files,
}

/// A text and its place.
#[derive(Clone, Copy)]
struct Field<'node> {
    name: &'static str,
    text: &'node str,
    node: &'node Node,
}

impl<'world> Kubeconfig<'world> {
    fn parse(path: &'world Path, bytes: &[u8], files: &'world dyn Files) -> Result<Self, KubeconfigError> {
        let invalid = |line, column, message| KubeconfigError::Invalid { path: path.to_owned(), line, column, message };
        let text = core::str::from_utf8(bytes).map_err(|_| invalid(1, 1, "the file is not UTF-8".to_owned()))?;
        let root = yaml::parse(text).map_err(|error| invalid(error.line, error.column, error.message))?;
        if !matches!(root.value, Value::Mapping(_)) {
            return Err(invalid(root.line, root.column, format!("a mapping is expected, found {}", root.kind_name())));
        }
        Ok(Kubeconfig { path, root, files })
    }

    fn invalid(&self, node: &Node, message: String) -> KubeconfigError {
        KubeconfigError::Invalid { path: self.path.to_owned(), line: node.line, column: node.column, message }
    }

    fn unsupported(&self, entry: &Entry, field: &'static str, reason: &'static str) -> KubeconfigError {
        KubeconfigError::Unsupported { path: self.path.to_owned(), line: entry.line, column: entry.column, field, reason }
    }

    fn unknown(&self, kind: &'static str, name: &str) -> KubeconfigError {
        KubeconfigError::Unknown { path: self.path.to_owned(), kind, name: name.to_owned() }
    }

    /// A text of a mapping; an empty one counts as unset.
    fn text<'node>(&self, node: &'node Node, name: &'static str) -> Result<Option<Field<'node>>, KubeconfigError> {
        let Some(node) = node.get(name).filter(|node| !node.is_null()) else {
            return Ok(None);
        };
        match node.as_text() {
            Some("") => Ok(None),
            Some(text) => Ok(Some(Field { name, text, node })),
            None => Err(self.invalid(node, format!("{name}: a text is expected, found {}", node.kind_name()))),
        }
    }

    fn boolean(&self, node: &Node, name: &'static str) -> Result<bool, KubeconfigError> {
        let Some(node) = node.get(name).filter(|node| !node.is_null()) else {
            return Ok(false);
        };
        node.as_bool().ok_or_else(|| self.invalid(node, format!("{name} is neither true nor false")))
    }

    /// The body of a named entry: `contexts: [{name: …, context: {…}}]`.
    fn named<'node>(
        &'node self,
        list: &'static str,
        body: &'static str,
        name: &str,
    ) -> Result<Option<&'node Node>, KubeconfigError> {
        let Some(list) = self.root.get(list) else {
            return Ok(None);
        };
        for item in list.items() {
            if self.text(item, "name")?.is_some_and(|field| field.text == name) {
                return Ok(Some(item.get(body).unwrap_or(item)));
            }
        }
        Ok(None)
    }

    /// Follows a context to its cluster and user.
    fn access(&self, context: &Node) -> Result<ClusterAccess, KubeconfigError> {
        let cluster =
            self.text(context, "cluster")?.ok_or_else(|| self.invalid(context, "the context names no cluster".to_owned()))?;
        let cluster = self.named("clusters", "cluster", cluster.text)?.ok_or_else(|| self.unknown("cluster", cluster.text))?;
        if let Some(entry) = present(cluster, "proxy-url") {
            return Err(self.unsupported(entry, "proxy-url", "connect to the kube-apiserver directly"));
        }
        let server =
            self.text(cluster, "server")?.ok_or_else(|| self.invalid(cluster, "the cluster has no server".to_owned()))?;
        let ca_pem = self.pem(cluster, "certificate-authority", "certificate-authority-data", "-----BEGIN CERTIFICATE-----")?;
        let insecure_skip_verify = self.boolean(cluster, "insecure-skip-tls-verify")?;
        if insecure_skip_verify && ca_pem.is_some() {
            let message = "insecure-skip-tls-verify and a certificate authority exclude each other";
            return Err(self.invalid(cluster, message.to_owned()));
        }
        let credentials = match self.text(context, "user")? {
            None => Credentials::default(),
            Some(user) => {
                let body = self.named("users", "user", user.text)?.ok_or_else(|| self.unknown("user", user.text))?;
                self.credentials(body)?
            }
        };
        Ok(ClusterAccess {
            server: self.server(server)?,
            tls_server_name: self.text(cluster, "tls-server-name")?.map(|field| field.text.to_owned()),
            ca_pem,
            insecure_skip_verify,
            credentials,
            namespace: self.text(context, "namespace")?.map(|field| field.text.to_owned()),
            source: Source::Kubeconfig(self.path.to_owned()),
        })
    }

    fn server(&self, server: Field<'_>) -> Result<ApiServer, KubeconfigError> {
        let url = ApiUrl::parse(server.text).map_err(|error| self.invalid(server.node, format!("server: {error}")))?;
        let scheme = server.text.split(':').next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(self.invalid(server.node, "server: the URL's scheme must be https or http".to_owned()));
        }
        if url.query.is_some() {
            return Err(self.invalid(server.node, "server: a query is not possible here".to_owned()));
        }
        Ok(ApiServer::from(url))
    }

    fn credentials(&self, user: &Node) -> Result<Credentials, KubeconfigError> {
        for (field, reason) in UNSUPPORTED_IN_USER {
            if let Some(entry) = present(user, field) {
                return Err(self.unsupported(entry, field, reason));
            }
        }
        let (token, token_file) = self.token(user)?;
        Ok(Credentials { token, token_file, certificate: self.certificate(user)? })
    }

    /// A token or a token file; the file goes first, as in kubectl.
    fn token(&self, user: &Node) -> Result<(Option<Secret>, Option<PathBuf>), KubeconfigError> {
        if let Some(field) = self.text(user, "tokenFile")? {
            let path = self.resolve(field.text);
            read_token(self.files, &path)
                .map_err(|error| self.invalid(field.node, format!("tokenFile: {}: {error}", path.display())))?;
            return Ok((None, Some(path)));
        }
        let Some(field) = self.text(user, "token")? else {
            return Ok((None, None));
        };
        let token = parse_token(field.text);
        Ok((Some(token.map_err(|error| self.invalid(field.node, format!("token: {error}")))?), None))
    }

    fn certificate(&self, user: &Node) -> Result<Option<ClientCertificate>, KubeconfigError> {
        let certificate_pem = self.pem(user, "client-certificate", "client-certificate-data", "-----BEGIN CERTIFICATE-----")?;
        let key_pem = self.pem(user, "client-key", "client-key-data", "PRIVATE KEY-----")?;
        match (certificate_pem, key_pem) {
            (Some(certificate_pem), Some(key_pem)) => {
                let key_pem = String::from_utf8(key_pem)
                    .map_err(|_| self.invalid(user, "client-key: the key is not a PEM file".to_owned()))?;
                Ok(Some(ClientCertificate { certificate_pem, key_pem: Secret::new(key_pem) }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.invalid(user, "a client certificate without its key".to_owned())),
            (None, Some(_)) => Err(self.invalid(user, "a client key without its certificate".to_owned())),
        }
    }

    /// A PEM file, from base64 in the kubeconfig or else from a file of its own.
    fn pem(
        &self,
        node: &Node,
        path_field: &'static str,
        data_field: &'static str,
        marker: &str,
    ) -> Result<Option<Vec<u8>>, KubeconfigError> {
        let (field, pem) = if let Some(field) = self.text(node, data_field)? {
            let decoded = decode_base64(field.text);
            (field, decoded.map_err(|message| self.invalid(field.node, format!("{data_field}: {message}")))?)
        } else if let Some(field) = self.text(node, path_field)? {
            let path = self.resolve(field.text);
            let content = self.files.read(&path);
            (field, content.map_err(|error| KubeconfigError::Unreadable { path, error })?)
        } else {
            return Ok(None);
        };
        if pem.windows(marker.len()).any(|window| window == marker.as_bytes()) {
            Ok(Some(pem))
        } else {
            Err(self.invalid(field.node, format!("{}: no \"{}\" in it", field.name, marker.trim_matches('-'))))
        }
    }

    /// Relative paths count from the folder of the kubeconfig.
    fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// An entry that is there and says something.
fn present<'node>(node: &'node Node, key: &str) -> Option<&'node Entry> {
    let says_something = |node: &Node| match &node.value {
        Value::Null => false,
        Value::Scalar { text, .. } => !text.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(entries) => !entries.is_empty(),
    };
    node.entries().iter().find(|entry| entry.key == key && says_something(&entry.node))
}
