//! An agent that does what a test tells it, over a blocking socket.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devplane::DevPlaneHandle;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::LIMIT;
use super::client::{Duplex, connect};

pub(crate) struct Agent {
    socket: WebSocket<Box<dyn Duplex>>,
    pub(crate) cluster_id: String,
}

/// The status of a refused upgrade, or 0 if there was no answer.
pub(crate) fn dial(plane: &DevPlaneHandle, url: &str) -> Result<WebSocket<Box<dyn Duplex>>, u16> {
    let stream = connect(url, plane.ca_pem()).map_err(|_| 0_u16)?;
    let mut request = url.into_client_request().unwrap();
    let token = format!("Bearer {}", plane.token());
    request.headers_mut().insert("Authorization", token.parse().unwrap());
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
        Err(_) => Err(0),
    }
}

pub(crate) fn controller_url(plane: &DevPlaneHandle) -> String {
    format!("{}/api/v1/clusters/agent/ws", plane.api_url().replacen("http", "ws", 1))
}

pub(crate) fn gateway_url(base: &str, uuid: &str) -> String {
    format!(
        "{base}?agent_version=1&cluster_uuid={uuid}&supports_binary=true&supports_response_streaming=true\
         &supports_streaming=true&supports_websocket=true&supports_yamux=true"
    )
}

impl Agent {
    /// Registers, goes to the gateway if there is one, and sends a heartbeat.
    pub(crate) fn online(plane: &DevPlaneHandle) -> Self {
        let socket = dial(plane, &controller_url(plane)).unwrap();
        let mut agent = Self { socket, cluster_id: String::new() };
        agent.send("register", Some("req_1"), registration());
        let answer = agent.expect("register_success");
        assert_eq!(answer["request_id"], "req_1");
        let payload = &answer["payload"];
        agent.cluster_id = payload["cluster_id"].as_str().unwrap().to_owned();
        if let Some(gateway) = payload["gateway_ws_url"].as_str() {
            agent.close();
            let url = gateway_url(gateway, payload["cluster_uuid"].as_str().unwrap());
            agent.socket = dial(plane, &url).unwrap();
        }
        agent.heartbeat();
        agent.expect("heartbeat_ack");
        assert!(plane.wait_online(LIMIT).unwrap());
        agent
    }

    /// Straight to the gateway, as after a loss.
    pub(crate) fn again(plane: &DevPlaneHandle, cluster_id: &str) -> Result<Self, u16> {
        let socket = dial(plane, &gateway_url(plane.gateway_url().unwrap(), cluster_id))?;
        let mut agent = Self { socket, cluster_id: cluster_id.to_owned() };
        agent.heartbeat();
        Ok(agent)
    }

    pub(crate) fn heartbeat(&mut self) {
        let payload = json!({
            "cluster_id": self.cluster_id, "agent_id": "agent-1", "status": "healthy", "tunnel_status": "connected",
            "metadata": {"agent_version": "1"},
        });
        self.send("heartbeat", None, payload);
    }

    pub(crate) fn send(&mut self, kind: &str, id: Option<&str>, payload: Value) {
        let mut envelope = json!({"type": kind, "payload": payload, "timestamp": "2026-11-23T00:21:49Z"});
        if let Some(id) = id {
            envelope["request_id"] = id.into();
        }
        self.socket.send(Message::text(envelope.to_string())).unwrap();
    }

