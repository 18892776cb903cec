//! Writing `index`, version 2.
//!
//! Symbols stand in front and are sorted, so the file can be written only when all series are
//! known. Until then each label pair is a number, each series a few numbers and its list of chunks
//! as it will stand in the file.

use std::collections::HashMap;

use tsdb_codec::varint::{put_uvarint, put_varint};
use tsdb_model::Labels;

use super::error::{PromBlockError, path_of};
use super::file::FileWriter;
use super::index_reader::ChunkMeta;
use super::{INDEX_FILE, join};
use crate::dir::Dir;

pub(super) const MAGIC: u32 = 0xbaaa_d700;
pub(super) const VERSION: u8 = 2;

/// Series start at multiples of this; references count in it.
pub(super) const SERIES_ALIGN: u64 = 16;

/// Names and values in an entry of the postings offset table: name and value.
pub(super) const POSTINGS_KEYS: u64 = 2;

/// Collects series, then writes the index.
#[derive(Debug, Default)]
pub(super) struct IndexWriter {
    /// Names and values by their text; numbered in order of appearance.
    symbols: HashMap<Box<str>, u32>,
    /// Label pairs (two symbols); numbered in order of appearance.
    pair_numbers: HashMap<(u32, u32), u32>,
    pairs: Vec<(u32, u32)>,
    /// Label pairs of all series one behind the other, and where each series ends.
    series_pairs: Vec<u32>,
    pairs_end: Vec<usize>,
    /// Lists of chunks of all series in their final form, and where each series ends.
    chunks: Vec<u8>,
    chunks_end: Vec<usize>,
}

impl IndexWriter {
    /// Adds a series behind those that sort before it, with its chunks in order of time.
    pub(super) fn add(&mut self, labels: &Labels, chunks: &[ChunkMeta]) {
        for label in labels {
            let pair = (self.symbol(label.name), self.symbol(label.value));
            let next = self.pairs.len() as u32;
            let number = *self.pair_numbers.entry(pair).or_insert(next);
            if number == next {
                self.pairs.push(pair);
            }
            self.series_pairs.push(number);
        }
        self.pairs_end.push(self.series_pairs.len());

        put_uvarint(&mut self.chunks, chunks.len() as u64);
        let mut before: Option<&ChunkMeta> = None;
        for chunk in chunks {
            let length = chunk.max_time_ms.wrapping_sub(chunk.min_time_ms) as u64;
            match before {
                None => {
                    put_varint(&mut self.chunks, chunk.min_time_ms);
                    put_uvarint(&mut self.chunks, length);
                    put_uvarint(&mut self.chunks, chunk.reference);
                }
                Some(before) => {
                    let gap = chunk.min_time_ms.wrapping_sub(before.max_time_ms) as u64;
                    put_uvarint(&mut self.chunks, gap);
                    put_uvarint(&mut self.chunks, length);
                    let step = chunk.reference.wrapping_sub(before.reference) as i64;
                    put_varint(&mut self.chunks, step);
                }
            }
            before = Some(chunk);
        }
        self.chunks_end.push(self.chunks.len());
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(number) = self.symbols.get(text) {
            return *number;
        }
        let number = self.symbols.len() as u32;
        self.symbols.insert(text.into(), number);
        number
    }

