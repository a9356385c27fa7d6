//! A real browser in front, an application behind: a page with a WebSocket and server-sent events, through the tunnel.
//!
//! Needs Chromium (`CHROMIUM`, or `chromium` on the path). Where there is none the test says so and passes, unless `REQUIRE_CHROMIUM`
//! is set, as in CI.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "harness.rs"]
mod harness;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "upgrades/site.rs"]
mod site;
#[path = "upgrades/socket.rs"]
mod socket;

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use devplane::{AppRoute, Service};

use site::{NAMESPACE, SERVICE, Site};

const HOST: &str = "shop.test";
/// A browser takes its time to start, on a busy machine most of all.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_page_with_a_websocket_and_events_works_in_a_browser() {
    let Some(program) = chromium() else {
        assert!(std::env::var_os("REQUIRE_CHROMIUM").is_none(), "no Chromium, and it is required");
        return println!("SKIPPED: no Chromium on the path");
    };
    let site = Site::start();
    let service = Service { namespace: NAMESPACE.into(), name: SERVICE.into(), port: site.app.addr().port() };
    site.rig.bed.plane.set_app(HOST, Some(AppRoute { service: Some(service), ..AppRoute::default() }));
    let port = site.rig.bed.plane.apps_url().trim_end_matches('/').rsplit(':').next().unwrap().to_owned();

    let begun = Instant::now();
    let browser = Browser::open(&program, &format!("http://{HOST}:{port}/"));
    let came = site.app.wait_within(PATIENCE, |app| app.last("/report").is_some_and(|seen| seen.ended));
    assert!(came, "the page never reports: {:?}; the agent's log:\n{}", site.app.requests(), site.rig.agent.text());
    let report = site.app.last("/report").unwrap();
    let report = String::from_utf8_lossy(&report.body);
    assert!(report.contains("WS-OK") && report.contains("SSE-OK"), "{report}");
    println!("browser: page, WebSocket and events after {} ms", begun.elapsed().as_millis());

    let echo = site.app.last("/echo").unwrap();
    let host = format!("{HOST}:{port}");
    assert_eq!(echo.header("host"), Some(host.as_str()), "the application sees the name that the browser asked for");
    assert_eq!(echo.header("origin"), Some(format!("http://{host}").as_str()));
    drop(browser);
    site.finish();
}

fn chromium() -> Option<OsString> {
    let named = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty());
    named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file()).map(Into::into)
    })
}

/// Ends with its folder.
struct Browser {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Browser {
    fn open(program: &OsString, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"])
            .arg(format!("--host-resolver-rules=MAP {HOST} 127.0.0.1"))
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, _folder: folder }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
