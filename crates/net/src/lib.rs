//! HTTP/1.1 client and server plumbing of tsdb: connections, TLS, credentials, limits, timeouts,
//! compression and graceful stop. What is asked and answered belongs to the callers.

pub mod body;
pub mod client;
mod credentials;
mod dial;
pub mod encoding;
pub mod files;
mod io;
pub mod prefix;
pub mod server;
mod tls;
pub mod url;
pub mod web;

pub use body::{Body, BodySender, BodyWriter};
pub use client::{Client, ClientOptions, FetchError};
pub use server::{Handler, Request, Response, Server, ServerOptions};
pub use web::{Grant, WebAccess, WebError};
