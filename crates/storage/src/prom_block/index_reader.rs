//! Reading `index`, version 2.

use tsdb_codec::varint::{take_uvarint, take_varint};
use tsdb_model::{Label, Labels, StorageError};

use super::error::{PromBlockError, path_of};
use super::file::FileReader;
use super::index_writer::{MAGIC, POSTINGS_KEYS, SERIES_ALIGN, VERSION};
use super::{INDEX_FILE, join};
use crate::dir::Dir;

/// Magic and version.
const HEADER_BYTES: u64 = 5;

/// Six offsets and a checksum at the end of the file.
const TOC_BYTES: u64 = 6 * 8 + 4;

/// References of a postings list that are read at a time.
const LIST_PART: u64 = 16 << 10;

/// Most bytes of names and values of a series; a name or value may stand in many places of the
/// file at the cost of two bytes.
const MAX_LABEL_BYTES: usize = 16 << 20;

/// A chunk of a series, as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Time of the first sample, milliseconds since the Unix epoch.
    pub min_time_ms: i64,
    /// Time of the last sample.
    pub max_time_ms: i64,
    /// Where it is: number of the file, from 0, in the upper half, offset in the lower.
    pub reference: u64,
}

/// Names and values of labels.
#[derive(Debug, Default)]
struct Symbols {
    text: String,
    ends: Vec<usize>,
}

impl Symbols {
    fn get(&self, number: u64) -> Option<&str> {
        let number = usize::try_from(number).ok()?;
        let end = *self.ends.get(number)?;
        let start = number
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied();
        self.text.get(start.unwrap_or(0)..end)
    }
}

/// An open index.
#[derive(Debug)]
pub(super) struct IndexReader<'a> {
    file: FileReader<'a>,
    symbols: Symbols,
    /// References of all series, in order of their labels.
    series: Vec<u32>,
}

