//! HTTP/1.1 client and server plumbing of tsdb: connections, limits, timeouts, compression and
//! graceful stop. What is asked and answered belongs to the callers.

pub mod body;
pub mod client;
pub mod encoding;
mod io;
pub mod server;
pub mod url;

pub use body::{Body, BodySender, BodyWriter};
pub use client::{Client, ClientOptions, FetchError};
pub use server::{Handler, Request, Response, Server, ServerOptions};
