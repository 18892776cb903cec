//! Target pools and scrape loops of tsdb.