impl<'a> IndexReader<'a> {
    /// Opens the index in `folder`, reads symbols, checks every postings list.
    pub(super) fn open(dir: &'a dyn Dir, folder: &str) -> Result<Self, PromBlockError> {
        let mut file = FileReader::open(dir, join(folder, INDEX_FILE))?;
        if file.size() < HEADER_BYTES + TOC_BYTES {
            return Err(file.corrupt_at(0, "file too short").into());
        }
        if file.u32()? != MAGIC {
            return Err(file.corrupt_at(0, "not an index").into());
        }
        let version = file.byte()?;
        if version != VERSION {
            let path = path_of(dir, file.name());
            return Err(PromBlockError::Unsupported {
                path,
                what: format!("index version {version}"),
            });
        }
        let toc_at = file.size() - TOC_BYTES;
        file.seek(toc_at);
        file.start_crc();
        let symbols_at = file.u64()?;
        let _series_at = file.u64()?;
        let _label_indices_at = file.u64()?;
        let _label_table_at = file.u64()?;
        let _postings_at = file.u64()?;
        let table_at = file.u64()?;
        file.check_crc("table of contents")?;
        for at in [symbols_at, table_at] {
            if at < HEADER_BYTES || at >= toc_at {
                return Err(file.corrupt_at(toc_at, format!("section at {at}")).into());
            }
        }
        let symbols = read_symbols(&mut file, symbols_at)?;
        let series = read_postings(dir, &mut file, table_at)?;
        Ok(Self {
            file,
            symbols,
            series,
        })
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Reads series `i`: its reference, labels and chunks.
    pub(super) fn series(
        &mut self,
        i: usize,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<(u64, Labels), StorageError> {
        let reference = u64::from(self.series[i]);
        let offset = reference * SERIES_ALIGN;
        self.file.seek(offset);
        let len = self.file.uvarint()?;
        self.file.start_crc();
        let at = self.file.position();
        let body = self.file.take(len)?.to_vec();
        self.file.check_crc("series")?;
        let labels = parse_series(&body, &self.symbols, chunks)
            .map_err(|what| self.file.corrupt_at(at, what))?;
        Ok((reference, labels))
    }

    /// An error in series `i`.
    pub(super) fn corrupt_series(&self, i: usize, what: impl Into<String>) -> StorageError {
        let reference = self.series.get(i).copied().unwrap_or(0);
        self.file
            .corrupt_at(u64::from(reference) * SERIES_ALIGN, what)
    }
}

fn read_symbols(file: &mut FileReader<'_>, at: u64) -> Result<Symbols, StorageError> {
    file.seek(at);
    let size = u64::from(file.u32()?);
    file.start_crc();
    let end = file.position() + size;
    let count = file.u32()?;
    let mut symbols = Symbols::default();
    for i in 0..count {
        let at = file.position();
        let len = file.uvarint()?;
        let text = match std::str::from_utf8(file.take(len)?) {
            Ok(text) => text.to_string(),
            Err(_) => return Err(file.corrupt_at(at, "symbol is not UTF-8")),
        };
        if i > 0
            && symbols
                .get(u64::from(i) - 1)
                .is_some_and(|before| before >= text.as_str())
        {
            return Err(file.corrupt_at(at, "symbols are not sorted"));
        }
        symbols.text.push_str(&text);
        symbols.ends.push(symbols.text.len());
    }
    if file.position() != end {
        return Err(file.corrupt_at(file.position(), "symbol table is not as long as it says"));
    }
    file.check_crc("symbol table")?;
    Ok(symbols)
}

/// Walks all postings lists and gives that of all series.
fn read_postings(
    dir: &dyn Dir,
    file: &mut FileReader<'_>,
    table_at: u64,
) -> Result<Vec<u32>, StorageError> {
    let mut lists = FileReader::open(dir, file.name().to_string())?;
    file.seek(table_at);
    let size = u64::from(file.u32()?);
    file.start_crc();
    let end = file.position() + size;
    let mut series = None;
    for _ in 0..file.u32()? {
        let at = file.position();
        if file.uvarint()? != POSTINGS_KEYS {
            return Err(file.corrupt_at(at, "postings entry without name and value"));
        }
        let mut all = true;
        for _ in 0..POSTINGS_KEYS {
            let len = file.uvarint()?;
            all &= file.take(len)?.is_empty();
        }
        let offset = file.uvarint()?;
        lists.seek(offset);
        let references = read_list(&mut lists, all)?;
        if all {
            series = Some(references);
        }
    }
    if file.position() != end {
        let at = file.position();
        return Err(file.corrupt_at(at, "postings offset table is not as long as it says"));
    }
    file.check_crc("postings offset table")?;
    series.ok_or_else(|| file.corrupt_at(table_at, "no list of all series"))
}

/// Reads one postings list; keeps it if asked to.
fn read_list(file: &mut FileReader<'_>, keep: bool) -> Result<Vec<u32>, StorageError> {
    let at = file.position();
    let size = file.u32()?;
    file.start_crc();
    let count = file.u32()?;
    if u64::from(size) != 4 + 4 * u64::from(count) {
        return Err(file.corrupt_at(at, "postings list is not as long as it says"));
    }
    let mut references = Vec::new();
    let mut before = None;
    let mut left = u64::from(count);
    while left > 0 {
        let part = left.min(LIST_PART);
        let mut sorted = true;
        for bytes in file.take(4 * part)?.chunks_exact(4) {
            let reference = bytes.iter().fold(0, |v, b| v << 8 | u32::from(*b));
            sorted &= before.is_none_or(|before| before < reference);
            before = Some(reference);
            if keep {
                references.push(reference);
            }
        }
        if !sorted {
            return Err(file.corrupt_at(at, "postings are not sorted"));
        }
        left -= part;
    }
    file.check_crc("postings list")?;
    Ok(references)
}

/// Labels and chunks of a series.
fn parse_series(
    mut body: &[u8],
    symbols: &Symbols,
    chunks: &mut Vec<ChunkMeta>,
) -> Result<Labels, String> {
    let bytes = &mut body;
    let mut labels: Vec<Label<'_>> = Vec::new();
    let mut label_bytes = 0;
    for _ in 0..uvarint(bytes)? {
        let mut symbol = || {
            let number = uvarint(bytes)?;
            symbols
                .get(number)
                .ok_or_else(|| format!("symbol {number} does not exist"))
        };
        let label = Label {
            name: symbol()?,
            value: symbol()?,
        };
        if labels
            .last()
            .is_some_and(|before| before.name >= label.name)
        {
            return Err("labels are not sorted".into());
        }
        label_bytes += label.name.len() + label.value.len();
        if label_bytes > MAX_LABEL_BYTES {
            return Err("labels are too long".into());
        }
        // An empty value is the same as no label.
        if !label.value.is_empty() {
            labels.push(label);
        }
    }
    chunks.clear();
    for i in 0..uvarint(bytes)? {
        let (min_time_ms, before) = match chunks.last() {
            None => (take_varint(bytes).map_err(|e| e.to_string())?, 0),
            Some(before) => (
                before
                    .max_time_ms
                    .checked_add_unsigned(uvarint(bytes)?)
                    .ok_or(TIME)?,
                before.reference,
            ),
        };
        let max_time_ms = min_time_ms
            .checked_add_unsigned(uvarint(bytes)?)
            .ok_or(TIME)?;
        let reference = if i == 0 {
            uvarint(bytes)?
        } else {
            before.wrapping_add_signed(take_varint(bytes).map_err(|e| e.to_string())?)
        };
        chunks.push(ChunkMeta {
            min_time_ms,
            max_time_ms,
            reference,
        });
    }
    if bytes.is_empty() {
        Ok(Labels::from_sorted(labels))
    } else {
        Err("series is not as long as it says".into())
    }
}

const TIME: &str = "time of a chunk is out of range";

fn uvarint(bytes: &mut &[u8]) -> Result<u64, String> {
    take_uvarint(bytes).map_err(|e| e.to_string())
}
