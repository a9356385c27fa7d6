#!/usr/bin/env bash
# Builds the program without `std` for the host, and for a bare ARM target where the sources of `core` and `alloc` are there.
#
#   tests/nostd/check.sh [host|bare|all]     (default: all)
#
# Exits with 0 when what was asked for built, and with 77 when `bare` was asked for and cannot be built here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=thumbv7em-none-eabihf
program=pipeops-agent-nostd
# A build with std's sources needs a compiler of the very same version. Debian ships the two together.
rustc=${NOSTD_RUSTC:-/usr/bin/rustc}
cargo=${NOSTD_CARGO:-/usr/bin/cargo}

say() { echo "nostd: $*"; }
die() { say "$*" >&2; exit 1; }

host() {
    cargo build --release --manifest-path "$here/Cargo.toml"
    local binary=$CARGO_TARGET_DIR/release/$program
    if command -v nm > /dev/null; then
        local foreign
        foreign=$(nm --dynamic --undefined-only "$binary" | awk '{ sub(/@.*/, "", $2); print $2 }' | grep -vxE 'mem(cpy|move|set|cmp)|bcmp' || true)
        [ -z "$foreign" ] || die "the program needs more of the host than moving bytes: $foreign"
    fi
    say "host: linked, $(stat -c %s "$binary") bytes"
}

# Why the bare build cannot be made here; empty when it can.
bare_lacks() {
    if [ ! -x "$rustc" ] || [ ! -x "$cargo" ]; then
        echo "no compiler with sources of its own: apt-get install rustc-web cargo-web rust-web-src"
    elif [ ! -d "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library/core" ]; then
        echo "no sources of core and alloc for $rustc: apt-get install rust-web-src"
    elif [ -z "$(linker)" ]; then
        echo "no linker for $target: apt-get install lld, or Rust by rustup"
    fi
}

# rustup ships rust-lld for every target; Debian has it as ld.lld.
linker() {
    local found
    found=$(find "$(rustc --print sysroot)/lib/rustlib" -path '*/bin/rust-lld' 2> /dev/null | head -n 1)
    echo "${found:-$(command -v ld.lld || true)}"
}

bare() {
    export CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER
    CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=$(linker)
    env -u RUSTUP_TOOLCHAIN RUSTC="$rustc" RUSTC_BOOTSTRAP=1 \
        "$cargo" build --release --manifest-path "$here/Cargo.toml" -Zbuild-std=core,alloc --target "$target"
    say "$target: linked, $(stat -c %s "$CARGO_TARGET_DIR/$target/release/$program") bytes"
}

[ -n "${CARGO_TARGET_DIR:-}" ] || CARGO_TARGET_DIR=$root/target/nostd
export CARGO_TARGET_DIR
# The versions that the agent is built with; cargo takes out what this program does not need.
cp "$root/Cargo.lock" "$here/Cargo.lock"
chmod u+w "$here/Cargo.lock"

lacks=$(bare_lacks)
case ${1:-all} in
    host) host ;;
    bare)
        [ -z "$lacks" ] || { say "SKIPPED $target: $lacks"; exit 77; }
        bare
        ;;
    all)
        host
        if [ -z "$lacks" ]; then bare; else say "SKIPPED $target: $lacks"; fi
        ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
