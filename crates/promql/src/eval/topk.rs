//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;
use std::sync::Arc;

use tsdb_model::float::write_float_general;
use tsdb_model::{FloatHistogram, Labels};

use super::aggregate::Extent;
use super::column::{Cell, Grid, Scalar, Series};
use super::grouping::Grouping;
use super::{Evaluator, Frame};
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::notes::Note;
use crate::plan::AggregatePlan;

/// A picked sample.
#[derive(Debug, Clone)]
struct Entry {
    value: f64, // 0 for a histogram
    histogram: Option<Arc<FloatHistogram>>,
    series: usize,
}

/// Order of a heap: true when `a` belongs nearer to the top than `b`. NaN does so before all else.
type Before = fn(f64, f64) -> bool;

fn lower(a: f64, b: f64) -> bool {
    a.is_nan() || a < b
}

fn higher(a: f64, b: f64) -> bool {
    a.is_nan() || a > b
}

/// A binary heap that keeps elements where Go's `container/heap` has them: the order in which
/// instant queries answer them depends on it.
#[derive(Debug, Clone, Default)]
struct Heap(Vec<Entry>);

impl Heap {
    fn push(&mut self, entry: Entry, before: Before) {
        self.0.push(entry);
        let mut child = self.0.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !before(self.0[child].value, self.0[parent].value) {
                break;
            }
            self.0.swap(child, parent);
            child = parent;
        }
    }

    /// Puts an entry in the place of the top one.
    fn replace_top(&mut self, entry: Entry, before: Before) {
        self.0[0] = entry;
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= self.0.len() {
                return;
            }
            let right = left + 1;
            let mut child = left;
            if right < self.0.len() && before(self.0[right].value, self.0[left].value) {
                child = right;
            }
            if !before(self.0[child].value, self.0[parent].value) {
                return;
            }
            self.0.swap(parent, child);
            parent = child;
        }
    }
}

/// Longest list that is sorted by insertion, as Go does.
const INSERTION: usize = 12;

/// Sorts as Go's `sort.Sort` does for short lists; `compare` tells what is to come first.
pub(super) fn insertion_order<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.len() > INSERTION {
        items.sort_by(compare);
        return;
    }
    for i in 1..items.len() {
        let mut j = i;
        while j > 0 && compare(&items[j], &items[j - 1]).is_lt() {
            items.swap(j, j - 1);
            j -= 1;
        }
    }
}

/// Order of two values with NaN at the end.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    }
}

/// What is picked at one step.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Nothing,
    Some(usize),
    Ratio(f64),
}

impl<'q> Evaluator<'q> {
    /// Value of an aggregation that picks series.
    pub(super) fn pick_series(
        &self,
        plan: &AggregatePlan,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let (param, param_span) = self.parameter(plan, grid)?;
        let wanted = self.wanted(plan.op, &param, param_span, grid);
        let Ok(Some(picks)) = wanted else {
            // Warnings and errors of the vector are due all the same, and come first.
            self.each_series(&plan.expr, grid, |_| Ok(()))?;
            return wanted.map(|_| self.empty());
        };
        let mut picking = Picking {
            op: plan.op,
            picks,
            grid,
            grouping: Grouping::new(&plan.grouping, plan.without),
            groups: Vec::new(),
            series: Vec::new(),
            ignored_histograms: false,
        };
        let mut charge = self.limits.charge();
        self.each_series(&plan.expr, grid, |series| charge.add(picking.add(series)))?;
        if picking.ignored_histograms {
            let aggregation = plan.op.as_str();
            self.note(&Note::HistogramIgnored { aggregation }, span);
        }
        let series = picking.finish();
        self.frame(series)
    }

