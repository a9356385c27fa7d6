//! A tunnel through an HTTP proxy: `CONNECT` of RFC 9110, section 9.3.6.

use core::fmt;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::link::socket::Socket;
use crate::secret::Secret;

/// The longest head of an answer in bytes.
const MAXIMUM_HEAD: usize = 16 * 1024;
/// The most headers of an answer.
const MAXIMUM_HEADERS: usize = 32;

/// Why there is no tunnel.
#[derive(Debug)]
pub(crate) enum TunnelError {
    Io(io::Error),
    /// The proxy closed the connection before its answer was complete.
    Closed,
    /// What came is no answer of an HTTP proxy.
    NotHttp,
    TooLarge,
    Refused {
        status: u16,
        credentials: Credentials,
    },
}

/// What is known of the log-in at a proxy that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// It was shown none.
    None,
    /// It was shown a user name and a password.
    Shown,
    /// It asks for something else than these.
    OtherKind,
}

impl fmt::Display for TunnelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => formatter.write_str("did not answer in time"),
            Self::Io(error) => write!(formatter, "broke the connection: {error}"),
            Self::Closed => formatter.write_str("closed the connection without an answer"),
            Self::NotHttp => formatter.write_str("did not answer as an HTTP proxy"),
            Self::TooLarge => formatter.write_str("gave an answer that is too large"),
            Self::Refused { status: 407, credentials: Credentials::None } => {
                formatter.write_str("wants a user name and password (status 407)")
            }
            Self::Refused { status: 407, credentials: Credentials::Shown } => {
                formatter.write_str("did not accept the user name and password (status 407)")
            }
            Self::Refused { status: 407, credentials: Credentials::OtherKind } => {
                formatter.write_str("wants a kind of log-in other than user name and password (status 407)")
            }
            Self::Refused { status: status @ 502..=504, .. } => write!(formatter, "cannot reach the server (status {status})"),
            Self::Refused { status, .. } => write!(formatter, "refused the connection with status {status}"),
        }
    }
}

impl core::error::Error for TunnelError {}

impl TunnelError {
    /// What the operator can do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::Closed => "check HTTPS_PROXY (proxy.https_proxy) and ask those who run the proxy",
            Self::NotHttp | Self::TooLarge => {
                "check HTTPS_PROXY (proxy.https_proxy): what answers there is no HTTP proxy, or one for https:// if it is http:// now"
            }
            Self::Refused { status: 407, credentials: Credentials::None } => {
                "write user name and password into HTTPS_PROXY, before the host, with a colon between and an @ behind them"
            }
            Self::Refused { status: 407, credentials: Credentials::Shown } => {
                "check the user name and the password in HTTPS_PROXY; characters other than letters and digits are written as %XX"
            }
            Self::Refused { status: 407, credentials: Credentials::OtherKind } => {
                "the agent can log in with Basic only: have the proxy let this machine through to the control plane without"
            }
            Self::Refused { status: 502..=504, .. } => {
                "the proxy cannot reach the control plane: check PIPEOPS_API_URL, and the proxy's name server and firewall"
            }
            Self::Refused { status: 400 | 404 | 405 | 501, .. } => {
                "this is no proxy, or one that opens no connections (CONNECT): check HTTPS_PROXY (proxy.https_proxy)"
            }
            Self::Refused { .. } => {
                "the proxy's rules refuse the control plane: have its host and port allowed, or name it in NO_PROXY to go without"
            }
        }
    }
}

/// Asks the proxy at the other end of `socket` for a tunnel to `host` and `port`. From then on all bytes are the tunnel's. The proxy
/// resolves the name.
pub(crate) async fn open_tunnel(
    socket: &mut Socket,
    host: &str,
    port: u16,
    authorization: Option<&Secret>,
) -> Result<(), TunnelError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    request.push_str(concat!("User-Agent: pipeops-agent/", env!("CARGO_PKG_VERSION"), "\r\n"));
    if let Some(authorization) = authorization {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization.expose());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).await.map_err(TunnelError::Io)?;
    socket.flush().await.map_err(TunnelError::Io)?;
    let head = read_head(socket).await?;
    let Some(status) = status(&head) else { return Err(TunnelError::NotHttp) };
    if (200..300).contains(&status) {
        return Ok(());
    }
    let credentials = match authorization {
        _ if status == 407 && wants_something_else(&head) => Credentials::OtherKind,
        Some(_) => Credentials::Shown,
        None => Credentials::None,
    };
    Err(TunnelError::Refused { status, credentials })
}

