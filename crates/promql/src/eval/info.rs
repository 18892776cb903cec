//! `info`: labels of info series added to the series of a vector.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tsdb_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use super::call::argument;
use super::column::{Cell, Grid, Series};
use super::selector::Pick;
use super::set::Presence;
use super::{Evaluated, Evaluator, unexpected, unite};
use crate::error::QueryError;
use crate::plan::{CallPlan, Node, info_reference};

/// Labels by which series and their info series belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The metric whose labels are added when no other is named.
const TARGET_INFO: &str = "target_info";

/// Values of the identifying labels.
type Identity = [String; 2];

fn identity(labels: &Labels) -> Identity {
    IDENTIFYING.map(|name| labels.value(name).to_string())
}

/// Info series of one name, by identity.
type InfoSeries = BTreeMap<String, HashMap<Identity, Vec<usize>>>;

impl<'q> Evaluator<'q> {
    /// Value of `info`.
    pub(super) fn info(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let base_plan = argument(call, 0)?;
        let reference = info_reference(base_plan);
        let mut base = self.vector(base_plan, grid)?;
        let chosen: &[Matcher] = match call.args.get(1).map(|arg| &arg.node) {
            None => &[],
            Some(Node::Selector(selector)) => &selector.matchers,
            Some(_) => return Err(unexpected("no selector")),
        };
        let (name_matchers, data_matchers): (Vec<&Matcher>, Vec<&Matcher>) =
            chosen.iter().partition(|m| m.name == METRIC_NAME);
        let name_matchers = effective_name_matchers(&name_matchers)?;
        // Info series themselves stay as they are.
        let enriched: Vec<bool> = base
            .series
            .iter()
            .map(|s| {
                let name = s.labels.metric_name();
                !name_matchers.iter().all(|m| m.matches(name))
            })
            .collect();
        let identifying = identifying_matchers(&base.series, &enriched)?;
        let mut infos = self.empty();
        if !identifying.is_empty() {
            let mut selector = reference;
            selector.matchers = identifying;
            selector
                .matchers
                .extend(data_matchers.iter().map(|m| (*m).clone()));
            selector.matchers.extend(name_matchers);
            infos = self.newest(&selector, grid, Pick::FloatTimeMs)?;
        }
        let mut known = InfoSeries::new();
        for (i, series) in infos.series.iter().enumerate() {
            let by_identity = known
                .entry(series.labels.metric_name().to_string())
                .or_default();
            by_identity
                .entry(identity(&series.labels))
                .or_default()
                .push(i);
        }
        check_conflicts(&base.series, &infos.series, &known)?;
        let join = Join {
            infos: &infos.series,
            known: &known,
            data_matchers: &data_matchers,
            required: data_matchers.iter().any(|m| !m.matches_empty()),
        };
        let mut out = Vec::with_capacity(base.series.len());
        for (series, enrich) in std::mem::take(&mut base.series).into_iter().zip(enriched) {
            self.limits.check()?;
            if enrich {
                join.enrich(series, &mut out)?;
            } else {
                out.push(series);
            }
        }
        out.retain(|s| !s.is_empty());
        let series = unite::unite(out)?;
        Self::reframe(base, series).map(Evaluated::Vector)
    }
}

/// The matchers of the names of info series: those given, with one that narrows them to names that
/// end in `_info` when they only exclude; `target_info` when none are given.
fn effective_name_matchers(given: &[&Matcher]) -> Result<Vec<Matcher>, QueryError> {
    let own = || given.iter().map(|m| (*m).clone());
    if given.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, TARGET_INFO)]);
    }
    if given
        .iter()
        .any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex))
    {
        return Ok(own().collect());
    }
    let infos = regex_matcher(METRIC_NAME, ".+_info")?;
    Ok(std::iter::once(infos).chain(own()).collect())
}

fn regex_matcher(name: &str, pattern: &str) -> Result<Matcher, QueryError> {
    Matcher::new(MatchOp::Regex, name, pattern).map_err(|e| QueryError::Execution(e.to_string()))
}

/// Matchers that select info series with identities among those of the series.
fn identifying_matchers(series: &[Series], enriched: &[bool]) -> Result<Vec<Matcher>, QueryError> {
    let mut matchers = Vec::new();
    for name in IDENTIFYING {
        let values: BTreeSet<&str> = series
            .iter()
            .zip(enriched)
            .filter(|(_, enriched)| **enriched)
            .map(|(s, _)| s.labels.value(name))
            .filter(|value| !value.is_empty())
            .collect();
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => {}
            (Some(only), None) => matchers.push(Matcher::equal(name, only)),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(values);
                let quoted: Vec<String> = all.map(quote).collect();
                matchers.push(regex_matcher(name, &quoted.join("|"))?);
            }
        }
    }
    Ok(matchers)
}