    /// What is picked at each step; `None` when nothing is at any.
    fn wanted(
        &self,
        op: AggregateOp,
        param: &Scalar,
        span: Span,
        grid: Grid,
    ) -> Result<Option<Vec<Wanted>>, QueryError> {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
        let extent = Extent::new(param, grid);
        let steps = (0..grid.steps).map(|step| param.get(step));
        if op == AggregateOp::LimitRatio {
            if extent.max == 0.0 && extent.min == 0.0 {
                return Ok(None);
            }
            if extent.has_nan {
                return Err(QueryError::Execution("Ratio value is NaN".into()));
            }
            if extent.max > 1.0 {
                self.note(&Note::RatioOutOfRange(extent.max, 1.0), span);
            }
            if extent.min < -1.0 {
                self.note(&Note::RatioOutOfRange(extent.min, -1.0), span);
            }
            let wanted = |ratio: f64| match ratio {
                0.0 => Wanted::Nothing,
                ratio => Wanted::Ratio(ratio.clamp(-1.0, 1.0)),
            };
            return Ok(Some(steps.map(wanted).collect()));
        }
        if extent.max < 1.0 {
            return Ok(None);
        }
        if extent.has_nan {
            return Err(QueryError::Execution("Parameter value is NaN".into()));
        }
        let out_of_range = |value: f64, how: &str| {
            let mut text = "Scalar value ".to_string();
            write_float_general(&mut text, value);
            QueryError::Execution(format!("{text} {how} int64"))
        };
        if extent.min <= -LIMIT {
            return Err(out_of_range(extent.min, "underflows"));
        }
        if extent.max >= LIMIT {
            return Err(out_of_range(extent.max, "overflows"));
        }
        let wanted = |k: f64| {
            if k < 1.0 {
                Wanted::Nothing
            } else {
                Wanted::Some(k as usize)
            }
        };
        Ok(Some(steps.map(wanted).collect()))
    }
}

/// A picking under way.
struct Picking<'a> {
    op: AggregateOp,
    picks: Vec<Wanted>, // by step
    grid: Grid,
    grouping: Grouping<'a>,
    /// By group and step.
    groups: Vec<Vec<Heap>>,
    /// Labels and mark of all series so far.
    series: Vec<(Labels, bool)>,
    ignored_histograms: bool,
}

