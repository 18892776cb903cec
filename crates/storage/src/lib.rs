//! The store of tsdb behind [`Db`]: a log on disk, the samples in memory, and an index of labels.

pub mod db;
pub mod dir;
pub mod options;
pub mod prom_block;
pub mod stats;

pub use db::Db;
pub use dir::{Dir, DirLock, StdDir, WriteFile};
pub use options::{Options, WalSync};
pub use stats::{Cardinality, DbStats};
