//! Classic histograms to native ones with custom buckets (`load_with_nhcb`).

use std::collections::BTreeMap;

use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tsdb_model::{FloatHistogram, Labels, METRIC_NAME, Span, format_float, parse_float};

/// Samples of classic histograms, by labels of the histogram and time.
#[derive(Debug, Default)]
pub(super) struct Classic {
    histograms: BTreeMap<Labels, BTreeMap<i64, Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    /// Upper bound and cumulative count, in order of the series' labels.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl Classic {
    /// Takes in a sample; those that belong to no classic histogram are ignored.
    pub(super) fn add(&mut self, labels: &Labels, t_ms: i64, value: f64) {
        let name = labels.metric_name();
        let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
            match labels.get("le").and_then(parse_float) {
                Some(le) if !le.is_nan() => (base, Part::Bucket(le)),
                _ => return,
            }
        } else if let Some(base) = name.strip_suffix("_count") {
            (base, Part::Count)
        } else if let Some(base) = name.strip_suffix("_sum") {
            (base, Part::Sum)
        } else {
            return;
        };
        let mut builder = labels.to_builder();
        builder.remove("le").set(METRIC_NAME, base);
        let parts = self
            .histograms
            .entry(builder.build())
            .or_default()
            .entry(t_ms)
            .or_default();
        match part {
            Part::Bucket(le) => parts.buckets.push((le, value)),
            Part::Count => parts.count = Some(value),
            Part::Sum => parts.sum = value,
        }
    }

    /// The native histograms.
    pub(super) fn convert(self) -> Result<BTreeMap<Labels, BTreeMap<i64, FloatHistogram>>, String> {
        let mut all = BTreeMap::new();
        for (labels, by_time) in self.histograms {
            let mut converted = BTreeMap::new();
            for (t_ms, parts) in by_time {
                let histogram = parts
                    .convert()
                    .map_err(|e| format!("{labels} at {t_ms} ms: {e}"))?;
                converted.insert(t_ms, histogram);
            }
            all.insert(labels, converted);
        }
        Ok(all)
    }
}

impl Parts {
    fn convert(mut self) -> Result<FloatHistogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|later, first| later.0 == first.0);
        let negative = |v: f64| v < 0.0;
        if self.count.is_some_and(negative) || self.buckets.iter().any(|b| negative(b.1)) {
            return Err("a count is negative".into());
        }
        if self.buckets.windows(2).any(|w| w[1].1 < w[0].1) {
            return Err("the buckets are not cumulative".into());
        }
        let highest = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            if count < highest {
                return Err("the buckets are not cumulative".into());
            }
            self.buckets.push((f64::INFINITY, count));
        } else if count != highest {
            let (count, highest) = (format_float(count), format_float(highest));
            return Err(format!(
                "the count is {count}, the highest bucket {highest}"
            ));
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (_, cumulative) in &self.buckets {
            counts.push(cumulative - below);
            below = *cumulative;
        }
        let length = u32::try_from(counts.len()).map_err(|e| e.to_string())?;
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length }],
            positive_buckets: counts,
            custom_values: self.buckets[..self.buckets.len() - 1]
                .iter()
                .map(|b| b.0)
                .collect(),
            ..FloatHistogram::default()
        };
        histogram.compact(0);
        histogram.validate().map_err(|e| e.to_string())?;
        Ok(histogram)
    }
}