/// The text as a regular expression that matches it only.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn time_of(series: &Series, step: usize) -> Option<f64> {
    match series.get(step) {
        Some(Cell::Float(time)) => Some(time),
        _ => None,
    }
}

/// Two info series of the same name and identity must not have samples of the same time.
fn check_conflicts(
    base: &[Series],
    infos: &[Series],
    known: &InfoSeries,
) -> Result<(), QueryError> {
    let several = || {
        known
            .values()
            .flat_map(HashMap::values)
            .filter(|s| s.len() > 1)
    };
    if several().next().is_none() {
        return Ok(());
    }
    let mut present = Presence::default();
    for series in base {
        present.insert_all(series);
    }
    for group in several() {
        let mut newest: HashMap<usize, (f64, usize)> = HashMap::new();
        for i in group {
            for (step, time) in infos[*i].floats.iter() {
                match newest.get(&step) {
                    Some((other, _)) if *other > time => {}
                    Some((other, existing)) if *other == time && present.contains(step) => {
                        let (existing, new) = (&infos[*existing].labels, &infos[*i].labels);
                        return Err(QueryError::Execution(format!(
                            "found duplicate series for info metric: existing {existing} @ \
                             {time}, new {new} @ {time}"
                        )));
                    }
                    _ => {
                        newest.insert(step, (time, *i));
                    }
                }
            }
        }
    }
    Ok(())
}

struct Join<'a> {
    infos: &'a [Series],
    known: &'a InfoSeries,
    data_matchers: &'a [&'a Matcher],
    /// Without info series there is no result.
    required: bool,
}

impl Join<'_> {
    /// Adds what becomes of a series: one for each combination of info series over the steps.
    fn enrich(&self, series: Series, out: &mut Vec<Series>) -> Result<(), QueryError> {
        let own = identity(&series.labels);
        let candidates: Vec<&[usize]> = self
            .known
            .values()
            .filter_map(|by_identity| by_identity.get(&own).map(Vec::as_slice))
            .collect();
        let mut results: HashMap<Vec<usize>, Option<usize>> = HashMap::new();
        for step in series.steps() {
            let Some(cell) = series.get(step) else {
                continue;
            };
            let chosen: Vec<usize> = candidates
                .iter()
                .filter_map(|group| self.newest(group, step))
                .collect();
            let place = match results.get(&chosen) {
                Some(place) => *place,
                None => {
                    let place = self.labels(&series.labels, &chosen)?.map(|labels| {
                        out.push(Series::new(labels, series.drop_name));
                        out.len() - 1
                    });
                    results.insert(chosen, place);
                    place
                }
            };
            if let Some(place) = place {
                out[place].push(step, cell);
            }
        }
        Ok(())
    }

    /// The info series with the newest sample at a step.
    fn newest(&self, group: &[usize], step: usize) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for i in group {
            if let Some(time) = time_of(&self.infos[*i], step)
                && best.is_none_or(|(newest, _)| time > newest)
            {
                best = Some((time, *i));
            }
        }
        best.map(|(_, i)| i)
    }

    /// The labels of a series with those of info series; `None` when it is to be left out.
    fn labels(&self, base: &Labels, infos: &[usize]) -> Result<Option<Labels>, QueryError> {
        if infos.is_empty() {
            return Ok((!self.required).then(|| base.clone()));
        }
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in infos {
            for label in &self.infos[*info].labels {
                let wanted = self.data_matchers.is_empty()
                    || self.data_matchers.iter().any(|m| m.name == label.name);
                if label.name == METRIC_NAME || !wanted {
                    continue;
                }
                if added.get(label.name).is_some_and(|v| *v != label.value) {
                    return Err(QueryError::Execution(format!(
                        "conflicting label: {}",
                        label.name
                    )));
                }
                if base.get(label.name).is_none() {
                    added.insert(label.name, label.value);
                }
            }
        }
        let mut builder = base.to_builder();
        for (name, value) in added {
            builder.set(name, value);
        }
        Ok(Some(builder.build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_match_themselves() {
        for text in ["a.b:9100", r"x\y|z", "(a)[b]{c}^$+*?"] {
            let matcher = regex_matcher("l", &quote(text)).unwrap();
            assert!(matcher.matches(text));
            assert!(!matcher.matches("axb:9100"));
        }
    }

    #[test]
    fn names() {
        let ne = Matcher::new(MatchOp::NotEqual, METRIC_NAME, "build_info").unwrap();
        let names = effective_name_matchers(&[&ne]).unwrap();
        let selects = |name: &str| names.iter().all(|m| m.matches(name));
        assert!(selects("target_info"));
        assert!(!selects("build_info"));
        assert!(!selects("up"));
    }
}
