//! What is said about one exchange, in order; each waits until the one before is on the wire.

use tokio::sync::{mpsc, oneshot, watch};

use super::Stopped;
use super::connection::Switches;
use super::orders::{Event, Say};
use crate::plane::{ExchangeId, Plane};

#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) exchange: ExchangeId,
    pub(super) events: mpsc::Sender<Event>,
}

impl Speaker {
    /// Returns once it is on the wire; an error if the exchange is over.
    pub(super) async fn say(&self, say: impl FnOnce(&mut Plane) + Send + 'static) -> Result<(), Stopped> {
        let (done, written) = oneshot::channel();
        self.send(Box::new(say), Some(done)).await?;
        written.await.map_err(|_| Stopped)
    }

    pub(super) async fn frame(&self, opcode: u8, bytes: Vec<u8>) -> Result<(), Stopped> {
        let exchange = self.exchange;
        self.say(move |plane| plane.websocket_data(exchange, opcode, &bytes)).await
    }

    pub(super) async fn body_chunk(&self, bytes: Vec<u8>) -> Result<(), Stopped> {
        let exchange = self.exchange;
        self.say(move |plane| plane.body_chunk(exchange, &bytes)).await
    }

    /// Does not wait.
    pub(super) async fn body_end(&self) -> Result<(), Stopped> {
        let exchange = self.exchange;
        self.send(Box::new(move |plane: &mut Plane| plane.body_end(exchange)), None).await
    }

    async fn send(&self, say: Say, done: Option<oneshot::Sender<()>>) -> Result<(), Stopped> {
        let event = Event::Say { exchange: self.exchange, say, done };
        self.events.send(event).await.map_err(|_| Stopped)
    }
}

/// Lets the fault policy hold up what is read from clients.
#[derive(Clone)]
pub(super) struct Valve(pub(super) watch::Receiver<Switches>);

impl Valve {
    /// Returns when the next piece may be read.
    pub(super) async fn open(&mut self) {
        loop {
            let Switches { deaf_to_clients, client_pause, .. } = *self.0.borrow_and_update();
            if !deaf_to_clients {
                if !client_pause.is_zero() {
                    tokio::time::sleep(client_pause).await;
                }
                return;
            }
            if self.0.changed().await.is_err() {
                return;
            }
        }
    }
}
