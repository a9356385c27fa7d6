//! Sessions of the real binary.
