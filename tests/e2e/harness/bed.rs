//! What surrounds an agent: the plane, the Kubernetes API, and a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use devplane::plane::{Breach, Faults, Plane, PlaneConfig, Records, Role};
use devplane::{DevPlane, DevPlaneHandle, Options};

use super::{AGENT_TOKEN, Kube, LIMIT, Launch};

/// How a [`Bed`] is made. `Default`: TLS, a gateway, no faults, a Kubernetes API.
pub struct Setup {
    pub tls: bool,
    pub gateway: bool,
    pub plane: PlaneConfig,
    pub faults: Faults,
    /// Whether the plane's ports are open at the start; if not, `listen_again` opens them.
    pub listening: bool,
    /// Whether there is a Kubernetes API (and a kubeconfig) at all.
    pub kube: bool,
    /// How long a client of the plane that does not read may hold the agents up.
    pub client_patience: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            tls: true,
            gateway: true,
            plane: PlaneConfig::default(),
            faults: Faults::default(),
            listening: true,
            kube: true,
            client_patience: Options::default().client_patience,
        }
    }
}

/// The plane, the Kubernetes API, and a folder with the agent's files.
pub struct Bed {
    pub plane: DevPlaneHandle,
    pub kube: Option<Kube>,
    kubeconfig: Option<PathBuf>,
    folder: tempfile::TempDir,
}

impl Bed {
    pub fn new(setup: Setup) -> Self {
        Self::with_kube(setup, |_| {})
    }

    /// The same, with other settings of the Kubernetes API.
    pub fn with_kube(setup: Setup, change: impl FnOnce(&mut devkube::Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            plane: setup.plane,
            tls: setup.tls,
            gateway: setup.gateway,
            ca_file: Some(folder.path().join("plane-ca.pem")),
            client_patience: setup.client_patience,
            ..Options::default()
        };
        let plane = DevPlane::spawn_thread(options).unwrap();
        if !setup.listening {
            plane.stop_listening().unwrap();
        }
        let faults = setup.faults;
        plane.set_faults(move |now| *now = faults).unwrap();
        let kube = setup.kube.then(|| Kube::start(change));
        let kubeconfig = kube.as_ref().map(|kube| kube.write_kubeconfig(folder.path(), AGENT_TOKEN));
        Self { plane, kube, kubeconfig, folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn state_file(&self) -> PathBuf {
        self.state_dir().join("state.json")
    }

    pub fn kube(&self) -> &Kube {
        self.kube.as_ref().unwrap()
    }

    /// An agent configured for this bed, not started yet.
    pub fn agent(&self) -> Launch<'_> {
        let launch = Launch::new(self)
            .set("pipeops.api_url", self.plane.api_url())
            .set("pipeops.token", self.plane.token())
            .set("agent.cluster_name", "e2e")
            .set("agent.state_dir", self.state_dir().display().to_string())
            .set("agent.port", 0)
            .set("logging.level", "debug");
        let launch = match self.plane.ca_file() {
            Some(path) => launch.set("pipeops.tls.ca_file", path.display().to_string()),
            None => launch,
        };
        match &self.kubeconfig {
            Some(path) => launch.set("kubernetes.kubeconfig", path.display().to_string()),
            None => launch,
        }
    }

    /// What the plane remembers.
    pub fn records(&self) -> Records {
        self.with_plane(|plane| plane.records().clone())
    }

    pub fn with_plane<T: Send + 'static>(&self, act: impl FnOnce(&mut Plane) -> T + Send + 'static) -> T {
        self.plane.with_plane(act).unwrap()
    }

    pub fn set_faults(&self, change: impl FnOnce(&mut Faults) + Send + 'static) {
        self.plane.set_faults(change).unwrap();
    }

    /// Whether the condition came true in time.
    #[must_use]
    pub fn wait_until(&self, condition: impl FnMut(&Plane) -> bool + Send + 'static, limit: Duration) -> bool {
        self.plane.wait_until(condition, limit).unwrap()
    }

    /// The roles of the upgrades that were accepted, oldest first.
    pub fn accepted(&self) -> Vec<Role> {
        let records = self.records();
        let accepted = records.upgrades.iter().filter(|it| it.status == 101);
        accepted.map(|it| it.role).collect()
    }

    /// How many sockets are open at the plane.
    pub fn open_sockets(&self) -> u64 {
        let records = self.records();
        let accepted = records.upgrades.iter().filter(|it| it.status == 101).count();
        u64::try_from(accepted).unwrap() - records.disconnects.total()
    }

    /// Nothing that the agent did so far broke a rule.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.assert_clean_but(|_| false);
    }

    /// The same, for tests in which something is broken on purpose.
    #[track_caller]
    pub fn assert_clean_but(&self, mut expected: impl FnMut(&Breach) -> bool) {
        let violations = self.plane.violations().unwrap();
        let violations: Vec<_> =
            violations.iter().filter(|violation| !expected(&violation.breach)).map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// The id of the only cluster.
    pub fn cluster_id(&self) -> String {
        self.with_plane(|plane| plane.clusters().next().map(|it| it.cluster_id.clone())).expect("no cluster has registered")
    }

    /// Waits until the plane counts an agent as online, on any socket.
    #[track_caller]
    pub fn assert_online(&self) {
        assert!(self.plane.wait_online(LIMIT).unwrap(), "the agent does not come online");
    }
}
