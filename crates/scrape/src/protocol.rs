//! What the configuration says about scrape protocols and names, in the terms of `tsdb-wire`.

use tsdb_config::ScrapeConfig;
use tsdb_wire::negotiate::{self, ScrapeProtocol};

/// The `Accept` header of a job. Protocols that cannot be read here (protobuf) are left out.
pub(crate) fn accept_header(job: &ScrapeConfig) -> String {
    let protocols = job.scrape_protocols.iter();
    let known: Vec<_> = protocols.filter_map(|p| ScrapeProtocol::parse(p)).collect();
    negotiate::accept_header(&known, &job.metric_name_escaping_scheme)
}

/// What is taken when a target does not say a format that is known.
pub(crate) fn fallback(job: &ScrapeConfig) -> Option<ScrapeProtocol> {
    ScrapeProtocol::parse(job.fallback_scrape_protocol.as_deref()?)
}

/// True when names must be of the old form, without UTF-8.
pub(crate) fn legacy_names(job: &ScrapeConfig) -> bool {
    job.metric_name_validation_scheme == "legacy"
}
