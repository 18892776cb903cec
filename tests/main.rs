//! End-to-end tests: they start the real program and talk to it as its users do. One binary, so
//! that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test says what is wrong by failing, and speed is not its job"
)]

mod api;
mod blocks;
mod cli;
mod crash;
mod discovery;
mod disk;
mod peers;
mod remote;
mod scrape;
mod security;
mod support;
mod workspace;
