//! The network: dials, frames in both directions, the end of a connection, and how fast the line takes what the agent has.

use super::*;

impl World {
    pub(super) fn arrive(&mut self, attempt: Attempt, endpoint: &Endpoint) {
        let (path, query) = match endpoint {
            Endpoint::Controller => ("/api/v1/clusters/agent/ws".to_owned(), String::new()),
            Endpoint::Gateway { url, cluster_uuid } => {
                assert_eq!(url, GATEWAY, "the gateway that the plane named");
                let query = format!(
                    "agent_version=0.0.0&cluster_uuid={cluster_uuid}&supports_binary=true&supports_response_streaming=true&supports_streaming=true&supports_websocket=true&supports_yamux=true"
                );
                ("/ws".to_owned(), query)
            }
        };
        let upgrade = Upgrade { path, query, headers: vec![("Authorization".into(), "Bearer t".into())] };
        let result = match self.plane.accept(self.now, &upgrade) {
            Verdict::Hang => return,
            Verdict::Accept(connection) => Ok(connection),
            Verdict::Refuse { status, headers } => {
                let after = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let retry_after = after.and_then(|(_, value)| value.parse().ok()).map(std::time::Duration::from_secs);
                Err(Failure::Refused { status, retry_after })
            }
        };
        let latency = self.latency();
        // What the plane says next must not arrive before the upgrade's own answer.
        if let Ok(connection) = &result {
            self.to_agent_free.insert(*connection, self.now + latency);
        }
        self.schedule(latency, Happening::DialAnswer { attempt, result });
    }

    pub(super) fn answer_dial(&mut self, attempt: Attempt, result: Result<ConnectionId, Failure>) {
        if attempt != self.tunnel.session().attempt() {
            // The shell drops a connection that nobody waits for; the plane sees its end.
            if let Ok(connection) = result {
                self.schedule(1, Happening::PlaneSees { connection });
            }
            return;
        }
        match result {
            Err(failure) => self.tell(Input::Failed(attempt, failure)),
            Ok(connection) => {
                assert!(self.link.is_none(), "b06: a second socket while the first is open");
                self.lossy = false;
                self.link =
                    Some(Link { attempt, connection, pending: 0, line_free: self.now, last_out: self.now, message: Vec::new() });
                self.tell(Input::Connected(attempt));
            }
        }
    }

    pub(super) fn frame(&mut self, connection: ConnectionId, frame: Frame) {
        let Some(link) = self.link.as_ref().filter(|link| link.connection == connection) else {
            return;
        };
        let attempt = link.attempt;
        let wall_millis = EPOCH + self.now;
        match frame {
            Frame::Text(text) => self.tell(Input::Text { attempt, wall_millis, text: text.as_bytes() }),
            Frame::Binary(bytes) => self.tell(Input::Binary { attempt, wall_millis, data: Bytes::from(bytes) }),
            Frame::Pong => self.tell(Input::Heard(attempt)),
            Frame::Ping => {
                self.tell(Input::Heard(attempt));
                self.send_up(Incoming::Pong);
            }
            Frame::Close(code) => {
                self.unlink();
                self.tell(Input::Failed(attempt, Failure::Closed { code, reason: String::new() }));
            }
            Frame::Gone => {
                self.unlink();
                self.tell(Input::Failed(attempt, Failure::Closed { code: 1006, reason: String::new() }));
            }
        }
    }

    pub(super) fn unlink(&mut self) {
        if let Some(link) = self.link.take() {
            let latency = self.latency();
            let after = link.last_out.saturating_sub(self.now).max(latency);
            self.schedule(after, Happening::PlaneSees { connection: link.connection });
        }
    }

    pub(super) fn send_down(&mut self, connection: ConnectionId, frame: Frame) {
        if self.network.black_hole {
            self.lossy = true;
            return;
        }
        let latency = self.latency();
        let free = self.to_agent_free.entry(connection).or_default();
        let at = (self.now + latency).max(*free);
        *free = at;
        let after = at - self.now;
        self.schedule(after, Happening::ToAgent { connection, frame });
    }

    pub(super) fn send_up(&mut self, incoming: Incoming) {
        let latency = self.latency();
        let black_hole = self.network.black_hole;
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        link.last_out = (now + latency).max(link.last_out).max(link.line_free);
        let (connection, after) = (link.connection, link.last_out - now);
        if black_hole {
            self.lossy = true;
        } else {
            self.schedule(after, Happening::ToPlane { connection, incoming });
        }
    }

    /// Fills the socket as far as it takes more.
    pub(super) fn fill(&mut self) -> bool {
        let mut moved = false;
        loop {
            let Some(link) = &mut self.link else {
                return moved;
            };
            if link.pending >= SOCKET_FRAMES || !self.tunnel.has_transmit() {
                return moved;
            }
            let stamp = devplane::plane::rfc3339(EPOCH + self.now);
            self.payload.clear();
            let Some(transmit) = self.tunnel.poll_transmit(Instant::from_millis(self.now), &stamp, &mut self.payload) else {
                return moved;
            };
            moved = true;
            assert_eq!(transmit.piece.first, link.message.is_empty(), "frames of two messages do not mix");
            link.message.extend_from_slice(&self.payload);
            link.pending += 1;
            link.line_free = link.line_free.max(self.now) + self.network.per_frame;
            let after = link.line_free - self.now;
            let connection = link.connection;
            let whole = transmit.piece.last.then(|| std::mem::take(&mut link.message));
            if !self.network.black_hole {
                self.schedule(after, Happening::Sent { connection, beat: transmit.beat });
            }
            if let Some(message) = whole {
                let text = String::from_utf8(message).unwrap_or_default();
                assert!(!text.is_empty(), "a message is UTF-8");
                self.send_up(Incoming::Text(text));
            }
            self.drain();
        }
    }

    pub(super) fn close(&mut self, attempt: Attempt, code: CloseCode) {
        let Some(link) = self.link.as_ref().filter(|link| link.attempt == attempt) else {
            return;
        };
        let going_away = code == CloseCode::GoingAway;
        let attempt = link.attempt;
        match code {
            CloseCode::Abandon => {}
            CloseCode::Normal | CloseCode::GoingAway => {
                let code = if going_away { 1001 } else { 1000 };
                self.close_codes.push(code);
                self.send_up(Incoming::Close { code, reason: String::new() });
            }
        }
        self.unlink();
        if going_away && attempt == self.tunnel.session().attempt() {
            let after = self.random.u64(0..1200);
            self.schedule(
                after,
                Happening::DialAnswer { attempt, result: Err(Failure::Closed { code: 1001, reason: String::new() }) },
            );
        }
    }

    /// The network ends the connection without a word to anybody but the two ends.
    pub fn cut(&mut self) {
        if let Some(link) = &self.link {
            let connection = link.connection;
            self.schedule(1, Happening::ToAgent { connection, frame: Frame::Gone });
            self.schedule(1, Happening::PlaneSees { connection });
        }
    }
}
