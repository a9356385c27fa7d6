//! Canaries in every place of a message and of a head.

use super::*;

#[test]
fn b39_messages_show_their_form_and_no_secret() {
    let cases = [
        (r#"{"type":"heartbeat","payload":{"cluster_id":"c-1"}}"#, r#"{"type":"heartbeat","payload":{"cluster_id":"c-1"}}"#),
        (r#"{"payload":{"token":"CANARY","n":1}}"#, r#"{"payload":{"token":"***","n":1}}"#),
        (r#"{"payload":{"k8s_service_token":"CANARY"}}"#, r#"{"payload":{"k8s_service_token":"***"}}"#),
        (
            r#"{"payload":{"credentials":{"user":"CANARY","n":[1,"CANARY"]}}}"#,
            r#"{"payload":{"credentials":{"user":"***","n":[***,"***"]}}}"#,
        ),
        (r#"{"db_password":12345,"b":true}"#, r#"{"db_password":***,"b":true}"#),
        (r#"{"password":null}"#, r#"{"password":null}"#),
        (r#"{"pass\u0077ord":"CANARY"}"#, r#"{"pass\u0077ord":"***"}"#),
        (r#"{"body":"Q0FOQVJZ","encoding":"base64"}"#, r#"{"body":"<8 bytes>","encoding":"base64"}"#),
        (r#"{"body":{"stringData":{"a":"CANARY"}}}"#, r#"{"body":{"stringData":{"a":"<6 bytes>"}}}"#),
        (r#"{"data":"CANARY \" CANARY"}"#, r#"{"data":"<16 bytes>"}"#),
        (
            r#"{"headers":{"Accept":["a"],"X-Any":["CANARY"],"Cookie":"CANARY"}}"#,
            r#"{"headers":{"Accept":["a"],"X-Any":["***"],"Cookie":"***"}}"#,
        ),
        (r#"{"headers":[{"name":"X","value":"CANARY"}]}"#, r#"{"headers":[{"name":"***","value":"***"}]}"#),
        (r#"{"headers":"X: CANARY"}"#, r#"{"headers":"***"}"#),
        (
            r#"{"headers":{"Sec-WebSocket-Protocol":["base64url.bearer.authorization.k8s.io.CANARY, v5.channel.k8s.io"]}}"#,
            r#"{"headers":{"Sec-WebSocket-Protocol":["***"]}}"#,
        ),
        (
            r#"{"headers":{"Sec-WebSocket-Protocol":["v5.channel.k8s.io, v4.channel.k8s.io"]}}"#,
            r#"{"headers":{"Sec-WebSocket-Protocol":["v5.channel.k8s.io, v4.channel.k8s.io"]}}"#,
        ),
        (r#"{"query":"watch=true&access=CANARY&x"}"#, r#"{"query":"watch=true&access=***&***"}"#),
        (r#"{"path":"/a?watch=true\u0026access=CANARY"}"#, r#"{"path":"/a?***"}"#),
        (r#"{"path":"/a/b","query":""}"#, r#"{"path":"/a/b","query":""}"#),
        (r#"{"a" : [ 1.5e3 , -2 ] }"#, r#"{"a":[1.5e3,-2]}"#),
    ];
    for (text, expected) in cases {
        let shown = message(text.as_bytes());
        assert_eq!(shown, expected);
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

#[test]
fn long_texts_and_messages_are_cut() {
    let text = format!(r#"{{"error":"{}"}}"#, "x".repeat(600));
    assert_eq!(message(text.as_bytes()), r#"{"error":"<600 bytes>"}"#);
    let text = format!("[{}]", vec!["\"abc\""; 100_000].join(","));
    let shown = message(text.as_bytes());
    assert!(shown.len() < LONGEST + 100 && shown.ends_with(&format!("<{} bytes in all>", text.len())));
    let shown = message("[".repeat(100_000).as_bytes());
    assert!(shown.len() < 100, "{shown}");
}

#[test]
fn nonsense_is_survived() {
    for text in [
        "",
        "\"",
        "\"\\",
        "}{",
        "]]]",
        "{\"a",
        "{\"a\":",
        ",,,",
        "nul",
        "\u{e9}\u{e9}",
        "{\"a\"\"b\":\"c\"}",
        "{1:2}",
        "\\\"\\\"",
    ] {
        let _ = message(text.as_bytes());
    }
    let _ = message(&[0xff, 0xfe, b'"', 0x80, b'"']);
}

#[test]
fn heads_show_what_is_harmless() {
    let all = [
        ("host", "a"),
        ("authorization", "Bearer CANARY"),
        ("x-api-key", "CANARY"),
        ("set-cookie", "a=CANARY"),
        ("content-length", "7"),
    ];
    let shown = headers(all.iter().map(|(name, value)| (*name, value.as_bytes())));
    assert_eq!(shown, "host: a; authorization: ***; x-api-key: ***; set-cookie: ***; content-length: 7");
    assert_eq!(address("/api/v1/pods?watch=true&command=CANARY"), "/api/v1/pods?watch=true&command=***");
    assert_eq!(address("/a"), "/a");
}
