//! `tsdb inspect blocks|wal|head`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use tsdb::inspect::{self, BlockFile, BlockInfo, BlockState, LogSegment};
use tsdb::{Db, Options};

use super::table::{ratio, size, table, time};
use super::{DirArgs, open, print};
use crate::progress::Progress;

/// Lists blocks. False when some are damaged.
pub(super) fn blocks(args: &DirArgs) -> anyhow::Result<bool> {
    let dir = open(&args.dir)?;
    let files = inspect::blocks(&dir)?;
    print(
        args.format,
        || Json::Array(files.iter().map(block_json).collect()),
        || block_table(&files),
    )?;
    let is_damaged = |f: &BlockFile| matches!(f.state, BlockState::Damaged(_));
    Ok(!files.iter().any(is_damaged))
}

fn state_text(state: &BlockState) -> &str {
    match state {
        BlockState::Used => "used",
        BlockState::Replaced => "replaced",
        BlockState::Damaged(_) => "damaged",
        BlockState::Unfinished => "unfinished",
    }
}

fn block_json(file: &BlockFile) -> Json {
    let mut json = json!({
        "file": file.name,
        "bytes": file.bytes,
        "state": state_text(&file.state),
    });
    if let BlockState::Damaged(why) = &file.state {
        json["error"] = why.as_str().into();
    }
    if let Some(info) = &file.info {
        let sections = info.sections.iter();
        let sections = sections.map(|(name, bytes)| ((*name).to_string(), (*bytes).into()));
        json["number"] = info.number.into();
        json["minTimeMs"] = info.min_time_ms.into();
        json["maxTimeMs"] = info.max_time_ms.into();
        json["series"] = info.series.into();
        json["samples"] = info.samples.into();
        json["targets"] = info.targets.into();
        json["labelPairs"] = info.label_pairs.into();
        json["level"] = info.level.into();
        json["late"] = info.late.into();
        json["deletesUntil"] = info.deletes_until.into();
        json["replaces"] = info.replaces.clone().into();
        json["sections"] = Json::Object(sections.collect());
    }
    json
}

fn index_bytes(info: &BlockInfo) -> u64 {
    let index = [
        "names", "pairs", "locals", "targets", "postings", "identity",
    ];
    let sections = info.sections.iter().filter(|s| index.contains(&s.0));
    sections.map(|s| s.1).sum()
}

fn block_table(files: &[BlockFile]) -> String {
    let header = [
        "FILE",
        "STATE",
        "FROM",
        "TO",
        "SERIES",
        "SAMPLES",
        "BYTES",
        "B/SAMPLE",
        "INDEX B/SERIES",
    ];
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            let mut row = vec![file.name.clone(), state_text(&file.state).to_string()];
            match &file.info {
                Some(info) => {
                    if info.late {
                        row[1].push_str(", late");
                    }
                    row.extend([
                        time(info.min_time_ms),
                        time(info.max_time_ms),
                        info.series.to_string(),
                        info.samples.to_string(),
                        file.bytes.to_string(),
                        ratio(file.bytes, info.samples),
                        ratio(index_bytes(info), info.series),
                    ]);
                }
                None => {
                    row.extend(["", "", "", "", &file.bytes.to_string(), "", ""].map(String::from));
                }
            }
            row
        })
        .collect();
    let mut text = table(&header, &rows);
    let used = files.iter().filter(|f| f.state == BlockState::Used);
    let infos = used.clone().filter_map(|f| f.info.as_ref());
    let (bytes, samples) = (
        used.clone().map(|f| f.bytes).sum(),
        infos.map(|i| i.samples).sum(),
    );
    let _ = writeln!(
        text,
        "{} blocks in use, {samples} samples, {}, {} B/sample",
        used.count(),
        size(bytes),
        ratio(bytes, samples)
    );
    for file in files {
        if let BlockState::Damaged(why) = &file.state {
            let _ = writeln!(text, "{}: {why}", file.name);
        }
    }
    text
}

/// Lists log segments. False when some are damaged.
pub(super) fn wal(args: &DirArgs) -> anyhow::Result<bool> {
    let dir = open(&args.dir)?;
    let mut bar = Progress::new("bytes read");
    let segments = inspect::log(&dir, &mut |done, all| bar.show_bytes(done, all))?;
    bar.finish();
    print(
        args.format,
        || Json::Array(segments.iter().map(segment_json).collect()),
        || segment_table(&segments),
    )?;
    Ok(segments.iter().all(is_sound))
}

fn is_sound(segment: &LogSegment) -> bool {
    segment.damage.is_empty() && segment.corruptions == 0 && segment.unreadable.is_none()
}

