//! Reading tANS streams: docs/format/page.md section 5.2.

use super::{MAX_LOG, Model, STATES};
use crate::page::bit_stream::{Checked, Copied, Forward, TwoEnded};
use crate::page::error::PageError;
use crate::page::slot::Slot;
use crate::page::token::MAX_TOKENS;

/// The decoding table, with room for E entries and T tokens, both powers of two.
struct Table<const E: usize, const T: usize> {
    entries: [Entry; E],
    /// By token index: the smallest number and a mask of its extra bits.
    numbers: [(u64, u64); T],
}

/// Mask of the state bits (bits 0-8), next (16-24), how many state bits (32-35), how many extra bits
/// (40-45), token index (48-55).
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    #[inline(always)]
    const fn mask(self) -> u64 {
        self.0 & 0x1ff
    }

    #[inline(always)]
    const fn next(self) -> u64 {
        self.0 >> 16 & 0x1ff
    }

    /// At most 9.
    #[inline(always)]
    const fn bits(self) -> u32 {
        (self.0 >> 32 & 0xf) as u32
    }

    /// At most 62.
    #[inline(always)]
    const fn extra(self) -> u32 {
        (self.0 >> 40 & 0x3f) as u32
    }
}

impl<const E: usize, const T: usize> Table<E, T> {
    const fn new() -> Self {
        Self {
            entries: [Entry(0); E],
            numbers: [(0, 0); T],
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the caller chose E and T for this model"
    )]
    fn fill(&mut self, model: &Model) {
        let set = model.token_set();
        // What entries of a token share, and the n of its next entry.
        let mut shared = [(0u64, 0u32); T];
        for (k, &(token, f)) in model.tokens.iter().enumerate() {
            let (base, extra) = set.base(token);
            self.numbers[k] = (base, !(u64::MAX << extra));
            shared[k] = (u64::from(extra) << 40 | (k as u64) << 48, f);
        }
        let size = 1u32 << model.log;
        let entries = &mut self.entries;
        model.spread(|at, k| entries[at & (E - 1)] = Entry(k as u64));
        for entry in entries.iter_mut().take(size as usize) {
            let (bits_above, n) = &mut shared[entry.0 as usize & (T - 1)];
            let bits = model.log - (31 - n.leading_zeros());
            let mask = !(u64::MAX << bits);
            let next = u64::from((*n << bits) - size);
            *entry = Entry(*bits_above | u64::from(bits) << 32 | next << 16 | mask);
            *n += 1;
        }
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    const fn entry(&self, state: u64) -> Entry {
        self.entries[state as usize & (E - 1)]
    }

    /// The number of an entry, whose extra bits are the lowest of `extra`.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    const fn number(&self, entry: Entry, extra: u64) -> u64 {
        let (base, mask) = self.numbers[(entry.0 >> 48) as usize & (T - 1)];
        base + (extra & mask)
    }
}

/// Decodes numbers into `out`, one for each slot, of which only the first `until` are wanted:
/// what is behind them may stay as it was. `bytes` is the whole rest of the page.
pub(crate) fn decode<S: Slot>(bytes: &[u8], out: &mut [S], until: usize) -> Result<(), PageError> {
    let mut r = Forward::new(bytes);
    let model = Model::read(&mut r)?;
    let position = r.position();
    if let [(token, _)] = model.tokens.as_slice() {
        let source = Checked::new(bytes);
        let (base, extra) = model.token_set().base(*token);
        let mut used = 0;
        for slot in out.iter_mut() {
            *slot = S::from_bits(base + extra_bits(&source, &mut used, extra));
        }
        return end(bytes, position, used);
    }
    // The usual page fits a small table and a small copy.
    let decoded = if model.log <= 7 && model.tokens.len() <= 64 && Copied::fits(bytes) {
        let mut table = Table::<128, 64>::new();
        table.fill(&model);
        let mut source = Copied::new();
        source.fill(bytes);
        decode_states(&source, position, &table, model.log, out, until)
    } else {
        let mut table = Table::<{ 1 << MAX_LOG }, MAX_TOKENS>::new();
        table.fill(&model);
        decode_states(
            &Checked::new(bytes),
            position,
            &table,
            model.log,
            out,
            until,
        )
    };
    match decoded {
        Some((position, used)) => end(bytes, position, used),
        None => Ok(()),
    }
}

