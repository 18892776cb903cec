//! `tsdb inspect cardinality`.

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use tsdb::inspect::Usage;
use tsdb::{Db, Options};

use super::table::{ratio, size, table};
use super::{CardinalityArgs, open, print};
use crate::progress::Progress;

/// Counts.
pub(super) fn run(args: &CardinalityArgs) -> anyhow::Result<bool> {
    let selector = args.selector.as_deref();
    let matchers = selector
        .map(|text| tsdb_promql::parse_selector(text).map_err(|e| anyhow::anyhow!("{e}")))
        .transpose()
        .context("--match")?
        .unwrap_or_default();
    open(&args.dir.dir)?;
    let db = Db::open_read_only(&args.dir.dir, Options::default())?;
    let mut bar = Progress::new("series counted");
    let usage = db.usage(&matchers, args.limit, &mut |done, all| {
        bar.show_bytes(done, all);
    })?;
    bar.finish();
    print(args.dir.format, || as_json(&usage), || as_text(&usage))?;
    Ok(true)
}

fn as_json(usage: &Usage) -> Json {
    let metrics = usage.metrics.iter().map(
        |m| json!({"name": m.name, "series": m.series, "samples": m.samples, "bytes": m.bytes}),
    );
    let labels = usage.labels.iter();
    let labels = labels.map(|l| json!({"name": l.name, "values": l.values, "series": l.series}));
    let pairs = usage.pairs.iter();
    let pairs = pairs.map(|p| json!({"name": p.name, "value": p.value, "series": p.series}));
    let targets = usage.targets.iter().map(|t| {
        json!({
            "job": t.job, "instance": t.instance, "series": t.series, "samples": t.samples
        })
    });
    json!({
        "series": usage.series,
        "labelPairs": usage.label_pairs,
        "samples": usage.samples,
        "sampleBytes": usage.sample_bytes,
        "blockBytes": usage.block_bytes,
        "metrics": metrics.collect::<Vec<_>>(),
        "labels": labels.collect::<Vec<_>>(),
        "pairs": pairs.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn as_text(usage: &Usage) -> String {
    let mut text = format!(
        "{} series, {} label pairs; in blocks {} samples, {} of {}\n\n",
        usage.series,
        usage.label_pairs,
        usage.samples,
        size(usage.sample_bytes),
        size(usage.block_bytes)
    );
    let metrics = usage.metrics.iter().map(|m| {
        vec![
            m.name.clone(),
            m.series.to_string(),
            m.samples.to_string(),
            m.bytes.to_string(),
            ratio(m.bytes, m.samples),
        ]
    });
    let header = ["METRIC", "SERIES", "SAMPLES", "BYTES", "B/SAMPLE"];
    text += &table(&header, &metrics.collect::<Vec<_>>());
    let labels = usage.labels.iter();
    let labels = labels.map(|l| vec![l.name.clone(), l.values.to_string(), l.series.to_string()]);
    text.push('\n');
    text += &table(&["LABEL", "VALUES", "SERIES"], &labels.collect::<Vec<_>>());
    let pairs = usage.pairs.iter();
    let pairs = pairs.map(|p| vec![format!("{}={:?}", p.name, p.value), p.series.to_string()]);
    text.push('\n');
    text += &table(&["PAIR", "SERIES"], &pairs.collect::<Vec<_>>());
    let targets = usage.targets.iter().map(|t| {
        vec![
            t.job.clone(),
            t.instance.clone(),
            t.series.to_string(),
            t.samples.to_string(),
        ]
    });
    text.push('\n');
    let header = ["JOB", "INSTANCE", "SERIES", "SAMPLES"];
    text += &table(&header, &targets.collect::<Vec<_>>());
    text
}
