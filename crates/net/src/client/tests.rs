//! The client against a server of this crate.
