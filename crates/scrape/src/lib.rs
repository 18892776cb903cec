//! Target pools and scrape loops of tsdb: which targets there are, when each is scraped, and how
//! a page becomes samples. HTTP itself is in `tsdb-net`, the formats are in `tsdb-wire`.

pub mod options;
pub mod stats;
pub mod view;

pub use options::ScrapeOptions;
pub use stats::{PoolStats, ScrapeStats, Summary};
pub use view::{ActiveTarget, DroppedTarget, Health, Targets};
