//! The functions `histogram_*`, of classic and native histograms.

use std::collections::HashMap;

use tsdb_model::{FloatHistogram, Labels};

use super::call::{argument, text};
use super::column::{Column, Grid, Scalar, Series};
use super::set::Presence;
use super::{Evaluated, Evaluator, Frame, unexpected};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::classic_histogram::{
    BUCKET_LABEL, ClassicBucket, ClassicHistogram, MonotonicityInfo, bucket_bound,
};
use crate::functions::native_histogram::{self as native, NanNote};
use crate::functions::quantile::quantile_label;
use crate::notes::Note;
use crate::plan::CallPlan;

/// The histograms in a vector.
struct Histograms {
    native: Vec<Series>,
    classic: Vec<Classic>,
}

/// A classic histogram: series that differ in `le` only.
struct Classic {
    /// Without `le`.
    labels: Labels,
    drop_name: bool,
    /// By upper bound.
    buckets: Vec<(f64, Column)>,
    /// Steps at which there is a native histogram, too.
    conflicts: Presence,
}

impl Classic {
    /// The histogram at a step.
    fn at(&self, step: usize) -> Option<ClassicHistogram> {
        if self.conflicts.contains(step) {
            return None;
        }
        let bucket = |(upper_bound, counts): &(f64, Column)| {
            let count = counts.get(step)?;
            Some(ClassicBucket {
                upper_bound: *upper_bound,
                count,
            })
        };
        let buckets: Vec<ClassicBucket> = self.buckets.iter().filter_map(bucket).collect();
        (!buckets.is_empty()).then(|| ClassicHistogram::new(buckets))
    }

    fn has(&self, step: usize) -> bool {
        self.buckets
            .iter()
            .any(|(_, counts)| counts.get(step).is_some())
    }
}

impl<'q> Evaluator<'q> {
    /// Value of a `histogram_*` function.
    pub(super) fn histogram_call(
        &self,
        call: &CallPlan,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let simple: fn(&FloatHistogram) -> f64 = match call.name {
            "histogram_quantile" => return self.histogram_quantile(call, grid),
            "histogram_quantiles" => return self.histogram_quantiles(call, grid),
            "histogram_fraction" => return self.histogram_fraction(call, grid),
            "histogram_count" => |h| h.count,
            "histogram_sum" => |h| h.sum,
            "histogram_avg" => native::average,
            "histogram_stdvar" => native::variance,
            "histogram_stddev" => native::deviation,
            name => return Err(unexpected(&format!("function {name}"))),
        };
        let frame = self.vector(argument(call, 0)?, grid)?;
        self.map_histograms(frame, grid, simple)
    }

    fn histogram_quantile(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let (q, arg) = (argument(call, 0)?, argument(call, 1)?);
        let (q_span, span) = (q.span, arg.span);
        let q = self.scalar(q, grid)?;
        let frame = self.vector(arg, grid)?;
        self.check_quantiles(&q, q_span, grid);
        let histograms = self.histograms(frame, span)?;
        let series = self.quantiles(&histograms, &q, span, grid)?;
        self.histogram_result(series, grid)
    }

    fn histogram_quantiles(
        &self,
        call: &CallPlan,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let arg = argument(call, 0)?;
        let label = text(call, 1)?;
        let frame = self.vector(arg, grid)?;
        let mut all = Vec::new();
        for arg in call.args.iter().skip(2) {
            let q = self.scalar(arg, grid)?;
            self.check_quantiles(&q, arg.span, grid);
            all.push(q);
        }
        let histograms = self.histograms(frame, arg.span)?;
        let mut out = Vec::new();
        for q in &all {
            for series in self.quantiles(&histograms, q, arg.span, grid)? {
                with_quantile_label(&series, label, q, &mut out);
            }
        }
        self.histogram_result(out, grid)
    }

    fn histogram_fraction(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let lower = self.scalar(argument(call, 0)?, grid)?;
        let upper = self.scalar(argument(call, 1)?, grid)?;
        let arg = argument(call, 2)?;
        let histograms = self.histograms(self.vector(arg, grid)?, arg.span)?;
        let series = self.each(
            &histograms,
            arg.span,
            grid,
            |step, h| native::fraction(lower.get(step), upper.get(step), h),
            |step, h, _| h.fraction(lower.get(step), upper.get(step)),
        )?;
        self.histogram_result(series, grid)
    }

    fn check_quantiles(&self, q: &Scalar, span: Span, grid: Grid) {
        let mut warned = None;
        let steps = if matches!(q, Scalar::Constant(_)) {
            1
        } else {
            grid.steps
        };
        for q in (0..steps).map(|step| q.get(step)) {
            if !(0.0..=1.0).contains(&q) && warned != Some(q.to_bits()) {
                warned = Some(q.to_bits());
                self.note(&Note::QuantileOutOfRange(q), span);
            }
        }
    }

