//! What one upgraded connection is to do: at the backend, and at the plane.

/// By which message it begins, and to what target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `proxy_request` to the Kubernetes API.
    Api,
    /// The same with a buffered answer.
    ApiBuffered,
    /// `proxy_request` to a service.
    Service,
    /// `ws_start` to an exec, with channels.
    Exec,
}

/// What the backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Gives back what comes.
    Echo,
    /// Sends so many words, then ends.
    Source(usize),
    /// Sends for ever.
    Endless,
    /// Upgrades, and takes nothing.
    Stalled,
    /// Answers 403.
    Refuse,
    /// Never answers.
    Silent,
}

/// How a source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Close,
    Drop,
    Break,
    Stay,
}

/// What the plane does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneLast {
    Nothing,
    /// A close frame; half an end where there are raw bytes.
    CloseFrame,
    /// `ws_close` without anything.
    Close,
    /// `ws_close` with code and reason.
    CloseWithCode,
    Cancel,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Script {
    pub entry: Entry,
    pub raw: bool,
    pub role: Role,
    pub last: Last,
    /// Of the backend's words, before it is cut into frames.
    pub largest: usize,
    /// The backend gives a close back, and ends when the agent does.
    pub polite: bool,
    /// Milliseconds before the backend's answer, at most.
    pub head_after: u64,
    /// Milliseconds that the backend needs for a piece, at most.
    pub consume: u64,
    /// Words of the plane, the largest of them, and the most milliseconds between two.
    pub talk: usize,
    pub talk_largest: usize,
    pub talk_pause: u64,
    pub plane_last: PlaneLast,
    /// Control frames between the others, both ways.
    pub controls: bool,
}

impl Script {
    /// A WebSocket to the Kubernetes API on which nobody says anything of its own.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            entry: Entry::Api,
            raw: false,
            role,
            last: Last::Close,
            largest: 2_000,
            polite: true,
            head_after: 20,
            consume: 5,
            talk: 0,
            talk_largest: 1_000,
            talk_pause: 20,
            plane_last: PlaneLast::Nothing,
            controls: false,
        }
    }

    /// Anything.
    #[must_use]
    pub fn random(dice: &mut fastrand::Rng) -> Self {
        let entry = [Entry::Api, Entry::ApiBuffered, Entry::Service, Entry::Exec, Entry::Exec][dice.usize(0..5)];
        let role = match dice.u8(0..16) {
            0 => Role::Refuse,
            1 => Role::Silent,
            2 | 3 => Role::Stalled,
            4 => Role::Endless,
            5..=10 => Role::Source(dice.usize(0..30)),
            _ => Role::Echo,
        };
        Self {
            entry,
            raw: entry != Entry::Exec && dice.u8(0..3) == 0,
            role,
            last: [Last::Close, Last::Close, Last::Close, Last::Drop, Last::Break, Last::Stay][dice.usize(0..6)],
            largest: if role == Role::Endless { 20_000 } else { [10, 500, 500, 20_000, 20_000, 150_000][dice.usize(0..6)] },
            polite: dice.u8(0..4) > 0,
            head_after: [1, 50, 50, 3_000][dice.usize(0..4)],
            consume: [1, 5, 5, 300][dice.usize(0..4)],
            talk: [0, dice.usize(0..10), dice.usize(0..40)][dice.usize(0..3)],
            talk_largest: [10, 500, 500, 20_000, 60_000][dice.usize(0..5)],
            talk_pause: [1, 20, 20, 3_000][dice.usize(0..4)],
            plane_last: match dice.u8(0..8) {
                0 | 1 => PlaneLast::CloseFrame,
                2 => PlaneLast::Close,
                3 => PlaneLast::CloseWithCode,
                4 => PlaneLast::Cancel,
                _ => PlaneLast::Nothing,
            },
            controls: dice.bool(),
        }
    }

    /// Whether the backend ever leaves by itself once the agent wants the end.
    #[must_use]
    pub fn lets_go(&self) -> bool {
        self.polite && self.role != Role::Stalled
    }
}
