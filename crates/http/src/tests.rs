//! Every endpoint over a real store, whole answers compared.

mod admin;
mod errors;
mod labels;
mod network;
mod push;
mod query;
mod read;
mod running;
mod status;
