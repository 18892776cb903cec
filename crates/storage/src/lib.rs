//! The store of tsdb behind [`Db`]: a log on disk, the samples in memory, and an index of labels.

mod appender;
mod cardinality;
mod commit;
pub mod db;
pub mod dir;
#[cfg(test)]
mod fault;
mod head;
mod maintain;
pub mod options;
mod order;
mod querier;
mod replay;
mod shared;
pub mod stats;
mod sync;
#[cfg(test)]
mod tests;
mod wal;

pub use db::Db;
pub use dir::{Dir, DirLock, StdDir, WriteFile};
pub use options::{Options, WalSync};
pub use stats::{Cardinality, DbStats};
