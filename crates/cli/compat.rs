//! Flags of Prometheus that ask for nothing here, and `--no-` forms: a command line written for
//! Prometheus works.

use std::ffi::OsString;

/// Flags with a value that are accepted and have no effect.
const IGNORED_VALUES: [&str; 28] = [
    "alertmanager.notification-batch-size",
    "alertmanager.notification-queue-capacity",
    "auto-gomemlimit.ratio",
    "config.auto-reload-interval",
    "rules.alert.for-grace-period",
    "rules.alert.for-outage-tolerance",
    "rules.alert.resend-delay",
    "rules.max-concurrent-evals",
    "scrape.discovery-reload-interval",
    "scrape.timestamp-tolerance",
    "storage.remote.flush-deadline",
    "storage.remote.read-concurrent-limit",
    "storage.remote.read-max-bytes-in-frame",
    "storage.remote.read-sample-limit",
    "storage.tsdb.block-reload-interval",
    "storage.tsdb.delay-compact-file.path",
    "storage.tsdb.head-chunks-write-queue-size",
    "storage.tsdb.max-block-chunk-segment-size",
    "storage.tsdb.max-block-duration",
    "storage.tsdb.samples-per-chunk",
    "storage.tsdb.wal-compression-type",
    "storage.tsdb.wal-segment-size",
    "web.console.libraries",
    "web.console.templates",
    "web.max-notifications-subscribers",
    "web.page-title",
    "web.user-assets",
    "alertmanager.timeout",
];

/// Switches that are accepted and have no effect.
const IGNORED_SWITCHES: [&str; 10] = [
    "alertmanager.drain-notification-queue-on-shutdown",
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "scrape.adjust-timestamps",
    "storage.tsdb.allow-overlapping-blocks",
    "storage.tsdb.allow-overlapping-compaction",
    "storage.tsdb.no-lockfile",
    "storage.tsdb.wal-compression",
    "storage.tsdb.delayed-compaction",
    "web.enable-remote-write-receiver",
];

/// Switches of ours that Prometheus lets its users take back with `--no-`.
const SWITCHES: [&str; 3] = [
    "config.expand-env",
    "web.enable-admin-api",
    "web.enable-lifecycle",
];

/// A command line without what has no effect.
pub(crate) struct Prepared {
    pub(crate) args: Vec<OsString>,
    /// What was left out: name and value.
    pub(crate) ignored: Vec<(String, String)>,
}

/// Takes out of the arguments of `serve` what has no effect, and turns `--no-x` into the absence
/// of `--x`, where the last one counts.
pub(crate) fn prepare(args: impl IntoIterator<Item = OsString>) -> Prepared {
    let mut all = args.into_iter().peekable();
    let mut args: Vec<OsString> = all.by_ref().take(2).collect();
    let mut ignored = Vec::new();
    if args.get(1).is_none_or(|command| command != "serve") {
        args.extend(all);
        return Prepared { args, ignored };
    }
    let mut switched = [None; SWITCHES.len()];
    while let Some(arg) = all.next() {
        if arg == "--" {
            args.push(arg);
            args.extend(all);
            break;
        }
        let Some(flag) = arg.to_str().and_then(|text| text.strip_prefix("--")) else {
            args.push(arg);
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if IGNORED_VALUES.contains(&name) {
            let value = match value {
                Some(value) => value.to_string(),
                None => match all.next() {
                    Some(value) => value.to_string_lossy().into_owned(),
                    None => {
                        args.push(arg); // Reported as unknown; it lacks its value anyway.
                        break;
                    }
                },
            };
            ignored.push((name.to_string(), value));
            continue;
        }
        let (plain, on) = match name.strip_prefix("no-") {
            Some(plain) => (plain, false),
            None => (name, true),
        };
        let on = match value {
            None => Some(on),
            Some("true") => Some(on),
            Some("false") => Some(!on),
            Some(_) => None,
        };
        match on {
            Some(on) if IGNORED_SWITCHES.contains(&plain) => {
                ignored.push((plain.to_string(), on.to_string()));
            }
            Some(on) if SWITCHES.contains(&plain) => {
                let known = SWITCHES.iter().zip(&mut switched);
                for (_, state) in known.filter(|(name, _)| **name == plain) {
                    *state = Some(on);
                }
            }
            _ => args.push(arg),
        }
    }
    let on = SWITCHES
        .iter()
        .zip(switched)
        .filter(|(_, s)| *s == Some(true));
    let on: Vec<OsString> = on.map(|(name, _)| format!("--{name}").into()).collect();
    args.splice(2..2, on);
    Prepared { args, ignored }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(args: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let all = ["tsdb", "serve"].iter().chain(args);
        let prepared = prepare(all.map(OsString::from));
        let args = prepared.args[2..].iter();
        let args = args.map(|a| a.to_string_lossy().into_owned()).collect();
        (args, prepared.ignored)
    }

    #[test]
    fn what_has_no_effect_is_taken_out() {
        let (args, ignored) = prepared(&[
            "--config.file=p.yml",
            "--web.console.templates=/etc/consoles",
            "--web.console.libraries",
            "/etc/libs",
            "--storage.tsdb.wal-compression",
            "--no-auto-gomemlimit",
            "--nonsense",
        ]);
        assert_eq!(args, ["--config.file=p.yml", "--nonsense"]);
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            ignored,
            [
                pair("web.console.templates", "/etc/consoles"),
                pair("web.console.libraries", "/etc/libs"),
                pair("storage.tsdb.wal-compression", "true"),
                pair("auto-gomemlimit", "false"),
            ]
        );
    }

    #[test]
    fn switches_can_be_taken_back() {
        let lifecycle = "--web.enable-lifecycle";
        let none: [&str; 0] = [];
        assert_eq!(prepared(&[lifecycle, lifecycle]).0, [lifecycle]);
        assert_eq!(prepared(&[lifecycle, "--no-web.enable-lifecycle"]).0, none);
        assert_eq!(prepared(&["--web.enable-lifecycle=false"]).0, none);
        assert_eq!(prepared(&["--web.enable-lifecycle=true"]).0, [lifecycle]);
        assert_eq!(
            prepared(&["--web.enable-lifecycle=x"]).0,
            ["--web.enable-lifecycle=x"]
        );
        assert_eq!(prepared(&["--no-host-metrics"]).0, ["--no-host-metrics"]);
    }

    #[test]
    fn other_commands_are_left_alone() {
        let args = ["tsdb", "query", "--web.page-title=x"].map(OsString::from);
        assert_eq!(prepare(args.clone()).args, args);
        assert_eq!(prepare([OsString::from("tsdb")]).args, ["tsdb"]);
    }
}
