//! What has to hold before a message about an exchange makes sense, and the reading of its values.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::Breach;
use super::exchange::{Exchange, Form, Phase};

impl Exchange {
    pub(super) fn expect(&self, form: Form, message: &str, breaches: &mut Vec<Breach>) {
        if self.form != form && self.form != Form::Any {
            breaches.push(Breach::AnswerForm { message: message.into(), id: self.wire_id.clone() });
        }
    }

    pub(super) fn expect_body(&self, message: &str, breaches: &mut Vec<Breach>) {
        match self.phase {
            Phase::Body => {}
            Phase::BeforeHead => {
                breaches.push(Breach::BeforeHead { message: message.into(), id: self.wire_id.clone() });
            }
            Phase::Upgraded { .. } => {
                breaches.push(Breach::AnswerForm { message: message.into(), id: self.wire_id.clone() });
            }
        }
    }

    /// Only a request that asked for it gets 101.
    pub(super) fn expect_asked(&self, breaches: &mut Vec<Breach>) {
        if !self.upgrade && self.form != Form::Any {
            breaches.push(Breach::StatusWrong { id: self.wire_id.clone(), status: 101 });
        }
    }

    pub(super) fn expect_socket(&self, message: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
        if !self.is_socket() && self.form != Form::Any {
            let (message, id) = (message.to_owned(), self.wire_id.clone());
            let early = self.upgrade && self.phase == Phase::BeforeHead;
            breaches.push(if early { Breach::BeforeHead { message, id } } else { Breach::AnswerForm { message, id } });
        }
        for name in ["stream_id", "request_id"] {
            self.check_inner_id(message, payload, name, breaches);
        }
    }

    pub(super) fn check_inner_id(&self, message: &str, payload: &Map<String, Value>, name: &str, breaches: &mut Vec<Breach>) {
        if let Some(value) = payload.get(name).and_then(Value::as_str)
            && value != self.wire_id
        {
            breaches.push(Breach::FieldValue { message: message.into(), field: name.into(), value: value.into() });
        }
    }

    /// A status outside 100 to 599 is reported as 502.
    pub(super) fn status(&self, status: i64, breaches: &mut Vec<Breach>) -> u16 {
        match u16::try_from(status) {
            Ok(status @ 100..=599) => status,
            _ => {
                breaches.push(Breach::StatusWrong { id: self.wire_id.clone(), status });
                502
            }
        }
    }

    pub(super) fn decode(&self, message: &str, text: &str, breaches: &mut Vec<Breach>) -> Option<Vec<u8>> {
        let decoded = STANDARD.decode(text).ok();
        if decoded.is_none() {
            breaches.push(Breach::Base64Wrong { message: message.into(), id: self.wire_id.clone() });
        }
        decoded
    }
}
