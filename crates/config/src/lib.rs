//! Prometheus YAML configuration: parsed, defaulted, checked.
//!
//! [`Config::load`] reads a file and [`Config::parse`] a text. Both are as strict as Prometheus:
//! unknown and repeated keys, wrong types and values that make no sense are errors that name file,
//! line, column and field. What Prometheus can do and this server cannot yet is refused too,
//! instead of being left out in silence; so is what a [`Loader`] finds wrong with named files. In a loaded configuration every default and everything
//! inherited from `global` is filled in.

mod config;
mod env;
mod error;
mod file_sd;
mod glob;
mod global;
mod http_client;
mod load;
mod node;
mod relabel;
mod scrape;
mod secret;
mod size;
mod unsupported;
mod web;
mod yaml;

pub use config::{
    Config, DEFAULT_INTERVAL_MS, DEFAULT_SCRAPE_PROTOCOLS, DEFAULT_TIMEOUT_MS, GlobalConfig,
    ScrapeConfig, StaticConfig, StorageConfig,
};
pub use error::ConfigError;
pub use file_sd::FileSdConfig;
pub use glob::glob;
pub use global::{ClientCheck, ClientProblem};
pub use http_client::{
    Authorization, BasicAuth, HeaderValues, HttpClientConfig, Source, TlsConfig, TlsVersion,
};
pub use load::{Loader, load_target_groups, read_file};
pub use secret::{SECRET, Secret};
pub use size::{format_size, parse_size};
pub use web::{ClientAuth, TlsServerConfig, WebConfig};

#[cfg(test)]
mod tests;