    fn histogram_result(
        &self,
        series: Vec<Series>,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let series = self.unite(series, grid)?;
        self.frame(series).map(Evaluated::Vector)
    }

    /// The metric name that notes show.
    fn noted_name<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.options.delayed_name_removal {
            labels.metric_name()
        } else {
            ""
        }
    }

    /// Sorts the series of a vector into histograms.
    fn histograms(&self, frame: Frame<'q>, span: Span) -> Result<Histograms, QueryError> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut classic: Vec<Classic> = Vec::new();
        let mut native = Vec::new();
        for mut series in frame.series {
            self.limits.check()?;
            let floats = std::mem::take(&mut series.floats);
            if !floats.is_empty() {
                if let Some(bound) = bucket_bound(&series.labels) {
                    let labels = series.labels.filter(|l| l.name != BUCKET_LABEL);
                    let place = *places.entry(labels).or_insert_with_key(|labels| {
                        classic.push(Classic {
                            labels: labels.clone(),
                            drop_name: true,
                            buckets: Vec::new(),
                            conflicts: Presence::default(),
                        });
                        classic.len() - 1
                    });
                    classic[place].buckets.push((bound, floats));
                } else {
                    let note = Note::BadBucketLabel {
                        metric: self.noted_name(&series.labels),
                        value: series.labels.value(BUCKET_LABEL),
                    };
                    self.note(&note, span);
                }
            }
            if !series.histograms.is_empty() {
                native.push(series);
            }
        }
        for histogram in &mut classic {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for series in &mut native {
            let Some(place) = places.get(&series.labels) else {
                continue;
            };
            let classic = &mut classic[*place];
            let mut conflict = false;
            series.histograms.retain(|(step, _)| {
                let both = classic.has(*step);
                if both {
                    conflict = true;
                    classic.conflicts.insert(*step);
                }
                !both
            });
            if conflict {
                let metric = self.noted_name(&series.labels);
                self.note(&Note::MixedClassicNative { metric }, span);
            }
        }
        Ok(Histograms { native, classic })
    }

    fn quantiles(
        &self,
        histograms: &Histograms,
        q: &Scalar,
        span: Span,
        grid: Grid,
    ) -> Result<Vec<Series>, QueryError> {
        self.each(
            histograms,
            span,
            grid,
            |step, h| native::quantile(q.get(step), h),
            |step, h, metric| {
                let (value, forced) = h.quantile(q.get(step));
                if let Some(forced) = forced {
                    let info = MonotonicityInfo::new(forced, grid.time(step));
                    self.lock_notes().add_monotonicity(metric, info, span);
                }
                value
            },
        )
    }

    /// A float for each histogram.
    fn each(
        &self,
        histograms: &Histograms,
        span: Span,
        grid: Grid,
        of_native: impl Fn(usize, &FloatHistogram) -> (f64, Option<NanNote>),
        of_classic: impl Fn(usize, &mut ClassicHistogram, &str) -> f64,
    ) -> Result<Vec<Series>, QueryError> {
        let mut out = Vec::new();
        for from in &histograms.native {
            self.limits.check()?;
            let mut series = Series::new(from.labels.clone(), from.drop_name);
            self.drop_name(&mut series);
            for (step, h) in &from.histograms {
                let (value, note) = of_native(*step, h);
                if let Some(note) = note {
                    let text = note.text(series.labels.metric_name());
                    self.note(&Note::Info(text), span);
                }
                series.floats.push(*step, value);
            }
            out.push(series);
        }
        for from in &histograms.classic {
            self.limits.check()?;
            let mut series = Series::new(from.labels.clone(), from.drop_name);
            self.drop_name(&mut series);
            let metric = self.noted_name(&from.labels);
            for step in 0..grid.steps {
                if let Some(mut histogram) = from.at(step) {
                    let value = of_classic(step, &mut histogram, metric);
                    series.floats.push(step, value);
                }
            }
            out.push(series);
        }
        out.retain(|s| !s.is_empty());
        Ok(out)
    }
}

/// The series with the quantile as a label; several when that changes from step to step.
fn with_quantile_label(series: &Series, label: &str, q: &Scalar, out: &mut Vec<Series>) {
    let labelled = |q: f64| {
        let mut builder = series.labels.to_builder();
        builder.set(label, &quantile_label(q));
        Series::new(builder.build(), series.drop_name)
    };
    if let Scalar::Constant(q) = q {
        let mut labelled = labelled(*q);
        labelled.floats = series.floats.clone();
        out.push(labelled);
        return;
    }
    let mut places: HashMap<u64, usize> = HashMap::new();
    for (step, value) in series.floats.iter() {
        let q = q.get(step);
        let place = *places.entry(q.to_bits()).or_insert_with(|| {
            out.push(labelled(q));
            out.len() - 1
        });
        out[place].floats.push(step, value);
    }
}
