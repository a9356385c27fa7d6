//! What survives a restart: the agent's id, the cluster's id, the gateway and the plane's Kubernetes token.
//!
//! In a cluster it is kept in the same ConfigMap and Secret as the Go agent's, so that either takes over from the other; elsewhere
//! in a file. Nothing that the agent does waits for a write.

mod file;
mod objects;

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{Level, debug, info, log, warn};
use tokio::sync::watch;

pub(crate) use self::objects::Objects;
use crate::cluster::OwnError;
use crate::messages;
use crate::quiet::Quiet;
use crate::secret::Secret;

/// How long the start waits for the state when the API server cannot be asked.
const LOAD_LIMIT: Duration = Duration::from_secs(8);
/// How long it waits for one answer.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// Between tries to read and to write.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The state. What is `None` was never known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) agent_id: Option<String>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) gateway_url: Option<String>,
    pub(crate) cluster_token: Option<Secret>,
    /// The cluster's CA in PEM, base64-encoded.
    pub(crate) ca_data: Option<String>,
}

/// Where the state is kept.
#[derive(Clone)]
pub(crate) enum Store {
    Objects(Objects),
    File(PathBuf),
}

/// Why the state cannot be read or written.
#[derive(Debug)]
pub(crate) enum StateError {
    Request(OwnError),
    /// The API server does not let us, or knows something better.
    Status(u16),
    /// It is not what we wrote.
    Content,
    File(io::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => write!(formatter, "{error}"),
            Self::Status(403) => formatter.write_str("the API server forbids it (status 403)"),
            Self::Status(status) => write!(formatter, "the API server answered with status {status}"),
            Self::Content => formatter.write_str("it cannot be understood"),
            Self::File(error) => write!(formatter, "{error}"),
        }
    }
}

impl core::error::Error for StateError {}

impl StateError {
    /// Whether trying again may help.
    const fn is_passing(&self) -> bool {
        match self {
            Self::Request(_) => true,
            Self::Status(status) => *status >= 500 || *status == 429 || *status == 409,
            Self::Content | Self::File(_) => false,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(objects) => write!(formatter, "{objects}"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
        }
    }
}

impl Store {
    /// Reads the state, patiently as long as the trouble may pass. With no state to be had the agent still starts.
    pub(crate) async fn load(&self) -> Saved {
        match tokio::time::timeout(LOAD_LIMIT, self.load_patiently()).await {
            Ok(Ok(saved)) => saved,
            Ok(Err(error)) => {
                warn!(error = error.to_string(), state = self.to_string(); "{}", messages::STATE_UNREADABLE);
                Saved::default()
            }
            Err(_) => {
                warn!(error = "no answer in time", state = self.to_string(); "{}", messages::STATE_UNREADABLE);
                Saved::default()
            }
        }
    }

    async fn load_patiently(&self) -> Result<Saved, StateError> {
        let mut pause = FIRST_PAUSE;
        loop {
            // A server that refuses may be starting. One that says nothing will say nothing for long.
            match tokio::time::timeout(READ_LIMIT, self.read()).await {
                Ok(Err(error)) if error.is_passing() => debug!(error = error.to_string(); "State cannot be read yet"),
                Ok(result) => return result,
                Err(_) => return Err(StateError::Request(OwnError::Timeout)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn read(&self) -> Result<Saved, StateError> {
        match self {
            Self::Objects(objects) => objects.read().await,
            Self::File(path) => file::read(path),
        }
    }

    async fn write(&self, saved: &Saved) -> Result<(), StateError> {
        match self {
            Self::Objects(objects) => objects.write(saved).await,
            Self::File(path) => {
                // A disk can take seconds; the loop that everything runs on must not wait for it.
                let (path, saved) = (path.clone(), saved.clone());
                let write = tokio::task::spawn_blocking(move || file::write(&path, &saved));
                write.await.unwrap_or_else(|error| Err(StateError::File(io::Error::other(error))))
            }
        }
    }

    /// Does what reading and writing do and leaves everything as it was. Whether all of it can be kept: an agent does without the
    /// Secret where it must.
    pub(crate) async fn rehearse(&self) -> Result<bool, StateError> {
        match self {
            Self::Objects(objects) => objects.rehearse().await,
            Self::File(path) => {
                let path = path.clone();
                let rehearsal = tokio::task::spawn_blocking(move || file::rehearse(&path));
                rehearsal.await.unwrap_or_else(|error| Err(StateError::File(io::Error::other(error)))).map(|()| true)
            }
        }
    }

    /// Writes what it is told, the newest only, until that worked. Ends when nobody can tell it anything any more.
    pub(crate) async fn keep(self, mut newest: watch::Receiver<Saved>) {
        let mut quiet = Quiet::new(4);
        while newest.changed().await.is_ok() {
            let mut pause = FIRST_PAUSE;
            let mut warned = false;
            loop {
                let saved = newest.borrow_and_update().clone();
                match self.write(&saved).await {
                    Ok(()) => {
                        debug!(state = self.to_string(); "State saved");
                        if warned {
                            info!(state = self.to_string(); "{}", messages::STATE_SAVED_AFTER_ALL);
                        }
                        break;
                    }
                    // One line for as long as the trouble lasts, and not many however often there is something new to save.
                    Err(error) if !warned => {
                        let (level, _) = quiet.weigh(Instant::now(), Level::Warn);
                        warned = level == Level::Warn;
                        log!(level, error = error.to_string(), state = self.to_string(); "{}", messages::STATE_UNSAVED);
                    }
                    Err(error) => debug!(error = error.to_string(); "State still cannot be saved"),
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    changed = newest.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}
