//! `resets` and `changes`: one window at a time.

use tsdb_model::FloatHistogram;

use super::window::{Window, start_time_resets};

/// One sample of a walk through floats and histograms together.
#[derive(Clone, Copy)]
struct Point<'a> {
    time: i64,
    start_time: i64,
    float: f64,
    histogram: Option<&'a FloatHistogram>,
}

/// All samples in order of time.
fn points<'a>(w: &Window<'a>) -> impl Iterator<Item = Point<'a>> {
    let w = *w;
    let (mut f, mut h) = (0, 0);
    std::iter::from_fn(move || {
        let float_time = w.times.get(f).copied();
        let histogram = w.histograms.get(h);
        let float_first = match (float_time, histogram) {
            (None, None) => return None,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(t), Some(h)) => t < h.timestamp_ms,
        };
        if float_first {
            f += 1;
            return Some(Point {
                time: w.times[f - 1],
                start_time: w.start_time(f - 1),
                float: w.values[f - 1],
                histogram: None,
            });
        }
        h += 1;
        Some(Point {
            time: w.histograms[h - 1].timestamp_ms,
            start_time: w.histogram_start_time(h - 1),
            float: 0.0,
            histogram: Some(&w.histograms[h - 1].histogram),
        })
    })
}

/// Of an anchored selector only the last sample at or before the start of the range counts, and
/// those behind it; `None` when there are none behind it.
fn anchored_part<'a>(w: &Window<'a>) -> Option<Window<'a>> {
    let floats_before = w.times.partition_point(|t| *t <= w.range_start);
    let histograms_before = w
        .histograms
        .partition_point(|h| h.timestamp_ms <= w.range_start);
    if floats_before == w.times.len() && histograms_before == w.histograms.len() {
        return None;
    }
    let (mut float, mut histogram) = (floats_before, histograms_before);
    match (
        floats_before.checked_sub(1),
        histograms_before.checked_sub(1),
    ) {
        (None, None) => {}
        (Some(f), None) => float = f,
        (Some(f), Some(h)) if w.times[f] >= w.histograms[h].timestamp_ms => float = f,
        (_, Some(h)) => histogram = h,
    }
    Some(Window {
        times: &w.times[float..],
        values: &w.values[float..],
        start_times: w.start_times.get(float..).unwrap_or(&[]),
        histograms: &w.histograms[histogram..],
        ..*w
    })
}

/// Counts the pairs of neighbours for which `differ` holds.
fn count_pairs(
    w: &Window<'_>,
    anchored: bool,
    differ: impl Fn(&Point<'_>, &Point<'_>) -> bool,
) -> Option<f64> {
    let part = if anchored { anchored_part(w)? } else { *w };
    let mut points = points(&part);
    let mut before = points.next()?;
    let mut count = 0_u64;
    for now in points {
        count += u64::from(differ(&before, &now));
        before = now;
    }
    Some(count as f64)
}

/// `resets`: falls of the value; a change between float and histogram is one, too.
pub(crate) fn resets(w: &Window<'_>, anchored: bool) -> Option<f64> {
    count_pairs(w, anchored, |before, now| {
        let restarted =
            || start_time_resets(before.start_time, before.time, now.start_time, now.time);
        match (before.histogram, now.histogram) {
            (None, None) => now.float < before.float || restarted(),
            (Some(a), Some(b)) => restarted() || b.detect_reset(a),
            _ => true,
        }
    })
}

/// `changes`: samples that differ from the one before them. From NaN to NaN is no change.
pub(crate) fn changes(w: &Window<'_>, anchored: bool) -> Option<f64> {
    count_pairs(w, anchored, |before, now| {
        match (before.histogram, now.histogram) {
            (None, None) => {
                now.float != before.float && !(now.float.is_nan() && before.float.is_nan())
            }
            (Some(a), Some(b)) => !b.same_data(a),
            _ => true,
        }
    })
}
