//! The part of the configuration that is about the control plane: its address, the token, TLS.

use std::path::Path;

use rustls::pki_types::ServerName;

use crate::config::build::Builder;
use crate::config::convert::shown;
use crate::config::keys::Setting;
use crate::config::source::Source;
use crate::config::token::TokenSource;
use crate::config::url::{ApiUrl, UrlError};
use crate::config::{Pipeops, Tls};

impl Builder<'_> {
    pub(super) fn pipeops(&mut self) -> Option<Pipeops> {
        let api_url = self.convert(Setting::ApiUrl, api_url);
        if api_url.is_none() {
            self.require(Setting::ApiUrl);
        }
        let token = self.token();
        let allow_plaintext = self.boolean(Setting::AllowPlaintext);
        let tls = self.tls();
        if let Some(url) = api_url.as_ref().filter(|url| !url.secure && !url.is_loopback() && !allow_plaintext) {
            let consent = Setting::AllowPlaintext.key().path;
            let message = format!("the token would travel unencrypted to {}: use https, or set {consent} to true", url.host);
            self.problem(Setting::ApiUrl, message);
        }
        Some(Pipeops { api_url: api_url?, token: token?, allow_plaintext, tls })
    }

    fn token(&mut self) -> Option<TokenSource> {
        if self.source(Setting::TokenFile) == Source::Default {
            self.require(Setting::Token);
        }
        let token = self.token_source(Setting::Token, Setting::TokenFile)?;
        if matches!((&token, self.source(Setting::Token)), (TokenSource::Value(_), Source::Flag(_))) {
            let message = "every user of this machine can see the command line: use --token-file, the environment or a file";
            self.warning(Setting::Token, message);
        }
        Some(token)
    }

    fn tls(&mut self) -> Tls {
        let tls = Tls {
            enabled: self.boolean(Setting::TlsEnabled),
            ca_file: self.path(Setting::TlsCaFile),
            cert_file: self.path(Setting::TlsCertFile),
            key_file: self.path(Setting::TlsKeyFile),
            insecure_skip_verify: self.boolean(Setting::TlsInsecureSkipVerify),
            server_name: self.convert(Setting::TlsServerName, server_name),
            only_tls13: self.convert(Setting::TlsMinVersion, minimum_version).unwrap_or(false),
        };
        if !tls.enabled {
            // The others are kept for `show`, but nothing uses them.
            return Tls { enabled: false, ..Tls::default() };
        }
        match (&tls.cert_file, &tls.key_file) {
            (Some(_), None) => self.problem(Setting::TlsCertFile, "pipeops.tls.key_file is missing: both or neither"),
            (None, Some(_)) => self.problem(Setting::TlsKeyFile, "pipeops.tls.cert_file is missing: both or neither"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.check_readable(Setting::TlsCaFile, tls.ca_file.as_deref());
        self.check_readable(Setting::TlsCertFile, tls.cert_file.as_deref());
        self.check_readable(Setting::TlsKeyFile, tls.key_file.as_deref());
        if tls.insecure_skip_verify {
            self.warning(
                Setting::TlsInsecureSkipVerify,
                "the control plane's certificate is not verified: anyone on the way can read the token",
            );
        }
        tls
    }

    pub(super) fn check_readable(&mut self, setting: Setting, path: Option<&Path>) {
        let Some(path) = path else { return };
        if let Err(error) = self.files.read(path) {
            self.problem(setting, format!("cannot read {}: {error}", path.display()));
        }
    }
}

/// What a certificate can be for.
fn server_name(text: &str) -> Result<String, String> {
    let refused = || format!("{} is neither a host name nor an IP address", shown(text));
    ServerName::try_from(text).map(|_| text.to_owned()).map_err(|_| refused())
}

/// Whether TLS 1.2 is too old.
fn minimum_version(text: &str) -> Result<bool, String> {
    match text {
        "1.2" => Ok(false),
        "1.3" => Ok(true),
        _ => Err(format!("{} is not one of 1.2, 1.3", shown(text))),
    }
}

/// Where only the scheme is missing, the message holds the address as it should be.
fn api_url(text: &str) -> Result<ApiUrl, String> {
    ApiUrl::parse(text).map_err(|error| {
        let whole = format!("https://{text}");
        let guess = Some(whole).filter(|whole| error == UrlError::NoScheme && ApiUrl::parse(whole).is_ok());
        guess.map_or_else(|| error.to_string(), |guess| format!("a URL needs a scheme: write {guess}"))
    })
}
