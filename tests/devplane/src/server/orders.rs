//! What is said to the hub: events by connections, orders by callers.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::answer::AnswerStream;
use super::connection::Wiring;
use super::pressure::{Group, Taker};
use crate::plane::{ConnectionId, ExchangeId, Incoming, NoAgent, Plane, RestAnswer, RestRequest, Upgrade};

/// From connections; their number is bounded, so senders may have to wait.
pub(super) enum Event {
    Upgrade {
        upgrade: Upgrade,
        reply: oneshot::Sender<Admission>,
    },
    Rest {
        request: RestRequest,
        reply: oneshot::Sender<Option<RestAnswer>>,
    },
    Received(ConnectionId, Incoming),
    Broken(ConnectionId, String),
    Closed(ConnectionId),
    /// Something is to be said about an exchange. `done` is told once it is on the wire, and dropped if the exchange is over.
    Say {
        exchange: ExchangeId,
        say: Say,
        done: Option<oneshot::Sender<()>>,
    },
}

/// The plane's verdict, with the means to carry it out.
pub(super) enum Admission {
    Accept(ConnectionId, Wiring),
    Refuse { status: u16, headers: Vec<(String, String)> },
    Hang,
}

pub(super) type Say = Box<dyn FnOnce(&mut Plane) + Send>;
pub(super) type Opener = Box<dyn FnOnce(&mut Plane, u64) -> Result<ExchangeId, NoAgent> + Send>;
pub(super) type Act = Box<dyn FnOnce(&mut Plane, u64) + Send>;
pub(super) type Condition = Box<dyn FnMut(&Plane) -> bool + Send>;

/// From callers. Each waits for its answer before the next, so their number is that of the callers.
pub(super) enum Order {
    Act(Act),
    Open { open: Opener, taker: Taker, reply: oneshot::Sender<Result<AnswerStream, NoAgent>> },
    Wait { condition: Condition, limit: Duration, reply: oneshot::Sender<bool> },
    Listen { on: bool, reply: oneshot::Sender<std::io::Result<()>> },
    Cancel(ExchangeId),
    Abandon(ExchangeId),
    Relieve(Group),
    Stop(oneshot::Sender<()>),
}

/// The callers' way to the hub.
#[derive(Clone)]
pub(super) struct Control {
    orders: mpsc::UnboundedSender<Order>,
}

impl Control {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        (Self { orders }, receiver)
    }

    /// Lost if the hub has stopped; whoever waits for a reply notices.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Returns when the hub has stopped.
    pub(super) async fn stopped(&self) {
        self.orders.closed().await;
    }

    pub(super) fn cancel(&self, exchange: ExchangeId) {
        self.order(Order::Cancel(exchange));
    }

    pub(super) fn abandon(&self, exchange: ExchangeId) {
        self.order(Order::Abandon(exchange));
    }

    /// Asks to cut the answers that hold up the others.
    pub(super) fn relieve(&self, group: Group) {
        self.order(Order::Relieve(group));
    }
}
