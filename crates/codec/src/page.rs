//! Value pages: up to 1024 floats of one series, every bit kept, as few bytes as possible.
//!
//! The format is docs/format/page.md. A page does not know its number of rows, its length or its
//! checksum: whoever stores it does. Decoders take any bytes and give values or an error, in time
//! bounded by rows and length, and never panic.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bit_stream;
mod bundle;
mod bytes;
mod decimal;
mod decode;
mod encode;
mod error;
mod exception;
mod packed;
mod slot;
mod stream;
mod tans;
#[cfg(test)]
mod tests;
mod token;
mod xor_mode;

pub(crate) use bytes::{Cursor, put_varint, put_zigzag};
pub(crate) use stream::{Plan, decode as decode_stream, plan as plan_stream};

pub use bundle::{Bundle, decode_bundle, decode_bundle_column, encode_bundle, max_bundle_bytes};
pub use decode::{decode_page, decode_page_range, page_flags};
pub use encode::encode_page;
pub use error::PageError;

/// Rows that a page has at most.
pub const MAX_ROWS: usize = 1024;

/// Columns that a bundle has at most.
pub const MAX_COLUMNS: usize = 8;

/// Rows between two restart points of a packed page.
pub const RESTART_ROWS: usize = 120;

/// Bytes that a page of so many rows takes at most.
pub const fn max_page_bytes(rows: usize) -> usize {
    3 + 8 * rows
}

/// How integers of a page are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coder {
    /// Bit-packing: 3 times as fast to decode.
    Packed,
    /// tANS where it saves at least this share of the bytes, else bit-packing.
    Tans {
        /// 0 to 100.
        min_gain_percent: u8,
    },
}

/// How to write pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOptions {
    /// The coder.
    pub coder: Coder,
    /// Restart points every [`RESTART_ROWS`] rows of packed pages that need them.
    pub restarts: bool,
}

impl PageOptions {
    /// Pages of the head file: quick to write and to read.
    pub const HEAD: Self = Self {
        coder: Coder::Packed,
        restarts: true,
    };

    /// Pages of blocks: small.
    pub const BLOCK: Self = Self {
        coder: Coder::Tans {
            min_gain_percent: 3,
        },
        restarts: true,
    };
}

/// What is known of all rows of a page without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageFlags {
    /// No row is NaN, so none is a staleness marker.
    pub dense: bool,
    /// Dense, and no value is below the one before it.
    pub monotone: bool,
    /// Dense, and every value is a whole number of magnitude below 2^53, none -0.
    pub integer: bool,
    /// All rows have the same bits.
    pub constant: bool,
}

const DENSE: u8 = 1 << 4;
const MONOTONE: u8 = 1 << 5;
const INTEGER: u8 = 1 << 6;
const EXCEPTIONS: u8 = 1 << 7;

impl PageFlags {
    /// The flags that are true of these values.
    pub fn of(values: &[f64]) -> Self {
        let Some(first) = values.first() else {
            return Self {
                dense: true,
                monotone: true,
                integer: true,
                constant: true,
            };
        };
        let mut flags = Self {
            dense: true,
            monotone: true,
            integer: true,
            constant: true,
        };
        let mut last = *first;
        for &v in values {
            flags.dense &= !v.is_nan();
            flags.monotone &= v >= last;
            flags.integer &= is_integer(v);
            flags.constant &= v.to_bits() == first.to_bits();
            last = v;
        }
        flags.monotone &= flags.dense;
        flags
    }

    const fn to_byte(self) -> u8 {
        let dense = if self.dense { DENSE } else { 0 };
        let monotone = if self.monotone { MONOTONE } else { 0 };
        let integer = if self.integer { INTEGER } else { 0 };
        dense | monotone | integer
    }

    const fn from_byte(byte: u8, constant: bool) -> Self {
        Self {
            dense: byte & DENSE != 0,
            monotone: byte & MONOTONE != 0,
            integer: byte & INTEGER != 0,
            constant,
        }
    }
}

fn is_integer(v: f64) -> bool {
    const LIMIT: f64 = (1u64 << 53) as f64;
    v.abs() < LIMIT && v as i64 as f64 == v && v.to_bits() != (-0.0f64).to_bits()
}

/// The modes of a page, by number.
mod mode {
    pub(super) const CONSTANT_SPECIAL: u8 = 0;
    pub(super) const CONSTANT_DECIMAL: u8 = 1;
    pub(super) const CONSTANT_INTEGER: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const DECIMAL: u8 = 4;
    pub(super) const RESIDUAL: u8 = 5;
    pub(super) const ORDERED: u8 = 6;
    pub(super) const DICTIONARY: u8 = 7;
    pub(super) const XOR: u8 = 8;
}

/// Added to the exponent of a decimal that is multiplied by 10^-e.
const MULTIPLY: u8 = 32;

/// Values that a dictionary has at most.
const MAX_DICTIONARY: usize = 48;

/// The mode of a page, for statistics: a word for each.
pub fn page_mode(bytes: &[u8]) -> &'static str {
    match bytes.first().map(|b| b & 0x0f) {
        Some(mode::CONSTANT_SPECIAL | mode::CONSTANT_DECIMAL | mode::CONSTANT_INTEGER) => {
            "constant"
        }
        Some(mode::INTEGER) => "integer",
        Some(mode::DECIMAL) => "decimal",
        Some(mode::RESIDUAL) => "decimal+residual",
        Some(mode::ORDERED) => "ordered bits",
        Some(mode::DICTIONARY) => "dictionary",
        Some(mode::XOR) => "xor",
        _ => "none",
    }
}
