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
        let whole = (x as u64).ilog2();
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

/// For each set, what a token of the finest set becomes: token and extra bits.
const MERGE: [[(u8, u8); MAX_TOKENS]; SETS.len()] = {
    let mut tables = [[(0, 0); MAX_TOKENS]; SETS.len()];
    let mut set = 0;
    while set < SETS.len() {
        let mut token = 0;
        while token < FINEST.len() {
            #[expect(
                clippy::indexing_slicing,
                reason = "below the lengths; const evaluation"
            )]
            {
                let (merged, extra) = SETS[set].token(FINEST.base(token).0);
                tables[set][token] = (merged as u8, extra as u8);
            }
            token += 1;
        }
        set += 1;
    }
    tables
};

/// How often each token of the finest set occurs in a stream: those that do, rising.
#[derive(Debug)]
pub(crate) struct Counts {
    used: Vec<(u8, u32)>,
    n: u32,
}

impl Counts {
    /// At most [`MAX_ROWS`](super::MAX_ROWS) numbers.
    pub(crate) fn new(numbers: impl Iterator<Item = u64>) -> Self {
        let mut counts = [0u16; MAX_TOKENS];
        let mut seen = [0u64; MAX_TOKENS / 64];
        let mut n = 0;
        for x in numbers {
            let token = FINEST.token(x).0 & (MAX_TOKENS - 1);
            #[expect(clippy::indexing_slicing, reason = "masked to the lengths")]
            {
                counts[token] += 1;
                seen[token / 64] |= 1 << (token % 64);
            }
            n += 1;
        }
        let mut used = Vec::with_capacity(seen.iter().map(|s| s.count_ones() as usize).sum());
        for (i, mut bits) in seen.into_iter().enumerate() {
            while bits != 0 {
                let token = i * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                used.push((token as u8, counts.get(token).map_or(0, |&c| u32::from(c))));
            }
        }
        Self { used, n }
    }

    /// The same counts in another set, rising, without zeros: token, count, extra bits of each.
    fn merge(&self, set: usize) -> impl Iterator<Item = (u8, u32, u8)> {
        let table = MERGE.get(set).unwrap_or(&MERGE[0]);
        let mut used = self.used.iter().map(|&(token, count)| {
            let (token, extra) = table.get(usize::from(token)).copied().unwrap_or((0, 0));
            (token, count, extra)
        });
        let mut open = used.next();
        std::iter::from_fn(move || {
            let (token, mut sum, extra) = open?;
            loop {
                open = used.next();
                match open {
                    Some((t, count, _)) if t == token => sum += count,
                    _ => return Some((token, sum, extra)),
                }
            }
        })
    }

    /// The counts of one set's tokens, rising.
    pub(crate) fn merged(&self, set: usize) -> Vec<(usize, u32)> {
        self.merge(set)
            .map(|(token, count, _)| (usize::from(token), count))
            .collect()
    }

    /// The lengths of the numbers in bits.
    pub(crate) fn lengths(&self) -> Lengths {
        let mut lengths = Lengths {
            counts: [0; 65],
            n: self.n,
        };
        for &(token, count) in &self.used {
            let length = 64 - FINEST.base(usize::from(token)).0.leading_zeros();
            if let Some(c) = lengths.counts.get_mut(length as usize) {
                *c += count;
            }
        }
        lengths
    }

    /// The best token set and about how many bits tANS takes with it.
    pub(crate) fn tans(&self) -> (usize, u32) {
        let mut best = (0, u32::MAX);
        for set in 0..SETS.len() {
            let (mut logs, mut extra, mut tokens) = (0u32, 0u32, 0u32);
            for (_, count, bits) in self.merge(set) {
                logs += x_log_x(count);
                extra += u32::from(bits) * count;
                tokens += 1;
            }
            let model = if tokens > 1 { 24 + 7 * tokens } else { 16 };
            let bits = (x_log_x(self.n).saturating_sub(logs) >> 8) + extra + model;
            if bits < best.1 {
                best = (set, bits);
            }
        }
        best
    }
}

/// About how many bits a patch takes that has so many.
const PATCH_BITS: [u32; 65] = {
    let mut table = [0; 65];
    let mut bits = 1;
    while bits < table.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "below the length; const evaluation"
        )]
        {
            table[bits] = 8 * varint_len(1 << (bits - 1)) + 9;
        }
        bits += 1;
    }
    table
};

/// How many numbers of a stream have each length in bits.
#[derive(Debug)]
pub(crate) struct Lengths {
    counts: [u32; 65],
    n: u32,
}

impl Lengths {
    pub(crate) fn new(numbers: impl Iterator<Item = u64>) -> Self {
        let mut lengths = Self {
            counts: [0; 65],
            n: 0,
        };
        for x in numbers {
            if let Some(c) = lengths.counts.get_mut(64 - x.leading_zeros() as usize) {
                *c += 1;
            }
            lengths.n += 1;
        }
        lengths
    }

    /// The best packed width and the bits that packing takes with its patches.
    pub(crate) fn packed(&self) -> (u32, u32) {
        let longest = self.counts.iter().rposition(|&c| c > 0).unwrap_or(0) as u32;
        let mut best = (longest, longest * self.n + 8);
        let mut above = 0;
        for width in (0..longest).rev() {
            above += self.counts.get(width as usize + 1).copied().unwrap_or(0);
            // Each patch is at least two bytes.
            if above * 16 >= best.1 {
                break;
            }
            let mut bits = width * self.n + 16;
            let lengths = self.counts.iter().enumerate().take(longest as usize + 1);
            for (length, &count) in lengths.skip(width as usize + 1) {
                bits += count
                    * PATCH_BITS
                        .get(length - width as usize)
                        .copied()
                        .unwrap_or(0);
            }
            if bits < best.1 {
                best = (width, bits);
            }
        }
        best
    }
}