    pub(crate) fn message(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// The next message of any kind; an error once the connection is over.
    pub(crate) fn read(&mut self) -> Result<Message, Error> {
        self.socket.read()
    }

    /// The next envelope. Heartbeats' answers are passed over.
    pub(crate) fn envelope(&mut self) -> Value {
        loop {
            let Message::Text(text) = self.read().unwrap() else {
                continue;
            };
            let envelope: Value = serde_json::from_str(text.as_str()).unwrap();
            if envelope["type"] != "heartbeat_ack" {
                return envelope;
            }
        }
    }

    /// The next envelope, which has to be of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        loop {
            let Message::Text(text) = self.read().unwrap() else {
                continue;
            };
            let envelope: Value = serde_json::from_str(text.as_str()).unwrap();
            if envelope["type"] == kind {
                return envelope;
            }
            assert_eq!(envelope["type"], "heartbeat_ack");
        }
    }

    /// The next request: its id and payload.
    pub(crate) fn request(&mut self) -> (String, Value) {
        let request = self.expect("proxy_request");
        (request["request_id"].as_str().unwrap().to_owned(), request["payload"].clone())
    }

    pub(crate) fn head(&mut self, id: &str, status: u16, headers: Value) {
        self.send("proxy_response_header", Some(id), json!({"status": status, "headers": headers}));
    }

    pub(crate) fn chunk(&mut self, id: &str, data: &[u8]) {
        let payload = json!({"data": STANDARD.encode(data), "encoding": "base64", "size": data.len()});
        self.send("proxy_response_chunk", Some(id), payload);
    }

    pub(crate) fn end(&mut self, id: &str) {
        self.send("proxy_response_end", Some(id), json!({}));
    }

    /// 101 and its end, which is not the end of the stream.
    pub(crate) fn switch(&mut self, id: &str, headers: Value) {
        self.head(id, 101, headers);
        self.end(id);
    }

    pub(crate) fn frame(&mut self, id: &str, opcode: u8, payload: &[u8]) {
        let data = STANDARD.encode([&[opcode], payload].concat());
        let payload = json!({"stream_id": id, "request_id": id, "data": data, "message_type": opcode});
        self.send("proxy_websocket_data", Some(id), payload);
    }

    pub(crate) fn closed(&mut self, id: &str, code: u16, reason: &str) {
        let payload = json!({"stream_id": id, "request_id": id, "code": code, "reason": reason});
        self.send("proxy_websocket_close", Some(id), payload);
    }

    /// The next message, which has to be a frame: opcode and payload.
    pub(crate) fn data(&mut self) -> (u8, Vec<u8>) {
        let message = self.expect("ws_data");
        frame_of(&message)
    }

    /// Sends a close frame and waits for the answer.
    pub(crate) fn close(&mut self) {
        self.socket.close(Some(CloseFrame { code: 1000.into(), reason: "".into() })).unwrap();
        let end = loop {
            if let Err(end) = self.socket.read() {
                break end;
            }
        };
        assert!(matches!(end, Error::ConnectionClosed), "{end}");
    }

    /// Waits for the end of the connection; the code if there was a close frame.
    pub(crate) fn until_over(&mut self) -> Option<u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Opcode and payload of a `ws_data`.
pub(crate) fn frame_of(message: &Value) -> (u8, Vec<u8>) {
    let payload = &message["payload"];
    let mut data = STANDARD.decode(payload["data"].as_str().unwrap()).unwrap();
    let opcode = data.remove(0);
    assert_eq!((&payload["message_type"], &payload["stream_id"]), (&json!(opcode), &message["request_id"]));
    assert_eq!(payload["request_id"], message["request_id"]);
    (opcode, data)
}

fn registration() -> Value {
    json!({
        "agent_id": "agent-1", "name": "test", "k8s_version": "v1.30.1", "hostname": "h", "agent_version": "1",
        "server_ip": "0.0.0.0", "region": "DE", "cloud_provider": "agent",
        "tunnel_port_config": {"kubernetes_api": 6443, "kubelet": 10250, "agent_http": 8080},
        "labels": {}, "server_specs": {},
        "features": {
            "supports_streaming": true, "supports_binary_protocol": true, "supports_compression": true,
            "supports_websocket_proxy": true, "supports_gateway": true, "supports_response_streaming": true,
        },
        "metadata": {
            "agent_mode": "vm-agent", "registration_timestamp": "2026-11-23T00:21:49Z", "registration_mode": "fresh",
        },
    })
}
