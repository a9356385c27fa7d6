//! Each path over plain HTTP.

// The exemption for tests covers test functions only, not what they share; and not every file uses all of that.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub)]

mod support;

use std::io::{Read, Write};

use devapp::{GREETING, mismatch, sha256};
use serde_json::{Value, json};

use support::{PATIENCE, ask, connect, get, read_head, seen, start, whole};

#[test]
fn the_page_tries_both_and_reports() {
    let app = start();
    let page = get(&app, "/");
    assert_eq!((page.status, page.has("content-type: text/html")), (200, true));
    for part in ["WS-OK", "SSE-OK", r#"<div id="result">"#, "\"report\""] {
        assert!(page.text().contains(part), "{part}");
    }
    let report = br#"{"ws":"WS-OK"}"#;
    assert_eq!(ask(&app, "POST /report", "Content-Length: 14\r\n", report).status, 204);
    assert_eq!(seen(&app, "/report", |seen| seen.ended).body, report);
}

#[test]
fn downloads_are_the_pattern_however_they_are_framed() {
    let app = start();
    let known = get(&app, "/download?bytes=100000");
    assert!(known.has("content-length: 100000\r\n") && !known.has("transfer-encoding"));
    assert_eq!((known.body.len(), mismatch(0, &known.body)), (100_000, None));
    let chunked = get(&app, "/download?bytes=100000&chunked=1");
    assert!(chunked.has("transfer-encoding: chunked\r\n") && !chunked.has("content-length"));
    assert_eq!(chunked.chunks().concat(), known.body);
    let dripped = get(&app, "/download?bytes=10&chunked=1&piece=3&drip=1");
    let sizes: Vec<usize> = dripped.chunks().iter().map(Vec::len).collect();
    assert_eq!((sizes, dripped.chunks().concat()), (vec![3, 3, 3, 1], known.body[..10].to_vec()));
    assert_eq!(get(&app, "/download?bytes=0&chunked=1").chunks().len(), 0);
}

#[test]
fn head_says_everything_but_the_body() {
    let app = start();
    let answer = ask(&app, "HEAD /download?bytes=5", "", b"");
    assert_eq!((answer.status, answer.has("content-length: 5\r\n"), answer.body.len()), (200, true, 0));
    assert_eq!(ask(&app, "HEAD /headers", "", b"").body.len(), 0);
    assert_eq!(ask(&app, "HEAD /events?count=1000000", "", b"").body.len(), 0);
}

#[test]
fn uploads_are_counted_and_summed() {
    let app = start();
    for method in ["POST", "PUT", "PATCH"] {
        let answer = ask(&app, &format!("{method} /upload?x=1"), "Content-Length: 5\r\n", b"hello");
        let expected = json!({"bytes": 5, "sha256": sha256(b"hello"), "content_length": "5", "transfer_encoding": Value::Null});
        assert_eq!(answer.json(), expected);
    }
    let chunked = b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
    let answer = ask(&app, "POST /upload", "Transfer-Encoding: chunked\r\n", chunked).json();
    assert_eq!((&answer["bytes"], &answer["transfer_encoding"]), (&json!(5), &json!("chunked")));
    assert_eq!((&answer["sha256"], &answer["content_length"]), (&json!(sha256(b"hello")), &Value::Null));
    let record = seen(&app, "/upload", |seen| seen.ended);
    assert_eq!((record.body_bytes, record.body_sha256, record.status), (5, Some(sha256(b"hello")), Some(200)));
    assert_eq!((record.version.as_str(), record.tls, record.method.as_str()), ("HTTP/1.1", false, "POST"));
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let app = start();
    let mut stream = connect(&app);
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"ok").unwrap();
    assert_eq!(whole(&mut stream).json()["bytes"], 2);
}

