//! What both machines want done, carried out.

use super::*;
use crate::socket::peer::Acts;

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
                        let result = Err(Failure::Transport { text: "no route".into(), hint: None });
                        self.schedule(2, Happening::DialAnswer { attempt, result });
                    } else if !self.network.black_hole {
                        let latency = self.latency();
                        self.schedule(latency, Happening::Dial { attempt, endpoint });
                    }
                }
                Output::Ping(_) => self.send_up(Incoming::Ping),
                Output::Close(attempt, code) => self.close(attempt, code),
                Output::Open(open) if open.upgrade => {
                    if let Some((after, input)) = self.sockets.open(&open, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Open(open) => {
                    for (after, input) in self.backends.open(&open, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Feed(key, data) if self.sockets.has(key) => {
                    let acts = self.sockets.feed(key, data, self.now);
                    self.act(key, &acts);
                }
                Output::FeedEnd(key) if self.sockets.has(key) => {
                    let acts = self.sockets.feed_end(key, self.now);
                    self.act(key, &acts);
                }
                Output::Read(key, limit) if self.sockets.has(key) => {
                    let acts = self.sockets.read(key, limit);
                    self.act(key, &acts);
                }
                Output::Finish(key) => {
                    let acts = self.sockets.finish(key, self.now);
                    self.act(key, &acts);
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
                Output::Abort(key) => {
                    self.sockets.abort(key);
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

    pub(super) fn act(&mut self, key: Key, acts: &Acts) {
        let happenings = [
            (acts.piece, Happening::PeerPiece(key)),
            (acts.take, Happening::PeerTake(key)),
            (acts.part, Happening::PeerPart(key)),
        ];
        for (after, happening) in happenings {
            if let Some(after) = after {
                self.schedule(after, happening);
            }
        }
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
