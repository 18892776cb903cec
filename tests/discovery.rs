//! Targets that come and go without a reload.

use tempfile::TempDir;

use crate::security::replace;
use crate::support::{Pages, Server, wait_for, write};

#[test]
fn targets_of_files_are_followed() {
    let dir = TempDir::new().unwrap();
    let pages = Pages::start();
    pages.set("/metrics", "x 1\n");
    let config = write(
        &dir.path().join("p.yml"),
        "global: {scrape_interval: 200ms}\nscrape_configs:\n- job_name: a\n  \
         file_sd_configs: [{files: ['targets/*.json', more.yml]}]\n  \
         relabel_configs: [{source_labels: [__meta_filepath], regex: '.*/(.*)', target_label: file}]\n",
    );
    std::fs::create_dir(dir.path().join("targets")).unwrap();
    let json = dir.path().join("targets/one.json");
    let yaml = dir.path().join("more.yml");
    let address = &pages.address;
    replace(
        &json,
        &format!("[{{\"targets\": [\"{address}\"], \"labels\": {{\"team\": \"db\"}}}}]"),
    );
    let flag = format!("--config.file={}", config.display());
    let server = Server::start(&dir.path().join("d"), &[&flag]);
    let value = |expr: &str| server.value(expr);
    wait_for("the first target", || {
        value("up{team=\"db\",file=\"one.json\"}").filter(|up| *up == 1.0)
    });

    replace(
        &yaml,
        &format!("- targets: ['{address}']\n  labels: {{team: web}}\n"),
    );
    wait_for("the second", || {
        value("up{team=\"web\",file=\"more.yml\"}").filter(|up| *up == 1.0)
    });
    // A broken file keeps its target, one that is gone loses it.
    replace(&yaml, "- targets: {}\n");
    remove(&json);
    wait_for("the end of the first", || {
        value("up{team=\"db\"}").is_none().then_some(())
    });
    assert_eq!(value("up{team=\"web\"}"), Some(1.0));
    assert!(
        server
            .log
            .lock()
            .unwrap()
            .contains("more.yml:1:12: [0].targets: expected a list")
    );
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn remove(path: &std::path::Path) {
    std::fs::remove_file(path).unwrap();
}
