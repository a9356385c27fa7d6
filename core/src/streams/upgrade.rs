//! Asking a backend for another protocol: what the plane wants, and the headers that say so.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::message::Header;
use crate::policy::Refusal;
use crate::random::Random;
use crate::wire::Base64;

/// What the connection is to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    WebSocket,
    /// A token that means something to the two ends only: bytes, as they come.
    Other(String),
}

/// Offered where a stream to the Kubernetes API names no sub-protocol, newest first.
const CHANNEL_PROTOCOLS: &str = "v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io";

/// What a request asks for. The `Upgrade` header decides; where a gateway has dropped it, the plane's own word for it or one of the
/// handshake's headers do. An offer of HTTP/2 in clear text is one that every server may ignore, and so do we.
pub(super) fn wanted(headers: &[Header], flagged: bool) -> Option<Protocol> {
    let named = |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let mut tokens = named("upgrade")
        .flat_map(|header| header.value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty() && !token.eq_ignore_ascii_case("h2c"))
        .peekable();
    if let Some(first) = tokens.peek().copied() {
        let websocket = tokens.any(|token| token.eq_ignore_ascii_case("websocket"));
        return Some(if websocket { Protocol::WebSocket } else { Protocol::Other(first.into()) });
    }
    let handshake = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"];
    let asked = handshake.iter().any(|name| named(name).any(|header| !header.value.trim().is_empty()));
    (flagged || asked).then_some(Protocol::WebSocket)
}

/// The sub-protocols that a request offers, each once: those of the headers, or where there are none, of the plane's own field.
pub(super) fn offered(headers: &[Header], field: &str) -> Result<Vec<String>, Refusal> {
    let from_headers = list(headers.iter().filter(|header| header.name.eq_ignore_ascii_case("sec-websocket-protocol")), "")?;
    if from_headers.is_empty() { list([].into_iter(), field) } else { Ok(from_headers) }
}

/// The sub-protocols of a stream to the Kubernetes API: the field's, then the headers', or what every API server knows.
pub(super) fn offered_for_stream(headers: &[Header], field: &str, path: &str) -> Result<Vec<String>, Refusal> {
    let named = list(headers.iter().filter(|header| header.name.eq_ignore_ascii_case("sec-websocket-protocol")), field)?;
    let wants_default = named.is_empty() && ends_in(path, &["exec", "attach", "portforward"]);
    if wants_default { list([].into_iter(), CHANNEL_PROTOCOLS) } else { Ok(named) }
}

fn list<'a>(headers: impl Iterator<Item = &'a Header>, field: &str) -> Result<Vec<String>, Refusal> {
    let mut protocols: Vec<String> = Vec::new();
    let fields = field.split(',').chain(headers.flat_map(|header| header.value.split(',')));
    for protocol in fields.map(str::trim).filter(|protocol| !protocol.is_empty()) {
        // A token of HTTP, or with a slash: the Kubernetes API calls one `SPDY/3.1+portforward.k8s.io`.
        if !protocol.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),:;<=>?@[\\]{}".contains(&byte)) {
            return Err(Refusal::Header);
        }
        if !protocols.iter().any(|known| known == protocol) {
            protocols.push(protocol.to_string());
        }
    }
    Ok(protocols)
}

/// Whether the last segment of `path` is one of `names`.
pub(super) fn ends_in(path: &str, names: &[&str]) -> bool {
    path.trim_end_matches('/').rsplit('/').next().is_some_and(|last| names.contains(&last))
}

/// Whether channels of this sub-protocol are translated: the family that carries bytes, not the one that carries base64.
pub(super) fn is_channel_family(protocol: &str) -> bool {
    let bytes = protocol == "channel.k8s.io" || protocol.ends_with(".channel.k8s.io");
    bytes && !protocol.split('.').any(|part| part == "base64")
}

