//! Streams into pods, frame by frame, with a WebSocket client that is not ours.

// The exemption for tests covers test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use devapp::mismatch;
use devkube::{DevKube, Options};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderValue, Method};
use tungstenite::{Error, Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);
const ADMIN: &str = "devkube-admin-token";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A server on a thread of its own, so that a test may block.
struct Server {
    kube: Arc<DevKube>,
    /// For waiting.
    runtime: Runtime,
    // The server's thread ends with it.
    _stop: oneshot::Sender<()>,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Server {
    fn start() -> Server {
        let (started, start) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            runtime().block_on(async {
                started.send(Arc::new(DevKube::start(Options::default()).await.unwrap())).unwrap();
                let _ = stopped.await;
            });
        });
        Server { kube: start.recv_timeout(PATIENCE).unwrap(), runtime: runtime(), _stop: stop }
    }

    fn until(&self, condition: impl FnMut(&DevKube) -> bool) {
        let waiting = async { tokio::time::timeout(PATIENCE, self.kube.wait_for(condition)).await };
        self.runtime.block_on(waiting).expect("it never comes to that");
    }

    fn connect(&self, token: &str, protocols: &str, target: &str) -> Result<(Stream, String), Error> {
        let mut request = format!("ws://{}{PODS}/{target}", self.kube.addr()).into_client_request().unwrap();
        assert_eq!(request.method(), Method::GET);
        let headers = request.headers_mut();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        headers.insert("sec-websocket-protocol", HeaderValue::from_str(protocols).unwrap());
        let tcp = TcpStream::connect(self.kube.addr()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        let (socket, response) = tungstenite::client(request, tcp).map_err(|error| match error {
            tungstenite::HandshakeError::Failure(error) => error,
            tungstenite::HandshakeError::Interrupted(_) => panic!("the handshake takes too long"),
        })?;
        Ok((Stream(socket), response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned()))
    }

    fn open(&self, protocol: &str, target: &str) -> Stream {
        let (stream, agreed) = self.connect(ADMIN, protocol, target).unwrap();
        assert_eq!(agreed, protocol);
        stream
    }

    fn refused(&self, token: &str, protocols: &str, target: &str) -> (u16, Value) {
        let Err(Error::Http(response)) = self.connect(token, protocols, target) else { panic!("not refused") };
        let status: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap();
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(response.status().as_u16())));
        (response.status().as_u16(), status)
    }
}

struct Stream(WebSocket<TcpStream>);

impl Stream {
    fn send(&mut self, channel: u8, bytes: &[u8]) {
        self.0.send(Message::binary([&[channel], bytes].concat())).unwrap();
    }

    /// The next frame of a channel.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            match self.0.read().unwrap() {
                Message::Binary(bytes) => return (bytes[0], bytes[1..].to_vec()),
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Text(_) | Message::Close(_) | Message::Frame(_)) => panic!("{other:?}"),
            }
        }
    }

    /// Everything to the end, each channel by itself, and the code of the close frame.
    fn rest(&mut self) -> ([Vec<u8>; 4], Option<u16>) {
        let mut channels: [Vec<u8>; 4] = Default::default();
        loop {
            match self.0.read().unwrap() {
                Message::Binary(bytes) => channels[usize::from(bytes[0])].extend_from_slice(&bytes[1..]),
                Message::Close(frame) => {
                    // The answer to it, for which the server waits.
                    let _ = self.0.flush();
                    return (channels, frame.map(|frame| frame.code.into()));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Text(_) | Message::Frame(_)) => panic!("{other:?}"),
            }
        }
    }
}

fn success() -> Vec<u8> {
    br#"{"metadata":{},"status":"Success"}"#.to_vec()
}

#[test]
fn a_command_says_its_piece_on_its_channels() {
    let server = Server::start();
    for protocol in ["v5.channel.k8s.io", "v4.channel.k8s.io"] {
        let mut stream = server.open(protocol, "web-0/exec?command=both&stdout=true&stderr=true");
        assert_eq!(stream.frame(), (1, vec![]), "the sign that it is open");
        let ([_, out, err, status], close) = stream.rest();
        assert_eq!((out, err, status, close), (b"out\n".to_vec(), b"err\n".to_vec(), success(), Some(1000)));
    }
    let mut old = server.open("channel.k8s.io", "web-0/exec?command=echo&command=x&stdout=1");
    assert_eq!(old.rest().0, [vec![], b"x\n".to_vec(), vec![], vec![]]);
    let mut only_err = server.open("v4.channel.k8s.io", "web-0/exec?command=stderr&command=x&stderr=1");
    assert_eq!((only_err.frame(), only_err.frame()), ((2, vec![]), (2, b"x\n".to_vec())));
}

