//! Floats as decimals and as ordered integers: docs/format/page.md section 3.

/// The largest exponent of a decimal.
pub(crate) const MAX_EXPONENT: u8 = 17;

const POWERS: [f64; 18] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];
const INVERSES: [f64; 18] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14,
    1e-15, 1e-16, 1e-17,
];

/// How an integer becomes a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Divided by 10^e.
    Divide(u8),
    /// Multiplied by 10^-e.
    Multiply(u8),
}

impl Scale {
    pub(crate) const fn exponent(self) -> u8 {
        match self {
            Self::Divide(e) | Self::Multiply(e) => e,
        }
    }

    const fn with_exponent(self, e: u8) -> Self {
        match self {
            Self::Divide(_) => Self::Divide(e),
            Self::Multiply(_) => Self::Multiply(e),
        }
    }

    /// What integers are divided or multiplied by.
    pub(crate) fn factor(self) -> f64 {
        let (table, e) = match self {
            Self::Divide(e) => (&POWERS, e),
            Self::Multiply(e) => (&INVERSES, e),
        };
        table.get(usize::from(e)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn float(self, i: i64) -> f64 {
        match self {
            Self::Divide(_) => i as f64 / self.factor(),
            Self::Multiply(_) => i as f64 * self.factor(),
        }
    }

    /// The integer that gives exactly `v`, if there is one. Never for -0, NaN, infinities.
    pub(crate) fn integer(self, v: f64) -> Option<i64> {
        let e = self.exponent();
        let i = nearest(v, e)?;
        let limit = if e == 0 { u64::MAX } else { 1 << 53 };
        (i.unsigned_abs() < limit && self.float(i).to_bits() == v.to_bits()).then_some(i)
    }

    /// The smallest exponent at which most finite values are exact.
    pub(crate) fn find(self, values: &[f64]) -> Option<Self> {
        let mut scale = self.with_exponent(0);
        let mut bad = values.len() / 8 + 1;
        for &v in values.iter().filter(|v| v.is_finite()) {
            let from = scale.exponent();
            match (from..=MAX_EXPONENT).find(|&e| self.with_exponent(e).integer(v).is_some()) {
                Some(e) => scale = self.with_exponent(e),
                None => {
                    bad = bad.checked_sub(1)?;
                }
            }
        }
        Some(scale)
    }
}

/// `v * 10^e` rounded, if an i64 holds it.
pub(crate) fn nearest(v: f64, e: u8) -> Option<i64> {
    let t = v * Scale::Divide(e).factor();
    // Adding 3 * 2^51 rounds smaller numbers to whole ones, ties to even, as the slow way does.
    const ROUND: f64 = 6755399441055744.0;
    const SMALL: f64 = (1u64 << 51) as f64;
    if t.abs() < SMALL {
        return Some(((t + ROUND) - ROUND) as i64);
    }
    (t.abs() < 9.2e18).then(|| t.round_ties_even() as i64)
}

/// Maps float bits to integers that sort as the floats do.
pub(crate) const fn ordered(bits: u64) -> i64 {
    if (bits as i64) < 0 {
        (!bits ^ (1 << 63)) as i64
    } else {
        bits as i64
    }
}

/// Undoes [`ordered`].
pub(crate) const fn unordered(o: i64) -> u64 {
    if o < 0 {
        !(o as u64 ^ (1 << 63))
    } else {
        o as u64
    }
}
