//! The verbs of the Kubernetes API.

/// What a request does, in the words of Kubernetes, with a word of its own for each way into a container or behind the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object, a log, or a path that is no resource.
    Get,
    /// Reads many objects.
    List,
    /// Reads many objects and what becomes of them.
    Watch,
    /// Makes an object. Evictions, bindings and tokens of service accounts are made like objects.
    Create,
    /// Replaces an object.
    Update,
    /// Changes an object.
    Patch,
    /// Removes one object.
    Delete,
    /// Removes many objects.
    DeleteCollection,
    /// Runs a program in a container, or opens any other upgraded connection that is neither a watch nor a log.
    Exec,
    /// Joins a container's main program.
    Attach,
    /// Opens connections to ports of a pod.
    PortForward,
    /// Sends HTTP through the API server to a service, pod or node.
    Proxy,
    /// A method that Kubernetes has no verb for. Cannot be named in a set.
    Other,
}

impl Verb {
    /// Every verb that can be named.
    pub const ALL: [Self; 12] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
        Self::Exec,
        Self::Attach,
        Self::PortForward,
        Self::Proxy,
    ];

    /// The name, as it stands in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "port-forward",
            Self::Proxy => "proxy",
            Self::Other => "other",
        }
    }

    /// The verb of that name, `None` if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// The verb of a request whose path says nothing else.
    pub(super) fn of_method(method: &str) -> Self {
        match method {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Create,
            "PUT" => Self::Update,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbs(u16);

impl Verbs {
    /// Whether the verb is in the set. [`Verb::Other`] never is.
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        Self(verbs.into_iter().filter(|verb| *verb != Verb::Other).fold(0, |bits, verb| bits | verb.bit()))
    }
}
