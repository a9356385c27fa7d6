//! The part of the configuration that is about where the agent itself answers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use crate::config::build::Builder;
use crate::config::collect::Collected;
use crate::config::convert;
use crate::config::keys::Setting;
use crate::config::source::Notes;
use crate::config::sources::Files;

/// Where an agent answers questions about itself.
#[derive(Debug)]
pub(crate) struct LocalAccess {
    pub(crate) address: IpAddr,
    /// 0: on no port.
    pub(crate) port: u16,
    pub(crate) state_dir: PathBuf,
    /// What is wrong with the configuration or cannot be read of it, so that the agent may be somewhere else.
    pub(crate) doubts: Vec<String>,
}

/// Reads these settings alone.
pub(crate) fn build_local(collected: Collected, files: &dyn Files) -> LocalAccess {
    let Collected { values, file, in_pod } = collected;
    let mut builder = Builder { values, lists: file.lists, files, in_pod, problems: file.problems, warnings: Notes::default() };
    let (address, port) = (builder.listen_address(), builder.port());
    let state_dir = builder.path(Setting::StateDir).unwrap_or_default();
    let mut doubts: Vec<String> = builder.problems.iter().map(|problem| problem.to_string()).collect();
    doubts.extend(file.unreadable.iter().map(|warning| warning.message.clone()));
    LocalAccess { address, port, state_dir, doubts }
}

impl Builder<'_> {
    pub(super) fn port(&mut self) -> u16 {
        u16::try_from(self.integer(Setting::Port)).unwrap_or_default()
    }

    pub(super) fn listen_address(&mut self) -> IpAddr {
        self.convert(Setting::ListenAddress, convert::address).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}
