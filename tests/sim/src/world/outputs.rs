//! What both machines want done, carried out.

use super::*;

impl World {
    pub(super) fn drain(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.tunnel.poll_output() {
            moved = true;
            match output {
                Output::Dial(attempt, endpoint) => {
                    self.counts.dials += 1;
                    self.dials.push(self.now);
                    self.mix(attempt.number());
                    if self.network.down {
                        let result = Err(Failure::Transport { text: "no route".into() });
                        self.schedule(2, Happening::DialAnswer { attempt, result });
                    } else if !self.network.black_hole {
                        let latency = self.latency();
                        self.schedule(latency, Happening::Dial { attempt, endpoint });
                    }
                }
                Output::Ping(_) => self.send_up(Incoming::Ping),
                Output::Close(attempt, code) => self.close(attempt, code),
                Output::Open(open) => {
                    for (after, input) in self.backends.open(&open, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Feed(key, data) => {
                    for (after, input) in self.backends.feed(key, &data, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::FeedEnd(key) => {
                    for (after, input) in self.backends.feed_end(key) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Read(key, limit) => {
                    self.backends.read(key, limit);
                    if self.heads.contains_key(&key) {
                        let after = self.backends.pause(key, &mut self.random);
                        self.schedule(after, Happening::Piece(key));
                    }
                }
                Output::Abort(key) | Output::Finish(key) => {
                    self.backends.abort(key);
                    self.heads.remove(&key);
                }
                Output::Persist(_) => {}
                Output::Stopped => self.stopped = Some(self.now),
                Output::Event(event) => self.note(event),
            }
        }
        moved
    }

    pub(super) fn drain_plane(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.plane.poll_output() {
            moved = true;
            match output {
                PlaneOutput::Send { connection, text } => self.send_down(connection, Frame::Text(text)),
                PlaneOutput::SendBinary { connection, bytes } | PlaneOutput::Mux { connection, bytes } => {
                    self.send_down(connection, Frame::Binary(bytes));
                }
                PlaneOutput::Ping { connection } => self.send_down(connection, Frame::Ping),
                PlaneOutput::Close { connection, code, .. } => {
                    self.send_down(connection, Frame::Close(code));
                    self.schedule(50, Happening::PlaneSees { connection });
                }
                PlaneOutput::Drop { connection } => self.send_down(connection, Frame::Gone),
                PlaneOutput::PauseReading { .. } | PlaneOutput::Noted(_) => {}
                PlaneOutput::Answer { exchange, part } => self.part(exchange, part),
            }
        }
        moved
    }
}
