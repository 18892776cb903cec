//! [`Db`]: opening, reading, writing and closing a store.

use std::path::Path;

use tsdb_model::{
    Appendable, Appender, Exemplar, Labels, Matcher, Metadata, Querier, Queryable, StorageError,
};

use crate::options::Options;
use crate::stats::{Cardinality, DbStats};

/// An open store.
#[derive(Debug)]
pub struct Db {
    options: Options,
}

impl Db {
    /// Opens the store in directory `path`, making it if needed. Fails when another process has
    /// it open, or when it was written by a newer version.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StorageError> {
        let _ = (path.as_ref(), Self { options });
        Err(StorageError::Unavailable("not supported yet".into()))
    }

    /// Opens a store for reading only, also while another process has it open: sees what was
    /// committed until now, takes no lock and writes nothing.
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self, StorageError> {
        Self::open(path, options)
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A consistent view of the samples with `mint_ms <= t <= maxt_ms`.
    pub fn querier(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        let _ = (mint_ms, maxt_ms);
        Err(StorageError::Unavailable("not supported yet".into()))
    }

    /// Starts a transaction.
    pub fn appender(&self) -> Box<dyn Appender + '_> {
        unimplemented!()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> DbStats {
        DbStats::default()
    }

    /// Where the series come from; each list holds at most `limit` entries.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let _ = limit;
        Cardinality::default()
    }

    /// Metadata of all metric families, sorted by family.
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        Vec::new()
    }

    /// Exemplars with `mint_ms <= t <= maxt_ms` of the series that pass all matchers of at least
    /// one of the lists: series sorted by labels, exemplars by time.
    pub fn exemplars(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        matchers: &[Vec<Matcher>],
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let _ = (mint_ms, maxt_ms, matchers);
        Ok(Vec::new())
    }

    /// Drops what is past retention now, from memory and disk.
    pub fn maintain(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Forces everything committed to the disk, stops the threads and gives the lock back.
    /// Reading goes on working, writing does not. Closing twice is fine.
    pub fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

impl Queryable for Db {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        Self::querier(self, mint_ms, maxt_ms)
    }
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Self::appender(self)
    }
}