fn segment_json(s: &LogSegment) -> Json {
    let places = s.damage.iter();
    let places = places.map(|(offset, bytes)| json!({"offset": offset, "bytes": bytes}));
    json!({
        "file": s.name,
        "number": s.number,
        "bytes": s.bytes,
        "records": s.records,
        "series": s.series,
        "floatSamples": s.floats,
        "histogramSamples": s.histograms,
        "exemplars": s.exemplars,
        "metricFamilies": s.families,
        "minTimeMs": s.min_time_ms,
        "maxTimeMs": s.max_time_ms,
        "damage": places.collect::<Vec<_>>(),
        "corruptions": s.corruptions,
        "error": s.unreadable,
    })
}

fn segment_table(segments: &[LogSegment]) -> String {
    let header = [
        "FILE",
        "FROM",
        "TO",
        "RECORDS",
        "SERIES",
        "SAMPLES",
        "EXEMPLARS",
        "BYTES",
        "B/SAMPLE",
        "DAMAGE",
    ];
    let row = |s: &LogSegment| {
        let samples = s.floats + s.histograms;
        let damage = match (&s.unreadable, s.corruptions) {
            (Some(why), _) => why.clone(),
            (None, 0) => String::new(),
            (None, n) => n.to_string(),
        };
        vec![
            s.name.clone(),
            time(s.min_time_ms.unwrap_or(i64::MAX)),
            time(s.max_time_ms.unwrap_or(i64::MIN)),
            s.records.to_string(),
            s.series.to_string(),
            samples.to_string(),
            s.exemplars.to_string(),
            s.bytes.to_string(),
            ratio(s.bytes, samples),
            damage,
        ]
    };
    let mut text = table(&header, &segments.iter().map(row).collect::<Vec<_>>());
    for s in segments {
        for (offset, bytes) in &s.damage {
            let _ = writeln!(text, "{}: {bytes} damaged bytes at {offset}", s.name);
        }
    }
    text
}

/// What opening the directory gives.
pub(super) fn head(args: &DirArgs) -> anyhow::Result<bool> {
    open(&args.dir)?;
    let db = Db::open_read_only(&args.dir, Options::default())?;
    let s = db.stats();
    let none = |ms: i64| (ms != i64::MAX && ms != i64::MIN).then_some(ms);
    let families = db.metadata().len() as u64;
    print(
        args.format,
        || {
            json!({
                "series": s.head_series,
                "chunks": s.head_chunks,
                "chunkBytes": s.head_chunks_bytes,
                "indexBytes": s.index_bytes,
                "minTimeMs": none(s.head_min_time_ms),
                "maxTimeMs": none(s.max_time_ms),
                "cutUntilMs": none(s.cut_until_ms),
                "lateSamples": s.late_samples,
                "exemplars": s.exemplars_in_storage,
                "metricFamilies": families,
                "tombstones": s.tombstones,
                "tombstonesDamaged": s.tombstones_damaged,
                "walSegments": s.wal_segments,
                "walBytes": s.wal_bytes,
                "walCorruptions": s.wal_corruptions,
                "blocks": s.blocks_loaded,
                "blockBytes": s.block_bytes,
                "blockSamples": s.block_samples,
                "blocksQuarantined": s.blocks_quarantined,
                "replaySeconds": s.replay_seconds,
                "cleanStart": s.clean_start,
            })
        },
        || {
            let rows = [
                ("series", s.head_series.to_string()),
                ("chunks", s.head_chunks.to_string()),
                ("bytes of chunks", size(s.head_chunks_bytes)),
                ("bytes of the index", size(s.index_bytes)),
                ("oldest sample", time(s.head_min_time_ms)),
                ("newest sample", time(s.max_time_ms)),
                ("in blocks until", time(s.cut_until_ms)),
                ("late samples", s.late_samples.to_string()),
                ("exemplars", s.exemplars_in_storage.to_string()),
                ("metric families", families.to_string()),
                ("deletions", s.tombstones.to_string()),
                ("log segments", s.wal_segments.to_string()),
                ("bytes of the log", size(s.wal_bytes)),
                ("damaged places in the log", s.wal_corruptions.to_string()),
                ("blocks", s.blocks_loaded.to_string()),
                ("damaged blocks", s.blocks_quarantined.to_string()),
                (
                    "seconds to read the log",
                    format!("{:.3}", s.replay_seconds),
                ),
                (
                    "closed properly",
                    if s.clean_start { "yes" } else { "no" }.into(),
                ),
            ];
            let rows = rows.map(|(name, value)| vec![name.to_string(), value]);
            table(&["HEAD", ""], &rows)
        },
    )?;
    Ok(s.wal_corruptions == 0 && s.blocks_quarantined == 0 && s.tombstones_damaged == 0)
}
