//! A program without `std`: it has its own entry, panic handler and allocator, and drives the whole of the core.
//!
//! Whatever in the core or below it brings `std` in gives this program a second panic handler, which no compiler takes. It is built
//! and not run: the allocator has nothing to give.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr::null_mut;

use pipeops_agent_core::message::{Facts, Identity, Outbound};
use pipeops_agent_core::policy::{self, Policy};
use pipeops_agent_core::session::{self, Attempt};
use pipeops_agent_core::streams::Limits;
use pipeops_agent_core::time::Instant;
use pipeops_agent_core::tunnel::{self, Tunnel};
use pipeops_agent_core::wire::{self, Base64};

struct NoMemory;

// SAFETY: no memory is ever handed out, which is what null says.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// # Safety
///
/// The name is the one that linkers start a program with; nothing else has it.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    // Nothing here is known to the compiler, so nothing of it is left out.
    let mut tunnel = Tunnel::new(black_box(config()), black_box(1), black_box(Instant::ZERO));
    let mut frame = Vec::new();
    loop {
        let now = black_box(Instant::ZERO);
        tunnel.handle(now, black_box(input()));
        while let Some(output) = tunnel.poll_output() {
            let _ = black_box(output);
        }
        while let Some(transmit) = tunnel.poll_transmit(now, black_box(""), &mut frame) {
            black_box(transmit);
        }
        black_box(tunnel.poll_timeout());
        let _ = black_box(wire::decode(black_box(b""), Base64::PORTABLE));
        wire::encode(&black_box(Outbound::Pong { request_id: None }), black_box(""), Base64::PORTABLE, &mut frame);
        let _ = black_box(policy::kubernetes_path(black_box("")));
    }
}

fn config() -> tunnel::Config {
    tunnel::Config {
        session: session::Config::default(),
        limits: Limits::default(),
        policy: Policy::default(),
        identity: Identity::default(),
        cluster_id: None,
        started_nanos: 0,
        base64: Base64::PORTABLE,
    }
}

fn input() -> tunnel::Input<'static> {
    match black_box(0) {
        0 => tunnel::Input::Timeout,
        1 => tunnel::Input::Facts { facts: Box::new(Facts::default()), complete: true },
        2 => tunnel::Input::Connected(Attempt::default()),
        3 => tunnel::Input::Text { attempt: Attempt::default(), wall_millis: 0, text: black_box(b"") },
        _ => tunnel::Input::Shutdown,
    }
}
