//! Staleness: series, scrapes, targets and jobs that go.

use serde_json::json;
use tempfile::TempDir;

use super::{Setup, last_error, serve};
use crate::support::{Pages, wait_for, write, write_config};

#[test]
fn series_scrapes_and_targets_that_go_are_marked_stale() {
    let pages = Pages::start();
    pages.set("/metrics", "a 1\nb 2\n");
    pages.set("/other", "other 1\n");
    let job = |name: &str, targets: &[&str]| {
        format!(
            "- job_name: {name}\n  scrape_interval: 100ms\n  static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        )
    };
    let address = format!("'{}'", pages.address);
    let stays = format!("{}  metrics_path: /other\n", job("stays", &[&address]));
    // The second target answers at the same address under another name of it.
    let other_name = format!("'{}'", pages.address.replace("127.0.0.1", "localhost"));
    let yaml = |jobs: &[&str]| format!("scrape_configs:\n{}", jobs.concat());
    let setup = Setup::new(&yaml(&[&job("page", &[&address, &other_name]), &stays]));
    let server = &setup.server;
    let count = |expr: &str| server.value(&format!("count({expr})")).unwrap_or(0.0);
    wait_for("both targets", || {
        (count("a") == 2.0 && count("b") == 2.0).then_some(())
    });

    // A series goes.
    pages.set("/metrics", "a 1\n");
    wait_for("b to go", || (count("b") == 0.0).then_some(()));
    assert_eq!(count("a"), 2.0);

    // Scrapes fail.
    pages.set_full("/metrics", 500, "text/plain", "broken\n");
    wait_for("a to go", || (count("a") == 0.0).then_some(()));
    wait_for("both down", || {
        (server.value("sum(up{job=\"page\"})") == Some(0.0)).then_some(())
    });
    assert_eq!(
        server.value("sum(scrape_samples_scraped{job=\"page\"})"),
        Some(0.0)
    );
    let error = "server returned HTTP status 500";
    assert!(last_error(server, "page").is_some_and(|e| e.starts_with(error)));

    // They work again.
    pages.set("/metrics", "a 3\n");
    wait_for("a to come back", || {
        (server.value("sum(a)") == Some(6.0)).then_some(())
    });

    // A target goes; the other one stays.
    setup.reload(&yaml(&[&job("page", &[&address]), &stays]));
    let gone = format!(
        "{{job=\"page\",instance={}}}",
        other_name.replace('\'', "\"")
    );
    wait_for("the target's series to go", || {
        (count(&gone) == 0.0).then_some(())
    });
    assert_eq!(count("a"), 1.0);

    // The whole job goes. (Prometheus would leave its series until the lookback runs out.)
    setup.reload(&yaml(&[&stays]));
    wait_for("the job's series to go", || {
        (count("{job=\"page\"}") == 0.0).then_some(())
    });
    assert_eq!(server.value("other"), Some(1.0));
    assert_eq!(
        server.data("/api/v1/scrape_pools")["scrapePools"],
        json!(["stays"])
    );
    // The history is still there.
    assert!(count("count_over_time(a[5m])") == 2.0);
}

#[test]
fn a_restart_leaves_no_gap() {
    let pages = Pages::start();
    pages.set("/metrics", "a 1\n");
    let dir = TempDir::new().unwrap();
    write_config(dir.path(), "100ms", &[("page", &pages.address, "/metrics")]);
    let mut server = serve(&dir);
    wait_for("a", || server.value("a"));
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0);
    // Nothing is scraped any more: what is there now was there before, without a marker behind it.
    write(&dir.path().join("prometheus.yml"), "scrape_configs: []\n");
    let server = serve(&dir);
    assert_eq!(server.value("a"), Some(1.0));
    assert_eq!(server.value("up"), Some(1.0));
}
