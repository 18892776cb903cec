//! One float sample, and the staleness marker.

/// Bits of the staleness marker: the NaN that says "this series ended here".
/// Any other NaN is an ordinary value. (Prometheus, `model/value/value.go`.)
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a float.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// True for the staleness marker, false for every other value, other NaNs included.
#[inline]
pub fn is_stale(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// One float sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value; every bit counts.
    pub value: f64,
}
