//! What the host's linker needs to be told; a bare target needs nothing.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // The program has its own entry. On such a target `core` takes `memcpy` and its like from the C library.
        println!("cargo::rustc-link-arg-bins=-nostartfiles");
        println!("cargo::rustc-link-arg-bins=-lc");
    }
}
