//! The store of tsdb behind [`Db`]: a log, the newest samples in memory with an index of labels, and
//! blocks on disk for all that is older.

mod appender;
mod block;
mod cardinality;
mod catalogue;
mod commit;
mod cut;
pub mod db;
mod delete;
pub mod dir;
mod durations;
#[cfg(test)]
mod fault;
mod head;
mod jobs;
mod maintain;
mod merge;
mod mmap;
pub mod options;
mod order;
mod parts;
pub mod prom_block;
mod querier;
mod replay;
mod retention;
mod shared;
mod snapshot;
pub mod stats;
mod stop;
mod sync;
#[cfg(test)]
mod tests;
mod tombstones;
mod trouble;
mod view;
mod wal;

pub use db::Db;
pub use dir::{Dir, DirLock, StdDir, WriteFile};
pub use options::{Options, WalSync};
pub use stats::{Cardinality, DbStats, DurationStats, Verification};
