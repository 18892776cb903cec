//! `eval`: a query and what it must answer.

use std::collections::BTreeSet;

use tsdb_model::{Labels, parse_float};

use super::expect::{Expectations, TextMatch};
use super::parse::{LineError, Lines, duration, split_word};
use crate::ast::Expr;
use crate::series_description::{SequenceValue, parse_series_description};
use crate::{ParseOptions, parse};

/// An `eval` block.
#[derive(Debug, Clone)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expectations: Expectations,
    pub(super) result: Expected,
}

/// Times at which a query is evaluated, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum When {
    Instant(i64),
    Range(Steps),
}

/// Equally distant times, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(super) struct Steps {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step_ms: i64,
}

impl Steps {
    /// Time number `i`, if it is not past the end.
    pub(super) fn time(&self, i: usize) -> Option<i64> {
        let i = i64::try_from(i).ok()?;
        let t = self.start_ms.checked_add(self.step_ms.checked_mul(i)?)?;
        (t <= self.end_ms).then_some(t)
    }
}

/// The expected value.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    Scalar(f64),
    String(String),
    /// Instant vector, or matrix of a range query; empty when nothing is written.
    Series(Vec<ExpectedSeries>),
    /// Matrix of an instant query.
    RangeVector(Steps, Vec<ExpectedSeries>),
}

/// The expected values of one series.
#[derive(Debug, Clone)]
pub(super) struct ExpectedSeries {
    pub(super) labels: Labels,
    pub(super) values: Vec<SequenceValue>,
}

impl Eval {
    pub(super) fn parse(
        number: usize,
        line: &str,
        lines: &mut Lines<'_>,
    ) -> Result<Self, LineError> {
        let here = |message: String| (number, message);
        let (command, rest) = split_word(line);
        let command = command.to_lowercase();
        let mut expectations = Expectations::default();
        match command.strip_prefix("eval") {
            Some("") => {}
            Some(suffix) if suffix.starts_with('_') => {
                expectations.parse_suffix(&suffix[1..]).map_err(here)?;
            }
            _ => return Err(here(format!("unknown command {command:?}"))),
        }
        let (when, query) = when(rest).map_err(here)?;
        parse(query, &ParseOptions::all())
            .map_err(|e| here(format!("invalid query {query:?}: {e}")))?;
        let mut block = Block {
            expectations,
            after_eval_fail: command == "eval_fail",
            scalar: None,
            string: None,
            range_vector: None,
            series: Vec::new(),
        };
        while let Some((number, line)) = lines.next_in_block() {
            let here = |message: String| (number, message);
            if block.line(line, when).map_err(here)? == Block::ENDS {
                break;
            }
        }
        block.expectations.check().map_err(here)?;
        if block.expectations.ordered && matches!(when, When::Range(_)) {
            return Err(here("`expect ordered` is for instant queries".into()));
        }
        let expectations = block.expectations.clone();
        let result = block.finish(when).map_err(here)?;
        Ok(Self {
            line: number,
            query: query.to_string(),
            when,
            expectations,
            result,
        })
    }
}

/// What is found below the first line.
struct Block {
    expectations: Expectations,
    after_eval_fail: bool,
    scalar: Option<f64>,
    string: Option<String>,
    range_vector: Option<Steps>,
    series: Vec<ExpectedSeries>,
}

impl Block {
    const ENDS: bool = true;
    const GOES_ON: bool = false;

    /// Takes in a line; the answer says whether the block ends with it.
    fn line(&mut self, line: &str, when: When) -> Result<bool, String> {
        let (word, rest) = split_word(line);
        if self.after_eval_fail
            && let Some(kind) = word.strip_prefix("expected_fail_")
        {
            self.expectations.fail = Some(match kind {
                "message" => TextMatch::exact(rest),
                "regexp" => TextMatch::pattern(rest)?,
                _ => return Err(format!("unknown expectation {word:?}")),
            });
            return Ok(Self::ENDS);
        }
        if word == "expect" {
            match split_word(rest) {
                ("string", text) => self.string = Some(go_string(text)?),
                ("range", text) => {
                    let text = text.strip_prefix("vector").unwrap_or_default();
                    let (steps, rest) = steps(text.trim_start_matches([' ', '\t']))?;
                    if !rest.is_empty() || matches!(when, When::Range(_)) {
                        return Err("invalid `expect range vector`".into());
                    }
                    self.range_vector = Some(steps);
                }
                _ => self.expectations.parse(rest)?,
            }
            return Ok(Self::GOES_ON);
        }
        if let Some(number) = go_number(line) {
            self.scalar = Some(number);
            return Ok(Self::ENDS);
        }
        let (labels, values) = parse_series_description(line).map_err(|e| e.message)?;
        self.series.push(ExpectedSeries { labels, values });
        Ok(Self::GOES_ON)
    }

