//! Proxies on the way to the control plane: which one, and for which addresses none.
//!
//! Nothing here touches the network. Which address of the plane goes by which proxy is decided from the address as it is written:
//! a name is never resolved for it.

mod bypass;
mod url;

use std::path::PathBuf;

pub(crate) use bypass::{Bypass, NotAnEntry};
pub(crate) use url::ProxyUrl;

use crate::config::ApiUrl;

/// The settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// For `https` and `wss`.
    pub(crate) https: Option<ProxyUrl>,
    /// For `http` and `ws`.
    pub(crate) http: Option<ProxyUrl>,
    /// Where no proxy is used.
    pub(crate) bypass: Vec<Bypass>,
    /// To trust for proxies that are reached over TLS, besides what the plane is trusted by.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Proxies {
    /// The proxy for an address; `None`: it is reached without one.
    pub(crate) fn to(&self, url: &ApiUrl) -> Option<&ProxyUrl> {
        let proxy = if url.secure { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.bypass.iter().any(|entry| entry.covers(&url.host, url.port)))
    }
}
