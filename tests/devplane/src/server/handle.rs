//! A server on a thread of its own, asked by blocking. It can be asked from any other thread, also from one that runs
//! another runtime (which then waits).

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::block::block_on;
use super::{AnswerStream, AppRoute, DevPlane, Options, RequestError, StartError, Stopped};
use crate::plane::{ExchangeId, Faults, Plane, ProxyRequest, Violation, WebSocketRequest};

/// A running server with a blocking interface. It stops when this is dropped.
///
/// Methods that bear the name of one of [`DevPlane`]'s do the same.
pub struct DevPlaneHandle {
    plane: DevPlane,
    thread: Option<JoinHandle<()>>,
}

impl DevPlaneHandle {
    pub(super) fn start(options: Options) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let (sender, started) = oneshot::channel();
        let thread = std::thread::Builder::new().name("devplane".to_owned()).spawn(move || {
            runtime.block_on(async {
                let plane = DevPlane::start(options).await;
                let stopped = plane.as_ref().ok().map(|plane| plane.control.clone());
                let _ = sender.send(plane);
                if let Some(control) = stopped {
                    control.stopped().await;
                }
            });
        });
        let thread = Some(thread.map_err(StartError::Runtime)?);
        let lost = || StartError::Runtime(std::io::Error::other("the thread ended early"));
        Ok(Self { plane: block_on(started).map_err(|_| lost())??, thread })
    }

    /// The same server with an `async` interface.
    #[must_use]
    pub fn plane(&self) -> &DevPlane {
        &self.plane
    }

    #[must_use]
    pub fn api_url(&self) -> &str {
        self.plane.api_url()
    }

    #[must_use]
    pub fn gateway_url(&self) -> Option<&str> {
        self.plane.gateway_url()
    }

    #[must_use]
    pub fn kube_url(&self) -> &str {
        self.plane.kube_url()
    }

    #[must_use]
    pub fn apps_url(&self) -> &str {
        self.plane.apps_url()
    }

    #[must_use]
    pub fn token(&self) -> &str {
        self.plane.token()
    }

    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.plane.ca_pem()
    }

    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.plane.ca_file()
    }

    pub fn set_app(&self, host: &str, route: Option<AppRoute>) {
        self.plane.set_app(host, route);
    }

    /// # Errors
    /// If the server has stopped.
    pub fn with_plane<T: Send + 'static>(&self, act: impl FnOnce(&mut Plane) -> T + Send + 'static) -> Result<T, Stopped> {
        block_on(self.plane.with_plane(act))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults) + Send + 'static) -> Result<(), Stopped> {
        block_on(self.plane.set_faults(change))
    }

    /// The answer's parts can be awaited, or waited for with `next_within` and `collect_within`.
    ///
    /// # Errors
    /// If no agent is online for it, or the server has stopped.
    pub fn request(&self, request: ProxyRequest) -> Result<AnswerStream, RequestError> {
        block_on(self.plane.request(request))
    }

    /// # Errors
    /// As for `request`.
    pub fn websocket(&self, request: WebSocketRequest) -> Result<AnswerStream, RequestError> {
        block_on(self.plane.websocket(request))
    }

    /// # Errors
    /// As for `request`.
    pub fn request_raw(&self, wire_id: &str, text: &str) -> Result<AnswerStream, RequestError> {
        block_on(self.plane.request_raw(wire_id, text))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn body_chunk(&self, exchange: ExchangeId, bytes: Vec<u8>) -> Result<(), Stopped> {
        block_on(self.plane.body_chunk(exchange, bytes))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn body_end(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        block_on(self.plane.body_end(exchange))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn send_frame(&self, exchange: ExchangeId, opcode: u8, bytes: Vec<u8>) -> Result<(), Stopped> {
        block_on(self.plane.send_frame(exchange, opcode, bytes))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn send_frame_as(
        &self,
        exchange: ExchangeId,
        kind: &str,
        opcode: u8,
        bytes: Vec<u8>,
        change: Map<String, Value>,
    ) -> Result<(), Stopped> {
        block_on(self.plane.send_frame_as(exchange, kind, opcode, bytes, change))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn close_stream(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        block_on(self.plane.close_stream(exchange))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn close_stream_as(&self, exchange: ExchangeId, kind: &str, change: Map<String, Value>) -> Result<(), Stopped> {
        block_on(self.plane.close_stream_as(exchange, kind, change))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn cancel(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        block_on(self.plane.cancel(exchange))
    }

    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub fn send_text(&self, exchange: ExchangeId, make: impl FnOnce(&str) -> String + Send + 'static) -> Result<(), Stopped> {
        block_on(self.plane.send_text(exchange, make))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn wait_until(&self, condition: impl FnMut(&Plane) -> bool + Send + 'static, limit: Duration) -> Result<bool, Stopped> {
        block_on(self.plane.wait_until(condition, limit))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn wait_online(&self, limit: Duration) -> Result<bool, Stopped> {
        block_on(self.plane.wait_online(limit))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn drop_agents(&self) -> Result<(), Stopped> {
        block_on(self.plane.drop_agents())
    }

    /// # Errors
    /// If the server has stopped.
    pub fn close_agents(&self, code: u16) -> Result<(), Stopped> {
        block_on(self.plane.close_agents(code))
    }

    /// # Errors
    /// If the server has stopped.
    pub fn stall_agents(&self, stalled: bool) -> Result<(), Stopped> {
        block_on(self.plane.stall_agents(stalled))
    }

    /// # Errors
    /// If the server has stopped, or a port was lost.
    pub fn stop_listening(&self) -> std::io::Result<()> {
        block_on(self.plane.stop_listening())
    }

    /// # Errors
    /// If the server has stopped, or a port was lost.
    pub fn listen_again(&self) -> std::io::Result<()> {
        block_on(self.plane.listen_again())
    }

    /// # Errors
    /// If the server has stopped.
    pub fn violations(&self) -> Result<Vec<Violation>, Stopped> {
        block_on(self.plane.violations())
    }

    /// Stops, and waits for the thread to end.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for DevPlaneHandle {
    fn drop(&mut self) {
        self.plane.control.order(super::Order::Stop(oneshot::channel().0));
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been printed already.
            let _ = thread.join();
        }
    }
}
