//! The domain's messages: what the plane and the agent say to each other, without the words of any encoding.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// One header of a proxied request or answer. Names keep their spelling and are compared without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name as it was sent.
    pub name: String,
    /// The value as it was sent.
    pub value: String,
}

/// A message from the plane.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// The cluster is registered.
    Registered {
        /// Of the `register` that it answers.
        request_id: String,
        /// What the plane gave.
        registration: Registration,
    },
    /// The plane needs more time for the registration.
    RegisterInProgress {
        /// Of the `register` that it speaks of.
        request_id: String,
    },
    /// The plane refuses something.
    Refused {
        /// Of the message that it answers, where the plane says so.
        request_id: Option<String>,
        /// The plane's words.
        text: String,
    },
    /// A heartbeat arrived.
    HeartbeatAcknowledged,
    /// The gateway offers to carry streams by yamux.
    GatewayHello {
        /// Whether it wants that.
        use_yamux: bool,
    },
    /// The plane asks whether the agent is there.
    Ping {
        /// To be sent back, where it was given.
        request_id: Option<String>,
    },
    /// The plane answers a ping.
    Pong,
    /// Part of an exchange.
    Exchange(FromPlane),
    /// A type that this version does not know.
    Unknown {
        /// The type.
        kind: String,
        /// The id of the message, where it had one.
        request_id: Option<String>,
    },
}

/// The plane's side of exchanges.
#[derive(Clone, Debug, PartialEq)]
pub enum FromPlane {
    /// Begin one.
    Request(Box<ProxyRequest>),
    /// More of its body.
    BodyChunk {
        /// Which exchange.
        id: String,
        /// The bytes.
        data: Bytes,
    },
    /// Its body is complete.
    BodyEnd {
        /// Which exchange.
        id: String,
    },
    /// The plane does not want it any more.
    Cancel {
        /// Which exchange.
        id: String,
    },
    /// Begin a stream to the Kubernetes API, by the entry that has no answer of its own.
    Start(Box<StartRequest>),
    /// A frame for an upgraded connection.
    SocketData {
        /// Which one.
        to: SocketAddress,
        /// The decoded bytes, with or without the opcode before them; none when they are not base64.
        data: Option<Bytes>,
        /// The opcode beside them, where the plane gives one that exists.
        message_type: Option<u8>,
    },
    /// The plane is done with an upgraded connection.
    SocketClose {
        /// Which one.
        to: SocketAddress,
        /// The close code, where the plane gives one.
        code: Option<u16>,
        /// The reason, or empty.
        reason: String,
    },
    /// A message of an exchange that cannot be understood and must be answered with an error.
    Malformed {
        /// Which exchange.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
        /// Whether the plane asked for a streamed answer, as far as that can be told.
        streamed: bool,
    },
}

/// A request of the plane to be carried out by the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyRequest {
    /// The exchange's id, chosen by the plane.
    pub id: String,
    /// The HTTP method, as sent.
    pub method: String,
    /// The decoded path, without the query.
    pub path: String,
    /// The raw query, without the question mark.
    pub query: String,
    /// The headers, in the plane's order.
    pub headers: Vec<Header>,
    /// The body.
    pub body: RequestBody,
    /// Whether the answer may come in parts.
    pub streamed_answer: bool,
    /// The target service, where one is named.
    pub service: ServiceFields,
    /// How long the exchange may take in all.
    pub time_limit: TimeLimit,
    /// Whether the plane asks for a WebSocket by a flag of its own, whatever the headers say.
    pub upgrade: bool,
    /// Sub-protocols beside the headers, separated by commas, or empty.
    pub protocol: String,
    /// What the client sent right after its upgrade request.
    pub head_data: Bytes,
    /// Whether the client spoke TLS to the plane. Says nothing about the target.
    pub client_secure: bool,
}

/// A request for a stream to the Kubernetes API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// The stream's id, chosen by the plane.
    pub id: String,
    /// The decoded path, without the query.
    pub path: String,
    /// The raw query, without the question mark.
    pub query: String,
    /// The headers, in the plane's order.
    pub headers: Vec<Header>,
    /// Sub-protocols, separated by commas, or empty.
    pub protocol: String,
}

/// The names by which a message may mean an upgraded connection. Empty where one is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketAddress {
    /// `stream_id` of the payload.
    pub stream: String,
    /// `request_id` of the payload.
    pub request: String,
    /// `request_id` of the envelope.
    pub envelope: String,
}

/// By which message the plane asked for an upgraded connection: it decides the words of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `ws_start`: nothing is answered to it but data, and channels are translated to text.
    Start,
    /// `proxy_request`: answered with 101, and every frame passes unchanged.
    Request,
}

/// The target fields of a request. A service is meant only when all three are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFields {
    /// The namespace, or empty.
    pub namespace: String,
    /// The service's name, or empty.
    pub name: String,
    /// The port, or 0.
    pub port: u16,
}

