//! Exchanges of the real binary.