/// Adds the headers that ask for `protocol`. The client's own key is passed on where it has one, so that the answer fits it.
pub(super) fn ask(
    protocol: &Protocol,
    offered: &[String],
    from_client: &[Header],
    random: &mut Random,
    base64: Base64,
    out: &mut Vec<Header>,
) {
    let mut push = |name: &str, value: String| out.push(Header { name: name.into(), value });
    push("Connection", "Upgrade".into());
    match protocol {
        Protocol::Other(token) => push("Upgrade", token.clone()),
        Protocol::WebSocket => {
            push("Upgrade", "websocket".into());
            push("Sec-WebSocket-Version", "13".into());
            push("Sec-WebSocket-Key", key(from_client, random, base64));
            if !offered.is_empty() {
                push("Sec-WebSocket-Protocol", offered.join(", "));
            }
        }
    }
}

/// The client's key, or one of our own: 16 bytes in base64 (RFC 6455, section 4.1).
fn key(headers: &[Header], random: &mut Random, base64: Base64) -> String {
    let own =
        headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key")).map(|header| header.value.trim());
    if let Some(own) = own.filter(|own| own.len() == 24 && (base64.decode)(own.as_bytes()).is_some_and(|key| key.len() == 16)) {
        return own.into();
    }
    // Half of each number only: the backend sees the key, and must not know from it what comes next.
    let mut bytes = Vec::with_capacity(16);
    for _ in 0..4 {
        let [a, b, c, d, ..] = random.draw().to_ne_bytes();
        bytes.extend_from_slice(&[a, b, c, d]);
    }
    let mut text = Vec::new();
    base64.push(&bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn the_upgrade_header_decides_and_other_signs_stand_in_for_it() {
        let websocket = Some(Protocol::WebSocket);
        for (headers, flagged, expected) in [
            (vec![header("Upgrade", "websocket")], false, websocket.clone()),
            (vec![header("upgrade", "SPDY/3.1")], true, Some(Protocol::Other("SPDY/3.1".into()))),
            (vec![header("Upgrade", "h2c, WebSocket")], false, websocket.clone()),
            (vec![header("Upgrade", "h2c")], false, None),
            (vec![header("Connection", "Upgrade")], false, None),
            (vec![header("Sec-WebSocket-Key", "x")], false, websocket.clone()),
            (vec![header("Sec-WebSocket-Protocol", " ")], false, None),
            (vec![], true, websocket),
            (vec![], false, None),
        ] {
            assert_eq!(wanted(&headers, flagged), expected, "{headers:?} {flagged}");
        }
    }

    #[test]
    fn sub_protocols_come_once_each_and_in_order() {
        let headers = [header("Sec-WebSocket-Protocol", "a, b"), header("sec-websocket-protocol", "b,c")];
        assert_eq!(offered(&headers, "ignored").unwrap(), ["a", "b", "c"]);
        assert_eq!(offered(&[], "x , y,").unwrap(), ["x", "y"]);
        assert_eq!(offered_for_stream(&headers, "c,d", "/api/v1/x/exec").unwrap(), ["c", "d", "a", "b"]);
        assert_eq!(offered_for_stream(&[], "", "/api/v1/x/exec").unwrap().len(), 4);
        assert!(offered_for_stream(&[], "", "/api/v1/pods").unwrap().is_empty());
        let forward = [header("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io")];
        assert_eq!(offered_for_stream(&forward, "", "/api/v1/x/portforward").unwrap(), ["SPDY/3.1+portforward.k8s.io"]);
        assert_eq!(offered(&[], "a b\r\nX: y"), Err(Refusal::Header));
    }

    #[test]
    fn b48_only_the_channels_that_carry_bytes_are_translated() {
        for (protocol, expected) in [
            ("channel.k8s.io", true),
            ("v4.channel.k8s.io", true),
            ("v5.channel.k8s.io", true),
            ("base64.channel.k8s.io", false),
            ("v4.base64.channel.k8s.io", false),
            ("SPDY/3.1+portforward.k8s.io", false),
            ("xchannel.k8s.io", false),
            ("", false),
        ] {
            assert_eq!(is_channel_family(protocol), expected, "{protocol}");
        }
    }

    #[test]
    fn the_clients_key_is_kept_when_it_is_one() {
        let mut random = Random::new(1);
        let theirs = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(key(&[header("sec-websocket-key", theirs)], &mut random, Base64::PORTABLE), theirs);
        let one = key(&[header("sec-websocket-key", "short")], &mut random, Base64::PORTABLE);
        let two = key(&[], &mut random, Base64::PORTABLE);
        assert!(one != two && one.len() == 24 && two.len() == 24);
    }
}