#[test]
fn codes_and_failures_are_in_the_status() {
    let server = Server::start();
    let mut stream = server.open("v4.channel.k8s.io", "web-0/exec?command=sh&command=-c&command=exit+4&stdin=true");
    assert_eq!(stream.frame(), (3, vec![]), "the only channel it can write to");
    let status: Value = serde_json::from_slice(&stream.rest().0[3]).unwrap();
    assert_eq!((&status["reason"], &status["details"]["causes"][0]["message"]), (&json!("NonZeroExitCode"), &json!("4")));
    let mut stream = server.open("v4.channel.k8s.io", "web-0/exec?command=nothing&stdout=true");
    let status: Value = serde_json::from_slice(&stream.rest().0[3]).unwrap();
    assert_eq!((&status["reason"], &status["code"]), (&json!("InternalError"), &json!(500)));
}

#[test]
fn stdin_ends_with_the_fifth_version_only() {
    let server = Server::start();
    let target = "web-0/exec?command=cat&stdin=true&stdout=true";
    let mut stream = server.open("v5.channel.k8s.io", target);
    stream.send(0, b"abc");
    stream.send(0, b"");
    stream.send(255, &[0]);
    assert_eq!(stream.rest().0, [vec![], b"abc".to_vec(), vec![], success()]);
    let mut stream = server.open("v4.channel.k8s.io", target);
    stream.send(255, &[0]);
    stream.send(0, b"still");
    assert_eq!((stream.frame(), stream.frame()), ((1, vec![]), (1, b"still".to_vec())));
    drop(stream);
    server.until(|kube| kube.live_requests() == 0);
}

#[test]
fn what_a_command_writes_is_the_pattern() {
    let server = Server::start();
    let mut stream = server.open("v5.channel.k8s.io", "web-0/exec?command=bytes&command=1000000&stdout=true");
    let ([_, out, _, status], _) = stream.rest();
    assert_eq!((out.len(), mismatch(0, &out), status), (1_000_000, None, success()));
}

