//! What the kernel says about a process. Everything is read from `/proc`; nothing in the process helps with it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::Failure;

/// Of `utime` and `stime`; the same on every Linux machine.
const TICK: Duration = Duration::from_millis(10);

/// Memory in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) private_dirty: u64,
}

/// A process that is being watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    fn read(self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).map_err(|error| Failure(format!("{path}: {error}")))
    }

    pub(crate) fn memory(self) -> Result<Memory, Failure> {
        let text = self.read("smaps_rollup")?;
        Ok(Memory { rss: field(&text, "Rss:")?, private_dirty: field(&text, "Private_Dirty:")? })
    }

    /// The most memory since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak(self) -> Result<u64, Failure> {
        field(&self.read("status")?, "VmHWM:")
    }

    /// Starts a new peak where the kernel allows that; otherwise the peak is that of the whole life.
    pub(crate) fn forget_peak(self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    pub(crate) fn threads(self) -> Result<u64, Failure> {
        field(&self.read("status")?, "Threads:")
    }

    /// CPU time in user and kernel mode so far, in ticks.
    pub(crate) fn ticks(self) -> Result<u64, Failure> {
        ticks(&self.read("stat")?).ok_or_else(|| Failure("unknown form of /proc/PID/stat".into()))
    }

    /// The same as a time, without a tick's coarseness where the kernel counts nanoseconds.
    pub(crate) fn cpu(self) -> Result<Duration, Failure> {
        let exact = self.each_thread("schedstat", |text| text.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0);
        if exact > 0 {
            return Ok(Duration::from_nanos(exact));
        }
        let ticks = self.ticks()?;
        Ok(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }

    /// How often its threads have waited for something.
    pub(crate) fn voluntary_switches(self) -> Result<u64, Failure> {
        self.each_thread("status", |text| field(text, "voluntary_ctxt_switches:").ok())
            .ok_or_else(|| Failure("no thread's status can be read".into()))
    }

    /// CPU time of the calling thread, where the kernel counts it.
    pub(crate) fn own_thread() -> Duration {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds = text.split_ascii_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        Duration::from_nanos(nanoseconds)
    }

    fn each_thread(self, file: &str, value: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0)).ok()? {
            // A thread may end between the list and the look at it.
            if let Ok(text) = fs::read_to_string(thread.ok()?.path().join(file)) {
                sum += value(&text)?;
            }
        }
        Some(sum)
    }

    /// Bytes that its open TCP connections have carried in both directions, if `ss` can tell.
    pub(crate) fn bytes_on_the_wire(self) -> Option<u64> {
        let sum = wire_bytes(&connections()?, self.0);
        (sum > 0).then_some(sum)
    }

    /// Bytes that wait in the kernel behind its fullest connection, if `ss` can tell.
    pub(crate) fn send_queue(self) -> Option<u64> {
        longest_send_queue(&connections()?, self.0)
    }
}

fn connections() -> Option<String> {
    let output = Command::new("ss").args(["-Htinp"]).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// What waits to be sent on the connection on which most waits.
fn longest_send_queue(text: &str, process: u32) -> Option<u64> {
    let owner = format!("pid={process},");
    let own = text.lines().filter(|line| !line.starts_with(char::is_whitespace) && line.contains(&owner));
    own.filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse().ok()).max()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Result<u64, Failure> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| Failure(format!("the kernel does not tell {name}")))
}

fn ticks(stat: &str) -> Option<u64> {
    // The name may hold anything, also parentheses; after it all fields are numbers but the first.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// `ss` prints two lines a connection: who, then how it goes.
fn wire_bytes(text: &str, process: u32) -> u64 {
    let owner = format!("pid={process},");
    let mut own = false;
    let mut sum = 0;
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            own = line.contains(&owner);
        } else if own {
            sum += line
                .split_ascii_whitespace()
                .filter_map(|word| word.strip_prefix("bytes_sent:").or_else(|| word.strip_prefix("bytes_received:")))
                .filter_map(|number| number.parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_ticks() {
        assert_eq!(field("VmHWM:\t  12 kB\nThreads:\t3\n", "Threads:").ok(), Some(3));
        assert!(field("Rss: x kB", "Rss:").is_err());
        let stat = "1 (a ) b) S 1 1 1 0 -1 4194560 1 2 3 4 17 25 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("1 (a) S"), None);
    }

    #[test]
    fn counts_the_connections_of_one_process() {
        let text = "ESTAB 0 0 a b users:((\"x\",pid=12,fd=9))\n\t cubic bytes_sent:5 bytes_acked:9 bytes_received:7\n\
                    ESTAB 0 0 a b users:((\"y\",pid=123,fd=9))\n\t bytes_sent:1000\n";
        assert_eq!(wire_bytes(text, 12), 12);
        let text = "ESTAB 0 5 a b users:((\"x\",pid=12,fd=9))\n\t cubic\nESTAB 1 7 a b users:((\"x\",pid=12,fd=8))\n\
                    ESTAB 0 9 a b users:((\"y\",pid=123,fd=9))\n";
        assert_eq!(longest_send_queue(text, 12), Some(7));
    }

    #[test]
    fn this_process_can_be_read() {
        let own = Process(std::process::id());
        assert!(own.memory().is_ok_and(|memory| memory.rss > 0));
        assert!(own.threads().is_ok_and(|threads| threads > 0));
        assert!(own.voluntary_switches().is_ok() && own.cpu().is_ok() && own.peak().is_ok());
    }
}
