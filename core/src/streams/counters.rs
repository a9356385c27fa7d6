//! What became of exchanges, in numbers that only grow. No name in here comes from outside, so their count is fixed.

use super::UpstreamError;

/// Where an exchange goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Kubernetes API.
    Kubernetes,
    /// A service of the cluster.
    Service,
}

/// How an exchange is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// By one message.
    Request,
    /// In parts.
    Stream,
    /// By a connection that speaks another protocol.
    Upgrade,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend answered, and the plane has all of it.
    Answered,
    /// A rule of the policy refused it on its way.
    Refused,
    /// It failed; [`Counters::errors`] says how.
    Failed,
    /// The plane ended it.
    Cancelled,
    /// The connection to the plane ended first.
    Lost,
}

impl Place {
    /// All, in the order of the counters, with their names.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Kubernetes, "kubernetes"), (Self::Service, "service")];
}

impl Shape {
    /// All, in the order of the counters, with their names.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Request, "request"), (Self::Stream, "stream"), (Self::Upgrade, "upgrade")];
}

impl Outcome {
    /// All, in the order of the counters, with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Answered, "answered"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Lost, "lost"),
    ];
}

/// What an exchange is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) place: Place,
    pub(super) shape: Shape,
}

/// The numbers of one place and shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lane {
    opened: u64,
    ended: [u64; Outcome::ALL.len()],
}

/// The numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    lanes: [[Lane; Shape::ALL.len()]; Place::ALL.len()],
    /// Requests that the agent refused without asking a backend.
    pub refused: u64,
    errors: [u64; UpstreamError::CLASSES.len()],
}

impl Counters {
    /// Exchanges that were begun.
    #[must_use]
    pub fn opened(&self, place: Place, shape: Shape) -> u64 {
        self.lane(place, shape).opened
    }

    /// Exchanges that ended so.
    #[must_use]
    pub fn ended(&self, place: Place, shape: Shape, outcome: Outcome) -> u64 {
        self.lane(place, shape).ended.get(outcome as usize).copied().unwrap_or(0)
    }

    /// Exchanges that are under way.
    #[must_use]
    pub fn open(&self, place: Place, shape: Shape) -> u64 {
        let lane = self.lane(place, shape);
        lane.opened.saturating_sub(lane.ended.iter().sum())
    }

    /// Exchanges of all kinds: those that were begun, and those under way.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let lanes = self.lanes.iter().flatten();
        lanes.fold((0, 0), |(opened, open), lane| {
            (opened + lane.opened, open + lane.opened.saturating_sub(lane.ended.iter().sum()))
        })
    }

    /// Failures and refusals, each class of [`UpstreamError::CLASSES`].
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        UpstreamError::CLASSES.into_iter().zip(self.errors)
    }

    fn lane(&self, place: Place, shape: Shape) -> Lane {
        self.lanes.get(place as usize).and_then(|lanes| lanes.get(shape as usize)).copied().unwrap_or_default()
    }

    fn lane_mut(&mut self, traffic: Traffic) -> Option<&mut Lane> {
        self.lanes.get_mut(traffic.place as usize)?.get_mut(traffic.shape as usize)
    }

    pub(super) fn begin(&mut self, traffic: Traffic) {
        if let Some(lane) = self.lane_mut(traffic) {
            lane.opened += 1;
        }
    }

    pub(super) fn end(&mut self, traffic: Traffic, outcome: Outcome) {
        if let Some(count) = self.lane_mut(traffic).and_then(|lane| lane.ended.get_mut(outcome as usize)) {
            *count += 1;
        }
    }

    pub(super) fn fail(&mut self, error: &UpstreamError) {
        if let Some(count) = self.errors.get_mut(error.index()) {
            *count += 1;
        }
    }

    pub(super) fn refuse(&mut self, error: &UpstreamError) {
        self.refused += 1;
        self.fail(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Refusal;

    #[test]
    fn every_name_stands_where_its_number_is() {
        assert!(Place::ALL.iter().enumerate().all(|(index, (place, _))| *place as usize == index));
        assert!(Shape::ALL.iter().enumerate().all(|(index, (shape, _))| *shape as usize == index));
        assert!(Outcome::ALL.iter().enumerate().all(|(index, (outcome, _))| *outcome as usize == index));
        let errors = [
            UpstreamError::Unreachable(""),
            UpstreamError::Broken(""),
            UpstreamError::Deadline,
            UpstreamError::BadRequest(""),
            UpstreamError::Denied(Refusal::EmptyPath),
            UpstreamError::Overloaded(""),
            UpstreamError::Backpressure,
            UpstreamError::TooLarge,
            UpstreamError::NotUpgraded(0),
            UpstreamError::Unauthorized,
            UpstreamError::ShuttingDown,
        ];
        assert_eq!(errors.len(), UpstreamError::CLASSES.len());
        for (index, error) in errors.iter().enumerate() {
            assert_eq!((error.index(), error.class()), (index, UpstreamError::CLASSES[index]));
        }
    }

    #[test]
    fn what_is_open_is_what_began_and_did_not_end() {
        let mut counters = Counters::default();
        let traffic = Traffic { place: Place::Service, shape: Shape::Stream };
        counters.begin(traffic);
        counters.begin(traffic);
        counters.end(traffic, Outcome::Lost);
        assert_eq!(counters.totals(), (2, 1));
        assert_eq!((counters.open(Place::Service, Shape::Stream), counters.open(Place::Kubernetes, Shape::Stream)), (1, 0));
        assert_eq!(counters.ended(Place::Service, Shape::Stream, Outcome::Lost), 1);
    }
}
