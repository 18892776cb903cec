//! Packed samples of one series: pages of values as in blocks, and columns of times that series
//! scraped together share.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use tsdb_codec::page::{
    Coder, PageError, PageOptions, decode_page, decode_page_range, encode_page,
};
use tsdb_codec::times::{decode_times, encode_times};
use tsdb_codec::varint::{put_uvarint, take_uvarint};

const OPTIONS: PageOptions = PageOptions {
    coder: Coder::Packed,
    restarts: false,
};

/// Columns that are looked through for unused ones at first.
const FEW_COLUMNS: usize = 1024;

/// The times of one page.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) min_t: i64,
    pub(crate) max_t: i64,
    rows: u16,
    bytes: Box<[u8]>,
}

impl Column {
    pub(crate) fn rows(&self) -> usize {
        self.rows.into()
    }

    fn decode(&self, out: &mut Vec<i64>) -> Result<(), PageError> {
        decode_times(&self.bytes, self.rows(), out).map(drop)
    }

    /// The times.
    pub(crate) fn times(&self) -> Vec<i64> {
        let mut times = Vec::with_capacity(self.rows());
        self.decode(&mut times)
            .expect("invariant: a column of ours is whole");
        times
    }
}

/// The columns that series have, each once.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    table: HashTable<Arc<Column>>,
    hasher: DefaultHashBuilder,
    /// What was asked for last; the next series has nearly always the same.
    last: Option<(Vec<i64>, Arc<Column>)>,
    /// When there are so many, unused ones are dropped.
    limit: usize,
}

impl Columns {
    /// The column of these times: at least one, rising.
    pub(crate) fn get(&mut self, times: &[i64]) -> Arc<Column> {
        if let Some((last, column)) = &self.last
            && last == times
        {
            return Arc::clone(column);
        }
        let bytes = encode_times(times, Coder::Packed).expect("invariant: far fewer than a page");
        let hash = self.hasher.hash_one((times.len(), &bytes));
        let same = |c: &Arc<Column>| c.rows() == times.len() && *c.bytes == *bytes;
        let found = self.table.find(hash, same).map(Arc::clone);
        let column = found.unwrap_or_else(|| {
            let column = Arc::new(Column {
                min_t: times.first().copied().unwrap_or_default(),
                max_t: times.last().copied().unwrap_or_default(),
                rows: times.len() as u16,
                bytes: bytes.into_boxed_slice(),
            });
            self.insert(hash, Arc::clone(&column));
            column
        });
        let mut last = self.last.take().map(|l| l.0).unwrap_or_default();
        last.clear();
        last.extend_from_slice(times);
        self.last = Some((last, Arc::clone(&column)));
        column
    }

    fn insert(&mut self, hash: u64, column: Arc<Column>) {
        if self.table.len() >= self.limit {
            self.table.retain(|c| Arc::strong_count(c) > 1);
            self.limit = (2 * self.table.len()).max(FEW_COLUMNS);
        }
        let hasher = &self.hasher;
        self.table
            .insert_unique(hash, column, |c| hasher.hash_one((c.rows(), &*c.bytes)));
    }
}

/// One page, on its own.
#[derive(Debug)]
pub(crate) struct Page {
    column: Arc<Column>,
    bytes: Vec<u8>,
}

impl Page {
    /// A page of samples: at least one, times rising.
    pub(crate) fn new(samples: &[(i64, f64)], columns: &mut Columns) -> Self {
        let times: Vec<i64> = samples.iter().map(|s| s.0).collect();
        let values: Vec<f64> = samples.iter().map(|s| s.1).collect();
        Self {
            column: columns.get(&times),
            bytes: encode_page(&values, OPTIONS).expect("invariant: far fewer than a page"),
        }
    }
}

/// All pages of a series in order of time; never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    columns: Box<[Arc<Column>]>,
    /// The pages' values, each page behind its length.
    bytes: Box<[u8]>,
}

impl Sealed {
    pub(crate) fn columns(&self) -> &[Arc<Column>] {
        &self.columns
    }

