//! Aggregations that make one series per group. Series are folded in one after the other; what is
//! held is a state per group and step.

mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tsdb_model::Labels;
use tsdb_model::float::write_float_positional;
use tsdb_model::labels::write_quoted;

use super::column::{Grid, Scalar, Series};
use super::grouping::Grouping;
use super::limits::Charge;
use super::range_call::is_range_function;
use super::selector::Pick;
use super::set::Presence;
use super::{Evaluator, Frame, unexpected};
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::functions::kahan::KahanMean;
use crate::functions::quantile::Variance;
use crate::notes::{HistogramOperation, Note};
use crate::plan::{AggregatePlan, Node, Plan};

use state::{Accumulator, Count, Deviation, HistogramState, Max, Min, One, Quantile, Sums};

/// What becomes of histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Histograms {
    /// They count like any sample.
    Counted,
    /// They are added up among themselves.
    Combined,
    /// They are left out.
    Ignored,
}

/// The states of one group.
struct Group<A> {
    drop_name: bool,
    floats: A,
    /// Steps at which `floats` has any.
    present: Presence,
    histograms: BTreeMap<usize, HistogramState>,
}

/// An aggregation under way.
struct Fold<'a, 'q, A> {
    evaluator: &'a Evaluator<'q>,
    plan: &'a AggregatePlan,
    grid: Grid,
    histograms: Histograms,
    grouping: Grouping<'a>,
    groups: Vec<Group<A>>,
    charge: Charge<'q>,
}

impl<A: Accumulator> Fold<'_, '_, A> {
    fn add(&mut self, series: &Series) -> Result<(), QueryError> {
        let place = self.grouping.group(&series.labels);
        if place == self.groups.len() {
            self.charge.add(self.grid.steps)?;
            let states = self.grid.steps.saturating_mul(A::STEP_BYTES);
            self.charge.add_bytes(states + self.grouping.bytes(place))?;
            self.groups.push(Group {
                drop_name: false,
                floats: A::new(self.grid.steps),
                present: Presence::default(),
                histograms: BTreeMap::new(),
            });
        }
        if self.plan.op == AggregateOp::Quantile {
            self.charge.add(series.floats.len())?;
        }
        self.groups[place].drop_name |= series.drop_name;
        if !series.histograms.is_empty() {
            self.add_histograms(place, series);
        }
        let group = &mut self.groups[place];
        if !group.histograms.is_empty() {
            self.add_to_mixed(place, series);
        } else if let Some((first, values)) = series.floats.run() {
            group.floats.add_run(first, values);
            group.present.insert_run(first, values.len());
        } else {
            for (step, v) in series.floats.iter() {
                group.add(step, v);
            }
        }
        Ok(())
    }

    /// Floats where there are histograms in the group.
    fn add_to_mixed(&mut self, place: usize, series: &Series) {
        let group = &mut self.groups[place];
        for (step, v) in series.floats.iter() {
            match group.histograms.get_mut(&step) {
                Some(HistogramState::Incompatible) => {}
                Some(state) => *state = HistogramState::Mixed,
                None => group.add(step, v),
            }
        }
    }

    fn add_histograms(&mut self, place: usize, series: &Series) {
        let (op, span) = (self.plan.op, self.plan.expr.span);
        let group = &mut self.groups[place];
        match self.histograms {
            Histograms::Counted => {
                for (step, _) in &series.histograms {
                    group.add(*step, 0.0);
                }
            }
            Histograms::Ignored => {
                let aggregation = op.as_str();
                self.evaluator
                    .note(&Note::HistogramIgnored { aggregation }, span);
            }
            Histograms::Combined => {
                let mut incompatible = false;
                for (step, h) in &series.histograms {
                    if group.present.contains(*step) {
                        group.histograms.insert(*step, HistogramState::Mixed);
                    } else if let Some(state) = group.histograms.get_mut(step) {
                        incompatible |= state.add(h).is_err();
                    } else {
                        group.histograms.insert(*step, HistogramState::new(op, h));
                    }
                }
                if incompatible {
                    let metric = series.labels.metric_name();
                    self.evaluator
                        .note(&Note::MixedExponentialCustom { metric }, span);
                }
            }
        }
    }

