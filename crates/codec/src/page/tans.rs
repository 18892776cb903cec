//! The tANS coder: a model of tokens, four interleaved states, extra bits from the back.
//! docs/format/page.md section 5.2.

mod decode;

use super::bit_stream::{BitWriter, Forward, golomb_bits};
use super::error::PageError;
use super::token::{Counts, MAX_TOKENS, SETS, TokenSet};

pub(crate) use decode::decode;

const MIN_LOG: u32 = 4;
const MAX_LOG: u32 = 9;
const STATES: usize = 4;

/// Tokens and how often each stands in the table.
#[derive(Debug)]
struct Model {
    set: usize,
    log: u32,
    tokens: Vec<(usize, u32)>,
}

impl Model {
    /// The model that takes the fewest bits for these counts in one token set.
    fn new(set: usize, counts: &[(usize, u32)], n: u32) -> (Self, u32) {
        if let [(token, _)] = counts {
            return (
                Self {
                    set,
                    log: 0,
                    tokens: vec![(*token, 1)],
                },
                7,
            );
        }
        let least = (usize::BITS - counts.len().leading_zeros()).clamp(MIN_LOG, MAX_LOG);
        let mut best: Option<(Self, u32)> = None;
        for log in least..=(least + 3).clamp(7, 8) {
            let model = Self {
                set,
                log,
                tokens: normalise(counts, n, log),
            };
            let bits = model.bits(counts);
            if best.as_ref().is_none_or(|b| bits < b.1) {
                best = Some((model, bits));
            }
        }
        best.unwrap_or_else(|| {
            (
                Self {
                    set,
                    log: MAX_LOG,
                    tokens: normalise(counts, n, MAX_LOG),
                },
                u32::MAX,
            )
        })
    }

    /// About how many bits numbers of these counts take, without their extra bits.
    fn bits(&self, counts: &[(usize, u32)]) -> u32 {
        let mut states = 0.0;
        for (&(_, count), &(_, f)) in counts.iter().zip(&self.tokens) {
            states += f64::from(count) * (f64::from(self.log) - f64::from(f).log2());
        }
        self.golomb().1 + STATES as u32 * self.log + states as u32
    }

    /// The best golomb parameter for the frequencies and the bits they take.
    fn golomb(&self) -> (u32, u32) {
        let coded = self.tokens.split_last().map_or(&[][..], |(_, front)| front);
        let bits = |q| {
            coded
                .iter()
                .map(|&(_, f)| golomb_bits(q, u64::from(f) - 1))
                .sum::<u32>()
        };
        (0..4)
            .map(|q| (q, bits(q)))
            .min_by_key(|&(_, bits)| bits)
            .unwrap_or((0, 0))
    }

    fn write(&self, w: &mut BitWriter<'_>) {
        w.put(self.set as u64, 2);
        w.put(u64::from(self.log), 4);
        w.put_gamma(self.tokens.len() as u64);
        if let [(token, _)] = self.tokens.as_slice() {
            w.put_gamma(*token as u64 + 1);
            return;
        }
        let q = self.golomb().0;
        w.put(u64::from(q), 2);
        let mut next = 0;
        for (i, &(token, f)) in self.tokens.iter().enumerate() {
            w.put_gamma((token - next) as u64 + 1);
            next = token + 1;
            if i + 1 < self.tokens.len() {
                w.put_golomb(q, u64::from(f) - 1);
            }
        }
    }

    fn read(r: &mut Forward<'_>) -> Result<Self, PageError> {
        let set = r.get(2) as usize;
        let log = r.get(4) as u32;
        let len = SETS.get(set).map_or(0, |s| s.len());
        let count = r.gamma()? as usize;
        if count > len || count > 1 << log {
            return Err(PageError::corrupt(
                "more tokens than the model has room for",
            ));
        }
        if (count == 1) != (log == 0) || log > MAX_LOG || (log > 0 && log < MIN_LOG) {
            return Err(PageError::corrupt("table size"));
        }
        let q = if count > 1 { r.get(2) as u32 } else { 0 };
        let mut left = 1u32 << log;
        let mut next = 0;
        let mut tokens = Vec::with_capacity(count);
        for i in 0..count {
            let token = next + r.gamma()? as usize - 1;
            if token >= len {
                return Err(PageError::corrupt("token outside its set"));
            }
            next = token + 1;
            let f = if i + 1 < count {
                let f = r.golomb(q)? + 1;
                if f >= u64::from(left) {
                    return Err(PageError::corrupt("frequencies exceed the table"));
                }
                f as u32
            } else {
                left
            };
            left -= f;
            tokens.push((token, f));
        }
        Ok(Self { set, log, tokens })
    }

