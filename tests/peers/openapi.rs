//! Schemathesis makes up requests from `/openapi.yaml` and checks the answers against it. Runs where
//! `SCHEMATHESIS` names the program (`pip install schemathesis`), and says so where it does not.

use std::process::Command;

use tempfile::TempDir;

use crate::support::{Server, write};

#[test]
fn made_up_requests_are_answered_as_described() {
    let Some(binary) = std::env::var_os("SCHEMATHESIS") else {
        println!("skipped: SCHEMATHESIS does not name the program");
        return;
    };
    let dir = TempDir::new().unwrap();
    // A query without time to run is a timeout, and that is 503.
    let settings =
        "[checks.not_a_server_error]\nexpected-statuses = [\"2xx\", \"3xx\", \"4xx\", 503]\n";
    write(&dir.path().join("schemathesis.toml"), settings);
    let flags = ["--no-host-metrics", "--web.enable-admin-api"];
    let server = Server::start(&dir.path().join("d"), &flags);
    let examples = std::env::var("EXAMPLES").unwrap_or_else(|_| "20".into());
    // Events have no end, and what needs protocol buffers cannot be made up from text.
    let left_out = "/live$|/-/quit|/api/v1/write|/api/v1/read$";
    let output = Command::new(binary)
        .current_dir(dir.path())
        .args(["run", &format!("{}/openapi.yaml", server.url)])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"])
        .args(["--max-examples", &examples, "--exclude-path-regex", left_out])
        .args(["--request-timeout", "60", "--seed", "1"])
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let log = server.log.lock().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
