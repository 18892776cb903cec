//! What became of pushed samples, and the text that tells the client.

use std::fmt::Write as _;

use tsdb_model::AppendError;

/// Refusals that an answer names; the rest is counted.
const MAX_LINES: usize = 20;

/// Longest line, in bytes.
const MAX_LINE_BYTES: usize = 1000;

/// Why samples were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    InvalidLabels,
    InvalidHistogram,
    OutOfOrder,
    OutOfBounds,
    TooOld,
    Duplicate,
    SeriesLimit,
    MemoryLimit,
    /// A line of an import that cannot be read.
    Malformed,
    /// The client's token is not good for the series.
    NotAllowed,
    Other,
}

impl Reason {
    pub(crate) const ALL: [Self; 11] = [
        Self::InvalidLabels,
        Self::InvalidHistogram,
        Self::OutOfOrder,
        Self::OutOfBounds,
        Self::TooOld,
        Self::Duplicate,
        Self::SeriesLimit,
        Self::MemoryLimit,
        Self::Malformed,
        Self::NotAllowed,
        Self::Other,
    ];

    /// Its name in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidLabels => "invalid_labels",
            Self::InvalidHistogram => "invalid_histogram",
            Self::OutOfOrder => "out_of_order",
            Self::OutOfBounds => "out_of_bounds",
            Self::TooOld => "too_old",
            Self::Duplicate => "duplicate",
            Self::SeriesLimit => "series_limit",
            Self::MemoryLimit => "memory_limit",
            Self::Malformed => "malformed",
            Self::NotAllowed => "not_allowed",
            Self::Other => "other",
        }
    }

    pub(crate) fn of(error: &AppendError) -> Self {
        match error {
            AppendError::OutOfOrder => Self::OutOfOrder,
            AppendError::OutOfBounds => Self::OutOfBounds,
            AppendError::TooOld => Self::TooOld,
            AppendError::Duplicate { .. } => Self::Duplicate,
            AppendError::NoLabels => Self::InvalidLabels,
            AppendError::SeriesLimit { .. } => Self::SeriesLimit,
            AppendError::MemoryLimit { .. } => Self::MemoryLimit,
            AppendError::InvalidHistogram => Self::InvalidHistogram,
            _ => Self::Other,
        }
    }
}

/// Refused samples: counted by reason, the first ones named.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    lines: Vec<String>,
    counts: [u64; Reason::ALL.len()],
    /// Things refused: samples, and series without samples.
    told: u64,
}

impl Refusals {
    pub(crate) fn add(&mut self, reason: Reason, samples: u64, line: impl FnOnce() -> String) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count += samples;
        }
        self.told += 1;
        if self.wants_lines() {
            let mut line = line();
            if line.len() > MAX_LINE_BYTES {
                line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
                line.push_str("...");
            }
            self.lines.push(line);
        }
    }

    /// Adds what was refused later.
    fn append(&mut self, later: Self) {
        let room = MAX_LINES.saturating_sub(self.lines.len());
        self.lines.extend(later.lines.into_iter().take(room));
        for (count, n) in self.counts.iter_mut().zip(later.counts) {
            *count += n;
        }
        self.told += later.told;
    }

    pub(crate) fn wants_lines(&self) -> bool {
        self.lines.len() < MAX_LINES
    }

    /// True when something was refused that may be taken later: the sender should hold back.
    pub(crate) fn may_succeed_later(&self) -> bool {
        [Reason::SeriesLimit, Reason::MemoryLimit]
            .into_iter()
            .any(|reason| self.counts.get(reason as usize).is_some_and(|n| *n > 0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told == 0
    }

    /// Samples, in the order of [`Reason::ALL`].
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// One line for each of the first refusals, and one that counts the rest.
    pub(crate) fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        let more = self.told - self.lines.len() as u64;
        if more > 0 {
            let _ = write!(text, "\n{more} more refused");
        }
        text
    }
}

/// What became of a request.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Float samples now stored, repetitions included.
    pub(crate) samples: u64,
    /// The same for histograms.
    pub(crate) histograms: u64,
    /// Exemplars taken.
    pub(crate) exemplars: u64,
    pub(crate) exemplars_refused: u64,
    /// Samples whose metric came without metadata.
    pub(crate) without_metadata: u64,
    pub(crate) refusals: Refusals,
    /// Some samples were lost on the way; sending the request again will store them.
    pub(crate) retry: bool,
}

impl Outcome {
    /// Adds what became of the next part.
    pub(crate) fn add(&mut self, next: Self) {
        self.samples += next.samples;
        self.histograms += next.histograms;
        self.exemplars += next.exemplars;
        self.exemplars_refused += next.exemplars_refused;
        self.without_metadata += next.without_metadata;
        self.refusals.append(next.refusals);
        self.retry |= next.retry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusals_are_named_and_all_counted() {
        let mut refusals = Refusals::default();
        assert!(refusals.is_empty());
        for i in 0..25 {
            refusals.add(Reason::OutOfOrder, 1, || format!("line {i}"));
        }
        refusals.add(Reason::InvalidLabels, 7, || panic!("no line is wanted"));
        let text = refusals.text();
        assert_eq!(text.lines().count(), 21);
        assert!(text.starts_with("line 0\nline 1\n"), "{text}");
        assert!(text.ends_with("line 19\n6 more refused"), "{text}");
        assert_eq!(refusals.counts()[Reason::OutOfOrder as usize], 25);
        assert_eq!(refusals.counts()[Reason::InvalidLabels as usize], 7);
        let mut long = Refusals::default();
        long.add(Reason::Other, 1, || "ü".repeat(1000));
        assert!(long.text().len() <= 1003);
    }

    #[test]
    fn reasons_stand_in_the_order_of_their_numbers() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }
}
