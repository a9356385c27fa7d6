//! The session while it registers: when `register` goes out, and what its answer leads to.

use super::{CloseCode, Endpoint, Event, Output, Phase, Registration, Session};

impl Session {
    pub(super) fn send_register_if_due(&mut self) {
        if let Phase::Registering { sent, send_by, .. } = &mut self.phase
            && !*sent
            && (self.facts_ready || self.now >= *send_by)
        {
            *sent = true;
            self.outputs.push_back(Output::Register(self.attempt));
        }
    }

    pub(super) fn on_registered(&mut self, registration: Registration) {
        let Phase::Registering { sent: true, .. } = self.phase else {
            let attempt = self.attempt;
            return self.event(Event::Stale(attempt));
        };
        let known = self.cluster_to_resume().is_some_and(|cluster| cluster == registration.cluster_id);
        self.cluster = Some(registration.cluster_id.clone());
        self.fresh = false;
        let gateway = registration.gateway_url.clone();
        let uuid = registration.cluster_uuid.clone().unwrap_or_else(|| registration.cluster_id.clone());
        self.event(Event::Registered { known, registration });
        match gateway {
            None => self.go_online(),
            Some(url) => {
                self.outputs.push_back(Output::Close(self.attempt, CloseCode::Normal));
                self.dial(Endpoint::Gateway { url, cluster_uuid: uuid });
            }
        }
    }

    pub(super) fn on_register_in_progress(&mut self) {
        let extension = self.now + self.config.registration;
        if let Phase::Registering { deadline, limit, .. } = &mut self.phase {
            *deadline = extension.min(*limit).max(*deadline);
        }
    }
}
