//! The two ways of a request: through plane and agent, or straight to the Kubernetes API.

use std::sync::Arc;

use bytes::Bytes;
use devplane::DevPlaneHandle;
use devplane::plane::{Part, ProxyRequest};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;

use crate::Failure;
use crate::direct;
use crate::world::World;

/// Sends one request at a time.
pub(crate) enum Client {
    Proxied { plane: Arc<DevPlaneHandle>, request: Box<ProxyRequest> },
    Direct { sender: SendRequest<Empty<Bytes>>, path: &'static str, authority: String },
}

impl Client {
    pub(crate) fn proxied(world: &World, path: &'static str, streamed: bool) -> Self {
        let request = ProxyRequest::get(path).header("Authorization", World::authorization());
        let request = if streamed { request } else { request.buffered() };
        Self::Proxied { plane: Arc::clone(&world.plane), request: Box::new(request) }
    }

    /// Connects.
    pub(crate) async fn direct(world: &World, path: &'static str) -> Result<Self, Failure> {
        let sender = direct::connect(world.kube, Some(&world.kube_ca)).await?;
        Ok(Self::Direct { sender, path, authority: world.kube.to_string() })
    }

    /// One exchange; gives the length of the body.
    pub(crate) async fn get(&mut self) -> Result<usize, Failure> {
        match self {
            Self::Proxied { plane, request } => {
                let answer = plane.plane().request(request.as_ref().clone()).await;
                let mut answer = answer.map_err(Failure::of("request"))?;
                let mut length = 0;
                while let Some(part) = answer.next().await {
                    match part {
                        Part::Head { status: 200, .. } | Part::End => {}
                        Part::Chunk(bytes) => length += bytes.len(),
                        Part::Head { status, .. } => {
                            return Err(Failure(format!("status {status}")));
                        }
                        Part::Abort(text) | Part::Error(text) => return Err(Failure(text)),
                        Part::Frame { .. } | Part::Backpressure(_) | Part::Closed { .. } => {
                            return Err(Failure("a WebSocket's answer".into()));
                        }
                    }
                }
                Ok(length)
            }
            Self::Direct { sender, path, authority } => {
                let request = Request::get(*path)
                    .header("host", authority.as_str())
                    .header("authorization", World::authorization())
                    .body(Empty::new())
                    .map_err(Failure::of("request"))?;
                let answer = sender.send_request(request).await.map_err(Failure::of("request"))?;
                if answer.status() != 200 {
                    return Err(Failure(format!("status {}", answer.status())));
                }
                let mut body = answer.into_body();
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    let frame = frame.map_err(Failure::of("answer"))?;
                    length += frame.data_ref().map_or(0, Bytes::len);
                }
                sender.ready().await.map_err(Failure::of("HTTP"))?;
                Ok(length)
            }
        }
    }
}
