//! What is answered. This is all that there is: no path leads to the cluster, to a file or to a command.

use super::Front;
use crate::status::{json, metrics};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

/// An answer.
pub(super) struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: Body,
}

enum Body {
    Fixed(&'static str),
    Made(String),
}

/// The paths.
#[derive(Clone, Copy)]
enum Page {
    Healthz,
    Readyz,
    Metrics,
    Status,
    Health,
    Ready,
    Version,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/status" => Self::Status,
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/version" => Self::Version,
            _ => return None,
        })
    }
}

impl Answer {
    pub(super) const MALFORMED: Self = Self::fixed("400 Bad Request", "this is no HTTP/1.1 request\n");
    pub(super) const TOO_LARGE: Self =
        Self::fixed("431 Request Header Fields Too Large", "the head of the request is too long\n");
    pub(super) const MISDIRECTED: Self =
        Self::fixed("421 Misdirected Request", "ask by an IP address or as localhost, not by another name\n");
    const NOT_FOUND: Self = Self::fixed("404 Not Found", "404 page not found\n");
    const METHOD: Self = Self::fixed("405 Method Not Allowed", "only GET and HEAD\n");
    const STUCK: Self = Self::fixed("503 Service Unavailable", "the agent's loop does not turn\n");

    const fn fixed(status: &'static str, body: &'static str) -> Self {
        Self { status, content_type: TEXT, body: Body::Fixed(body) }
    }

    fn made(ok: bool, content_type: &'static str, body: String) -> Self {
        Self { status: if ok { "200 OK" } else { "503 Service Unavailable" }, content_type, body: Body::Made(body) }
    }

    /// The whole answer; without the body where that was not asked for.
    pub(super) fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let body = match &self.body {
            Body::Fixed(text) => text,
            Body::Made(text) => text.as_str(),
        };
        let allow = if self.status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {}\r\n{allow}Content-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status,
            self.content_type,
            body.len()
        );
        let mut bytes = head.into_bytes();
        if with_body {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

/// Answers a request.
pub(super) async fn answer(front: &Front, method: &str, path: &str) -> Answer {
    let Some(page) = Page::of(path) else { return Answer::NOT_FOUND };
    if !matches!(method, "GET" | "HEAD") {
        return Answer::METHOD;
    }
    if matches!(page, Page::Version) {
        return Answer::made(true, JSON, json::version());
    }
    let Some(snapshot) = front.questions.ask().await else { return Answer::STUCK };
    let about = &front.about;
    match page {
        Page::Healthz => Answer::fixed("200 OK", "ok\n"),
        Page::Readyz => match snapshot.reason(about) {
            None => Answer::fixed("200 OK", "ready\n"),
            Some(reason) => Answer::made(false, TEXT, format!("not ready: {reason}\n")),
        },
        Page::Metrics => Answer::made(true, metrics::CONTENT_TYPE, metrics::text(&snapshot, about)),
        Page::Status => Answer::made(true, JSON, json::status(&snapshot, about)),
        Page::Health => Answer::made(true, JSON, json::health(&snapshot)),
        Page::Ready => Answer::made(snapshot.is_ready(), JSON, json::ready(&snapshot)),
        Page::Version => Answer::made(true, JSON, json::version()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::status::{Questions, fake};

    fn ask(driver_answers: bool, method: &str, path: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = runtime.block_on(async {
            let (questions, mut askers) = Questions::channel();
            let front = Front { about: Arc::new(fake::about()), questions };
            let driver = async {
                while let Some(asker) = askers.recv().await {
                    if driver_answers {
                        let _ = asker.send(Box::new(fake::snapshot(|_, _| {})));
                    } else {
                        // Held, as by a loop that is busy with something else.
                        core::mem::forget(asker);
                    }
                }
            };
            tokio::select! {
                answer = answer(&front, method, path) => answer,
                () = driver => panic!("the driver has ended"),
            }
        });
        String::from_utf8(answer.into_bytes(method != "HEAD")).unwrap()
    }

    #[test]
    fn a_loop_that_does_not_turn_is_not_healthy() {
        std::thread::scope(|scope| {
            for path in ["/healthz", "/readyz", "/metrics", "/status", "/health", "/ready"] {
                scope.spawn(move || {
                    let answer = ask(false, "GET", path);
                    assert!(answer.starts_with("HTTP/1.1 503 "), "{path}: {answer}");
                    assert!(answer.ends_with("\r\n\r\nthe agent's loop does not turn\n"), "{path}: {answer}");
                });
            }
        });
        assert!(ask(false, "GET", "/version").starts_with("HTTP/1.1 200 "));
        assert!(ask(true, "GET", "/healthz").ends_with("\r\n\r\nok\n"));
    }

    #[test]
    fn b41_there_is_nothing_but_these_pages() {
        for path in ["/", "", "/healthz/", "//healthz", "/%68ealthz", "/api/v1/nodes", "/../healthz", "*", "http://a/healthz"] {
            assert!(ask(true, "GET", path).starts_with("HTTP/1.1 404 "), "{path}");
            assert!(ask(true, "CONNECT", path).starts_with("HTTP/1.1 404 "), "{path}");
        }
        let refused = ask(true, "POST", "/healthz");
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
    }

    #[test]
    fn a_head_is_the_answer_without_its_body() {
        let (whole, head) = (ask(true, "GET", "/readyz"), ask(true, "HEAD", "/readyz"));
        assert!(whole.starts_with("HTTP/1.1 503 ") && whole.ends_with("\r\n\r\nnot ready: connecting to the control plane\n"));
        assert_eq!(head, whole.split_inclusive("\r\n\r\n").next().unwrap());
    }
}