    /// Bytes of the pages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Pages with something between two times.
    pub(crate) fn overlapping(&self, mint: i64, maxt: i64) -> Range<usize> {
        let from = self.columns.partition_point(|c| c.max_t < mint);
        let to = self.columns.partition_point(|c| c.min_t <= maxt);
        from..to.max(from)
    }

    /// The values' bytes of some pages.
    fn values(&self, pages: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.bytes;
        let all = self.columns.iter().map(move |_| {
            let len = take_uvarint(&mut rest).unwrap_or(0) as usize;
            let (now, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            rest = behind;
            now
        });
        all.skip(pages.start).take(pages.len())
    }

    /// These pages with some of them replaced. `None` when nothing is left.
    pub(crate) fn replaced(&self, gone: Range<usize>, new: &[Page]) -> Option<Arc<Self>> {
        let len = self.columns.len() - gone.len() + new.len();
        if len == 0 {
            return None;
        }
        let mut columns = Vec::with_capacity(len);
        columns.extend_from_slice(&self.columns[..gone.start]);
        columns.extend(new.iter().map(|p| Arc::clone(&p.column)));
        columns.extend_from_slice(&self.columns[gone.end..]);
        let mut bytes = Vec::with_capacity(self.bytes.len() + 2 * new.len() + size(new));
        let mut put = |page: &[u8]| {
            put_uvarint(&mut bytes, page.len() as u64);
            bytes.extend_from_slice(page);
        };
        self.values(0..gone.start).for_each(&mut put);
        for page in new {
            put(&page.bytes);
        }
        self.values(gone.end..self.columns.len()).for_each(&mut put);
        Some(Arc::new(Self {
            columns: columns.into(),
            bytes: bytes.into(),
        }))
    }

    /// Appends the samples of a page to `out`.
    pub(crate) fn decode(&self, page: usize, out: &mut Vec<(i64, f64)>) {
        let decoded = self.read(page..page + 1, i64::MIN, i64::MAX, |t, v| out.push((t, v)));
        decoded.expect("invariant: a page of ours is whole");
    }

    /// Calls `each` for the samples of some pages with `mint <= t <= maxt`.
    pub(crate) fn read(
        &self,
        pages: Range<usize>,
        mint: i64,
        maxt: i64,
        mut each: impl FnMut(i64, f64),
    ) -> Result<(), PageError> {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        let columns = self.columns.get(pages.clone()).unwrap_or_default();
        for (column, bytes) in columns.iter().zip(self.values(pages)) {
            times.clear();
            values.clear();
            column.decode(&mut times)?;
            let from = times.partition_point(|t| *t < mint);
            let to = times.partition_point(|t| *t <= maxt).max(from);
            decode_page_range(bytes, column.rows(), from..to, &mut values)?;
            let times = times.get(from..to).unwrap_or_default();
            times.iter().zip(&values).for_each(|(t, v)| each(*t, *v));
        }
        Ok(())
    }

    /// The value at exactly `t`.
    pub(crate) fn at(&self, t: i64) -> Option<f64> {
        let pages = self.overlapping(t, t);
        let mut found = None;
        self.read(pages, t, t, |_, v| found = Some(v)).ok()?;
        found
    }

    /// The newest value.
    pub(crate) fn newest(&self) -> Option<(i64, f64)> {
        let last = self.columns.last()?;
        let bytes = self.values(self.columns.len() - 1..self.columns.len());
        let mut values = Vec::new();
        decode_page(bytes.last()?, last.rows(), &mut values).ok()?;
        values.last().map(|v| (last.max_t, *v))
    }

    /// Time of the oldest sample after `t`.
    pub(crate) fn next_after(&self, t: i64) -> Option<i64> {
        let i = self.columns.partition_point(|c| c.max_t <= t);
        let column = self.columns.get(i)?;
        if column.min_t > t {
            return Some(column.min_t);
        }
        column.times().into_iter().find(|time| *time > t)
    }
}

fn size(pages: &[Page]) -> usize {
    pages.iter().map(|p| p.bytes.len()).sum()
}
