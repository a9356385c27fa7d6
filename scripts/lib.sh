# For the scripts beside this file.
# shellcheck shell=bash

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Rust, and the C compiler that the cryptography needs.
need_rust() {
    command -v cargo > /dev/null || PATH=$PATH:$HOME/.cargo/bin
    command -v cargo > /dev/null || die "cargo is missing: install Rust with rustup, see https://rustup.rs"
    command -v cc > /dev/null || die "a C compiler is missing: apt-get install gcc libc6-dev"
}