/// How long an exchange may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// The plane sets none.
    None,
    /// So long from its arrival.
    After(Duration),
    /// Until this wall-clock time, in milliseconds since 1970.
    At(u64),
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    None,
    /// All of it.
    Whole(Bytes),
    /// It follows in chunks.
    Chunked,
    /// It follows in the next binary message.
    NextBinary,
}

/// What the plane gives a cluster at registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The cluster's id. Never empty.
    pub cluster_id: String,
    /// The id for the gateway, where it differs.
    pub cluster_uuid: Option<String>,
    /// Where the tunnel goes on; none means on this socket.
    pub gateway_url: Option<String>,
    /// The plane's name for the cluster.
    pub name: Option<String>,
    /// The plane's word for how it went.
    pub status: Option<String>,
    /// The workspace that the cluster belongs to.
    pub workspace_id: Option<u64>,
    /// A replacement for the Kubernetes token that was sent.
    pub token: Option<String>,
}

/// A message to the plane.
#[derive(Clone, Debug, PartialEq)]
pub enum Outbound {
    /// Register the cluster.
    Register(Box<Register>),
    /// The agent is alive.
    Heartbeat(Box<Heartbeat>),
    /// Answers a ping.
    Pong {
        /// The ping's id.
        request_id: Option<String>,
    },
    /// A type that this version does not know was received for the first time.
    ProtocolFallback {
        /// The type.
        kind: String,
        /// The id of the message.
        request_id: Option<String>,
        /// This agent's version.
        agent_version: String,
    },
    /// A whole answer.
    Response {
        /// Which exchange.
        id: Arc<str>,
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: Vec<Header>,
        /// The body.
        body: Vec<u8>,
    },
    /// The status and headers of a streamed answer.
    ResponseHead {
        /// Which exchange.
        id: Arc<str>,
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: Vec<Header>,
    },
    /// Part of the body of a streamed answer.
    ResponseChunk {
        /// Which exchange.
        id: Arc<str>,
        /// The bytes, at least one.
        data: Bytes,
    },
    /// A streamed answer is complete.
    ResponseEnd {
        /// Which exchange.
        id: Arc<str>,
    },
    /// A streamed answer cannot be completed.
    ResponseAbort {
        /// Which exchange.
        id: Arc<str>,
        /// Why, as `class: text`.
        error: String,
    },
    /// An exchange without a streamed answer failed.
    Error {
        /// Which exchange.
        id: Arc<str>,
        /// Why, as `class: text`.
        error: String,
    },
    /// A stream that [`FromPlane::Start`] asked for cannot begin.
    StartError {
        /// Which stream.
        id: Arc<str>,
        /// Why, as `class: text`.
        error: String,
    },
    /// A frame of an upgraded connection.
    SocketData {
        /// Which one.
        id: Arc<str>,
        /// How it was asked for.
        entry: Entry,
        /// The frame's opcode (RFC 6455, section 5.2).
        opcode: u8,
        /// The payload.
        data: Bytes,
    },
    /// An upgraded connection is over.
    SocketClose {
        /// Which one.
        id: Arc<str>,
        /// How it was asked for.
        entry: Entry,
        /// The close code (RFC 6455, section 7.4), 1006 for an end without one.
        code: u16,
        /// The reason, or empty.
        reason: String,
    },
    /// A backend does not take what the plane sends fast enough; the connection's end follows.
    Backpressure {
        /// Which exchange.
        id: Arc<str>,
    },
}

/// The registration of a cluster. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// The id that the answer will carry.
    pub request_id: String,
    /// Who registers and what is known.
    pub identity: Identity,
    /// The facts at this time.
    pub facts: Facts,
    /// The cluster that the plane is asked to give back.
    pub cluster_id: Option<String>,
}

/// Who the agent is. Does not change while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The agent's id.
    pub agent_id: String,
    /// The configured name of the cluster.
    pub cluster_name: String,
    /// This program's version.
    pub agent_version: String,
    /// Labels from the configuration.
    pub labels: Vec<(String, String)>,
    /// The port of the local listener.
    pub agent_port: u16,
}

/// What is known of the cluster and the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The API server's version.
    pub kubernetes_version: Option<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// The address that the connection to the plane comes from.
    pub server_ip: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The provider.
    pub cloud_provider: Option<String>,
    /// Number of nodes.
    pub nodes: Option<u64>,
    /// Number of pods.
    pub pods: Option<u64>,
    /// Processors of the machine.
    pub cpu_cores: Option<u64>,
    /// Memory of the machine in GiB, rounded down.
    pub memory_gb: Option<u64>,
    /// The operating system's name.
    pub operating_system: Option<String>,
    /// The Kubernetes token that the plane is to use.
    pub service_token: Option<ServiceToken>,
}

/// A Kubernetes token on its way to the plane. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceToken(pub String);

impl core::fmt::Debug for ServiceToken {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("***")
    }
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The cluster's id.
    pub cluster_id: String,
    /// The agent's id.
    pub agent_id: String,
    /// This program's version.
    pub agent_version: String,
    /// The facts at this time.
    pub facts: Facts,
}