#[test]
fn a_terminal_echoes_and_has_a_size() {
    let server = Server::start();
    let mut stream = server.open("v5.channel.k8s.io", "web-0/exec?command=sh&stdin=true&stdout=true&stderr=true&tty=true");
    stream.send(0, b"hi\r");
    assert_eq!((stream.frame(), stream.frame()), ((1, vec![]), (1, b"hi\r\n".to_vec())));
    stream.send(0, &[4]);
    assert_eq!(stream.rest().0[3], success());
    let mut stream = server.open("v4.channel.k8s.io", "web-0/exec?command=size&stdin=true&stdout=true&tty=true");
    stream.send(4, br#"{"Width":80,"Height":24}"#);
    stream.send(4, b"nonsense");
    assert_eq!((stream.frame(), stream.frame()), ((1, vec![]), (1, b"24x80\r\n".to_vec())));
    stream.send(4, br#"{"Width":132,"Height":50}"#);
    assert_eq!(stream.frame(), (1, b"50x132\r\n".to_vec()));
}

#[test]
fn a_command_that_goes_on_ends_with_its_client() {
    let server = Server::start();
    for command in ["sleep", "stall", "cat"] {
        let mut stream = server.open("v5.channel.k8s.io", &format!("web-0/exec?command={command}&stdin=true&stdout=true"));
        stream.frame();
        assert_eq!(server.kube.live_requests(), 1);
        drop(stream);
        server.until(|kube| kube.live_requests() == 0);
    }
    let mut stream = server.open("v5.channel.k8s.io", "web-0/exec?command=sleep&stdout=true");
    stream.0.close(None).unwrap();
    assert_eq!(stream.rest().1, Some(1000));
}

#[test]
fn a_command_that_reads_nothing_stops_its_client() {
    let server = Server::start();
    let mut stream = server.open("v5.channel.k8s.io", "web-0/exec?command=stall&stdin=true&stdout=true");
    stream.0.get_mut().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let piece = Message::binary(vec![0; 64 * 1024]);
    // Sockets hold some; 256 MiB they do not.
    assert!((0..4096).any(|_| stream.0.send(piece.clone()).is_err()));
    drop(stream);
    server.until(|kube| kube.live_requests() == 0);
}

#[test]
fn attaching_gives_back_lines() {
    let server = Server::start();
    let mut stream = server.open("v5.channel.k8s.io", "web-0/attach?container=web&stdin=true&stdout=true");
    stream.send(0, b"one\ntw");
    assert_eq!((stream.frame(), stream.frame()), ((1, vec![]), (1, b"one\n".to_vec())));
    stream.send(0, b"o\n");
    assert_eq!(stream.frame(), (1, b"two\n".to_vec()));
    stream.send(255, &[0]);
    assert_eq!(stream.rest().0[3], success());
}

#[test]
fn ports_say_their_number_and_echo() {
    let server = Server::start();
    let mut stream = server.open("v4.channel.k8s.io", "web-0/portforward?ports=80&ports=8443");
    let frames: Vec<(u8, Vec<u8>)> = (0..4).map(|_| stream.frame()).collect();
    assert_eq!(frames, [(0, vec![80, 0]), (1, vec![80, 0]), (2, vec![0xfb, 0x20]), (3, vec![0xfb, 0x20])]);
    stream.send(2, b"second");
    stream.send(1, b"not for an error channel");
    stream.send(0, b"first");
    assert_eq!((stream.frame(), stream.frame()), ((2, b"second".to_vec()), (0, b"first".to_vec())));
    stream.0.close(None).unwrap();
    assert_eq!(stream.rest().1, Some(1000));
    server.until(|kube| kube.live_requests() == 0);
}

#[test]
fn refusals_are_ordinary_answers() {
    let server = Server::start();
    let v5 = "v5.channel.k8s.io";
    let good = "web-0/exec?command=echo&stdout=true";
    let code = |token, protocols, target| server.refused(token, protocols, target).0;
    assert_eq!(code("wrong", v5, good), 401);
    let (status, forbidden) = server.refused("devkube-viewer-token", v5, good);
    assert_eq!((status, &forbidden["reason"]), (403, &json!("Forbidden")));
    assert_eq!(code("devkube-viewer-token", "v4.channel.k8s.io", "web-0/portforward?ports=1"), 403);
    assert_eq!(code(ADMIN, "v4.channel.k8s.io", "web-0/portforward?ports=0"), 400);
    for bad in ["web-0/exec?stdout=true", "web-0/exec?command=echo", "web-0/exec?command=echo&stdout=true&container=x"] {
        assert_eq!(code(ADMIN, v5, bad), 400, "{bad}");
    }
    assert_eq!(code(ADMIN, v5, "web-9/exec?command=echo&stdout=true"), 404);
    let (status, spdy) = server.refused(ADMIN, "SPDY/3.1+portforward.k8s.io", "web-0/portforward");
    assert_eq!((status, &spdy["reason"]), (400, &json!("BadRequest")));
    assert!(spdy["message"].as_str().unwrap().contains("SPDY/3.1+portforward.k8s.io"));
    assert!(server.kube.requests().iter().all(|seen| seen.protocol.is_none()));
    assert_eq!(server.kube.live_requests(), 0);
}

#[test]
fn the_server_takes_its_streams_along() {
    let server = Server::start();
    let mut stream = server.open("v5.channel.k8s.io", "web-0/exec?command=sleep&stdout=true");
    stream.frame();
    server.runtime.block_on(server.kube.shutdown());
    assert!(stream.0.read().is_err());
    server.until(|kube| kube.live_requests() == 0);
}

#[test]
fn a_service_is_put_with_its_address() {
    let server = Server::start();
    server.kube.put_service("default", "shop", "10.43.9.9".parse().unwrap(), &[("web", 80)]).unwrap();
    let spec = server.kube.get("services", "default", "shop").unwrap()["spec"].clone();
    assert_eq!((&spec["clusterIP"], &spec["clusterIPs"]), (&json!("10.43.9.9"), &json!(["10.43.9.9"])));
    assert_eq!(spec["ports"], json!([{"name": "web", "port": 80, "protocol": "TCP", "targetPort": 80}]));
    let node = server.kube.get("nodes", "", "devkube-1").unwrap();
    assert_eq!(node["status"]["addresses"][0]["type"], "InternalIP");
}
