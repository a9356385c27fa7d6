//! Upgraded connections of the handle, in all spellings.

use devplane::plane::{Part, ProxyRequest, WebSocketRequest};
use devplane::{AnswerStream, DevPlaneHandle, Options, Stopped};
use serde_json::{Map, Value, json};

use super::agent::Agent;
use super::{LIMIT, assert_clean, start};

fn change(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn opened(plane: &DevPlaneHandle, agent: &mut Agent) -> (AnswerStream, String) {
    let mut answer = plane.request(ProxyRequest::websocket("/ws")).unwrap();
    let (id, _) = agent.request();
    agent.switch(&id, json!(null));
    assert_eq!(answer.next_within(LIMIT), Some(Part::Head { status: 101, headers: vec![] }));
    (answer, id)
}

#[test]
fn frames_under_every_name() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let (mut answer, id) = opened(&plane, &mut agent);
    let exchange = answer.exchange();
    plane.send_frame(exchange, 1, b"hi".to_vec()).unwrap();
    assert_eq!(agent.data(), (1, b"hi".to_vec()));
    for kind in ["proxy_websocket_data", "proxy_stream_data", "ws_data"] {
        let odd = change(json!({"stream_id": null, "message_type": "2", "data": "aGk="}));
        plane.send_frame_as(exchange, kind, 2, Vec::new(), odd).unwrap();
        let payload = &agent.expect(kind)["payload"];
        assert_eq!(payload, &json!({"request_id": id, "message_type": "2", "data": "aGk="}));
    }
    plane.send_text(exchange, |id| format!(r#"{{"type":"ws_data","request_id":"{id}","payload":null}}"#)).unwrap();
    assert_eq!(agent.expect("ws_data")["payload"], json!(null));
    agent.frame(&id, 9, b"");
    assert_eq!(answer.next_within(LIMIT), Some(Part::Frame { opcode: 9, data: vec![] }));
    agent.send("backpressure", Some(&id), json!({"reason": "channel_full", "request_id": id}));
    agent.closed(&id, 1013, "full");
    assert_eq!(answer.next_within(LIMIT), Some(Part::Backpressure("channel_full".into())));
    assert_eq!(answer.next_within(LIMIT), Some(Part::Closed { code: Some(1013), reason: "full".into() }));
    assert_eq!(plane.send_frame(exchange, 1, Vec::new()), Err(Stopped));
    assert_clean(&plane);
}

#[test]
fn ends_under_every_name() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let (mut answer, id) = opened(&plane, &mut agent);
    plane.close_stream(answer.exchange()).unwrap();
    assert_eq!(agent.expect("ws_close")["payload"], json!({"stream_id": id, "request_id": id}));
    assert!(matches!(answer.next_within(LIMIT), Some(Part::Abort(_))));
    let (answer, id) = opened(&plane, &mut agent);
    plane.close_stream_as(answer.exchange(), "proxy_websocket_close", change(json!({"stream_id": null}))).unwrap();
    assert_eq!(agent.expect("proxy_websocket_close")["payload"], json!({"request_id": id}));
    let (answer, id) = opened(&plane, &mut agent);
    plane.cancel(answer.exchange()).unwrap();
    assert_eq!(agent.expect("proxy_cancel")["request_id"], id.as_str());
    // Nobody waits any more.
    let (answer, id) = opened(&plane, &mut agent);
    drop(answer);
    assert_eq!(agent.expect("ws_close")["request_id"], id.as_str());
    assert_clean(&plane);
    agent.closed(&id, 1000, "");
    let late = |plane: &devplane::plane::Plane| plane.records().late_closes.total() == 1;
    assert!(plane.wait_until(late, LIMIT).unwrap());
    assert_clean(&plane);
}

#[test]
fn a_kubernetes_stream() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let request = WebSocketRequest { path: "/api/v1/x/exec".into(), ..WebSocketRequest::default() };
    let mut answer = plane.websocket(request).unwrap();
    let id = agent.expect("ws_start")["request_id"].as_str().unwrap().to_owned();
    plane.send_frame(answer.exchange(), 1, b"ls".to_vec()).unwrap();
    assert_eq!(agent.data(), (1, b"ls".to_vec()));
    agent.send("proxy_websocket_data", Some(&id), json!({"stream_id": id, "data": "AW91dA=="}));
    agent.send("proxy_websocket_close", Some(&id), json!({"stream_id": id}));
    assert_eq!(answer.next_within(LIMIT), Some(Part::Frame { opcode: 1, data: b"out".to_vec() }));
    assert_eq!(answer.next_within(LIMIT), Some(Part::Closed { code: None, reason: String::new() }));
    assert_clean(&plane);
}
