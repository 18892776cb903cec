//! `meta.json`: what a block is and holds.

use std::fmt::Write as _;

use serde_json::Value as Json;
use tsdb_model::StorageError;

use super::error::{PromBlockError, corrupt, io_error, path_of};
use super::file::FileWriter;
use super::ulid::Ulid;
use super::{META_FILE, join};
use crate::dir::Dir;

/// Most bytes of a `meta.json` that is read.
const MAX_META_BYTES: u64 = 16 << 20;

/// What a block is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMeta {
    /// Its name.
    pub ulid: Ulid,
    /// Time of its first sample, or earlier; milliseconds since the Unix epoch.
    pub min_time_ms: i64,
    /// A time after its last sample.
    pub max_time_ms: i64,
    /// Counts.
    pub stats: BlockStats,
    /// 1 for blocks as they were first written, more for merged ones.
    pub level: u64,
    /// Blocks of level 1 that it was made of.
    pub sources: Vec<Ulid>,
    /// Blocks that it replaces.
    pub parents: Vec<Ulid>,
    /// It has no samples and is to be deleted.
    pub deletable: bool,
}

/// Counts of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockStats {
    /// Samples.
    pub samples: u64,
    /// Float samples.
    pub float_samples: u64,
    /// Histogram samples.
    pub histogram_samples: u64,
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Tombstones.
    pub tombstones: u64,
}

impl BlockMeta {
    /// Reads the `meta.json` in `folder`.
    pub(super) fn read(dir: &dyn Dir, folder: &str) -> Result<Self, PromBlockError> {
        let name = join(folder, META_FILE);
        let size = dir
            .size(&name)
            .map_err(|e| io_error(dir, "open", &name, &e))?;
        if size > MAX_META_BYTES {
            return Err(PromBlockError::TooLarge {
                path: path_of(dir, &name),
                what: "file",
            });
        }
        let bytes = dir
            .read_at(&name, 0, size as usize)
            .map_err(|e| io_error(dir, "read", &name, &e))?;
        let bad = |what: String| corrupt(dir, &name, 0, what);
        let json: Json = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if json["version"] != 1 {
            let what = format!("version {}", json["version"]);
            return Err(PromBlockError::Unsupported {
                path: path_of(dir, &name),
                what,
            });
        }
        Ok(Self::from_json(&json).map_err(bad)?)
    }

    fn from_json(json: &Json) -> Result<Self, String> {
        let time = |key: &str| json[key].as_i64().ok_or(format!("no number {key:?}"));
        let ulid = |v: &Json| {
            let text = v.as_str().unwrap_or_default();
            text.parse::<Ulid>().map_err(|e| format!("{v}: {e}"))
        };
        let list = |v: &Json| v.as_array().cloned().unwrap_or_default();
        let compaction = &json["compaction"];
        let count = |key: &str| json["stats"][key].as_u64().unwrap_or(0);
        let meta = Self {
            ulid: ulid(&json["ulid"])?,
            min_time_ms: time("minTime")?,
            max_time_ms: time("maxTime")?,
            stats: BlockStats {
                samples: count("numSamples"),
                float_samples: count("numFloatSamples"),
                histogram_samples: count("numHistogramSamples"),
                series: count("numSeries"),
                chunks: count("numChunks"),
                tombstones: count("numTombstones"),
            },
            level: compaction["level"].as_u64().unwrap_or(0),
            sources: list(&compaction["sources"])
                .iter()
                .map(ulid)
                .collect::<Result<_, _>>()?,
            parents: (list(&compaction["parents"])
                .iter()
                .map(|p| ulid(&p["ulid"])))
            .collect::<Result<_, _>>()?,
            deletable: compaction["deletable"].as_bool().unwrap_or(false),
        };
        if meta.min_time_ms > meta.max_time_ms {
            return Err("minTime is after maxTime".into());
        }
        Ok(meta)
    }

    /// Writes `meta.json` of a block of level 1 into `folder`.
    pub(super) fn write(&self, dir: &dyn Dir, folder: &str) -> Result<(), StorageError> {
        let mut file = FileWriter::create(dir, join(folder, META_FILE))?;
        file.write(self.to_json().as_bytes())?;
        file.finish()
    }

    fn to_json(&self) -> String {
        let mut text = String::new();
        let stats: Vec<String> = [
            ("numSamples", self.stats.samples),
            ("numFloatSamples", self.stats.float_samples),
            ("numHistogramSamples", self.stats.histogram_samples),
            ("numSeries", self.stats.series),
            ("numChunks", self.stats.chunks),
            ("numTombstones", self.stats.tombstones),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(key, n)| format!("\n\t\t\"{key}\": {n}"))
        .collect();
        let sources: Vec<String> = self
            .sources
            .iter()
            .map(|s| format!("\n\t\t\t\"{s}\""))
            .collect();
        let _ = write!(
            text,
            "{{\n\t\"ulid\": \"{}\",\n\t\"minTime\": {},\n\t\"maxTime\": {},\n\t\"stats\": {{{}\n\t}},\n\t\"compaction\": {{\n\t\t\"level\": {},\n\t\t\"sources\": [{}\n\t\t]\n\t}},\n\t\"version\": 1\n}}",
            self.ulid,
            self.min_time_ms,
            self.max_time_ms,
            stats.join(","),
            self.level,
            sources.join(","),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let ulid = Ulid::new(1);
        let meta = BlockMeta {
            ulid,
            min_time_ms: -5,
            max_time_ms: 10,
            stats: BlockStats {
                samples: 3,
                float_samples: 3,
                series: 2,
                ..BlockStats::default()
            },
            level: 1,
            sources: vec![ulid],
            parents: Vec::new(),
            deletable: false,
        };
        let json: Json = serde_json::from_str(&meta.to_json()).unwrap();
        assert_eq!(json["stats"].as_object().unwrap().len(), 3);
        assert_eq!(BlockMeta::from_json(&json), Ok(meta));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["{}", "[]", r#"{"ulid":"x","minTime":1,"maxTime":2}"#] {
            assert!(BlockMeta::from_json(&serde_json::from_str(text).unwrap()).is_err());
        }
    }
}
