//! End-to-end tests: one binary, linked once.
