//! One agent's WebSocket: a reader and a writer around the framing, until either side ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::codec::{Codec, End};
use super::orders::{Control, Event};
use super::pressure::{Group, Pressures};
use crate::plane::ConnectionId;

/// How long a write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// Written at once at most, if there is more than one message.
const BATCH: usize = 64 * 1024;

/// What the hub wants a connection to do.
pub(super) enum Command {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Close {
        code: u16,
        reason: String,
    },
    Pause(Duration),
    /// Report when everything before has been written.
    Barrier(oneshot::Sender<()>),
}

/// The parts of the fault policy that concern the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    /// Write nothing, not even pongs.
    pub(super) silent: bool,
    /// Read nothing.
    pub(super) deaf: bool,
    /// Read nothing from clients of the front doors.
    pub(super) deaf_to_clients: bool,
    /// A pause before each piece that is read from such a client.
    pub(super) client_pause: Duration,
}

/// What a connection shares with the hub.
pub(super) struct Wiring {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) control: Control,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Ends the connection abruptly when its other end is dropped.
    pub(super) kill: oneshot::Receiver<()>,
    pub(super) switches: watch::Receiver<Switches>,
    pub(super) pressures: Arc<Pressures>,
}

struct Shared {
    codec: Mutex<Codec>,
    /// There is output.
    flush: Notify,
    /// Read nothing until then.
    paused_until: Mutex<Option<Instant>>,
    pause: Notify,
}

impl Shared {
    fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paused_until(&self) -> Option<Instant> {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the connection to its end.
pub(super) async fn run<T: AsyncRead + AsyncWrite + Unpin>(io: T, id: ConnectionId, wiring: Wiring) {
    let Wiring { events, control, mut commands, kill, switches, pressures } = wiring;
    let (read, mut write) = tokio::io::split(io);
    let shared =
        Shared { codec: Mutex::new(Codec::new()), flush: Notify::new(), paused_until: Mutex::new(None), pause: Notify::new() };
    let reader = Reader { read, id, events: events.clone(), control, switches: switches.clone(), pressures };
    let ended_by_reader = tokio::select! {
        () = reader.run(&shared) => true,
        () = write_all(&mut write, &mut commands, &shared, &switches) => false,
        _ = kill => false,
    };
    if ended_by_reader {
        // The answer to a close frame.
        let output = shared.codec().take_output();
        if !switches.borrow().silent {
            let _ = timeout(Duration::from_secs(1), async {
                write.write_all(&output).await?;
                write.shutdown().await
            })
            .await;
        }
    }
    let _ = events.send(Event::Closed(id)).await;
}

struct Reader<T> {
    read: ReadHalf<T>,
    id: ConnectionId,
    events: mpsc::Sender<Event>,
    control: Control,
    switches: watch::Receiver<Switches>,
    pressures: Arc<Pressures>,
}

impl<T: AsyncRead> Reader<T> {
    async fn run(mut self, shared: &Shared) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            self.until_readable(shared).await;
            let read = tokio::select! {
                read = self.read.read(&mut buffer) => read,
                changed = self.switches.changed() => if changed.is_ok() { continue } else { return },
                () = shared.pause.notified() => continue,
            };
            let length = match read {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            shared.codec().feed(buffer.get(..length).unwrap_or_default());
            let end = loop {
                let next = {
                    let mut codec = shared.codec();
                    let next = codec.next();
                    if self.switches.borrow().silent {
                        // A pong, or the answer to a close frame.
                        codec.take_output();
                    }
                    next
                };
                match next {
                    Ok(Some(incoming)) => {
                        if self.events.send(Event::Received(self.id, incoming)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break None,
                    Err(end) => break Some(end),
                }
            };
            shared.flush.notify_one();
            match end {
                None => {}
                Some(End::Broken(problem)) => {
                    let _ = self.events.send(Event::Broken(self.id, problem)).await;
                    return;
                }
                Some(End::Closed) if self.switches.borrow().silent => {
                    while matches!(self.read.read(&mut buffer).await, Ok(1..)) {}
                    return;
                }
                Some(End::Closed) => return,
            }
        }
    }

    /// Waits while the fault policy or unread answers forbid reading.
    async fn until_readable(&mut self, shared: &Shared) {
        while self.switches.borrow_and_update().deaf {
            if self.switches.changed().await.is_err() {
                return;
            }
        }
        if let Some(until) = shared.paused_until() {
            sleep_until(until).await;
        }
        for group in [Group::Callers, Group::Clients] {
            while timeout(self.pressures.patience(group), self.pressures.wait(group)).await.is_err() {
                self.control.relieve(group);
            }
        }
    }
}

async fn write_all<T: AsyncWrite>(
    write: &mut WriteHalf<T>,
    commands: &mut mpsc::Receiver<Command>,
    shared: &Shared,
    switches: &watch::Receiver<Switches>,
) {
    let mut barriers: Vec<oneshot::Sender<()>> = Vec::new();
    loop {
        let output = shared.codec().take_output();
        if !output.is_empty() && !switches.borrow().silent {
            let written = timeout(WRITE_LIMIT, async {
                write.write_all(&output).await?;
                write.flush().await
            });
            if !matches!(written.await, Ok(Ok(()))) {
                return;
            }
        }
        for barrier in barriers.drain(..) {
            let _ = barrier.send(());
        }
        let command = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => command,
                None => return,
            },
            () = shared.flush.notified() => continue,
        };
        obey(command, shared, &mut barriers);
        let mut batch = 0;
        while batch < BATCH
            && let Ok(command) = commands.try_recv()
        {
            batch += obey(command, shared, &mut barriers);
        }
    }
}

/// Returns the number of bytes it added.
fn obey(command: Command, shared: &Shared, barriers: &mut Vec<oneshot::Sender<()>>) -> usize {
    let mut codec = shared.codec();
    match command {
        Command::Text(text) => {
            let length = text.len();
            codec.text(text);
            return length;
        }
        Command::Binary(bytes) => {
            let length = bytes.len();
            codec.binary(bytes);
            return length;
        }
        Command::Ping => codec.ping(),
        Command::Close { code, reason } => codec.close(code, reason),
        Command::Barrier(done) => barriers.push(done),
        Command::Pause(duration) => {
            *shared.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + duration);
            shared.pause.notify_one();
        }
    }
    0
}
