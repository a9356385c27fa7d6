//! Streams by `ws_start`: what becomes of the channels.

use devplane::plane::WebSocketRequest;

use crate::api::{Api, EXEC, V4, exec, start};
use crate::rig::{assert_bytes, pattern};
use crate::socket::{BINARY, TEXT};

fn channel(channel: u8, bytes: &[u8]) -> Vec<u8> {
    [&[channel], bytes].concat()
}

#[test]
fn must11_text_is_stdin_and_outputs_are_text() {
    let api = Api::start();
    for protocol in [V4, "v5.channel.k8s.io", "channel.k8s.io"] {
        let (mut socket, mut peer) = api.stream(exec(), Some(protocol));
        socket.send(TEXT, "ls\n");
        assert_eq!(peer.frame(), (BINARY, channel(0, b"ls\n")));
        let resize = channel(4, br#"{"Width":80,"Height":24}"#);
        socket.send(BINARY, &resize);
        assert_eq!(peer.frame(), (BINARY, resize));
        for number in 0..4 {
            peer.send(BINARY, &channel(number, b"output"));
            assert_eq!(socket.frame(), (TEXT, b"output".to_vec()), "channel {number}");
        }
        peer.send(BINARY, &channel(5, b"other"));
        assert_eq!(socket.frame(), (BINARY, channel(5, b"other")));
        peer.send(TEXT, b"as it is");
        assert_eq!(socket.frame(), (TEXT, b"as it is".to_vec()));
        // What is no UTF-8 stays what it is.
        peer.send(BINARY, &channel(1, &[0xff, 0, 0xfe]));
        assert_eq!(socket.frame(), (TEXT, vec![0xff, 0, 0xfe]));
        socket.send(TEXT, [0xff, 0, 0xfe]);
        assert_eq!(peer.frame(), (BINARY, channel(0, &[0xff, 0, 0xfe])));
        socket.close();
        peer.ended_without_a_word();
    }
    api.finish();
}

#[test]
fn must11_empty_frames_pass() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    // The API server says with these that the stream is open.
    for number in 0..3 {
        peer.send(BINARY, &[number]);
        assert_eq!(socket.frame(), (TEXT, vec![]));
    }
    peer.send(BINARY, &[]);
    peer.send(TEXT, &[]);
    peer.send(BINARY, &channel(1, b"last"));
    let mut frames = vec![socket.frame(), socket.frame(), socket.frame()];
    assert_eq!(frames.pop(), Some((TEXT, b"last".to_vec())));
    assert!(frames.iter().all(|(_, data)| data.is_empty()), "{frames:?}");
    socket.send(TEXT, "");
    assert_eq!(peer.frame(), (BINARY, vec![0]));
    socket.close();
    api.finish();
}

#[test]
fn b48_what_is_no_channel_of_bytes_is_not_translated() {
    let api = Api::start();
    let forward = EXEC.replace("/exec", "/portforward");
    let cases = [
        (EXEC, "base64.channel.k8s.io"),
        (EXEC, "v4.base64.channel.k8s.io"),
        (forward.as_str(), V4),
        ("/api/v1/namespaces/default/pods", "any.other"),
    ];
    for (path, protocol) in cases {
        let request = WebSocketRequest { protocol: Some(protocol.into()), ..start(path) };
        let (mut socket, mut peer) = api.stream(request, Some(protocol));
        assert_eq!(peer.values("sec-websocket-protocol"), [protocol]);
        for (opcode, data) in [(BINARY, &b"\x00\x01port"[..]), (TEXT, b"1aGVsbG8="), (BINARY, b"\x03x")] {
            peer.send(opcode, data);
            assert_eq!(socket.frame(), (opcode, data.to_vec()), "{path} {protocol}");
            socket.send(opcode, data);
            assert_eq!(peer.frame(), (opcode, data.to_vec()), "{path} {protocol}");
        }
        socket.close();
    }
    // A server that chooses none speaks of no channels.
    let (mut socket, mut peer) = api.stream(exec(), None);
    socket.send(TEXT, "text");
    assert_eq!(peer.frame(), (TEXT, b"text".to_vec()));
    peer.send(BINARY, b"\x01bytes");
    assert_eq!(socket.frame(), (BINARY, b"\x01bytes".to_vec()));
    socket.close();
    api.finish();
}

#[test]
fn b09_1000_outputs_and_1000_inputs_keep_their_order() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    for number in 0..1000 {
        peer.send(BINARY, &channel(1, format!("line {number}\n").as_bytes()));
    }
    for number in 0..1000 {
        assert_eq!(socket.frame(), (TEXT, format!("line {number}\n").into_bytes()));
    }
    for number in 0..1000 {
        socket.send(TEXT, format!("input {number}\n"));
    }
    for number in 0..1000 {
        assert_eq!(peer.frame(), (BINARY, channel(0, format!("input {number}\n").as_bytes())));
    }
    socket.close();
    api.finish();
}

#[test]
fn must11_a_large_output_stays_whole() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    for size in [32 * 1024, 256 * 1024] {
        let bytes = pattern(size);
        peer.send(BINARY, &channel(1, &bytes));
        let (opcode, data) = socket.frame();
        assert_eq!(opcode, TEXT);
        assert_bytes(&data, &bytes);
    }
    socket.close();
    api.finish();
}

#[test]
fn ten_execs_do_not_mix() {
    let api = Api::start();
    let mut streams: Vec<_> = (0..10)
        .map(|number| {
            let query = format!("command=number-{number}&stdout=true");
            api.stream(WebSocketRequest { query, ..start(EXEC) }, Some(V4))
        })
        .collect();
    for round in 0..20 {
        for (number, (socket, peer)) in streams.iter_mut().enumerate() {
            assert!(peer.line.contains(&format!("command=number-{number}&")), "{}", peer.line);
            socket.send(TEXT, format!("{number} in {round}"));
            peer.send(BINARY, &channel(1, format!("{number} out {round}").as_bytes()));
        }
        for (number, (socket, peer)) in streams.iter_mut().enumerate() {
            assert_eq!(socket.frame().1, format!("{number} out {round}").into_bytes());
            assert_eq!(peer.frame().1, channel(0, format!("{number} in {round}").as_bytes()));
        }
    }
    for (socket, _) in streams {
        socket.close();
    }
    api.finish();
}
