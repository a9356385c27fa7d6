//! The agent's machines: everything it decides, without the world.
//!
//! No I/O, no clock, no threads, no randomness, no logging. Time, seeds and what happened come in as arguments; what is to be done
//! comes out as values. `no_std` with `alloc`.
//!
//! | module | owns |
//! |---|---|
//! | [`session`] | connect, register, stay alive, give up, try again |
//! | [`backoff`] | how long to wait before the next dial |
//! | [`streams`] | the table of exchanges and their bytes |
//! | [`budget`] | the one ceiling for those bytes |
//! | [`policy`] | what the plane may ask for |
//! | [`wire`] | the words of the protocol |
//! | [`websocket`] | a backend's frames out of bytes, a client's frames into bytes |
//! | [`tunnel`] | which machine gets which message; the one that the shell drives |
//!
//! # The contract
//!
//! Every machine has the verbs `handle(now, input)`, `poll_output() -> Option<Output>` and `poll_timeout() -> Option<Instant>`;
//! those with bulk to send also `poll_transmit`. The simulation asserts after every step what of this can be seen
//! from outside.
//!
//! 1. After each `handle`, call `poll_output` until it gives `None`; then wait for `poll_timeout` or the next input.
//! 2. Nothing but the arguments of `new` and `handle` influences the outputs: same seed and inputs, same outputs.
//! 3. Any input is legal in any phase, at any time, any number of times. Nothing panics.
//! 4. After `handle(now, Timeout)` and a drain, `poll_timeout` is `None` or later than `now`: no spinning.
//! 5. A session that is not stopped always has a deadline: nothing waits for ever.
//! 6. What a handler queued is visible in the same drain.
//! 7. Time that goes backwards is no time passing.
//! 8. An input with an old attempt or an unknown key changes nothing.
//! 9. Every delay of the backoff lies within its bounds; what a server asks for is clamped.
//! 10. The backoff starts over only after a stable minute online.
//! 11. Refused credentials are a failure like others: the loop never ends by itself.
//! 12. After `Shutdown`: nothing new, one close, and stopped within the drain and closing deadlines.
//! 13. Each admitted exchange ends exactly once, unless the plane cancels it or the socket is lost; nothing follows its end.
//! 14. The bytes in transit never exceed the budget's ceiling, and are all given back when the table is empty.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core, clippy::std_instead_of_alloc)]

extern crate alloc;

pub mod backoff;
pub mod budget;
pub mod message;
pub mod policy;
pub mod random;
pub mod session;
pub mod streams;
pub mod time;
pub mod timestamp;
pub mod tunnel;
pub mod websocket;
pub mod wire;
