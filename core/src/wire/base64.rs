//! Base64 with an engine that the caller can replace: the fast ones need to look at the processor, which needs `std`.

use alloc::vec::Vec;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Reading is lenient about padding, writing always pads.
const PORTABLE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How to write and read standard base64.
#[derive(Clone, Copy)]
pub struct Base64 {
    /// Writes `input` into `output`, which has exactly the room for it, padding included. Returns what it wrote.
    pub encode: fn(input: &[u8], output: &mut [u8]) -> usize,
    /// Reads `input`, with or without padding.
    pub decode: fn(input: &[u8]) -> Option<Vec<u8>>,
}

impl core::fmt::Debug for Base64 {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Base64")
    }
}

impl Base64 {
    /// Works everywhere.
    pub const PORTABLE: Self = Self {
        encode: |input, output| PORTABLE.encode_slice(input, output).unwrap_or(0),
        decode: |input| PORTABLE.decode(input).ok(),
    };

    /// Appends the base64 of `input`.
    pub fn push(&self, input: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + input.len().div_ceil(3) * 4, 0);
        if let Some(room) = out.get_mut(start..) {
            let written = (self.encode)(input, room);
            out.truncate(start + written);
        }
    }
}
