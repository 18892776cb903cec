//! Series that several selectors find, each once, in the order of their labels.

use tsdb_model::{Labels, Matcher, Querier, SelectHints, SeriesData, SeriesSet, StorageError};

/// Found series.
pub(crate) struct Selected<'q> {
    sets: Vec<Box<dyn SeriesSet + 'q>>,
    /// Labels, and where the series is: which set, which place in it.
    series: Vec<(Labels, usize, usize)>,
}

impl<'q> Selected<'q> {
    /// Selects `start_ms..=end_ms`.
    pub(crate) fn new(
        querier: &'q dyn Querier,
        (start_ms, end_ms): (i64, i64),
        selectors: &[Vec<Matcher>],
    ) -> Result<Self, StorageError> {
        let hints = SelectHints {
            start_ms,
            end_ms,
            step_ms: 0,
            range_ms: 0,
            limit: 0,
            labels_only: false,
        };
        let mut sets = Vec::with_capacity(selectors.len());
        let mut series = Vec::new();
        for matchers in selectors {
            let set = querier.select(&hints, matchers)?;
            series.extend((0..set.len()).map(|i| (set.labels(i), sets.len(), i)));
            sets.push(set);
        }
        series.sort_unstable();
        series.dedup_by(|a, b| a.0 == b.0);
        Ok(Self { sets, series })
    }

    /// Puts the series of one metric next to each other.
    pub(crate) fn sort_by_metric(&mut self) {
        self.series
            .sort_by(|a, b| a.0.metric_name().cmp(b.0.metric_name()));
    }

    /// Adds labels where a series does not have them, and sorts anew.
    pub(crate) fn add_labels<'l>(
        &mut self,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
    ) {
        if labels.clone().next().is_none() {
            return;
        }
        for (own, _, _) in &mut self.series {
            let mut builder = own.to_builder();
            for (name, value) in labels.clone() {
                if own.get(name).is_none() {
                    builder.set(name, value);
                }
            }
            *own = builder.build();
        }
        self.series.sort_unstable();
    }

    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Labels of the series at `place`.
    pub(crate) fn labels(&self, place: usize) -> Labels {
        let series = self.series.get(place);
        series.map(|s| s.0.clone()).unwrap_or_default()
    }

    /// Samples of the series at `place`.
    pub(crate) fn read(&self, place: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let found = self.series.get(place);
        match found.and_then(|(_, set, i)| Some((self.sets.get(*set)?, *i))) {
            Some((set, i)) => set.read(i, data),
            None => Ok(()),
        }
    }
}