    fn finish(self, param: &Scalar) -> Result<Vec<Series>, QueryError> {
        let span = self.plan.expr.span;
        let mut out = Vec::with_capacity(self.groups.len());
        for (group, labels) in self.groups.into_iter().zip(self.grouping.into_labels()) {
            self.evaluator.limits.check()?;
            let mut series = Series::new(labels, group.drop_name);
            let mut histograms = group.histograms;
            let mut floats = group.floats;
            for step in 0..self.grid.steps {
                if group.present.contains(step) && !histograms.contains_key(&step) {
                    series
                        .floats
                        .push(step, floats.finish(step, param.get(step)));
                }
            }
            let mut flags = [false; 3];
            while let Some((step, state)) = histograms.pop_first() {
                flags[0] |= matches!(state, HistogramState::Mixed);
                if let Some(result) = state.finish() {
                    flags[1] |= result.counter_reset_collision;
                    flags[2] |= result.bounds_reconciled;
                    let mut h = result.histogram;
                    h.compact(0);
                    series.histograms.push((step, Arc::new(h)));
                }
            }
            let notes = [
                Note::MixedFloatsHistogramsInAggregation,
                Note::CounterResetCollision(HistogramOperation::Aggregation),
                Note::BoundsReconciled(HistogramOperation::Aggregation),
            ];
            for (note, _) in notes.iter().zip(flags).filter(|(_, flag)| *flag) {
                self.evaluator.note(note, span);
            }
            out.push(series);
        }
        Ok(out)
    }
}

impl<A: Accumulator> Group<A> {
    fn add(&mut self, step: usize, v: f64) {
        self.floats.add(step, v);
        self.present.insert(step);
    }
}

impl<'q> Evaluator<'q> {
    /// Value of an aggregation.
    pub(super) fn aggregate(
        &self,
        plan: &AggregatePlan,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        use Histograms::{Combined, Counted, Ignored};
        match plan.op {
            AggregateOp::Sum => self.fold::<Sums>(plan, grid, Combined),
            AggregateOp::Avg => self.fold::<Vec<KahanMean>>(plan, grid, Combined),
            AggregateOp::Count => self.fold::<Vec<Count>>(plan, grid, Counted),
            AggregateOp::Group => self.fold::<Vec<One>>(plan, grid, Counted),
            AggregateOp::Min => self.fold::<Vec<Min>>(plan, grid, Ignored),
            AggregateOp::Max => self.fold::<Vec<Max>>(plan, grid, Ignored),
            AggregateOp::Stddev => self.fold::<Vec<Deviation>>(plan, grid, Ignored),
            AggregateOp::Stdvar => self.fold::<Vec<Option<Variance>>>(plan, grid, Ignored),
            AggregateOp::Quantile => self.fold::<Vec<Quantile>>(plan, grid, Ignored),
            AggregateOp::CountValues => self.count_values(plan, grid),
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => self.pick_series(plan, span, grid),
        }
    }

