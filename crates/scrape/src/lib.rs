//! Target pools and scrape loops of tsdb: which targets there are, when each is scraped, and how
//! a page becomes samples. HTTP itself is in `tsdb-net`, the formats are in `tsdb-wire`.

mod cache;
mod cycle;
mod exemplars;
mod fetch;
mod file_discovery;
pub mod manager;
mod metadata;
pub mod options;
mod page;
mod pool;
mod protocol;
mod sample;
mod schedule;
mod scrape_loop;
pub mod stats;
mod tally;
mod target;
#[cfg(test)]
mod test_store;
pub mod view;

pub use manager::ScrapeManager;
pub use options::ScrapeOptions;
pub use stats::{PoolStats, ScrapeStats, Summary};
pub use view::{ActiveTarget, DroppedTarget, Health, Targets};
