//! Prometheus YAML configuration: parsed, defaulted, checked.
//!
//! [`Config::load`] reads a file and [`Config::parse`] a text. Both are as strict as Prometheus:
//! unknown and repeated keys, wrong types and values that make no sense are errors that name file,
//! line, column and field. What Prometheus can do and this server cannot yet is refused too,
//! instead of being left out in silence. In a loaded configuration every default and everything
//! inherited from `global` is filled in.

mod config;
mod env;
mod error;
mod global;
mod load;
mod node;
mod relabel;
mod scrape;
mod size;
mod unsupported;
mod yaml;

pub use config::{
    Config, DEFAULT_INTERVAL_MS, DEFAULT_SCRAPE_PROTOCOLS, DEFAULT_TIMEOUT_MS, GlobalConfig,
    ScrapeConfig, StaticConfig, StorageConfig,
};
pub use error::ConfigError;

#[cfg(test)]
mod tests;
