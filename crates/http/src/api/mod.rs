//! The endpoints below `/api/v1` and the plain ones.

pub(crate) mod active;
mod ast;
pub(crate) mod exemplars;
pub(crate) mod export;
pub(crate) mod federate;
pub(crate) mod format;
pub(crate) mod import;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod misc;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod targets;
pub(crate) mod write;
