//! One run of the agent.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use devplane::DevPlaneHandle;
use devplane::plane::Plane;
use std::process::Stdio;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Failure;
use crate::process::Process;
use crate::world::config_of;

const LIMIT: Duration = Duration::from_secs(20);

/// A running agent. It is killed when this is dropped.
pub(crate) struct Agent {
    child: Child,
    plane: Arc<DevPlaneHandle>,
    pub(crate) process: Process,
    /// From the moment before exec to the message's arrival at the plane.
    pub(crate) to_register: Duration,
    pub(crate) to_heartbeat: Duration,
    pub(crate) cpu_to_heartbeat: Duration,
}

impl Agent {
    /// Returns after the first heartbeat.
    pub(crate) async fn start(binary: &Path, home: &Path, plane: &Arc<DevPlaneHandle>) -> Result<Self, Failure> {
        let (registers, heartbeats) = plane
            .plane()
            .with_plane(|plane| {
                let records = plane.records();
                (records.registers.total(), records.heartbeats.total())
            })
            .await
            .map_err(Failure::of("control plane"))?;
        let registered = Arc::new(Mutex::new(None));
        let beaten = Arc::new(Mutex::new(None));
        let (first, second) = (Arc::clone(&registered), Arc::clone(&beaten));
        // The plane tries this after everything that happens to it, on its own thread: no time is lost on the way here.
        let condition = move |plane: &Plane| {
            let records = plane.records();
            if records.registers.total() > registers {
                note(&first);
            }
            let over = records.heartbeats.total() > heartbeats && plane.online() > 0;
            if over {
                note(&second);
            }
            over
        };
        let log = std::fs::File::create(home.join("log")).map_err(Failure::of("agent's log"))?;
        let waiting = plane.plane().wait_until(condition, LIMIT);
        let started = Instant::now();
        let child = Command::new(binary)
            .arg("--config")
            .arg(config_of(home))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::of("agent"))?;
        let process = Process(child.id().unwrap_or_default());
        let online = waiting.await.map_err(Failure::of("control plane"))?;
        let cpu_to_heartbeat = process.cpu().unwrap_or_default();
        let since =
            |at: &Mutex<Option<Instant>>| at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.duration_since(started));
        match (online, since(&registered), since(&beaten)) {
            (true, Some(to_register), Some(to_heartbeat)) => {
                Ok(Self { child, plane: Arc::clone(plane), process, to_register, to_heartbeat, cpu_to_heartbeat })
            }
            _ => {
                let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
                Err(Failure(format!("the agent did not come online; it says:\n{log}")))
            }
        }
    }

    /// Drops its connection and waits until it is back.
    pub(crate) async fn reconnect(&self) -> Result<(), Failure> {
        let plane = self.plane.plane();
        let ended = plane
            .with_plane(|plane| {
                let ended = plane.records().disconnects.total();
                plane.drop_agents();
                ended
            })
            .await
            .map_err(Failure::of("control plane"))?;
        let back = plane
            .wait_until(move |plane| plane.records().disconnects.total() > ended && plane.online() > 0, LIMIT)
            .await
            .map_err(Failure::of("control plane"))?;
        if back { Ok(()) } else { Err(Failure("the agent did not come back".into())) }
    }

    /// Ends it as systemd would, so that its state is complete.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let asked = Command::new("kill").arg(self.process.0.to_string()).status().await;
        asked.map_err(Failure::of("kill"))?;
        let ended = timeout(LIMIT, self.child.wait()).await;
        let status = ended.map_err(|_| Failure("the agent does not end".into()))?.map_err(Failure::of("agent"))?;
        if !status.success() {
            return Err(Failure(format!("the agent ended with {status}")));
        }
        let gone = self.plane.plane().wait_until(|plane| plane.connections().next().is_none(), LIMIT);
        match gone.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Failure("the plane does not notice the agent's end".into())),
        }
    }
}

fn note(at: &Mutex<Option<Instant>>) {
    at.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
}