    /// Writes the file into `folder`.
    pub(super) fn finish(self, dir: &dyn Dir, folder: &str) -> Result<(), PromBlockError> {
        let name = join(folder, INDEX_FILE);
        let too_large = |what| PromBlockError::TooLarge {
            path: path_of(dir, &name),
            what,
        };
        let mut file = FileWriter::create(dir, name.clone())?;
        file.write(&MAGIC.to_be_bytes())?;
        file.write(&[VERSION])?;

        let mut symbols: Vec<(Box<str>, u32)> = self.symbols.into_iter().collect();
        symbols.sort_unstable();
        let mut rank = vec![0u32; symbols.len()];
        for (i, (_, number)) in symbols.iter().enumerate() {
            rank[*number as usize] = i as u32;
        }

        let symbols_at = file.position();
        let size: u64 = 4 + symbols
            .iter()
            .map(|(text, _)| string_bytes(text))
            .sum::<u64>();
        file.write(
            &u32::try_from(size)
                .map_err(|_| too_large("symbol table"))?
                .to_be_bytes(),
        )?;
        file.start_crc();
        file.write(&(symbols.len() as u32).to_be_bytes())?;
        let mut bytes = Vec::new();
        for (text, _) in &symbols {
            bytes.clear();
            put_string(&mut bytes, text);
            file.write(&bytes)?;
        }
        file.write_crc()?;

        let series_at = file.position();
        let mut references = Vec::with_capacity(self.pairs_end.len());
        let (mut pairs_start, mut chunks_start) = (0, 0);
        let mut length = Vec::new();
        for (pairs_end, chunks_end) in self.pairs_end.iter().zip(&self.chunks_end) {
            file.pad(SERIES_ALIGN)?;
            let reference = u32::try_from(file.position() / SERIES_ALIGN);
            references.push(reference.map_err(|_| too_large("series section"))?);
            bytes.clear();
            let numbers = &self.series_pairs[pairs_start..*pairs_end];
            put_uvarint(&mut bytes, numbers.len() as u64);
            for number in numbers {
                let (name, value) = self.pairs[*number as usize];
                put_uvarint(&mut bytes, u64::from(rank[name as usize]));
                put_uvarint(&mut bytes, u64::from(rank[value as usize]));
            }
            bytes.extend_from_slice(&self.chunks[chunks_start..*chunks_end]);
            length.clear();
            put_uvarint(&mut length, bytes.len() as u64);
            file.write(&length)?;
            file.start_crc();
            file.write(&bytes)?;
            file.write_crc()?;
            (pairs_start, chunks_start) = (*pairs_end, *chunks_end);
        }

        // As newer versions of Prometheus do, no label indices are written: nobody reads them.
        let label_indices_at = file.position();
        let lists = Postings::new(
            &references,
            &self.series_pairs,
            &self.pairs_end,
            self.pairs.len(),
        );
        let mut order: Vec<u32> = (0..self.pairs.len() as u32).collect();
        order.sort_unstable_by_key(|number| {
            let (name, value) = self.pairs[*number as usize];
            (rank[name as usize], rank[value as usize])
        });
        let list_of = |number: Option<u32>| match number {
            None => references.as_slice(),
            Some(number) => lists.of(number),
        };
        // All series first, then the pairs by name and value.
        let all = || std::iter::once(None).chain(order.iter().copied().map(Some));

        file.pad(4)?;
        let postings_at = file.position();
        for number in all() {
            let list = list_of(number);
            let size = u32::try_from(4 + 4 * list.len() as u64);
            file.write(&size.map_err(|_| too_large("postings list"))?.to_be_bytes())?;
            file.start_crc();
            file.write(&(list.len() as u32).to_be_bytes())?;
            for reference in list {
                file.write(&reference.to_be_bytes())?;
            }
            file.write_crc()?;
        }

        let texts = |number: Option<u32>| match number {
            None => ("", ""),
            Some(number) => {
                let (name, value) = self.pairs[number as usize];
                let text = |symbol: u32| &*symbols[rank[symbol as usize] as usize].0;
                (text(name), text(value))
            }
        };
        let entry = |out: &mut Vec<u8>, number: Option<u32>, offset: u64| {
            let (name, value) = texts(number);
            put_uvarint(out, POSTINGS_KEYS);
            put_string(out, name);
            put_string(out, value);
            put_uvarint(out, offset);
        };
        let list_bytes = |number| 4 + 4 + 4 * list_of(number).len() as u64 + 4;
        let table_at = file.position();
        // Once for the length, once for real.
        let (mut size, mut offset) = (4, postings_at);
        for number in all() {
            bytes.clear();
            entry(&mut bytes, number, offset);
            size += bytes.len() as u64;
            offset += list_bytes(number);
        }
        let size = u32::try_from(size).map_err(|_| too_large("postings offset table"))?;
        file.write(&size.to_be_bytes())?;
        file.start_crc();
        file.write(&(self.pairs.len() as u32 + 1).to_be_bytes())?;
        let mut offset = postings_at;
        for number in all() {
            bytes.clear();
            entry(&mut bytes, number, offset);
            file.write(&bytes)?;
            offset += list_bytes(number);
        }
        file.write_crc()?;

        file.start_crc();
        for at in [
            symbols_at,
            series_at,
            label_indices_at,
            table_at,
            postings_at,
            table_at,
        ] {
            file.write(&at.to_be_bytes())?;
        }
        file.write_crc()?;
        Ok(file.finish()?)
    }
}

/// References of the series of each label pair.
struct Postings {
    references: Vec<u32>,
    ends: Vec<usize>,
}

impl Postings {
    fn new(references: &[u32], series_pairs: &[u32], pairs_end: &[usize], pairs: usize) -> Self {
        let mut next = vec![0usize; pairs];
        for pair in series_pairs {
            next[*pair as usize] += 1;
        }
        let mut start = 0;
        for slot in &mut next {
            start += std::mem::replace(slot, start);
        }
        let mut sorted = vec![0; series_pairs.len()];
        let mut from = 0;
        for (reference, end) in references.iter().zip(pairs_end) {
            for pair in &series_pairs[from..*end] {
                let slot = &mut next[*pair as usize];
                sorted[*slot] = *reference;
                *slot += 1;
            }
            from = *end;
        }
        Self {
            references: sorted,
            ends: next,
        }
    }

    fn of(&self, pair: u32) -> &[u32] {
        let pair = pair as usize;
        let start = pair.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.references[start..self.ends[pair]]
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that [`put_string`] writes.
fn string_bytes(text: &str) -> u64 {
    let bits = (usize::BITS - text.len().leading_zeros()).max(1);
    u64::from(bits.div_ceil(7)) + text.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_as_long_as_said() {
        for len in [0, 1, 127, 128, 16_383, 16_384] {
            let text = "x".repeat(len);
            let mut out = Vec::new();
            put_string(&mut out, &text);
            assert_eq!(out.len() as u64, string_bytes(&text), "{len}");
        }
    }

    #[test]
    fn postings_by_pair() {
        let lists = Postings::new(&[10, 11, 12], &[0, 1, 1, 0, 2], &[2, 3, 5], 3);
        assert_eq!(lists.of(0), [10, 12]);
        assert_eq!(lists.of(1), [10, 11]);
        assert_eq!(lists.of(2), [12]);
    }
}
