//! Two queues of bytes that tungstenite takes for a socket.

use std::io::{self, Read, Write};

/// What has come from the network and not been read, and what waits to go there.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) input: Vec<u8>,
    taken: usize,
    pub(super) output: Vec<u8>,
}

impl Pipe {
    /// Makes room for more input by dropping what has been read.
    pub(super) fn compact(&mut self) {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        } else if self.taken > 0 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.input.get(self.taken..).unwrap_or_default();
        if waiting.is_empty() && !buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = waiting.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), waiting.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
