//! Where a host is, and where it last was.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log::warn;

use super::{ConnectError, race};
use crate::messages;

/// How long a name server may take where there is something to go on with.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most hosts that are remembered: the plane, its gateway, a proxy, and one for a change.
const MOST: usize = 4;

/// The address that each host last was reached at, for when the name server fails.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    host: String,
    address: IpAddr,
    /// Whether it was said that this is used for want of anything better.
    told: bool,
}

impl Memory {
    /// A connection to `address` came about.
    pub(super) fn learn(&self, host: &str, address: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = known.iter().any(|known| known.host == host && known.told);
        known.retain(|known| known.host != host);
        known.truncate(MOST - 1);
        known.push_front(Known { host: host.to_owned(), address, told });
    }

    fn recall(&self, host: &str) -> Option<IpAddr> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.host == host).map(|known| known.address)
    }

    /// Notes whether the name server knew the host; true when it fails for the first time.
    fn fails_now(&self, host: &str, fails: bool) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.iter_mut().find(|known| known.host == host) else { return false };
        let before = core::mem::replace(&mut known.told, fails);
        fails && !before
    }
}

/// The addresses of a host, in the order in which they are to be tried, never empty.
pub(super) async fn addresses(
    host: &str,
    port: u16,
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    memory: Option<&Memory>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let last = memory.and_then(|memory| Some((memory, memory.recall(host)?)));
    let found = match last {
        Some(_) => tokio::time::timeout(PATIENCE, look_up).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        None => look_up.await,
    };
    let source = match found {
        Ok(found) if !found.is_empty() => {
            if let Some((memory, _)) = last {
                memory.fails_now(host, false);
            }
            return Ok(race::by_turns(&found));
        }
        Ok(_) => io::Error::other("the name has no address"),
        Err(error) => error,
    };
    let Some((memory, address)) = last else {
        return Err(ConnectError::Resolve { host: host.to_owned(), source });
    };
    if memory.fails_now(host, true) {
        warn!(host = host, address = address.to_string(), error = source.to_string(); "{}", messages::LAST_KNOWN_ADDRESS);
    }
    Ok(vec![SocketAddr::new(address, port)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(work)
    }

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 443)
    }

    async fn answer(texts: &[&str]) -> io::Result<Vec<SocketAddr>> {
        Ok(texts.iter().map(|text| address(text)).collect())
    }

    async fn failure() -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("no name server"))
    }

    #[test]
    fn b55_the_last_known_address_stands_in_for_a_dead_name_server() {
        run(async {
            let memory = Memory::default();
            // Nothing is known yet: the failure is one.
            assert!(addresses("plane.example", 443, failure(), Some(&memory)).await.is_err());
            memory.learn("plane.example", "10.0.0.1".parse().unwrap());
            assert_eq!(addresses("plane.example", 443, failure(), Some(&memory)).await.unwrap(), [address("10.0.0.1")]);
            assert_eq!(addresses("plane.example", 443, answer(&[]), Some(&memory)).await.unwrap(), [address("10.0.0.1")]);
            // Of another host nothing is known, and who has no memory gets nothing.
            assert!(addresses("other.example", 443, failure(), Some(&memory)).await.is_err());
            assert!(addresses("plane.example", 443, failure(), None).await.is_err());
            // What the name server says goes before what is remembered, and replaces it once it has worked.
            let found = addresses("plane.example", 443, answer(&["10.0.0.2"]), Some(&memory)).await.unwrap();
            assert_eq!(found, [address("10.0.0.2")]);
            memory.learn("plane.example", "10.0.0.2".parse().unwrap());
            assert_eq!(addresses("plane.example", 443, failure(), Some(&memory)).await.unwrap(), [address("10.0.0.2")]);
        });
    }

    #[test]
    fn b55_a_name_server_that_hangs_is_not_waited_for() {
        run(async {
            let memory = Memory::default();
            memory.learn("plane.example", "10.0.0.1".parse().unwrap());
            let start = tokio::time::Instant::now();
            let found = addresses("plane.example", 443, core::future::pending(), Some(&memory)).await.unwrap();
            assert_eq!((found, start.elapsed()), (vec![address("10.0.0.1")], PATIENCE));
            // Without anything to go on with the caller's own patience counts.
            let waiting = addresses("other.example", 443, core::future::pending(), Some(&memory));
            assert!(tokio::time::timeout(10 * PATIENCE, waiting).await.is_err());
        });
    }

    #[test]
    fn one_word_for_each_time_the_name_server_dies() {
        let memory = Memory::default();
        memory.learn("plane.example", "10.0.0.1".parse().unwrap());
        let fails = [true, true, false, true].map(|fails| memory.fails_now("plane.example", fails));
        assert_eq!(fails, [true, false, false, true]);
    }

    #[test]
    fn the_memory_is_small() {
        let memory = Memory::default();
        for number in 0..10 {
            memory.learn(&format!("{number}.example"), "10.0.0.1".parse().unwrap());
        }
        let kept = (0..10).filter(|number| memory.recall(&format!("{number}.example")).is_some()).count();
        assert_eq!((kept, memory.recall("9.example").is_some()), (MOST, true));
    }

    #[test]
    fn an_address_is_not_looked_up() {
        run(async {
            for (host, expected) in [("10.0.0.1", "10.0.0.1"), ("::1", "::1")] {
                assert_eq!(addresses(host, 443, failure(), None).await.unwrap(), [address(expected)]);
            }
        });
    }
}
