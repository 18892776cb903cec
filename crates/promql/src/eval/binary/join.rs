//! The join of two vectors: which elements meet, and what comes of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use tsdb_model::Labels;

use super::super::column::{Cell, Column, Series};
use super::super::matching::{matching_labels, result_labels};
use super::super::set::Presence;
use super::element::{OperationNotes, Outcome, arithmetic, comparison, one_or_zero, operate};
use crate::ast::{Cardinality, VectorMatching};
use crate::error::QueryError;
use crate::plan::BinaryPlan;

/// Series that match each other, by position.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) many: Vec<usize>,
    pub(super) one: Vec<usize>,
}

/// The element of the "one" side at each step.
pub(super) enum Partners {
    Nobody,
    Always(usize),
    /// Where several series take turns.
    Steps(HashMap<usize, usize>),
}

impl Partners {
    fn at(&self, step: usize) -> Option<usize> {
        match self {
            Self::Nobody => None,
            Self::Always(one) => Some(*one),
            Self::Steps(steps) => steps.get(&step).copied(),
        }
    }
}

/// An operation on two vectors under way.
pub(super) struct Join<'a> {
    pub(super) plan: &'a BinaryPlan,
    pub(super) matching: &'a VectorMatching,
    /// The "many" side is the right one.
    pub(super) swapped: bool,
    pub(super) many: &'a [Series],
    pub(super) one: &'a [Series],
    /// Labels that belong to the metric go.
    pub(super) drop_labels: bool,
    pub(super) notes: OperationNotes,
    /// Results by the series of the "many" side, and of the "one" side where that stood alone.
    pub(super) out_many: Vec<Vec<Series>>,
    pub(super) out_one: Vec<Vec<Series>>,
}

