//! The error of the API: what is refused and how Kubernetes words it.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};

use crate::resources::Resource;

/// A refusal, which answers a request as a `Status` object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    details: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl Error for Refusal {}

fn named(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    details
}

impl Refusal {
    fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: json!({}) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::plain(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Refusal {
        Refusal::plain(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(resource: Option<(&Resource, &str)>, message: String) -> Refusal {
        let details = resource.map_or_else(|| json!({}), |(resource, name)| named(resource, name));
        Refusal { code: 403, reason: "Forbidden", message, details }
    }

    /// The path means nothing here.
    pub(crate) fn no_such_path() -> Refusal {
        Refusal::plain(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Refusal {
        Refusal {
            code: 404,
            reason: "NotFound",
            message: format!("{} {name:?} not found", resource.qualified()),
            details: named(resource, name),
        }
    }

    pub(crate) fn method_not_allowed() -> Refusal {
        Refusal::plain(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Refusal {
        Refusal {
            code: 409,
            reason: "AlreadyExists",
            message: format!("{} {name:?} already exists", resource.qualified()),
            details: named(resource, name),
        }
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Refusal {
        Refusal {
            code: 409,
            reason: "Conflict",
            message: format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified()),
            details: named(resource, name),
        }
    }

    pub(crate) fn stale(resource: &Resource, name: &str) -> Refusal {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(resource, name, why)
    }

    pub(crate) fn too_old(asked: u64, oldest: u64) -> Refusal {
        Refusal::plain(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(crate) fn continue_expired() -> Refusal {
        let message = "The provided continue parameter is too old to display a consistent list result. You may start \
                       a new list without the continue parameter.";
        Refusal::plain(410, "Expired", message)
    }

    pub(crate) fn too_large(limit: usize) -> Refusal {
        Refusal::plain(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    pub(crate) fn media_type(message: impl Into<String>) -> Refusal {
        Refusal::plain(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn invalid(kind: &str, name: &str, field: &str, why: &str) -> Refusal {
        let message = format!("{kind} {name:?} is invalid: {field}: {why}");
        let details =
            json!({"name": name, "kind": kind, "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field}]});
        Refusal { code: 422, reason: "Invalid", message, details }
    }

    /// The version asked for has not happened yet.
    pub(crate) fn from_the_future(asked: u64, current: u64) -> Refusal {
        Refusal {
            code: 504,
            reason: "Timeout",
            message: format!("Too large resource version: {asked}, current: {current}"),
            details: json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            }),
        }
    }

    pub(crate) fn full(limit: usize) -> Refusal {
        Refusal::plain(507, "InternalError", format!("the store is full: it holds at most {limit} objects"))
    }

    /// A status that the owner asked for, whatever it is.
    pub(crate) fn arranged(code: u16) -> Refusal {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Refusal::plain(code, reason, format!("this path is arranged to answer {code}"))
    }

    pub(crate) fn to_status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }
}