    fn finish(self, when: When) -> Result<Expected, String> {
        let mut series = self.series;
        // Of two lines for one label set the later one counts.
        let mut seen = BTreeSet::new();
        series.reverse();
        series.retain(|s| seen.insert(s.labels.clone()));
        series.reverse();
        match (self.scalar, self.string, self.range_vector) {
            (Some(number), None, None) if series.is_empty() => Ok(Expected::Scalar(number)),
            (None, Some(text), None) if series.is_empty() => Ok(Expected::String(text)),
            (None, None, Some(steps)) => Ok(Expected::RangeVector(steps, series)),
            (None, None, None) => {
                let one = |s: &ExpectedSeries| s.values.len() == 1 && !s.values[0].omitted;
                match series
                    .iter()
                    .find(|s| matches!(when, When::Instant(_)) && !one(s))
                {
                    Some(s) => Err(format!("{} must have one value, not several", s.labels)),
                    None => Ok(Expected::Series(series)),
                }
            }
            _ => Err("results of different types are expected".into()),
        }
    }
}

/// `instant at <time> <query>` or `range from <start> to <end> step <step> <query>`.
fn when(text: &str) -> Result<(When, &str), String> {
    let (kind, rest) = split_word(text);
    let (when, query) = match kind {
        "instant" => {
            let ("at", rest) = split_word(rest) else {
                return Err("expected `eval instant at <time> <query>`".into());
            };
            let (time, query) = split_word(rest);
            (When::Instant(duration(time)?), query)
        }
        "range" => {
            let (steps, query) = steps(rest)?;
            (When::Range(steps), query)
        }
        _ => return Err("expected `instant` or `range` after `eval`".into()),
    };
    if query.is_empty() {
        return Err("the query is missing".into());
    }
    Ok((when, query))
}

/// `from <start> to <end> step <step>`, and what follows.
fn steps(text: &str) -> Result<(Steps, &str), String> {
    let mut times = [0; 3];
    let mut rest = text;
    for (word, time) in ["from", "to", "step"].into_iter().zip(&mut times) {
        let (found, after) = split_word(rest);
        if found != word {
            return Err("expected `from <start> to <end> step <step>`".into());
        }
        let (text, after) = split_word(after);
        *time = duration(text)?;
        rest = after;
    }
    let [start_ms, end_ms, step_ms] = times;
    if end_ms < start_ms {
        return Err("the end is before the start".into());
    }
    if step_ms == 0 {
        return Err("the step is 0".into());
    }
    Ok((
        Steps {
            start_ms,
            end_ms,
            step_ms,
        },
        rest,
    ))
}

/// A number as Go writes them: integers also in base 2, 8 and 16, floats, `Inf`, `NaN`.
fn go_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let based = match lower.get(..2) {
        Some("0x") => Some((&lower[2..], 16)),
        Some("0o") => Some((&lower[2..], 8)),
        Some("0b") => Some((&lower[2..], 2)),
        _ if lower.starts_with('0') => Some((&lower[1..], 8)),
        _ => None,
    };
    if let Some((digits, base)) = based
        && digits.bytes().all(|b| b.is_ascii_alphanumeric())
        && let Ok(integer) = i64::from_str_radix(digits, base)
    {
        return Some(sign * integer as f64);
    }
    parse_float(text)
}

/// A string in double quotes or backquotes.
fn go_string(text: &str) -> Result<String, String> {
    let quoted = text.starts_with(['"', '`']);
    match parse(text, &ParseOptions::all()) {
        Ok(Expr::String(literal)) if quoted => Ok(literal.value),
        _ => Err(format!("not a string literal: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in [
            ("0x10", 16.0),
            ("-0b11", -3.0),
            ("010", 8.0),
            ("1e3", 1000.0),
            ("0.5", 0.5),
        ] {
            assert_eq!(go_number(text), Some(value), "{text}");
        }
        assert_eq!(go_number("-Inf"), Some(f64::NEG_INFINITY));
        assert_eq!(go_number("0").map(f64::to_bits), Some(0));
        assert!(go_number("NaN").unwrap().is_nan());
        for text in ["{} 1", "up", "1 2", "0x", "", "é"] {
            assert_eq!(go_number(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        let steps = Steps {
            start_ms: 60_000,
            end_ms: 3_600_000,
            step_ms: 1000,
        };
        assert_eq!(
            when("range from 1m  to 1h step 1s a to b"),
            Ok((When::Range(steps), "a to b"))
        );
        assert_eq!(when("instant at 0 x"), Ok((When::Instant(0), "x")));
        assert_eq!(steps.time(59), Some(119_000));
        assert_eq!(steps.time(4000), None);
        for bad in [
            "at 0 x",
            "instant 0 x",
            "instant at 5 x",
            "instant at -5s x",
            "instant at 0",
            "range from 5m to 1m step 1m x",
            "range from 0 to 1m step 0 x",
            "range from 0 step 1m to 1m x",
        ] {
            assert!(when(bad).is_err(), "{bad}");
        }
    }
}