impl Join<'_> {
    /// The partners in all groups. Fails when the "one" side has two at the same step.
    pub(super) fn partners(&self, groups: &[Group]) -> Result<Vec<Partners>, QueryError> {
        let mut conflicts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let partners = groups
            .iter()
            .map(|group| match group.one.as_slice() {
                [] => Partners::Nobody,
                [one] => Partners::Always(*one),
                several => {
                    let mut steps = HashMap::new();
                    for one in several {
                        for step in self.one[*one].steps() {
                            if let Some(other) = steps.insert(step, *one) {
                                conflicts.entry((step, *one)).or_insert(other);
                            }
                        }
                    }
                    Partners::Steps(steps)
                }
            })
            .collect();
        if conflicts.is_empty() {
            return Ok(partners);
        }
        // Nothing is looked at where there is nothing to match with.
        let filled = self.matching.fill_lhs.is_some() || self.matching.fill_rhs.is_some();
        let mut present = Presence::default();
        for series in self.many {
            present.insert_all(series);
        }
        for ((step, one), other) in conflicts {
            if filled || present.contains(step) {
                return Err(self.duplicate(&self.one[one].labels, &self.one[other].labels));
            }
        }
        Ok(partners)
    }

    fn duplicate(&self, a: &Labels, b: &Labels) -> QueryError {
        let group = matching_labels(a, self.matching);
        let side = if self.swapped { "left" } else { "right" };
        let (mut a, mut b) = (a.to_string(), b.to_string());
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{a}, {b}];many-to-many matching not allowed: matching labels must be \
             unique on one side"
        ))
    }

    pub(super) fn group(&mut self, group: &Group, partners: &Partners) -> Result<(), QueryError> {
        let fill_one = self.matching.fill_rhs;
        let fill_many = self.matching.fill_lhs;
        if group.many.is_empty() && fill_many.is_none()
            || group.one.is_empty() && fill_one.is_none()
        {
            return Ok(());
        }
        let tracked =
            fill_many.is_some() || (group.many.len() > 1 && self.may_clash(group, partners));
        let mut taken = Taken::new(self.matching.card, tracked);
        for many in &group.many {
            self.many_series(*many, partners, &mut taken)?;
        }
        let Some(fill) = fill_many else {
            return Ok(());
        };
        for one in &group.one {
            let matched = matching_labels(&self.one[*one].labels, self.matching);
            let labels = self.labels(&matched, &self.one[*one].labels);
            let mut series = self.result(labels);
            for step in self.one[*one].steps() {
                if taken.any.contains(step) {
                    continue;
                }
                if let Some(value) = self.one[*one].get(step) {
                    self.element(step, &Cell::Float(fill), &value, &mut series, &mut taken)?;
                }
            }
            self.out_one[*one].push(series);
        }
        Ok(())
    }

    /// True when two results of a group could be one and the same.
    fn may_clash(&self, group: &Group, partners: &Partners) -> bool {
        let Partners::Always(one) = partners else {
            return true;
        };
        if self.matching.card == Cardinality::OneToOne {
            return true;
        }
        let one = &self.one[*one].labels;
        let mut seen = HashSet::with_capacity(group.many.len());
        let mut results = group
            .many
            .iter()
            .map(|m| self.labels(&self.many[*m].labels, one));
        !results.all(|labels| seen.insert(labels))
    }

    /// All elements of one series of the "many" side.
    fn many_series(
        &mut self,
        index: usize,
        partners: &Partners,
        taken: &mut Taken,
    ) -> Result<(), QueryError> {
        let fill = self.matching.fill_rhs;
        if fill.is_none()
            && !taken.tracked
            && let Partners::Always(one) = partners
            && self.many[index].histograms.is_empty()
            && self.one[*one].histograms.is_empty()
            && let Some(floats) = self.floats(&self.many[index].floats, &self.one[*one].floats)
        {
            let labels = self.labels(&self.many[index].labels, &self.one[*one].labels);
            let mut series = self.result(labels);
            series.floats = floats;
            self.out_many[index].push(series);
            return Ok(());
        }
        let matched = matching_labels(&self.many[index].labels, self.matching);
        let mut results: Vec<(Option<usize>, Series)> = Vec::new();
        for step in self.many[index].steps() {
            let Some(value) = self.many[index].get(step) else {
                continue;
            };
            let found = partners
                .at(step)
                .and_then(|one| Some((one, self.one[one].get(step)?)));
            let (partner, other) = match (found, fill) {
                (Some((one, other)), _) => (Some(one), other),
                (None, Some(fill)) => (None, Cell::Float(fill)),
                (None, None) => continue,
            };
            let place = match results.iter().position(|(p, _)| *p == partner) {
                Some(place) => place,
                None => {
                    let one = partner.map_or(&matched, |one| &self.one[one].labels);
                    let labels = self.labels(&self.many[index].labels, one);
                    results.push((partner, self.result(labels)));
                    results.len() - 1
                }
            };
            self.element(step, &value, &other, &mut results[place].1, taken)?;
        }
        self.out_many[index].extend(results.into_iter().map(|(_, series)| series));
        Ok(())
    }

    /// One element of the result.
    fn element(
        &mut self,
        step: usize,
        many: &Cell,
        one: &Cell,
        series: &mut Series,
        taken: &mut Taken,
    ) -> Result<(), QueryError> {
        let (lhs, rhs) = if self.swapped {
            (one, many)
        } else {
            (many, one)
        };
        let outcome = operate(self.plan.op, lhs, rhs, &mut self.notes);
        if matches!(outcome, Outcome::Failed) {
            return Ok(());
        }
        taken.take(step, &series.labels)?;
        let cell = match outcome {
            Outcome::Failed => return Ok(()),
            Outcome::Compared(_, passed) if self.plan.return_bool => {
                Cell::Float(one_or_zero(passed))
            }
            Outcome::Compared(_, false) => return Ok(()),
            Outcome::Value(cell) | Outcome::Compared(cell, true) => cell,
        };
        series.push(step, cell);
        Ok(())
    }

    /// The operation on two columns of floats.
    fn floats(&self, many: &Column, one: &Column) -> Option<Column> {
        let swapped = self.swapped;
        let ordered = |a: f64, b: f64| if swapped { (b, a) } else { (a, b) };
        if let Some(f) = arithmetic(self.plan.op) {
            return Some(many.filter_map(|step, v| {
                let (a, b) = ordered(v, one.get(step)?);
                Some(f(a, b))
            }));
        }
        let f = comparison(self.plan.op)?;
        let return_bool = self.plan.return_bool;
        Some(many.filter_map(|step, v| {
            let (a, b) = ordered(v, one.get(step)?);
            match (f(a, b), return_bool) {
                (passed, true) => Some(one_or_zero(passed)),
                (passed, false) => passed.then_some(a),
            }
        }))
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        result_labels(many, one, self.matching, self.drop_labels)
    }

    fn result(&self, labels: Labels) -> Series {
        Series::new(labels, self.plan.return_bool)
    }
}

/// Which results a group has already at each step: one for all in one-to-one matching, else one
/// per label set.
pub(super) struct Taken {
    one_to_one: bool,
    /// Must be known at all.
    tracked: bool,
    any: Presence,
    labels: HashMap<Labels, Presence>,
}

impl Taken {
    fn new(card: Cardinality, tracked: bool) -> Self {
        Self {
            one_to_one: card == Cardinality::OneToOne,
            tracked,
            any: Presence::default(),
            labels: HashMap::new(),
        }
    }

    fn take(&mut self, step: usize, labels: &Labels) -> Result<(), QueryError> {
        if !self.tracked {
            return Ok(());
        }
        if self.one_to_one {
            if self.any.contains(step) {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit \
                     (group_left/group_right)"
                        .into(),
                ));
            }
        } else {
            if !self.labels.contains_key(labels) {
                self.labels.insert(labels.clone(), Presence::default());
            }
            if let Some(known) = self.labels.get_mut(labels) {
                if known.contains(step) {
                    return Err(QueryError::Execution(
                        "multiple matches for labels: grouping labels must ensure unique matches"
                            .into(),
                    ));
                }
                known.insert(step);
            }
        }
        self.any.insert(step);
        Ok(())
    }
}
