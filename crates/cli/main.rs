//! The `tsdb` program: flags, wiring, signals, exit codes.
fn main() {}
