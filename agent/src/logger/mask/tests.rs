//! Canaries in every shape in which secrets travel.

use super::*;

#[test]
fn hides_secrets_and_nothing_else() {
    let cases = [
        ("Authorization: Bearer CANARY", "Authorization: ***"),
        ("authorization: Basic CANARY=\r\nhost: a", "authorization: ***\r\nhost: a"),
        ("{\"authorization\":[\"Bearer CANARY\"],\"x\":1}", "{\"authorization\":[***],\"x\":1}"),
        ("{\\\"Cookie\\\":[\\\"a]=CANARY\\\",\\\"CANARY\\\"],\\\"x\\\":1}", "{\\\"Cookie\\\":[***],\\\"x\\\":1}"),
        ("{\"X-Auth-Token\":[\"CANARY\"]}", "{\"X-Auth-Token\":[***]}"),
        ("[(\"authorization\", \"Bearer CANARY\")]", "[(\"authorization\", \"Bearer ***\")]"),
        ("sent bearer CANARY to it", "sent bearer *** to it"),
        ("Cookie: session=CANARY; other=CANARY\nx", "Cookie: ***\nx"),
        ("wss://a/ws?token=CANARY&v=1", "wss://a/ws?token=***&v=1"),
        ("/x?access_token=CANARY", "/x?access_token=***"),
        ("PIPEOPS_TOKEN=CANARY K3S_TOKEN=CANARY", "PIPEOPS_TOKEN=*** K3S_TOKEN=***"),
        ("password=CANARY,user=x", "password=***,user=x"),
        ("password: CANARY", "password: ***"),
        ("password = \"two CANARY words\" x", "password = \"***\" x"),
        ("{\"token\":\"CANARY\",\"a\":\"b\"}", "{\"token\":\"***\",\"a\":\"b\"}"),
        ("{\"k8s_service_token\" : \"CANARY\"}", "{\"k8s_service_token\" : \"***\"}"),
        ("{\"password\":\"CAN\\\"ARY\"}", "{\"password\":\"***\"}"),
        ("{\"password\":\"CANARY\\\\\",\"b\":1}", "{\"password\":\"***\",\"b\":1}"),
        ("{\\\"token\\\":\\\"CANARY\\\",\\\"a\\\":1}", "{\\\"token\\\":\\\"***\\\",\\\"a\\\":1}"),
        ("{\"password\":12345}", "{\"password\":***}"),
        ("Login { token: \"CANARY\", id: 1 }", "Login { token: \"***\", id: 1 }"),
        ("    client-key-data: Q0FOQVJZ\n    x: y", "    client-key-data: ***\n    x: y"),
        ("token: CANARY1", "token: ***"),
        ("token: CANARYCANARYCANARY", "token: ***"),
        ("https://user:CANARY@host/x@y", "https://***@host/x@y"),
        ("https://CANARY@host:1/", "https://***@host:1/"),
        ("base64url.bearer.authorization.k8s.io.Q0FOQVJZ, v4", "base64url.bearer.authorization.k8s.io.***, v4"),
        ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.c2lnbmF0dXJl.", "got ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----\nx", "***\nx"),
        ("-----BEGIN PRIVATE KEY-----\nCANARY", "***"),
        ("token=\u{e9}CANARY\u{e9}&x", "token=***&x"),
        ("token=\"CANARY", "token=\"***"),
    ];
    for (text, expected) in cases {
        let masked = mask(text);
        assert_eq!(masked, expected);
        assert!(!masked.contains("CANARY") && !masked.contains("Q0FOQVJZ"), "{masked}");
        assert_eq!(mask(&masked), expected, "masking twice changes nothing");
    }
}

#[test]
fn borrows_harmless_text() {
    let cases = [
        "",
        "registered cluster_id=7 status=200",
        "invalid token: expired",
        "bearer tokens are not used here",
        "{\"token\":null,\"tokens\":5,\"token_file\":\"/x\"}",
        "token_source=file secret=pipeops-agent-secrets",
        "https://host/a@b?c=d:e@f",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJ is how they begin",
        "a:b=c-d.e f",
        "token=***",
        "\u{1f600}: \u{e9}=\u{2028}",
    ];
    for text in cases {
        assert!(matches!(mask(text), Cow::Borrowed(same) if same == text), "{text:?} became {:?}", mask(text));
    }
}

#[test]
fn never_fails_on_strange_text() {
    let pieces = ["token", "=", ":", "\"", "\\", "://", "@", "bearer ", "\u{e9}", "eyJ", ".", "-----BEGIN PRIVATE KEY-----"];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                for fourth in pieces {
                    let text = [first, second, third, fourth].concat();
                    let _ = mask(&text);
                }
            }
        }
    }
}
