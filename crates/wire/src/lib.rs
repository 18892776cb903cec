//! What crosses the network as bytes: exposition formats.
