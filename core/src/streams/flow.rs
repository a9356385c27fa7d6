//! Bytes in transit: what the backend says on its way in, permissions to read more, and request bodies on their way out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

use super::exchange::{Answer, Ending, Exchange, LEAST_READ, OVERHEAD, Upload, answer_headers, collect, cost};
use super::{Key, Output, Streams, UpstreamError};
use crate::budget::Way;
use crate::message::Header;

/// So much of an answer that is of no use without its rest may wait like any other.
const LITTLE: usize = 64 * 1024;

/// What is said of an answer that would take the room of all others.
const TOO_LARGE_NOW: UpstreamError =
    UpstreamError::Overloaded("the answer does not fit into the agent's buffers: ask for a streamed one");

impl Streams {
    pub(super) fn on_head(&mut self, key: Key, status: u16, headers: Vec<Header>) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() || exchange.head_seen {
            return;
        }
        exchange.head_seen = true;
        let heading = core::mem::take(&mut exchange.heading);
        self.budget.give(Way::Request, heading);
        // From here on an answer in parts may take as long as it likes, unless the plane set a limit.
        if exchange.deadline_is_default && (exchange.is_streamed() || status == 101) {
            self.deadlines.remove(&(exchange.deadline, key));
            exchange.deadline_is_default = false;
        }
        match exchange.upgrading.take() {
            Some(upgrading) if status == 101 => return self.on_upgraded(key, *upgrading, headers),
            Some(_) if !self.has_answer(key) => return self.fail(key, UpstreamError::NotUpgraded(status)),
            None if status == 101 => return self.fail(key, UpstreamError::Broken("the backend changed the protocol unasked")),
            Some(_) | None => {}
        }
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        // A backend that answers has read what was sent as a whole.
        if exchange.upload == Upload::Closed {
            let uploading = core::mem::take(&mut exchange.uploading);
            self.budget.give(Way::Request, uploading);
        }
        let headers = answer_headers(headers);
        match &mut exchange.answer {
            Answer::Streamed { head, .. } | Answer::Buffered { head, .. } => *head = Some((status, headers)),
            Answer::Upgraded(_) => {}
        }
        if exchange.is_streamed() {
            let class = exchange.class();
            self.schedule.ready(key, class);
        }
        self.allow_read(key);
    }

    pub(super) fn on_data(&mut self, key: Key, data: Bytes) {
        let (now, most) = (self.now, self.limits.piece);
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        // The permission is used up, and with it what was reserved for the piece.
        let reserved = core::mem::take(&mut exchange.reserved);
        if exchange.ending.is_some() || data.is_empty() {
            self.budget.give(Way::Answer, reserved);
            return self.allow_read(key);
        }
        exchange.size_next_read(data.len(), most);
        let taken = if matches!(exchange.answer, Answer::Buffered { .. }) { data.len() } else { cost(data.len()) };
        // What was reserved is there, even if the ceiling has come down since.
        let (kept, more) = (reserved.min(taken), taken.saturating_sub(reserved));
        self.budget.give(Way::Answer, reserved - kept);
        if !self.budget.take(Way::Answer, more) {
            self.budget.give(Way::Answer, kept);
            return self.fail(key, UpstreamError::Overloaded("the agent's buffers are full"));
        }
        exchange.held += taken;
        match &mut exchange.answer {
            Answer::Streamed { chunks, .. } => chunks.push_back(data),
            Answer::Buffered { blocks, .. } => collect(blocks, &data),
            Answer::Upgraded(socket) => socket.push(data, now),
        }
        if !matches!(exchange.answer, Answer::Buffered { .. }) {
            let class = exchange.class();
            self.schedule.ready(key, class);
        }
        self.allow_read(key);
    }

    pub(super) fn on_end(&mut self, key: Key) {
        if self.lingering_ended(key) {
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() {
            // There is nothing left that could linger.
            exchange.finishing = false;
            return;
        }
        if !exchange.head_seen {
            return self.fail(key, UpstreamError::Broken("the backend ended without an answer"));
        }
        if let Answer::Upgraded(socket) = &mut exchange.answer {
            // What it said before comes first, and may hold the true end.
            socket.ended = true;
            let reserved = core::mem::take(&mut exchange.reserved);
            self.budget.give(Way::Answer, reserved);
            let class = exchange.class();
            return self.schedule.ready(key, class);
        }
        self.settle(key, Ending::Complete);
    }

    pub(super) fn on_failed(&mut self, key: Key, error: UpstreamError) {
        if self.lingering_ended(key) {
            return;
        }
        if let Some(exchange) = self.exchanges.get_mut(&key) {
            exchange.finishing = false;
        }
        if let UpstreamError::Denied(refusal) = error {
            self.deny(key, refusal);
        } else {
            self.fail(key, error);
        }
    }

    /// Lets the shell read one more piece where that is due and possible; otherwise the exchange waits behind those that wait already.
    pub(super) fn allow_read(&mut self, key: Key) {
        let waits = |exchange: &&Exchange| !exchange.starved && exchange.wants_piece(self.limits.window);
        if self.exchanges.get(&key).filter(waits).is_none() {
            return;
        }
        if !(self.starved.is_empty() && self.grant(key)) {
            if let Some(exchange) = self.exchanges.get_mut(&key) {
                exchange.starved = true;
            }
            self.starved.push_back(key);
        }
    }

    /// Gives a permission to read. False when there is no room for it.
    fn grant(&mut self, key: Key) -> bool {
        let most = self.read_limit();
        let Some(exchange) = self.exchanges.get_mut(&key) else { return true };
        let limit = exchange.next_read.min(most);
        if !self.budget.take(Way::Answer, cost(limit)) {
            return false;
        }
        exchange.reserved = cost(limit);
        if let Answer::Upgraded(socket) = &mut exchange.answer {
            socket.asked = self.now;
        }
        self.outputs.push_back(Output::Read { key, limit });
        true
    }

    /// The most bytes that a permission is for now. What is reserved and not used, because a backend has nothing to say, is lost to
    /// everybody else, so it gets less with the number of exchanges and with what is left.
    pub(super) fn read_limit(&self) -> usize {
        let share = self.budget.share(Way::Answer) / self.exchanges.len().saturating_mul(8).max(1);
        share.min(self.budget.free(Way::Answer) / 32).max(LEAST_READ)
    }

    /// Whether an exchange holds more of what is of no use without more than it may beside all others: twice what is free. The little
    /// that most answers need does not count.
    fn outgrows(&self, exchange: &Exchange) -> bool {
        exchange.ending.is_none()
            && exchange.is_incomplete()
            && exchange.held > LITTLE
            && exchange.held > self.budget.free(Way::Answer).saturating_mul(2)
    }

    /// Gives freed budget to those who wait for it, oldest first.
    pub(super) fn feed_starved(&mut self) {
        while let Some(&key) = self.starved.front() {
            let wants = self.exchanges.get(&key).is_some_and(|exchange| exchange.wants_piece(self.limits.window));
            if wants && !self.grant(key) {
                // Nothing that goes out now will free anything, so those that hold half an answer may be waiting for each other.
                if self.has_transmit() || !self.fail_starved() {
                    break;
                }
                continue;
            }
            self.starved.pop_front();
            if let Some(exchange) = self.exchanges.get_mut(&key) {
                exchange.starved = false;
            }
        }
    }

    /// Somebody waits, and nothing moves: ends one of those that hold bytes which are of no use without more. False when there is none.
    fn fail_starved(&mut self) -> bool {
        // One that holds most of everything is it, whether it waits or has a backend that is slow on purpose.
        let hog = self.exchanges.iter().find(|(_, exchange)| self.outgrows(exchange)).map(|(key, _)| *key);
        let incomplete = |key: &Key| self.exchanges.get(key).is_some_and(Exchange::is_incomplete);
        let Some(key) = hog.or_else(|| self.starved.iter().copied().find(incomplete)) else { return false };
        self.starved.retain(|waiting| *waiting != key);
        self.fail(key, TOO_LARGE_NOW);
        true
    }

    pub(super) fn on_body_chunk(&mut self, id: &str, data: Bytes) {
        let Some((key, exchange)) = self.ids.get(id).and_then(|key| Some((*key, self.exchanges.get_mut(key)?))) else {
            return;
        };
        if exchange.upload == Upload::Closed || data.is_empty() || exchange.is_socket() {
            return;
        }
        if !self.pass_to_backend(key, data) {
            self.fail(key, UpstreamError::Backpressure);
        }
    }

    /// Hands bytes to the shell for the backend. False when there is no room for them.
    pub(super) fn pass_to_backend(&mut self, key: Key, data: Bytes) -> bool {
        let taken = self.take_for_backend(key, data.len());
        if taken {
            self.outputs.push_back(Output::Feed { key, data });
        }
        taken
    }

    /// Takes the budget for bytes on their way to a backend. An exchange may hold as much as is free for all others together.
    pub(super) fn take_for_backend(&mut self, key: Key, length: usize) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return false;
        };
        let fits = exchange.uploading.saturating_add(cost(length)) <= self.budget.free(Way::Request);
        if fits && self.budget.take(Way::Request, cost(length)) {
            exchange.uploading += cost(length);
            return true;
        }
        false
    }

    pub(super) fn on_body_end(&mut self, id: &str) {
        let Some((key, exchange)) = self.ids.get(id).and_then(|key| Some((*key, self.exchanges.get_mut(key)?))) else {
            return;
        };
        if exchange.upload == Upload::Open && !exchange.is_socket() {
            exchange.upload = Upload::Closed;
            self.outputs.push_back(Output::FeedEnd { key });
        }
    }

    /// The backend has one piece of `bytes` bytes.
    pub(super) fn on_consumed(&mut self, key: Key, bytes: usize) {
        if let Some(exchange) = self.exchanges.get_mut(&key) {
            let given = cost(bytes).min(exchange.uploading);
            exchange.uploading -= given;
            self.budget.give(Way::Request, given);
            self.tell_progress(key, bytes);
        } else {
            self.lingering_consumed(key, bytes);
        }
    }

    /// Takes the first chunk of bytes off a queue, at most `most` of them, and gives back what they held.
    pub(super) fn take_chunk(chunks: &mut VecDeque<Bytes>, most: usize) -> Option<(Bytes, usize)> {
        let front = chunks.front_mut()?;
        let chunk = front.split_to(front.len().min(most));
        let mut freed = chunk.len();
        if front.is_empty() {
            chunks.pop_front();
            freed += OVERHEAD;
        }
        Some((chunk, freed))
    }
}