    fn token_set(&self) -> TokenSet {
        SETS.get(self.set).copied().unwrap_or(SETS[0])
    }

    /// Calls `place(entry, token index)` for every entry of the table.
    #[inline]
    fn spread(&self, mut place: impl FnMut(usize, usize)) {
        let size = 1usize << self.log;
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (k, &(_, f)) in self.tokens.iter().enumerate() {
            for _ in 0..f {
                place(at, k);
                at = (at + step) & (size - 1);
            }
        }
    }
}

/// Frequencies that sum to 2^log, each at least 1, as near to the counts as that allows.
fn normalise(counts: &[(usize, u32)], n: u32, log: u32) -> Vec<(usize, u32)> {
    let size = 1u32 << log;
    let mut tokens: Vec<(usize, u32)> = counts
        .iter()
        .map(|&(token, c)| (token, ((c * size + n / 2) / n.max(1)).max(1)))
        .collect();
    let mut sum: u32 = tokens.iter().map(|t| t.1).sum();
    // Where one more, or one fewer, costs least. Bits gained by f -> f+1 are about count/f.
    let per_entry = |i: usize, f: u32| {
        counts
            .get(i)
            .map_or(0, |c| (u64::from(c.1) << 20) / u64::from(2 * f + 1))
    };
    while sum != size {
        let entries = tokens.iter_mut().enumerate();
        if sum < size {
            let Some((_, t)) = entries.max_by_key(|(i, t)| per_entry(*i, t.1)) else {
                break;
            };
            t.1 += 1;
            sum += 1;
        } else {
            let Some((_, t)) = entries
                .filter(|(_, t)| t.1 > 1)
                .min_by_key(|(i, t)| per_entry(*i, t.1 - 1))
            else {
                break;
            };
            t.1 -= 1;
            sum -= 1;
        }
    }
    tokens
}

/// Appends the numbers, at least one, with the token set that [`Counts::tans`] chose.
pub(crate) fn encode(numbers: &[u64], counts: &Counts, set: usize, out: &mut Vec<u8>) {
    let token_set = SETS.get(set).copied().unwrap_or(SETS[0]);
    let merged = counts.merged(set);
    let (model, _) = Model::new(set, &merged, numbers.len() as u32);
    let mut w = BitWriter::new(out);
    model.write(&mut w);
    if model.log > 0 {
        write_states(numbers, &model, &mut w);
    }
    let mut extra_bits = 0;
    for &x in numbers {
        extra_bits += token_set.token(x).1 as usize;
    }
    let partial = (w.bits() + extra_bits) % 8;
    if partial > 0 {
        w.put(0, 8 - partial as u32);
    }
    for &x in numbers.iter().rev() {
        let (_, extra) = token_set.token(x);
        w.put(x & !(u64::MAX << extra), extra);
    }
    w.finish();
}

#[expect(
    clippy::indexing_slicing,
    reason = "indices come from the model just built, below"
)]
fn write_states(numbers: &[u64], model: &Model, w: &mut BitWriter<'_>) {
    let size = 1u32 << model.log;
    // Index of a token in the model, where its entries begin, and the entries by token.
    let mut index = [0u8; MAX_TOKENS];
    let mut first = [0u32; MAX_TOKENS];
    let mut sum = 0;
    for (k, &(token, f)) in model.tokens.iter().enumerate() {
        index[token] = k as u8;
        first[k] = sum;
        sum += f;
    }
    let mut owner = [0u8; 1 << MAX_LOG];
    model.spread(|at, k| owner[at] = k as u8);
    let mut fill = first;
    let mut entries = [0u32; 1 << MAX_LOG];
    for (state, &k) in (size..2 * size).zip(&owner) {
        entries[fill[usize::from(k)] as usize] = state;
        fill[usize::from(k)] += 1;
    }
    let set = model.token_set();
    let mut states = [0u32; STATES];
    let mut bits: Vec<(u32, u32)> = Vec::with_capacity(numbers.len());
    for (i, &x) in numbers.iter().enumerate().rev() {
        let k = index[set.token(x).0] as usize;
        let f = model.tokens[k].1;
        let state = &mut states[i % STATES];
        if i + STATES >= numbers.len() {
            // The last number of its state: nothing follows, so any entry does.
            *state = entries[first[k] as usize];
            continue;
        }
        // state >> n lies in f..2f for this n.
        let mut n = state.ilog2() - f.ilog2();
        if *state >> n < f {
            n -= 1;
        }
        bits.push((*state & !(u32::MAX << n), n));
        *state = entries[(first[k] + (*state >> n) - f) as usize];
    }
    for state in states.iter().take(numbers.len()) {
        w.put(u64::from(state - size), model.log);
    }
    for &(value, n) in bits.iter().rev() {
        w.put(u64::from(value), n);
    }
}
