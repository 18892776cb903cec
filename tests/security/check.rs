//! `tsdb check`, with the exit codes of promtool.

use std::io::Write as _;
use std::process::Stdio;

use tempfile::TempDir;

use super::{authority, issue};
use crate::support::{run, tsdb, write};

/// Exit code, standard output, standard error.
fn check(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[&["check"], args].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn configurations() {
    let dir = TempDir::new().unwrap();
    let good = write(
        &dir.path().join("good.yml"),
        "scrape_configs: [{job_name: a}]\n",
    );
    let good = good.to_str().unwrap();
    let bad = write(
        &dir.path().join("bad.yml"),
        "scrape_configs: [{job_nam: a}]\n",
    );
    let bad = bad.to_str().unwrap();
    let files = write(
        &dir.path().join("files.yml"),
        "scrape_configs:\n- job_name: '${NO_SUCH_VARIABLE}'\n  bearer_token_file: none\n",
    );
    let files = files.to_str().unwrap();

    let (code, out, err) = check(&["config", good]);
    let success =
        format!("Checking {good}\n SUCCESS: {good} is valid prometheus config file syntax\n\n");
    assert_eq!((code, out, err), (Some(0), success, String::new()));
    let (code, out, err) = check(&["config", good, bad]);
    assert_eq!(code, Some(1), "{out}{err}");
    let want = format!("  FAILED: {bad}:1:19: scrape_configs[0]: field job_nam not found\n");
    assert_eq!(err, want);
    let (code, _, err) = check(&["config", files]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("unable to read authorization credentials: "),
        "{err}"
    );
    assert_eq!(check(&["config", "--syntax-only", files]).0, Some(0));
    let (code, _, err) = check(&["config", "--syntax-only", "--config.expand-env", files]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no variable \"NO_SUCH_VARIABLE\""), "{err}");
    assert_eq!(check(&["config", "/does/not/exist"]).0, Some(1));
}

#[test]
fn web_configurations() {
    let dir = TempDir::new().unwrap();
    let yaml = "tls_server_config: {cert_file: s.pem, key_file: s.key}\n";
    let web = write(&dir.path().join("web.yml"), yaml);
    let web = web.to_str().unwrap();
    let (code, _, err) = check(&["web-config", web]);
    assert_eq!(code, Some(1));
    let want = format!("{web} FAILED: {web}: failed to read cert_file (");
    assert!(err.starts_with(&want), "{err}");
    issue(&authority("ca"), &["localhost"], dir.path(), "s");
    let (code, _, err) = check(&["web-config", web]);
    assert_eq!((code, err), (Some(0), format!("{web} SUCCESS\n")));
}

#[test]
fn files_that_a_configuration_names() {
    let dir = TempDir::new().unwrap();
    let yaml = "rule_files: ['r*.yml']\nscrape_configs:\n- job_name: a\n  file_sd_configs: [{files: [t.yml]}]\n";
    let path = write(&dir.path().join("p.yml"), yaml);
    let (config, dir) = (path.to_str().unwrap(), dir.path());
    let rules = "groups:\n- name: g\n  rules:\n  - {record: x, expr: sum(up)}\n";
    write(&dir.join("r.yml"), rules);
    let (code, out, err) = check(&["config", config]);
    let want = format!(
        "Checking {config}\n  WARNING: file {:?} for file_sd in scrape job \"a\" does not exist\n  \
         SUCCESS: 1 rule files found\n SUCCESS: {config} is valid prometheus config file syntax\n\n\
         Checking {}\n  SUCCESS: 1 rules found\n  WARNING: rules do not run yet\n\n",
        dir.join("t.yml").display().to_string(),
        dir.join("r.yml").display()
    );
    assert_eq!((code, err.as_str(), out), (Some(0), "", want));
    write(&dir.join("r.yml"), &rules.replace("sum(up)", "'sum(up'"));
    let (code, _, err) = check(&["config", config]);
    let want =
        "rule 1, \"x\": could not parse expression: 1:7: parse error: unclosed left parenthesis";
    assert!(code == Some(1) && err.contains(want), "{err}");
    let (code, out, _) = check(&["config", "--syntax-only", config]);
    assert!(code == Some(0) && !out.contains("rules"), "{out}");
    write(&dir.join("r.yml"), rules);
    write(&dir.join("t.yml"), "- foo: 1\n");
    let (code, _, err) = check(&["config", config]);
    assert!(code == Some(1) && err.contains("t.yml:1:3: "), "{err}");
}

#[test]
fn metrics() {
    let lint = |page: &str| {
        let mut child = tsdb()
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let good = "# HELP x_total h\n# TYPE x_total counter\nx_total 1\n";
    assert_eq!(lint(good), (Some(0), String::new()));
    assert_eq!(lint("x 1\n"), (Some(3), "x no help text\n".to_string()));
    let (code, text) = lint("x{\n");
    assert_eq!(code, Some(1));
    assert!(text.starts_with("error while linting: "), "{text}");
}
