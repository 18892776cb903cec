//! What range functions see: the samples of one series in one window, and what they have to say
//! about them.

use tsdb_model::HistogramSample;

/// The samples of one series in one window, staleness markers left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Times of `values`, milliseconds.
    pub(crate) times: &'a [i64],
    /// Floats.
    pub(crate) values: &'a [f64],
    /// Start timestamps of `values`, milliseconds, 0 when unknown; empty when they do not matter.
    pub(crate) start_times: &'a [i64],
    /// Native histograms.
    pub(crate) histograms: &'a [HistogramSample],
    /// Start timestamps of histograms matter.
    pub(crate) use_start_times: bool,
    /// Time of the step, milliseconds.
    pub(crate) time: i64,
    /// Start of the range, exclusive, milliseconds. Samples may lie before it, and after
    /// `range_end`, when the selector is anchored or smoothed.
    pub(crate) range_start: i64,
    /// End of the range, inclusive, milliseconds.
    pub(crate) range_end: i64,
}

impl Window<'_> {
    /// Start timestamp of a float; 0 when unknown.
    pub(crate) fn start_time(&self, i: usize) -> i64 {
        self.start_times.get(i).copied().unwrap_or(0)
    }

    /// Start timestamp of a histogram; 0 when unknown.
    pub(crate) fn histogram_start_time(&self, i: usize) -> i64 {
        if self.use_start_times {
            self.histograms.get(i).map_or(0, |h| h.start_timestamp_ms)
        } else {
            0
        }
    }

    /// True when there are floats and histograms.
    pub(crate) fn is_mixed(&self) -> bool {
        !self.values.is_empty() && !self.histograms.is_empty()
    }
}

/// What is to be said about the windows of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WindowNotes {
    /// Floats and histograms do not go together.
    pub(crate) mixed_types: bool,
    /// Gauge histograms where counters are wanted.
    pub(crate) not_counter: bool,
    /// Counter histograms where gauges are wanted.
    pub(crate) not_gauge: bool,
    /// Exponential and custom buckets do not go together.
    pub(crate) mixed_schemas: bool,
    /// Custom bounds reconciled in a sum of two.
    pub(crate) reconciled_addition: bool,
    /// Custom bounds reconciled in a difference.
    pub(crate) reconciled_subtraction: bool,
    /// Custom bounds reconciled in a sum of many.
    pub(crate) reconciled_aggregation: bool,
    /// Counter resets contradict each other.
    pub(crate) reset_collision: bool,
    /// Histograms were left out.
    pub(crate) ignored_histograms: bool,
    /// Samples that start before the sample before them, counted once per window.
    pub(crate) start_time_overlaps: u64,
}

/// True when the start timestamp says that the counter began anew between two samples.
///
/// A start that equals the time of the previous sample marks deltas, but also counters whose start
/// is unknown; the start of the previous sample tells which.
pub(crate) fn start_time_resets(
    previous_start: i64,
    previous_time: i64,
    start: i64,
    time: i64,
) -> bool {
    if start == 0 || start >= time || start < previous_time {
        return false;
    }
    if start > previous_time {
        return true;
    }
    previous_start != 0 && previous_start < previous_time
}

/// True when a sample claims to start before the previous sample without sharing its start.
pub(crate) fn start_time_overlaps(previous_start: i64, previous_time: i64, start: i64) -> bool {
    start != 0 && start < previous_time && start != previous_start
}
