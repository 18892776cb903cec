//! `load`: samples for the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use tsdb_model::{FloatHistogram, HistogramValue, Labels};

use super::parse::{LineError, Lines, duration, split_word};
use super::{ScriptStore, nhcb, start_times};
use crate::series_description::{SequenceValue, parse_series_description};

/// A `load` block.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) line: usize,
    step_ms: i64,
    with_nhcb: bool,
    series: BTreeMap<Labels, LoadSeries>,
}

#[derive(Debug, Clone)]
struct LoadSeries {
    values: Vec<SequenceValue>,
    /// Start timestamps, relative to the samples' own; empty when none are given.
    start_offsets: Vec<Option<i64>>,
}

/// A float or a histogram at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LoadValue {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Load {
    pub(super) fn parse(
        number: usize,
        line: &str,
        lines: &mut Lines<'_>,
    ) -> Result<Self, LineError> {
        let here = |message: String| (number, message);
        let (command, step) = split_word(line);
        let with_nhcb = match command.to_lowercase().as_str() {
            "load" => false,
            "load_with_nhcb" => true,
            _ => return Err(here(format!("unknown command {command:?}"))),
        };
        if step.is_empty() {
            return Err(here("load needs an interval".into()));
        }
        let step_ms = duration(step).map_err(|e| here(format!("invalid interval: {e}")))?;
        let mut load = Self {
            line: number,
            step_ms,
            with_nhcb,
            series: BTreeMap::new(),
        };
        let mut start_times: Option<(usize, Labels, Vec<Option<i64>>)> = None;
        while let Some((number, line)) = lines.next_in_block() {
            let here = |message: String| (number, message);
            if let Some((metric, items)) = start_times::split(line) {
                if start_times.is_some() {
                    return Err(here("an @st line must stand before its series".into()));
                }
                let (labels, offsets) = start_times::parse(metric, items).map_err(here)?;
                start_times = Some((number, labels, offsets));
                continue;
            }
            let (labels, values) = parse_series_description(line).map_err(|e| here(e.message))?;
            let start_offsets = match start_times.take() {
                Some((_, st_labels, _)) if st_labels != labels => {
                    return Err(here(format!("the @st line before is for {st_labels}")));
                }
                Some((_, _, offsets)) if offsets.len() != values.len() => {
                    let (have, want) = (offsets.len(), values.len());
                    return Err(here(format!("{have} start timestamps for {want} samples")));
                }
                Some((_, _, offsets)) => offsets,
                None => Vec::new(),
            };
            load.series.insert(
                labels,
                LoadSeries {
                    values,
                    start_offsets,
                },
            );
        }
        match start_times {
            Some((number, ..)) => Err((number, "no series follows this @st line".into())),
            None => Ok(load),
        }
    }

    /// Appends everything in one transaction.
    pub(super) fn run(&self, store: &dyn ScriptStore) -> Result<(), String> {
        let converted = if self.with_nhcb {
            self.convert()?
        } else {
            BTreeMap::new()
        };
        let mut appender = store.appender();
        for (labels, series) in &self.series {
            let about = |e| format!("{labels}: {e}");
            let handle = appender.series(labels).map_err(about)?;
            // Start timestamps hold until the next one is given, so the first sample says that
            // there is none.
            let mut stated = None;
            for (i, (t_ms, value)) in self.samples(series) {
                let offset = series.start_offsets.get(i).copied().flatten();
                let start = offset.map_or(0, |offset| t_ms.saturating_add(offset));
                if stated != Some(start) {
                    appender
                        .append_start_timestamp(handle, start)
                        .map_err(about)?;
                    stated = Some(start);
                }
                match value {
                    LoadValue::Float(v) => appender.append(handle, t_ms, v),
                    LoadValue::Histogram(h) => {
                        appender.append_histogram(handle, t_ms, HistogramValue::Float(h))
                    }
                }
                .map_err(|e| format!("{labels} at {t_ms} ms: {e}"))?;
            }
        }
        for (labels, histograms) in converted {
            let handle = appender
                .series(&labels)
                .map_err(|e| format!("{labels}: {e}"))?;
            for (t_ms, h) in histograms {
                appender
                    .append_histogram(handle, t_ms, HistogramValue::Float(Arc::new(h)))
                    .map_err(|e| format!("{labels} at {t_ms} ms: {e}"))?;
            }
        }
        let report = appender.commit().map_err(|e| e.to_string())?;
        match report.rejected.first() {
            Some(r) => Err(format!(
                "the sample at {} ms was refused: {}",
                r.timestamp_ms, r.error
            )),
            None => Ok(()),
        }
    }

    /// Samples of a series with their position.
    fn samples<'a>(
        &'a self,
        series: &'a LoadSeries,
    ) -> impl Iterator<Item = (usize, (i64, LoadValue))> + 'a {
        series
            .values
            .iter()
            .enumerate()
            .filter(|(_, v)| !v.omitted)
            .map(|(i, v)| {
                let t_ms = self.step_ms.saturating_mul(i as i64);
                let value = match &v.histogram {
                    Some(h) => LoadValue::Histogram(Arc::new(h.clone())),
                    None => LoadValue::Float(v.value),
                };
                (i, (t_ms, value))
            })
    }

    fn convert(&self) -> Result<BTreeMap<Labels, BTreeMap<i64, FloatHistogram>>, String> {
        let mut classic = nhcb::Classic::default();
        for (labels, series) in &self.series {
            for (_, (t_ms, value)) in self.samples(series) {
                if let LoadValue::Float(v) = value {
                    classic.add(labels, t_ms, v);
                }
            }
        }
        classic.convert()
    }
}
