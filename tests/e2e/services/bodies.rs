//! Bodies of requests to services.

use devapp::{pattern, sha256};
use devplane::plane::{Body, ProxyRequest, Spelling};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, json, parts};
use crate::site::Site;

fn upload(site: &Site, method: &str, body: Body) -> ProxyRequest {
    ProxyRequest { method: method.into(), body, ..site.get("/upload") }
}

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    pattern(0, &mut bytes);
    bytes
}

#[test]
fn b26_a_whole_body_has_its_true_length() {
    let site = Site::start();
    let body = bytes(70_000);
    for method in ["POST", "PUT", "PATCH"] {
        for body in [Body::Base64(body.clone()), Body::Binary(body.clone())] {
            for header in [None, Some("7"), Some("99999999"), Some("nonsense")] {
                let request = upload(&site, method, body.clone());
                let request = if let Some(length) = header { request.header("content-length", length) } else { request };
                let answer = site.rig.ask(request.buffered());
                assert_eq!((answer.status, &answer.error), (200, &None), "{method} {header:?}");
                let expected = json!({
                    "bytes": 70_000, "sha256": sha256(&bytes(70_000)), "content_length": "70000", "transfer_encoding": null,
                });
                assert_eq!(json(&answer), expected, "{method} {header:?}");
            }
        }
    }
    for (body, expected) in [(Body::Raw("text".into()), "4"), (Body::Json(json!({"a": 1})), "7")] {
        let answer = site.rig.ask(upload(&site, "POST", body));
        assert_eq!(json(&answer)["content_length"], expected);
    }
    site.finish();
}

#[test]
fn a_post_without_a_body_says_so() {
    let site = Site::start();
    for method in ["POST", "PUT", "PATCH"] {
        let answer = json(&site.rig.ask(upload(&site, method, Body::None)));
        assert_eq!((&answer["bytes"], &answer["transfer_encoding"]), (&0.into(), &Value::Null), "{method}");
        assert_eq!(answer["content_length"], "0", "{method}");
    }
    site.finish();
}

#[test]
fn must8_an_upload_in_chunks_is_streamed() {
    let site = Site::start();
    let body = bytes(300_000);
    let (first, rest) = body.split_at(100_000);
    for spelling in [Spelling::default(), Spelling { use_streaming: true, data: true, plain_headers: true }] {
        let request = ProxyRequest { spelling, ..upload(&site, "POST", Body::Chunked) };
        let stream = site.rig.open(request.header("Content-Length", "12"));
        let plane = &site.rig.bed.plane;
        for piece in first.chunks(9_000) {
            plane.body_chunk(stream.exchange(), piece.into()).unwrap();
        }
        // It is there before the rest has been sent.
        site.seen("the first part", "/upload", |seen| !seen.ended && seen.body_bytes == 100_000);
        for piece in rest.chunks(32 * 1024) {
            plane.body_chunk(stream.exchange(), piece.into()).unwrap();
        }
        plane.body_end(stream.exchange()).unwrap();
        let answer = stream.collect_within(PATIENCE).unwrap();
        let expected = json!({"bytes": 300_000, "sha256": sha256(&body), "content_length": null, "transfer_encoding": "chunked"});
        assert_eq!(json(&answer), expected);
    }
    site.finish();
}

#[test]
fn b04_an_answer_before_the_end_of_the_upload_is_an_answer() {
    let site = Site::start();
    let stream = site.rig.open(ProxyRequest { method: "POST".into(), body: Body::Chunked, ..site.get("/early") });
    let plane = &site.rig.bed.plane;
    // The exchange may be over while this goes on.
    let _ = (0..100).try_for_each(|_| plane.body_chunk(stream.exchange(), vec![7; 32 * 1024]));
    let parts = parts(stream);
    assert!(matches!(parts[0], devplane::plane::Part::Head { status: 413, .. }), "{parts:?}");
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    site.finish();
}

#[test]
fn b05_a_cancel_ends_an_upload() {
    let site = Site::start();
    let stream = site.rig.open(upload(&site, "POST", Body::Chunked));
    site.rig.bed.plane.body_chunk(stream.exchange(), vec![7; 1000]).unwrap();
    site.seen("the first part", "/upload", |seen| seen.body_bytes == 1000);
    stream.cancel();
    let seen = site.seen("its end", "/upload", |seen| seen.ended);
    assert_eq!((seen.body_sha256, seen.status), (None, None), "an upload that was cut is not a whole one");
    site.finish();
}
