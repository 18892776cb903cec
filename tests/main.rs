//! End-to-end tests: they start the real program and talk to it as its users do. One binary, so
//! that it is linked once.

mod api;
mod cli;
mod crash;
mod peers;
mod scrape;
mod support;
mod workspace;
