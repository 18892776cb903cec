//! The endpoints below `/api/v1` and the plain ones.

pub(crate) mod active;
pub(crate) mod admin;
mod ast;
pub(crate) mod blocks;
pub(crate) mod exemplars;
pub(crate) mod export;
pub(crate) mod families;
pub(crate) mod features;
pub(crate) mod federate;
pub(crate) mod format;
pub(crate) mod import;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod misc;
pub(crate) mod notifications;
pub(crate) mod openapi;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod targets;
mod upload;
pub(crate) mod write;
