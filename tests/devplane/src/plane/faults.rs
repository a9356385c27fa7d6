//! Everything the plane can do wrong on purpose. All of it may be changed at any time.

/// The fault policy. `Default` is a plane without faults. Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Refuse upgrades to the controller.
    pub refuse_controller: Option<Refusal>,
    /// Refuse upgrades to the gateway.
    pub refuse_gateway: Option<Refusal>,
    /// Never answer an upgrade request to the controller.
    pub hang_controller: bool,
    /// Never answer an upgrade request to the gateway.
    pub hang_gateway: bool,
    /// Answer REST requests with this status.
    pub refuse_rest: Option<Refusal>,
    /// Never answer a REST request.
    pub hang_rest: bool,
    /// Accept, then end the connection abruptly after this time.
    pub drop_after_accept: Option<u64>,
    /// Accept, then close with this code at once.
    pub close_after_accept: Option<u16>,
    /// How registrations are answered.
    pub register: RegisterReply,
    /// Close the controller's socket with this code after a registration was answered.
    pub close_after_register: Option<u16>,
    /// How heartbeats are answered.
    pub heartbeat: HeartbeatReply,
    /// End a connection abruptly when this many messages have arrived on it.
    pub drop_after_messages: Option<u64>,
    /// Take everything, answer nothing: no messages, no pongs, no close frames.
    pub black_hole: bool,
    /// Hold every outgoing message back for this time. The order is kept.
    pub delay: u64,
    /// Send every `proxy_request` twice.
    pub duplicate_requests: bool,
    /// Send a message of an unknown type to every agent this often.
    pub unknown_message_every: Option<u64>,
    /// The type of those messages.
    pub unknown_type: Option<String>,
    /// Send a JSON `ping` to every agent this often.
    pub json_ping_every: Option<u64>,
    /// Read nothing from any agent while set. The transport obeys.
    pub stop_reading: bool,
    /// After accepting a connection, read nothing from it for this time.
    pub slow_reader: Option<u64>,
    /// Read nothing from clients of the front doors while set: neither bodies nor upgraded connections.
    pub stop_reading_clients: bool,
    /// Wait this long before each piece (32 KiB at most) that is read from such a client.
    pub client_pause: u64,
}

/// An HTTP answer in place of the upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The value of `Retry-After`, as it is: seconds, a date, or nonsense.
    pub retry_after: Option<String>,
    /// For how many upgrades; `None` until the fault is cleared.
    pub remaining: Option<u32>,
}

impl Refusal {
    /// Refuses with `status` until cleared.
    #[must_use]
    pub fn with_status(status: u16) -> Self {
        Self { status, retry_after: None, remaining: None }
    }

    /// Only for the next `count` upgrades.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.remaining = Some(count);
        self
    }

    #[must_use]
    pub fn retry_after(mut self, value: impl Into<String>) -> Self {
        self.retry_after = Some(value.into());
        self
    }
}

/// How a registration is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RegisterReply {
    #[default]
    Success,
    Silent,
    /// `error` with the registration's request id.
    Error(String),
    /// `error` "cluster not found" when the agent names a cluster; success, with a new id, when it does not.
    NotFoundUnlessFresh,
    /// `register_in_progress` every so often, then success.
    InProgress {
        every: u64,
        success_after: u64,
    },
    /// Success, but no `cluster_id` in it.
    WithoutClusterId,
    /// Success, twice the same.
    Twice,
    /// A success for another request id and another cluster first.
    StaleFirst,
    /// Success with numbers where strings belong.
    WrongTypes,
}

/// How a heartbeat is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HeartbeatReply {
    /// As the settings say.
    #[default]
    Normal,
    Silent,
    /// `error` with this text.
    Error(String),
    /// `error` "cluster not registered".
    NotRegistered,
}

impl Faults {
    /// Uses one refusal up.
    pub(super) fn take_refusal(slot: &mut Option<Refusal>) -> Option<Refusal> {
        match slot {
            Some(Refusal { remaining: Some(0), .. }) => {
                *slot = None;
                None
            }
            Some(refusal) => {
                if let Some(remaining) = &mut refusal.remaining {
                    *remaining -= 1;
                }
                Some(refusal.clone())
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted() {
        let mut slot = Some(Refusal::with_status(503).times(2));
        assert!(Faults::take_refusal(&mut slot).is_some());
        assert!(Faults::take_refusal(&mut slot).is_some());
        assert!(Faults::take_refusal(&mut slot).is_none());
        assert!(slot.is_none());
    }
}
