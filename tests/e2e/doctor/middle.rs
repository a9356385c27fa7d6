//! What stands between agents and planes: something that forgets quiet connections, or answers in the plane's place. And
//! certificates for what ends TLS before a plane.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::{Server, Stream};

/// Reads the request and answers this.
pub(crate) fn answering(answer: &str) -> Server {
    let answer = Arc::new(answer.to_owned());
    Server::start(None, move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
}

/// Carries bytes both ways until nothing was said for so long. Then the connection is left open and dead, as firewalls do.
pub(crate) fn forgetting(target: SocketAddr, patience: Duration) -> Server {
    Server::start(None, move |stream| forget(stream, target, patience))
}

async fn forget(mut stream: Box<dyn Stream>, target: SocketAddr, patience: Duration) {
    let mut there = TcpStream::connect(target).await.unwrap();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let moved = tokio::select! {
            read = stream.read(&mut up) => match read {
                Ok(count @ 1..) => there.write_all(&up[..count]).await,
                Ok(0) | Err(_) => return,
            },
            read = there.read(&mut down) => match read {
                Ok(count @ 1..) => stream.write_all(&down[..count]).await,
                Ok(0) | Err(_) => return,
            },
            () = tokio::time::sleep(patience) => {
                // It is still there, and nothing gets through any more, until the other end gives up.
                while stream.read(&mut up).await.is_ok_and(|count| count > 0) {}
                return;
            }
        };
        if moved.is_err() {
            return;
        }
    }
}

/// From this day to that one, as year, month and day.
pub(crate) type Days = ((i32, u8, u8), (i32, u8, u8));

/// A server's certificate for the loopback address, and the authority behind it in PEM.
pub(crate) fn certificate(days: Option<Days>, valid_for: Option<Duration>) -> (String, Arc<ServerConfig>) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "plant authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    if let Some((from, to)) = days {
        server.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        server.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    }
    if let Some(valid_for) = valid_for {
        server.not_after = (std::time::SystemTime::now() + valid_for).into();
    }
    let chain = vec![server.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (ca_pem, Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}
