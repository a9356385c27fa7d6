//! The part of the configuration that is about proxies.

use crate::config::build::Builder;
use crate::config::convert::shown;
use crate::config::keys::Setting;
use crate::proxy::{Bypass, NotAnEntry, Proxies, ProxyUrl};

/// The most entries of `proxy.no_proxy`.
const MAXIMUM_ENTRIES: usize = 256;

impl Builder<'_> {
    pub(super) fn proxies(&mut self) -> Proxies {
        let url = |text: &str| ProxyUrl::parse(text).map_err(|error| error.to_string());
        let proxies = Proxies {
            https: self.convert(Setting::HttpsProxy, url),
            http: self.convert(Setting::HttpProxy, url),
            bypass: self.bypass(),
            ca_file: self.path(Setting::ProxyCaFile),
        };
        self.check_readable(Setting::ProxyCaFile, proxies.ca_file.as_deref());
        proxies
    }

    /// This list is often made for other programs, with spellings of their own: what makes no sense here is worth a word only.
    fn bypass(&mut self) -> Vec<Bypass> {
        let items = self.list(Setting::NoProxy, |text| Ok(text.to_owned())).unwrap_or_default();
        let mut words: Vec<&str> = items.iter().flat_map(|item| item.split_whitespace()).collect();
        if words.len() > MAXIMUM_ENTRIES {
            self.warning(Setting::NoProxy, &format!("only the first {MAXIMUM_ENTRIES} entries are used"));
            words.truncate(MAXIMUM_ENTRIES);
        }
        let mut entries = Vec::with_capacity(words.len());
        for word in words {
            match Bypass::parse(word) {
                Ok(entry) => entries.push(entry),
                Err(NotAnEntry) => {
                    let message = format!("{} is no host, domain, address or block of addresses: it is not used", shown(word));
                    self.warning(Setting::NoProxy, &message);
                }
            }
        }
        entries
    }
}
