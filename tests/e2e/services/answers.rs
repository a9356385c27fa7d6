//! Answers of services: in pieces as they come, and as they are.

use std::time::{Duration, Instant};

use devapp::{GREETING, mismatch};
use devplane::plane::{Part, ProxyRequest};

use crate::rig::{head, read_until};
use crate::site::Site;

#[test]
fn must9_events_arrive_one_by_one() {
    let site = Site::start();
    let mut stream = site.rig.open(site.get("/events").query("count=5&interval_ms=200"));
    assert_eq!(head(&mut stream), 200);
    let mut times = Vec::new();
    for number in 1..=5 {
        let read = read_until(&mut stream, "\n\n");
        times.push(Instant::now());
        assert_eq!(read, format!("id: {number}\ndata: event {number}\n\n"));
    }
    assert_eq!(stream.next_within(crate::rig::PATIENCE), Some(Part::End));
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] > Duration::from_millis(50), "two at once: {times:?}");
    }
    site.finish();
}

#[test]
fn must9_a_download_is_streamed() {
    let site = Site::start();
    for query in ["bytes=8388608", "bytes=8388608&chunked=1", "bytes=20000&piece=1000&drip=5", "bytes=0", "bytes=0&chunked=1"] {
        let mut stream = site.rig.open(site.get("/download").query(query));
        assert_eq!(head(&mut stream), 200);
        let (mut length, mut pieces) = (0, 0);
        loop {
            match stream.next_within(crate::rig::PATIENCE) {
                Some(Part::Chunk(bytes)) => {
                    assert_eq!(mismatch(length, &bytes), None, "{query}");
                    length += u64::try_from(bytes.len()).unwrap();
                    pieces += 1;
                }
                Some(Part::End) => break,
                other => panic!("{other:?}"),
            }
        }
        println!("{query}: {pieces} pieces");
        assert!(query.starts_with(&format!("bytes={length}")), "{query}: {length}");
        assert!(pieces > 10 || length == 0, "{query}: {pieces} pieces");
    }
    site.finish();
}

#[test]
fn b05_a_cancel_ends_a_download() {
    let site = Site::start();
    let mut stream = site.rig.open(site.get("/download").query("bytes=1000000000&chunked=1"));
    assert_eq!(head(&mut stream), 200);
    assert!(matches!(stream.next_within(crate::rig::PATIENCE), Some(Part::Chunk(_))));
    stream.cancel();
    site.seen("its end", "/download", |seen| seen.ended);
    site.until_connections(0);
    site.finish();
}

#[test]
fn redirects_are_answers() {
    let site = Site::start();
    for to in ["/headers", "https://elsewhere.example/", "http://169.254.169.254/"] {
        let answer = site.rig.ask(site.get("/redirect").query(format!("to={to}")));
        assert_eq!((answer.status, answer.header("location")), (302, Some(to)));
    }
    assert_eq!(site.app.requests().len(), 3);
    site.finish();
}

#[test]
fn gzip_is_left_alone() {
    let site = Site::start();
    for buffered in [false, true] {
        let request = |request: ProxyRequest| if buffered { request.buffered() } else { request };
        let plain = site.rig.ask(request(site.get("/gzip")));
        assert_eq!((plain.header("content-encoding"), plain.body.as_slice()), (None, GREETING.as_bytes()));
        assert_eq!(site.app.last("/gzip").unwrap().header("accept-encoding"), None);
        let packed = site.rig.ask(request(site.get("/gzip").header("Accept-Encoding", "gzip")));
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.body.get(..2), Some(&[0x1f, 0x8b][..]));
        assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()));
    }
    site.finish();
}

#[test]
fn every_status_passes() {
    let site = Site::start();
    for code in [200, 201, 204, 304, 400, 401, 404, 429, 500, 503, 599] {
        let request = site.get("/status").query(format!("code={code}"));
        for request in [request.clone(), request.buffered()] {
            let answer = site.rig.ask(request);
            assert_eq!((answer.status, &answer.error), (code, &None));
        }
    }
    site.finish();
}

#[test]
fn b21_a_hundred_at_once_do_not_wait_for_each_other() {
    let site = Site::start();
    let started = Instant::now();
    let streams: Vec<_> = (0..100).map(|_| site.rig.open(site.get("/slow").query("ms=1000"))).collect();
    for stream in streams {
        assert_eq!(stream.collect_within(crate::rig::PATIENCE).unwrap().status, 200);
    }
    println!("100 requests of 1 s: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(site.app.connections().ever >= 100);
    site.finish();
}

#[test]
fn connections_are_used_again() {
    let site = Site::start();
    for _ in 0..50 {
        assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    }
    let connections = site.app.connections();
    assert!(connections.ever <= 5, "{connections:?}");
    site.finish();
}
