//! `file_sd_configs`, and the files with target groups that they name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::StaticConfig;
use crate::error::Problem;
use crate::node::{Node, Section, Value};
use crate::scrape::target_group;

const DEFAULT_REFRESH_MS: i64 = 300_000;

/// One entry of `file_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSdConfig {
    /// `files`: names, with wildcards in the last segment.
    pub files: Vec<PathBuf>,
    /// `refresh_interval` in milliseconds; changes are seen earlier.
    pub refresh_interval_ms: i64,
}

/// Reads the entries of a job.
pub(crate) fn read(section: &Section<'_>, dir: &Path) -> Result<Vec<FileSdConfig>, Problem> {
    let Some(list) = section.get("file_sd_configs") else {
        return Ok(Vec::new());
    };
    let mut configs = Vec::new();
    for item in list.items()? {
        if item.node.value == Value::Null {
            return Err(item.problem("empty or null section in file_sd_configs"));
        }
        let entry = item.section(&[&["files", "refresh_interval"]])?;
        let mut files = Vec::new();
        if let Some(names) = entry.get("files") {
            for name in names.items()? {
                let text = name.string()?;
                if !is_valid(text) {
                    let text = format!("path name {text:?} is not valid for file discovery");
                    return Err(name.problem(text));
                }
                files.push(dir.join(text));
            }
        }
        if files.is_empty() {
            let text = "file service discovery config must contain at least one path name";
            return Err(entry.problem(text));
        }
        let refresh = entry.duration_ms("refresh_interval")?;
        configs.push(FileSdConfig {
            files,
            refresh_interval_ms: refresh.filter(|ms| *ms > 0).unwrap_or(DEFAULT_REFRESH_MS),
        });
    }
    Ok(configs)
}

/// At most one star, in the last segment, and one of the known endings.
fn is_valid(name: &str) -> bool {
    let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let Some(stem) = endings.iter().find_map(|end| name.strip_suffix(end)) else {
        return false;
    };
    stem.split_once('*')
        .is_none_or(|(_, after)| !after.contains(['/', '*']))
}

/// Reads the groups of a YAML text.
pub(crate) fn groups(root: &Node) -> Result<Vec<StaticConfig>, Problem> {
    if root.value == Value::Null {
        return Ok(Vec::new());
    }
    let list = crate::node::Field {
        node: root,
        path: String::new(),
    };
    let mut groups = Vec::new();
    for item in list.items()? {
        // As in Prometheus, an empty group is an error and not nothing.
        if item.node.value == Value::Null {
            return Err(item.problem("nil target group item found"));
        }
        groups.push(target_group(item, false)?);
    }
    Ok(groups)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads the groups of a JSON text; the error has line and column.
pub(crate) fn json_groups(text: &str) -> Result<Vec<StaticConfig>, (u64, u64, String)> {
    let groups: Vec<JsonGroup> = serde_json::from_str(text).map_err(|e| {
        let reason = e.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        (e.line() as u64, e.column() as u64, reason.to_string())
    })?;
    let group = |group: JsonGroup| StaticConfig {
        targets: group.targets,
        labels: group.labels,
    };
    Ok(groups.into_iter().map(group).collect())
}