    fn fold<A: Accumulator + Send>(
        &self,
        plan: &AggregatePlan,
        grid: Grid,
        histograms: Histograms,
    ) -> Result<Frame<'q>, QueryError> {
        let mut param = Scalar::Constant(0.0);
        if plan.op == AggregateOp::Quantile {
            let (q, span) = self.parameter(plan, grid)?;
            self.check_quantile_parameter(&q, span, grid);
            param = q;
        }
        let mut fold = Fold::<A> {
            evaluator: self,
            plan,
            grid,
            histograms,
            grouping: Grouping::new(&plan.grouping, plan.without),
            groups: Vec::new(),
            charge: self.limits.charge(),
        };
        self.each_series(&plan.expr, grid, |series| fold.add(series))?;
        let series = fold.finish(&param)?;
        self.frame(series)
    }

    /// Hands the series of a vector to `fold`, where possible without holding them all.
    pub(super) fn each_series(
        &self,
        plan: &Plan,
        grid: Grid,
        mut fold: impl FnMut(&Series) -> Result<(), QueryError> + Send,
    ) -> Result<(), QueryError> {
        match &plan.node {
            Node::Selector(selector) if !selector.smoothed => {
                let source = self.instant_source(selector, grid, Pick::Value)?;
                self.for_each(&source, fold)
            }
            Node::Call(call) if is_range_function(call.name) && call.name != "absent_over_time" => {
                self.for_each(&self.range_source(call, grid)?, fold)
            }
            _ => {
                let frame = self.vector(plan, grid)?;
                for series in &frame.series {
                    self.limits.check()?;
                    fold(series)?;
                }
                Ok(())
            }
        }
    }

    /// The number in front of the vector, and its place.
    pub(super) fn parameter(
        &self,
        plan: &AggregatePlan,
        grid: Grid,
    ) -> Result<(Scalar, Span), QueryError> {
        let Some(param) = &plan.param else {
            return Err(unexpected("aggregation without parameter"));
        };
        Ok((self.scalar(param, grid)?, param.span))
    }

    fn check_quantile_parameter(&self, q: &Scalar, span: Span, grid: Grid) {
        let range = Extent::new(q, grid);
        let mut wrong = Vec::new();
        if range.has_nan {
            wrong.push(f64::NAN);
        }
        if range.max > 1.0 {
            wrong.push(range.max);
        }
        if range.min < 0.0 {
            wrong.push(range.min);
        }
        for q in wrong {
            self.note(&Note::QuantileOutOfRange(q), span);
        }
    }

    fn count_values(&self, plan: &AggregatePlan, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let label = match plan.param.as_ref().map(|param| &param.node) {
            Some(Node::Text(label)) => label.as_str(),
            _ => return Err(unexpected("aggregation without label")),
        };
        if label.is_empty() {
            let mut text = "invalid label name ".to_string();
            let _ = write_quoted(&mut text, label);
            return Err(QueryError::Execution(text));
        }
        let mut names = plan.grouping.clone();
        if !plan.without {
            names.push(label.to_string());
        }
        let mut grouping = Grouping::new(&names, plan.without);
        let mut counts: Vec<HashMap<usize, u64>> = Vec::new();
        let mut charge = self.limits.charge();
        self.each_series(&plan.expr, grid, |series| {
            let mut places: HashMap<String, usize> = HashMap::new();
            let mut text = String::new();
            for step in series.steps() {
                text.clear();
                match series.get(step) {
                    Some(super::column::Cell::Float(v)) => write_float_positional(&mut text, v),
                    Some(super::column::Cell::Histogram(h)) => text = h.to_string(),
                    None => continue,
                }
                let place = match places.get(&text) {
                    Some(place) => *place,
                    None => {
                        let place = grouping.group(&with_label(&series.labels, label, &text));
                        places.insert(text.clone(), place);
                        place
                    }
                };
                if place >= counts.len() {
                    charge.add_bytes(grouping.bytes(place) + size_of::<HashMap<usize, u64>>())?;
                    counts.resize_with(place + 1, HashMap::new);
                }
                let count = counts[place].entry(step).or_insert_with(|| 0);
                if *count == 0 {
                    charge.add(2)?; // the table of counts has gaps
                }
                *count += 1;
            }
            Ok(())
        })?;
        let series = grouping.into_labels().into_iter().zip(counts);
        let series = series.map(|(labels, counts)| {
            let mut series = Series::new(labels, false);
            let mut steps: Vec<(usize, u64)> = counts.into_iter().collect();
            steps.sort_unstable();
            series.floats = steps.iter().map(|(step, n)| (*step, *n as f64)).collect();
            series
        });
        self.frame(series.collect())
    }
}

fn with_label(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(name, value);
    builder.build()
}

/// The range of a parameter over all steps.
pub(super) struct Extent {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) has_nan: bool,
}

impl Extent {
    pub(super) fn new(param: &Scalar, grid: Grid) -> Self {
        if let Scalar::Constant(v) = param {
            return Self {
                min: *v,
                max: *v,
                has_nan: v.is_nan(),
            };
        }
        let mut out = Self {
            min: f64::MAX,
            max: -f64::MAX,
            has_nan: false,
        };
        for v in (0..grid.steps).map(|step| param.get(step)) {
            out.max = crate::functions::math::max(out.max, v);
            out.min = crate::functions::math::min(out.min, v);
            out.has_nan |= v.is_nan();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result<A: Accumulator>(values: &[f64]) -> f64 {
        let (mut one_by_one, mut runs) = (A::new(3), A::new(3));
        for v in values {
            one_by_one.add(1, *v);
            runs.add_run(1, &[*v, *v]);
        }
        let result = one_by_one.finish(1, 0.5);
        for step in 1..3 {
            assert_eq!(runs.finish(step, 0.5).to_bits(), result.to_bits());
        }
        result
    }

    #[test]
    fn states() {
        assert_eq!(result::<Sums>(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(result::<Sums>(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(result::<Vec<Min>>(&[f64::NAN, 2.0, 1.0, f64::NAN]), 1.0);
        assert_eq!(result::<Vec<Max>>(&[f64::NAN, 2.0, 1.0, f64::NAN]), 2.0);
        assert!(result::<Vec<Max>>(&[f64::NAN]).is_nan());
        assert_eq!(result::<Vec<Count>>(&[5.0, f64::NAN]), 2.0);
        assert_eq!(result::<Vec<One>>(&[5.0, 6.0]), 1.0);
        assert_eq!(result::<Vec<Option<Variance>>>(&[1.0, 3.0]), 1.0);
        assert_eq!(result::<Vec<Deviation>>(&[1.0, 5.0]), 2.0);
        assert_eq!(result::<Vec<Quantile>>(&[1.0, 5.0]), 3.0);
        assert_eq!(result::<Vec<KahanMean>>(&[1.0, 5.0]), 3.0);
        assert_eq!(result::<Vec<KahanMean>>(&[f64::INFINITY]), f64::INFINITY);
    }
}
