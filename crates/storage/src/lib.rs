//! The store of tsdb: log, head and index behind Db.
