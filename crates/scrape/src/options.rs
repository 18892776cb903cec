//! How scraping is set up, apart from the configuration file.

use std::fmt;
use std::sync::Arc;

use tsdb_model::{Clock, SystemClock};

/// Settings of a [`crate::ScrapeManager`].
#[derive(Clone)]
pub struct ScrapeOptions {
    /// Where timestamps come from.
    pub clock: Arc<dyn Clock>,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// This server's own name (its FQDN); decides, with the external labels, at which moment of
    /// the interval a target is scraped, so that two servers do not ask at the same time.
    pub hostname: String,
    /// URL of this server as seen from other machines; empty leaves target URLs as they are.
    pub external_url: String,
    /// Port this server listens on; a target at `localhost` with this port is this server.
    pub listen_port: u16,
    /// Most bytes of a decompressed page when the job sets no `body_size_limit`; bounds memory.
    pub max_body_bytes: u64,
    /// Pages taken in (parsed and stored) at a time; 0 means one per core.
    pub max_concurrent_ingests: usize,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            user_agent: format!("tsdb/{}", env!("CARGO_PKG_VERSION")),
            hostname: String::new(),
            external_url: String::new(),
            listen_port: 0,
            max_body_bytes: 512 << 20,
            max_concurrent_ingests: 0,
        }
    }
}

impl fmt::Debug for ScrapeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeOptions")
            .field("user_agent", &self.user_agent)
            .field("hostname", &self.hostname)
            .field("external_url", &self.external_url)
            .field("listen_port", &self.listen_port)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_concurrent_ingests", &self.max_concurrent_ingests)
            .finish_non_exhaustive()
    }
}