/// Reads up to the empty line and not a byte more: what is behind it belongs to the tunnel. So it reads single bytes, which are a
/// hundred or two, once in a connection's life.
async fn read_head(socket: &mut Socket) -> Result<Vec<u8>, TunnelError> {
    let mut head = Vec::with_capacity(256);
    let mut lines = 0;
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        let mut byte = [0];
        match socket.read(&mut byte).await {
            Ok(0) => return Err(TunnelError::Closed),
            Ok(_) => head.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(TunnelError::Closed),
            Err(error) => return Err(TunnelError::Io(error)),
        }
        // Not the whole of a page that somebody else serves there.
        if head.len() <= PREFIX.len() && !PREFIX.starts_with(&head) {
            return Err(TunnelError::NotHttp);
        }
        lines += usize::from(byte == *b"\n");
        // The status line and the empty one are no headers.
        if head.len() > MAXIMUM_HEAD || lines > MAXIMUM_HEADERS + 2 {
            return Err(TunnelError::TooLarge);
        }
    }
    Ok(head)
}

/// What an answer begins with.
const PREFIX: &[u8] = b"HTTP/1.";

fn status(head: &[u8]) -> Option<u16> {
    let [_minor, b' ', digits @ ..] = head.strip_prefix(PREFIX)? else { return None };
    let (digits, rest) = digits.split_at_checked(3)?;
    let ends = rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let status: u16 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (ends && (100..600).contains(&status)).then_some(status)
}

/// Whether the answer asks for credentials, and nowhere for a user name and password.
fn wants_something_else(head: &[u8]) -> bool {
    let mut asks = false;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"proxy-authenticate") {
            if value.to_ascii_lowercase().windows(5).any(|window| window == b"basic") {
                return false;
            }
            asks = true;
        }
    }
    asks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_status_of_an_answer() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 200\r\n\r\n", Some(200)),
            ("HTTP/1.1 407 Proxy Authentication Required\n\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1 +20 \r\n\r\n", None),
            ("HTTP/1.1\r\n\r\n", None),
            ("HTTP/1.1 999 \r\n\r\n", None),
            ("HTTP/2 200 \r\n\r\n", None),
            ("\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn what_is_behind_the_head_belongs_to_the_tunnel() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut proxy, _) = listener.accept().await.unwrap();
            proxy.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n\r\nfirst").await.unwrap();
            let mut socket = Socket::Plain(stream);
            open_tunnel(&mut socket, "2001:db8::1", 443, Some(&Secret::new("Basic x"))).await.unwrap();
            let mut read = [0; 7];
            socket.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"\r\nfirst");
            let mut asked = vec![0; 4096];
            let count = proxy.read(&mut asked).await.unwrap();
            asked.truncate(count);
            let asked = String::from_utf8(asked).unwrap();
            assert!(asked.starts_with("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"), "{asked}");
            assert!(asked.ends_with("\r\nProxy-Authorization: Basic x\r\n\r\n"), "{asked}");
        });
    }

    #[test]
    fn which_log_in_a_proxy_asks_for() {
        for (head, expected) in [
            ("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n", false),
            ("HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate\r\nPROXY-AUTHENTICATE: BASIC\r\n\r\n", false),
            ("HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate, Basic\r\n\r\n", false),
            ("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nX: Basic\r\n\r\n", true),
            ("HTTP/1.1 407 x\r\n\r\n", false),
        ] {
            assert_eq!(wants_something_else(head.as_bytes()), expected, "{head:?}");
        }
    }
}
