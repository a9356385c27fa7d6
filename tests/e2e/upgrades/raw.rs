//! Upgrades to protocols that are nobody's: bytes both ways, and an end of each direction.

use devapp::{mismatch, pattern};
use devplane::plane::ProxyRequest;

use crate::rig::assert_bytes;
use crate::site::Site;
use crate::socket::{BINARY, CLOSE, Headers, TEXT};

fn token(headers: &Headers) -> Option<&str> {
    let named = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
    named.and_then(|(_, values)| values.first()).map(String::as_str)
}

fn echo(site: &Site) -> ProxyRequest {
    site.aim(ProxyRequest::upgrade("/any", "raw-echo"))
}

#[test]
fn f04_another_protocol_is_bytes_both_ways() {
    let site = Site::start();
    for request in [echo(&site), echo(&site).buffered()] {
        let mut socket = site.open(request);
        assert_eq!(token(&socket.accepted()), Some("raw-echo"));
        let mut bytes = vec![0; 300_000];
        pattern(0, &mut bytes);
        for piece in bytes.chunks(10_000) {
            socket.send(BINARY, piece);
        }
        assert_bytes(&socket.read(bytes.len()), &bytes);
        // Text and binary are the same where there are only bytes.
        socket.send(TEXT, "text");
        assert_eq!(socket.read(4), b"text");
        socket.close();
        site.until_connections(0);
    }
    site.finish();
}

#[test]
fn f04_the_end_of_one_direction_leaves_the_other() {
    let site = Site::start();
    let mut socket = site.connect(echo(&site));
    socket.send(BINARY, "before the end");
    socket.send(CLOSE, "");
    // The application says this when it has seen the end, and then ends as well.
    assert_eq!(socket.read(17), b"before the endBYE");
    assert_eq!(socket.closed().0, Some(1000));
    site.until_connections(0);
    site.finish();
}

#[test]
fn f04_a_backend_that_ends_first_is_told_with_all_its_bytes() {
    let site = Site::start();
    let count = 1_000_000;
    let mut socket = site.connect(site.aim(ProxyRequest::upgrade("/x", "raw-count")).query(format!("bytes={count}")));
    let bytes = socket.read(count);
    assert_eq!(mismatch(0, &bytes), None);
    assert_eq!(socket.closed().0, Some(1000));
    site.until_connections(0);
    site.finish();
}

#[test]
fn must12_head_data_of_another_protocol_is_bytes() {
    let site = Site::start();
    let request = ProxyRequest { head_data: b"\x81\x05first".to_vec(), ..echo(&site) };
    let mut socket = site.open(request);
    socket.send(BINARY, " second");
    socket.accepted();
    assert_eq!(socket.read(14), b"\x81\x05first second");
    socket.close();
    site.finish();
}

#[test]
fn f04_a_protocol_that_the_backend_does_not_know_is_its_answer() {
    let site = Site::start();
    let answer = site.rig.ask(site.aim(ProxyRequest::upgrade("/headers", "nobody-knows")));
    assert_eq!((answer.status, answer.error), (200, None));
    site.finish();
}