#[test]
fn an_early_answer_does_not_wait_for_the_body() {
    let app = start();
    let mut stream = connect(&app);
    stream.write_all(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbeginning").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 413 "));
    // More of it does no harm, and is no request.
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "too large for me\n");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_stalled_request_is_seen_and_never_answered() {
    let app = start();
    let mut stream = connect(&app);
    stream.write_all(b"POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    let record = seen(&app, "/stall", |_| true);
    assert_eq!((record.status, record.ended, record.body_bytes), (None, false, 0));
    assert_eq!(app.connections().open, 1);
}

#[test]
fn slow_answers_come_and_clients_that_leave_are_noticed() {
    let app = start();
    assert_eq!(get(&app, "/slow?ms=5").text(), "after 5 ms\n");
    let mut stream = connect(&app);
    stream.write_all(b"GET /slow?ms=3600000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    seen(&app, "/slow", |seen| seen.query == "ms=3600000");
    drop(stream);
    let record = seen(&app, "/slow", |seen| seen.ended);
    assert_eq!(record.status, None);
    assert!(app.wait_within(PATIENCE, |app| app.connections().open == 0));
    assert_eq!(app.connections().ever, 2);
}

#[test]
fn each_event_is_a_flush_of_its_own() {
    let app = start();
    let answer = get(&app, "/events?count=3&interval_ms=0");
    assert!(answer.has("content-type: text/event-stream\r\n"));
    let chunks: Vec<String> = answer.chunks().into_iter().map(|chunk| String::from_utf8(chunk).unwrap()).collect();
    let expected = ["id: 1\ndata: event 1\n\n", "id: 2\ndata: event 2\n\n", "id: 3\ndata: event 3\n\n"];
    assert_eq!(chunks, expected);

    let mut stream = connect(&app);
    stream.write_all(b"GET /events?count=2&interval_ms=3600000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_head(&mut stream);
    let mut first = [0; 4];
    stream.read_exact(&mut first).unwrap();
    drop(stream);
    assert!(app.wait_within(PATIENCE, |app| app.connections().open == 0));
}

#[test]
fn fields_come_back_in_order_and_as_they_were_spelt() {
    let app = start();
    let answer = ask(&app, "GET /headers", "Cookie: a=1\r\nX-One: 1\r\nx-two: \r\nCookie: b=2\r\n", b"");
    let expected = json!([
        ["Host", "app.example"],
        ["Connection", "close"],
        ["Cookie", "a=1"],
        ["X-One", "1"],
        ["x-two", ""],
        ["Cookie", "b=2"],
    ]);
    assert_eq!(answer.json(), expected);
    assert_eq!(json!(app.last("/headers").unwrap().headers), expected);
}

#[test]
fn statuses_and_redirects() {
    let app = start();
    assert_eq!(get(&app, "/status?code=503").text(), "status 503\n");
    let empty = get(&app, "/status?code=204");
    assert_eq!((empty.status, empty.has("content-length"), empty.body.len()), (204, false, 0));
    assert_eq!(get(&app, "/status?code=101").status, 400);
    assert_eq!(get(&app, "/nothing").status, 404);
    assert_eq!(ask(&app, "DELETE /download", "", b"").status, 405);
    let redirect = get(&app, "/redirect");
    assert_eq!((redirect.status, redirect.has("location: /headers\r\n")), (302, true));
    assert!(get(&app, "/redirect?to=https%3A%2F%2Felsewhere.example%2F").has("location: https://elsewhere.example/\r\n"));
    assert_eq!(get(&app, "/redirect?to=a%0d%0aSet-Cookie:%20x").status, 400);
}

#[test]
fn gzip_only_for_those_who_ask() {
    let app = start();
    for fields in ["", "Accept-Encoding: br, gzip;q=0\r\n"] {
        let plain = ask(&app, "GET /gzip", fields, b"");
        assert_eq!((plain.has("content-encoding"), plain.text()), (false, GREETING));
    }
    let packed = ask(&app, "GET /gzip", "Accept-Encoding: br;q=1.0, gzip;q=0.8\r\n", b"");
    assert!(packed.has("content-encoding: gzip\r\n"));
    assert_eq!(packed.body[..2], [0x1f, 0x8b]);
    assert!(packed.body.windows(GREETING.len()).any(|part| part == GREETING.as_bytes()));
}

#[test]
fn a_connection_takes_one_request_after_another() {
    let app = start();
    let mut stream = connect(&app);
    stream
        .write_all(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /headers HTTP/1.1\r\nHost: b\r\n\r\n")
        .unwrap();
    read_head(&mut stream);
    let mut body = vec![0; 4];
    stream.read_exact(&mut body).unwrap();
    stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(r#"[["Host","b"]]"#) && rest.ends_with("status 200\n"), "{rest}");
    assert_eq!((app.requests().len(), app.connections().ever), (3, 1));
    assert_eq!(app.last("/status").unwrap().version, "HTTP/1.0");
}

#[test]
fn what_is_no_request_is_refused() {
    let app = start();
    let cases: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ];
    for case in cases {
        let mut stream = connect(&app);
        stream.write_all(case).unwrap();
        assert_eq!(whole(&mut stream).status, 400, "{case:?}");
    }
    let mut stream = connect(&app);
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let field = [b"X: ".to_vec(), vec![b'a'; 65_536], b"\r\n".to_vec()].concat();
    stream.write_all(&field).unwrap();
    assert_eq!(whole(&mut stream).status, 431);
    let mut stream = connect(&app);
    stream.write_all(b"POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_or_default(), 0);
    assert!(app.requests().len() == 1 && seen(&app, "/upload", |seen| seen.ended).body_sha256.is_none());
}