/// Some extra bits, up to 62, read from the back.
#[inline]
fn extra_bits(source: &impl TwoEnded, used: &mut usize, bits: u32) -> u64 {
    let mut high = 0;
    let mut bits = bits;
    if bits > 32 {
        high = source.backward(*used) >> 32;
        *used += 32;
        bits -= 32;
    }
    let low = source.backward(*used) >> 1 >> (63 - bits);
    *used += bits as usize;
    high << bits | low
}

/// Decodes from a position behind the model on. Gives how far states and extra bits went, if
/// everything was decoded.
fn decode_states<S: Slot, const E: usize, const T: usize>(
    source: &impl TwoEnded,
    mut position: usize,
    table: &Table<E, T>,
    log: u32,
    out: &mut [S],
    until: usize,
) -> Option<(usize, usize)> {
    let n = out.len();
    let mut state = [0u64; STATES];
    for s in state.iter_mut().take(n) {
        *s = source.forward(position) & !(u64::MAX << log);
        position += log as usize;
    }
    let whole = n.saturating_sub(STATES) & !(STATES - 1);
    let wanted = until.next_multiple_of(STATES).min(whole);
    let mut used = 0;
    let (body, _) = out.split_at_mut(wanted);
    let [mut s0, mut s1, mut s2, mut s3] = state;
    for group in body.as_chunks_mut::<STATES>().0 {
        let (e0, e1) = (table.entry(s0), table.entry(s1));
        let (e2, e3) = (table.entry(s2), table.entry(s3));
        // Four states take at most 36 bits, which one word has. Where each begins is known
        // before the word is, so that nothing waits for the state before it.
        let word = source.forward(position);
        let two = e0.bits() + e1.bits();
        let three = two + e2.bits();
        s0 = e0.next() + (word & e0.mask());
        s1 = e1.next() + (word >> e0.bits() & e1.mask());
        s2 = e2.next() + (word >> two & e2.mask());
        s3 = e3.next() + (word >> three & e3.mask());
        position += (three + e3.bits()) as usize;

        let one = e0.extra();
        let two = one + e1.extra();
        let three = two + e2.extra();
        let four = three + e3.extra();
        if four <= 56 {
            // Extra bits end so many bits from the top. A shift by 64 comes only with no bits to
            // mask, so it may as well be one by 0.
            let word = source.backward(used);
            let number = |entry: Entry, end: u32| {
                S::from_bits(table.number(entry, word.wrapping_shr(64 - end)))
            };
            *group = [
                number(e0, one),
                number(e1, two),
                number(e2, three),
                number(e3, four),
            ];
            used += four as usize;
        } else {
            for (slot, entry) in group.iter_mut().zip([e0, e1, e2, e3]) {
                let extra = extra_bits(source, &mut used, entry.extra());
                *slot = S::from_bits(table.number(entry, extra));
            }
        }
    }
    if wanted < whole {
        return None;
    }
    state = [s0, s1, s2, s3];
    for (i, slot) in out.iter_mut().enumerate().skip(wanted) {
        let Some(s) = state.get_mut(i % STATES) else {
            break;
        };
        let entry = table.entry(*s);
        if i + STATES < n {
            *s = entry.next() + (source.forward(position) & entry.mask());
            position += entry.bits() as usize;
        }
        let extra = extra_bits(source, &mut used, entry.extra());
        *slot = S::from_bits(table.number(entry, extra));
    }
    Some((position, used))
}

/// Both ends met, with fewer than 8 bits, all zero, between them.
fn end(bytes: &[u8], position: usize, used: usize) -> Result<(), PageError> {
    let left = (bytes.len() * 8)
        .checked_sub(position + used)
        .ok_or(PageError::Truncated)?;
    if left >= 8 || Forward::new(bytes).word_at(position) & !(u64::MAX << left) != 0 {
        return Err(PageError::corrupt("bits left over"));
    }
    Ok(())
}
