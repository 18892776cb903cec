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

/// How many state bits (bits 0-7) and extra bits (8-15), token index (16-23), next (32-47), mask of
/// the state bits (48-63). The two counts of four entries can be added at once: they are at most
/// 9 and 62.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    const fn new(bits: u32, extra: u32, token: usize, next: u32) -> Self {
        let mask = !(u64::MAX << bits);
        let counts = bits as u64 | (extra as u64) << 8;
        Self(counts | (token as u64) << 16 | (next as u64) << 32 | mask << 48)
    }

    /// The state that follows, of a word whose lowest bits are this entry's.
    #[inline(always)]
    const fn next(self, word: u64) -> u64 {
        (self.0 >> 32 & 0xffff) + (word & self.0 >> 48)
    }

    #[inline(always)]
    const fn token(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    #[inline(always)]
    const fn counts(self) -> Counts {
        Counts(self.0)
    }
}

/// Sums of the counts of up to four entries. Whatever else is in the number is no matter.
#[derive(Clone, Copy)]
struct Counts(u64);

impl Counts {
    #[inline(always)]
    const fn plus(self, entry: Entry) -> Self {
        Self(self.0.wrapping_add(entry.0))
    }

    /// State bits.
    #[inline(always)]
    const fn bits(self) -> usize {
        (self.0 & 0xff) as usize
    }

    #[inline(always)]
    const fn extra(self) -> u32 {
        (self.0 >> 8 & 0xff) as u32
    }

    /// A word without so many state bits, at most 36.
    #[inline(always)]
    const fn skip(self, word: u64) -> u64 {
        // The shift takes the lowest six bits of the count, and it has no more.
        word.wrapping_shr(self.0 as u32)
    }

    /// A word that begins, at the top, with so many extra bits, at most 56, moved so that they
    /// end at the bottom.
    #[inline(always)]
    const fn take(self, word: u64) -> u64 {
        word.wrapping_shr((self.0 >> 8) as u32 ^ 0xffff_ffff)
            .wrapping_shr(1)
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
        // Extra bits of a token and the n of its next entry.
        let mut tokens = [(0u32, 0u32); T];
        for (k, &(token, f)) in model.tokens.iter().enumerate() {
            let (base, extra) = set.base(token);
            self.numbers[k] = (base, !(u64::MAX << extra));
            tokens[k] = (extra, f);
        }
        let size = 1u32 << model.log;
        let entries = &mut self.entries;
        model.spread(|at, k| entries[at & (E - 1)] = Entry(k as u64));
        for entry in entries.iter_mut().take(size as usize) {
            let k = entry.0 as usize & (T - 1);
            let (extra, n) = &mut tokens[k];
            let bits = model.log - (31 - n.leading_zeros());
            *entry = Entry::new(bits, *extra, k, (*n << bits) - size);
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
        let (base, mask) = self.numbers[entry.token() & (T - 1)];
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
#[inline(never)]
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
        let one = e0.counts();
        let two = one.plus(e1);
        let three = two.plus(e2);
        let four = three.plus(e3);
        s0 = e0.next(word);
        s1 = e1.next(one.skip(word));
        s2 = e2.next(two.skip(word));
        s3 = e3.next(three.skip(word));
        position += four.bits();
        if four.extra() <= 56 {
            let word = source.backward(used);
            let number = |e, counts: Counts| S::from_bits(table.number(e, counts.take(word)));
            *group = [
                number(e0, one),
                number(e1, two),
                number(e2, three),
                number(e3, four),
            ];
            used += four.extra() as usize;
        } else {
            for (slot, entry) in group.iter_mut().zip([e0, e1, e2, e3]) {
                let extra = extra_bits(source, &mut used, entry.counts().extra());
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
            *s = entry.next(source.forward(position));
            position += entry.counts().bits();
        }
        let extra = extra_bits(source, &mut used, entry.counts().extra());
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
