//! Runs test scripts (`*.test`) over a store in memory:
//! `cargo run -p tsdb-promql --example promqltest -- FILE...`

use std::process::ExitCode;

use tsdb_promql::script::{MemoryStore, Report, run_text};

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what this program does"
)]
fn main() -> ExitCode {
    let mut total = Report::default();
    for file in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) => {
                eprintln!("{file}: {e}");
                return ExitCode::FAILURE;
            }
        };
        let report = run_text(&file, &text, &mut || Box::new(MemoryStore::new()));
        for failure in &report.failures {
            println!("{failure}\n");
        }
        println!("{file}: {} passed, {} failed", report.passed, report.failed);
        total.merge(report);
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
