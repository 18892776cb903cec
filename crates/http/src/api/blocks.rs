//! `/api/v1/status/tsdb/blocks`.

use serde::Serialize;
use serde_json::json;
use tsdb::BlockInfo;

use crate::answer::{ApiResult, Success};
use crate::router::Call;
use crate::state::Running;

/// A block, in the words of Prometheus's `meta.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    ulid: String,
    min_time: i64,
    /// Excluded, unlike everywhere else.
    max_time: i64,
    stats: Stats,
    compaction: Compaction,
    version: u8,
}

#[derive(Debug, Serialize)]
struct Stats {
    #[serde(rename = "numSamples")]
    samples: u64,
    #[serde(rename = "numSeries")]
    series: u64,
    #[serde(rename = "numTombstones", skip_serializing_if = "is_zero")]
    tombstones: u64,
    /// An addition.
    #[serde(rename = "numBytes")]
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Compaction {
    level: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parents: Vec<Parent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Parent {
    ulid: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl From<BlockInfo> for Shown {
    fn from(block: BlockInfo) -> Self {
        let parents = block.parents.into_iter();
        Self {
            ulid: ulid(block.id),
            min_time: block.min_time_ms,
            max_time: block.max_time_ms.saturating_add(1),
            stats: Stats {
                samples: block.samples,
                series: block.series,
                tombstones: block.tombstones,
                bytes: block.bytes,
            },
            compaction: Compaction {
                level: block.level,
                parents: parents.map(|id| Parent { ulid: ulid(id) }).collect(),
                hints: if block.late {
                    vec!["from-out-of-order"]
                } else {
                    Vec::new()
                },
            },
            version: 1,
        }
    }
}

/// The blocks on the disk.
pub(crate) fn blocks(_: &Call, running: &Running) -> ApiResult {
    let blocks: Vec<Shown> = running.db.blocks().into_iter().map(Shown::from).collect();
    Success::json(&json!({"blocks": blocks}))
}

/// The number of a block in the form of a ULID.
fn ulid(id: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |i: u32| {
        let bits = id.checked_shr(i * 5).unwrap_or(0) & 31;
        char::from(DIGITS[bits as usize])
    };
    (0..26).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_as_prometheus_shows_them() {
        assert_eq!(ulid(0), "0".repeat(26));
        assert_eq!(ulid(32 * 32 + 31), "0000000000000000000000010Z");
        assert_eq!(ulid(u64::MAX), "0000000000000FZZZZZZZZZZZZ");
        let info = BlockInfo {
            id: 1,
            min_time_ms: 5,
            max_time_ms: 9,
            series: 2,
            samples: 3,
            bytes: 4,
            level: 2,
            late: true,
            parents: vec![2],
            tombstones: 0,
        };
        let one = "00000000000000000000000001";
        let two = "00000000000000000000000002";
        assert_eq!(
            crate::json::to_json(&Shown::from(info)).unwrap(),
            format!(
                r#"{{"ulid":"{one}","minTime":5,"maxTime":10,"stats":{{"numSamples":3,"numSeries":2,"numBytes":4}},"compaction":{{"level":2,"parents":[{{"ulid":"{two}"}}],"hints":["from-out-of-order"]}},"version":1}}"#
            )
        );
    }
}
