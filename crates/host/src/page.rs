//! The text page being built: one call per family, and a gatherer for families that are found in
//! any order.

use std::collections::BTreeMap;

use tsdb_model::MetricType;
use tsdb_wire::encode::TextWriter;

/// The exposition page. The samples of a family must follow its header without another between.
#[derive(Debug, Default)]
pub(crate) struct Page {
    writer: TextWriter,
}

impl Page {
    pub(crate) fn family(&mut self, name: &str, metric_type: MetricType, help: &str) {
        self.writer.family(name, metric_type, help);
    }

    /// One sample of the family opened last.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.writer.sample("", labels, value);
    }

    /// A gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricType::Gauge, help);
        self.sample(&[], value);
    }

    /// A counter without labels.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricType::Counter, help);
        self.sample(&[], value);
    }

    pub(crate) fn finish(self) -> String {
        self.writer.finish()
    }
}

/// Families whose samples come device by device; written grouped and sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Families {
    by_name: BTreeMap<String, Gathered>,
}

#[derive(Debug)]
struct Gathered {
    metric_type: MetricType,
    help: String,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Families {
    /// Adds one sample; the first one of a family gives its type and help.
    pub(crate) fn add(
        &mut self,
        name: &str,
        metric_type: MetricType,
        help: impl FnOnce() -> String,
        labels: &[(&'static str, &str)],
        value: f64,
    ) {
        let labels = labels.iter().map(|(k, v)| (*k, (*v).to_string())).collect();
        if let Some(family) = self.by_name.get_mut(name) {
            family.samples.push((labels, value));
            return;
        }
        let family = Gathered {
            metric_type,
            help: help(),
            samples: vec![(labels, value)],
        };
        self.by_name.insert(name.to_string(), family);
    }

    /// Writes everything gathered.
    pub(crate) fn write(&self, page: &mut Page) {
        for (name, family) in &self.by_name {
            page.family(name, family.metric_type, &family.help);
            for (labels, value) in &family.samples {
                let labels: Vec<(&str, &str)> =
                    labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
                page.sample(&labels, *value);
            }
        }
    }
}

/// `text` with every character outside `[a-zA-Z0-9_]` made `_`, so that it can be part of a name.
pub(crate) fn name_part(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}
