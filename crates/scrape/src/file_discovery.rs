//! Targets that stand in files, `file_sd_configs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tsdb_config::{FileSdConfig, StaticConfig, glob, load_target_groups};
use tsdb_model::{Labels, LabelsBuilder};
use tsdb_net::files::Stamp;

use crate::target::group_labels;

const FILEPATH: &str = "__meta_filepath";

/// The files of one job and what they say.
#[derive(Debug, Default)]
pub(crate) struct FileDiscovery {
    files: BTreeMap<PathBuf, File>,
}

#[derive(Debug)]
struct File {
    /// When it was last read; whether that went well or not.
    stamp: Stamp,
    /// What it said when it last could be understood.
    groups: Vec<StaticConfig>,
}

impl FileDiscovery {
    /// Reads what changed; true when there was anything. A file that cannot be understood keeps
    /// its targets, one that is gone loses them.
    pub(crate) fn look(&mut self, configs: &[FileSdConfig]) -> bool {
        let mut changed = false;
        let mut before = std::mem::take(&mut self.files);
        for pattern in configs.iter().flat_map(|config| &config.files) {
            let paths = glob(pattern).unwrap_or_else(|error| {
                tracing::error!(error, "file discovery");
                Vec::new()
            });
            for path in paths {
                if self.files.contains_key(&path) {
                    continue;
                }
                let known = before.remove(&path);
                let Some(stamp) = Stamp::of(&path) else {
                    changed |= known.is_some();
                    continue;
                };
                let known = match known {
                    Some(known) if known.stamp == stamp => {
                        self.files.insert(path, known);
                        continue;
                    }
                    known => known,
                };
                changed = true;
                let groups = match load_target_groups(&path) {
                    Ok(groups) => groups,
                    Err(error) => {
                        tracing::error!(%error, "file discovery: the targets before stay");
                        known.map(|known| known.groups).unwrap_or_default()
                    }
                };
                self.files.insert(path, File { stamp, groups });
            }
        }
        changed || !before.is_empty()
    }

    /// All targets, as discovered.
    pub(crate) fn labels(&self) -> Vec<Labels> {
        let mut all = Vec::new();
        for (path, file) in &self.files {
            let path = path.display().to_string();
            for group in &file.groups {
                all.extend(group_labels(group).map(|mut labels: LabelsBuilder| {
                    labels.set(FILEPATH, &path);
                    labels.build()
                }));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn replace(path: &std::path::Path, text: &str) {
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn files_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one.json"), dir.path().join("two.json"));
        let configs = [FileSdConfig {
            files: vec![dir.path().join("*.json"), one.clone()],
            refresh_interval_ms: 1,
        }];
        let mut files = FileDiscovery::default();
        let addresses = |files: &FileDiscovery| {
            let labels = files.labels();
            let address = |l: &Labels| l.get("__address__").unwrap_or_default().to_string();
            labels.iter().map(address).collect::<Vec<_>>()
        };
        assert!(!files.look(&configs));
        replace(&one, "[{\"targets\": [\"a\"], \"labels\": {\"x\": \"y\"}}]");
        replace(&two, "[{\"targets\": [\"b\"]}]");
        assert!(files.look(&configs) && !files.look(&configs));
        assert_eq!(addresses(&files), ["a", "b"]);
        let first = &files.labels()[0];
        assert_eq!(first.get("x"), Some("y"));
        assert_eq!(first.get(FILEPATH), one.to_str());

        replace(&one, "[{\"targets\": [\"c\", \"d\"]}]");
        assert!(files.look(&configs));
        assert_eq!(addresses(&files), ["c", "d", "b"]);
        replace(&one, "[");
        files.look(&configs);
        assert_eq!(addresses(&files), ["c", "d", "b"]);
        std::fs::remove_file(&one).unwrap();
        assert!(files.look(&configs));
        assert_eq!(addresses(&files), ["b"]);
        assert!(files.look(&[]));
        assert!(files.labels().is_empty());
    }
}