impl Picking<'_> {
    /// Takes a series in and answers how many more samples are held.
    fn add(&mut self, series: &Series) -> usize {
        let group = self.grouping.group(&series.labels);
        if group == self.groups.len() {
            self.groups.push(vec![Heap::default(); self.grid.steps]);
        }
        let place = self.series.len();
        self.series.push((series.labels.clone(), series.drop_name));
        let heaps = &mut self.groups[group];
        let offset = match self.op {
            AggregateOp::LimitRatio => series.labels.stable_hash() as f64 / u64::MAX as f64,
            _ => 0.0,
        };
        let ranked = matches!(self.op, AggregateOp::Topk | AggregateOp::Bottomk);
        let before: Before = match self.op {
            AggregateOp::Bottomk => higher,
            _ => lower,
        };
        let mut added = 0;
        for (step, value) in series.floats.iter() {
            let entry = Entry {
                value,
                histogram: None,
                series: place,
            };
            let heap = &mut heaps[step];
            match self.picks[step] {
                Wanted::Nothing => {}
                Wanted::Ratio(ratio) => {
                    if picked_by_ratio(ratio, offset) {
                        heap.push(entry, before);
                        added += 1;
                    }
                }
                Wanted::Some(k) if heap.0.len() < k => {
                    heap.push(entry, before);
                    added += 1;
                }
                Wanted::Some(_) if ranked => {
                    let top = heap.0[0].value;
                    // The top is the worst: it gives way to what is better.
                    if (before(top, value) && !top.is_nan()) || (top.is_nan() && !value.is_nan()) {
                        heap.replace_top(entry, before);
                    }
                }
                Wanted::Some(_) => {}
            }
        }
        for (step, h) in &series.histograms {
            let wanted = match self.picks[*step] {
                Wanted::Nothing => continue,
                Wanted::Ratio(ratio) => picked_by_ratio(ratio, offset),
                Wanted::Some(_) if ranked => {
                    self.ignored_histograms = true;
                    false
                }
                Wanted::Some(k) => heaps[*step].0.len() < k,
            };
            if wanted {
                let entry = Entry {
                    value: 0.0,
                    histogram: Some(h.clone()),
                    series: place,
                };
                heaps[*step].push(entry, before);
                added += 1;
            }
        }
        added
    }

    fn finish(self) -> Vec<Series> {
        let series = |place: usize| {
            let (labels, drop_name) = &self.series[place];
            Series::new(labels.clone(), *drop_name)
        };
        let cell = |entry: Entry| match entry.histogram {
            Some(h) => Cell::Histogram(h),
            None => Cell::Float(entry.value),
        };
        if self.grid.steps == 1 {
            let mut out = Vec::new();
            for mut heap in self.groups.into_iter().flatten() {
                match self.op {
                    AggregateOp::Topk => {
                        insertion_order(&mut heap.0, |a, b| nan_last(a.value, b.value, true));
                    }
                    AggregateOp::Bottomk => {
                        insertion_order(&mut heap.0, |a, b| nan_last(a.value, b.value, false));
                    }
                    _ => {}
                }
                for entry in heap.0 {
                    let mut series = series(entry.series);
                    series.push(0, cell(entry));
                    out.push(series);
                }
            }
            return out;
        }
        let mut all: Vec<(usize, usize, Entry)> = Vec::new();
        for heaps in self.groups {
            for (step, heap) in heaps.into_iter().enumerate() {
                all.extend(heap.0.into_iter().map(|e| (e.series, step, e)));
            }
        }
        all.sort_by_key(|(series, step, _)| (*series, *step));
        let mut out: Vec<Series> = Vec::new();
        let mut last = None;
        for (place, step, entry) in all {
            if last != Some(place) {
                last = Some(place);
                out.push(series(place));
            }
            if let Some(series) = out.last_mut() {
                series.push(step, cell(entry));
            }
        }
        out
    }
}

/// `limit_ratio` picks series whose labels hash below the ratio, or, when it is negative, the
/// others.
fn picked_by_ratio(ratio: f64, offset: f64) -> bool {
    if ratio >= 0.0 {
        offset < ratio
    } else {
        offset >= 1.0 + ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(heap: &Heap) -> Vec<f64> {
        heap.0.iter().map(|e| e.value).collect()
    }

    fn entry(value: f64) -> Entry {
        Entry {
            value,
            histogram: None,
            series: 0,
        }
    }

    #[test]
    fn heaps() {
        let mut heap = Heap::default();
        for v in [5.0, 3.0, 4.0, 1.0] {
            heap.push(entry(v), lower);
        }
        assert_eq!(entries(&heap), [1.0, 3.0, 4.0, 5.0]);
        heap.replace_top(entry(6.0), lower);
        assert_eq!(entries(&heap), [3.0, 5.0, 4.0, 6.0]);
        heap.push(entry(f64::NAN), lower);
        assert!(heap.0[0].value.is_nan());
    }

    #[test]
    fn nan_comes_last() {
        let mut values = [2.0, f64::NAN, 1.0, 3.0];
        insertion_order(&mut values, |a, b| nan_last(*a, *b, false));
        assert_eq!(values[..3], [1.0, 2.0, 3.0]);
        insertion_order(&mut values, |a, b| nan_last(*a, *b, true));
        assert_eq!(values[..3], [3.0, 2.0, 1.0]);
        assert!(values[3].is_nan());
    }

    #[test]
    fn complementary_ratios() {
        for offset in [0.0, 0.2, 0.3, 0.999] {
            assert!(picked_by_ratio(0.25, offset) != picked_by_ratio(-0.75, offset));
        }
    }
}
