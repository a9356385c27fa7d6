//! Upgraded connections in virtual time: what both ends are to do, what they have done, and the backend's end.

pub mod frames;
pub mod ledger;
pub mod peer;
pub mod script;

use std::collections::BTreeMap;

use bytes::Bytes;
use pipeops_agent_core::streams::{Input, Key, Open, Target};

use ledger::Ledger;
use peer::{Acts, Peer};
use script::Entry;

/// All upgraded connections of one agent, and the ledgers by number.
#[derive(Default)]
pub struct Sockets {
    pub ledgers: Vec<Ledger>,
    peers: BTreeMap<Key, Peer>,
}

impl Sockets {
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.peers.len()
    }

    #[must_use]
    pub fn has(&self, key: Key) -> bool {
        self.peers.contains_key(&key)
    }

    /// Reports after so many milliseconds.
    pub fn open(&mut self, open: &Open, random: &mut fastrand::Rng) -> Option<(u64, Input)> {
        let number = open.uri.rsplit('=').next().and_then(|text| text.parse::<usize>().ok());
        let Some((mut number, ledger)) = number.and_then(|number| Some((number, self.ledgers.get_mut(number)?))) else {
            panic!("an upgrade that nobody asked for: {}", open.uri);
        };
        let script = ledger.script.clone();
        let service = matches!(open.target, Target::Service { .. });
        assert_eq!(service, script.entry == Entry::Service, "the target that was asked for");
        if ledger.opened {
            number = self.ledgers.len();
            let mut second = Ledger::new(script.clone());
            second.unjudged = true;
            self.ledgers.push(second);
        }
        self.ledgers[number].opened = true;
        let peer = Peer::new(number, script, random.u64(..));
        let head = peer.head(open, random);
        self.peers.insert(open.key, peer);
        head
    }

    /// The head of an answer has reached the agent.
    pub fn headed(&mut self, key: Key, status: u16) -> Acts {
        self.on(key, |peer, ledger| {
            ledger.upgraded = status == 101;
            peer.headed(status)
        })
    }

    pub fn read(&mut self, key: Key, limit: usize) -> Acts {
        self.on(key, |peer, _| peer.read(limit))
    }

    pub fn feed(&mut self, key: Key, data: Bytes, now: u64) -> Acts {
        self.on(key, |peer, _| peer.feed(peer::Fed::Bytes(data), now))
    }

    pub fn feed_end(&mut self, key: Key, now: u64) -> Acts {
        self.on(key, |peer, _| peer.feed(peer::Fed::End, now))
    }

    pub fn finish(&mut self, key: Key, now: u64) -> Acts {
        self.on(key, |peer, _| peer.finish(now))
    }

    pub fn abort(&mut self, key: Key) {
        self.peers.remove(&key);
    }

    /// The backend takes what is first in line.
    pub fn take(&mut self, key: Key) -> (Option<Input>, Acts) {
        let mut report = None;
        let acts = self.on(key, |peer, ledger| {
            let (input, acts) = peer.take(key, ledger);
            report = input;
            acts
        });
        (report, acts)
    }

    /// What the backend does with a permission to read.
    pub fn piece(&mut self, key: Key) -> Option<Input> {
        let peer = self.peers.get_mut(&key)?;
        let input = peer.piece(key, self.ledgers.get_mut(peer.number)?);
        if matches!(input, Some(Input::End { .. } | Input::Failed { .. })) {
            self.peers.remove(&key);
        }
        input
    }

    /// The backend ends after the agent did. False when it is gone already.
    pub fn part(&mut self, key: Key) -> bool {
        self.peers.remove(&key).is_some()
    }

    fn on(&mut self, key: Key, act: impl FnOnce(&mut Peer, &mut Ledger) -> Acts) -> Acts {
        match self.peers.get_mut(&key) {
            Some(peer) => match self.ledgers.get_mut(peer.number) {
                Some(ledger) => act(peer, ledger),
                None => Acts::default(),
            },
            None => Acts::default(),
        }
    }
}
