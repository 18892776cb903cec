//! Token sets of the tANS coder and what a stream would cost under each coder:
//! docs/format/page.md section 5.2.

use super::bytes::varint_len;

/// A token set: numbers below 2^`direct` are tokens, others keep `mantissa` bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenSet {
    direct: u32,
    mantissa: u32,
}

/// The four sets, by their number in the model.
pub(crate) const SETS: [TokenSet; 4] = [
    TokenSet {
        direct: 1,
        mantissa: 0,
    },
    TokenSet {
        direct: 2,
        mantissa: 1,
    },
    TokenSet {
        direct: 4,
        mantissa: 1,
    },
    TokenSet {
        direct: 4,
        mantissa: 2,
    },
];

/// The finest set; its tokens can be merged into those of any other.
const FINEST: TokenSet = SETS[3];

/// Tokens of the finest set.
pub(crate) const MAX_TOKENS: usize = 256;

impl TokenSet {
    /// The token of a number and how many extra bits it has.
    #[inline]
    pub(crate) const fn token(self, x: u64) -> (usize, u32) {
        if x >> self.direct == 0 {
            return (x as usize, 0);
        }
        let bits = 64 - x.leading_zeros();
        let extra = bits - 1 - self.mantissa;
        let low = (x >> extra) as usize & ((1 << self.mantissa) - 1);
        let step = ((bits - self.direct - 1) as usize) << self.mantissa;
        ((1 << self.direct) + step + low, extra)
    }

    /// The smallest number of a token and how many extra bits it has.
    pub(crate) const fn base(self, token: usize) -> (u64, u32) {
        if token < 1 << self.direct {
            return (token as u64, 0);
        }
        let above = token - (1 << self.direct);
        let bits = (above >> self.mantissa) as u32 + self.direct + 1;
        let extra = bits - 1 - self.mantissa;
        let low = (above & ((1 << self.mantissa) - 1)) as u64;
        ((1 << self.mantissa | low) << extra, extra)
    }

    /// How many tokens the set has.
    pub(crate) const fn len(self) -> usize {
        (1 << self.direct) + (((64 - self.direct) as usize) << self.mantissa)
    }
}

/// `x * log2(x)` in 1/256 bits, for entropies of pages without floating point.
const X_LOG_X: [u32; super::MAX_ROWS + 1] = {
    let mut table = [0u32; super::MAX_ROWS + 1];
    let mut x = 1usize;
    while x < table.len() {
        let whole = 63 - (x as u64).leading_zeros();
        let mut log = whole as u64;
        let mut y = (x as u64) << (31 - whole);
        let mut i = 0;
        while i < 16 {
            y = (y * y) >> 31;
            log <<= 1;
            if y >> 32 != 0 {
                y >>= 1;
                log |= 1;
            }
            i += 1;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "x is below the length; const evaluation"
        )]
        {
            table[x] = ((x as u64 * log) >> 8) as u32;
        }
        x += 1;
    }
    table
};

fn x_log_x(x: u32) -> u32 {
    X_LOG_X.get(x as usize).copied().unwrap_or(0)
}

/// How often each token of the finest set occurs in a stream.
#[derive(Debug)]
pub(crate) struct Counts {
    counts: [u16; MAX_TOKENS],
    n: u32,
}

impl Counts {
    /// At most [`MAX_ROWS`](super::MAX_ROWS) numbers.
    pub(crate) fn new(numbers: impl Iterator<Item = u64>) -> Self {
        let mut counts = [0u16; MAX_TOKENS];
        let mut n = 0;
        for x in numbers {
            if let Some(count) = counts.get_mut(FINEST.token(x).0) {
                *count += 1;
            }
            n += 1;
        }
        Self { counts, n }
    }

    fn used(&self) -> impl Iterator<Item = (usize, u32)> {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, c)| **c > 0)
            .map(|(t, &c)| (t, u32::from(c)))
    }

    /// The same counts in another set, rising, without zeros.
    pub(crate) fn merged(&self, set: TokenSet) -> Vec<(usize, u32)> {
        let mut merged: Vec<(usize, u32)> = Vec::with_capacity(32);
        for (token, count) in self.used() {
            let (token, _) = set.token(FINEST.base(token).0);
            match merged.last_mut() {
                Some(last) if last.0 == token => last.1 += count,
                _ => merged.push((token, count)),
            }
        }
        merged
    }

    /// The best packed width and the bits that packing takes with its patches.
    pub(crate) fn packed(&self) -> (u32, u32) {
        let mut lengths = [0u32; 65];
        let mut longest = 0;
        for (token, count) in self.used() {
            let length = 64 - FINEST.base(token).0.leading_zeros();
            longest = longest.max(length);
            if let Some(c) = lengths.get_mut(length as usize) {
                *c += count;
            }
        }
        let mut best = (longest, longest * self.n + 8);
        let mut above = 0;
        for width in (0..longest).rev() {
            above += lengths.get(width as usize + 1).copied().unwrap_or(0);
            // Each patch is at least two bytes.
            if above * 16 >= best.1 {
                break;
            }
            let mut bits = width * self.n + 16;
            for (length, &count) in lengths.iter().enumerate().skip(width as usize + 1) {
                bits += count * (8 * varint_len(1 << (length as u32 - width - 1)) + 9);
            }
            if bits < best.1 {
                best = (width, bits);
            }
        }
        best
    }

    /// The best token set and about how many bits tANS takes with it.
    pub(crate) fn tans(&self) -> (usize, u32) {
        let mut best = (0, u32::MAX);
        for (number, &set) in SETS.iter().enumerate() {
            let (mut logs, mut extra, mut tokens) = (0u32, 0u32, 0u32);
            let (mut open, mut open_count) = (usize::MAX, 0u32);
            for (finest, count) in self.used() {
                let (token, bits) = set.token(FINEST.base(finest).0);
                extra += bits * count;
                if token == open {
                    open_count += count;
                } else {
                    logs += x_log_x(open_count);
                    (open, open_count) = (token, count);
                    tokens += 1;
                }
            }
            logs += x_log_x(open_count);
            let model = if tokens > 1 { 24 + 7 * tokens } else { 16 };
            let bits = (x_log_x(self.n).saturating_sub(logs) >> 8) + extra + model;
            if bits < best.1 {
                best = (number, bits);
            }
        }
        best
    }
}
