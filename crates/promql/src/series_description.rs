//! Series with their values, as tests write them: `name{label="value"} 1 _ 3x4 0+10x5 stale
//! {{schema:0 buckets:[1 2]}}`.

mod histogram;
mod scanner;
#[cfg(test)]
mod tests;

use tsdb_model::{FloatHistogram, Labels, stale_nan};

use crate::error::ParseError;
use crate::lexer::Fault;
pub use crate::parse::parse_metric;
use crate::parse::parse_metric_prefix;
use crate::token::quote;
use scanner::Scanner;

/// One position of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceValue {
    /// There is no sample here.
    pub omitted: bool,
    /// The float, unless there is a histogram.
    pub value: f64,
    /// The histogram.
    pub histogram: Option<FloatHistogram>,
    /// The histogram's `counter_reset_hint` was written out.
    pub counter_reset_hint_set: bool,
}

impl SequenceValue {
    fn omitted() -> Self {
        Self {
            omitted: true,
            value: 0.0,
            histogram: None,
            counter_reset_hint_set: false,
        }
    }

    fn float(value: f64) -> Self {
        Self {
            omitted: false,
            value,
            histogram: None,
            counter_reset_hint_set: false,
        }
    }

    fn histogram(histogram: FloatHistogram, counter_reset_hint_set: bool) -> Self {
        Self {
            omitted: false,
            value: 0.0,
            histogram: Some(histogram),
            counter_reset_hint_set,
        }
    }
}

/// Most positions one description may have; a bucket of a histogram counts as one more.
const MAX_VALUES: u64 = 2_000_000;

const PLACE: &str = "series values";

/// Parses a series and its values.
pub fn parse_series_description(text: &str) -> Result<(Labels, Vec<SequenceValue>), ParseError> {
    parse(text).map_err(|fault| fault.into_error(text))
}

fn parse(text: &str) -> Result<(Labels, Vec<SequenceValue>), Fault> {
    let (labels, end) = parse_metric_prefix(text)?;
    let mut values = Values {
        scanner: Scanner::new(text, end),
        sequence: Vec::new(),
        used: 0,
    };
    loop {
        let spaces = values.scanner.skip_spaces();
        if values.scanner.at_end() {
            return Ok((labels, values.sequence));
        }
        if !spaces {
            return Err(values.scanner.unexpected(PLACE, ""));
        }
        values.item()?;
    }
}

struct Values<'a> {
    scanner: Scanner<'a>,
    sequence: Vec<SequenceValue>,
    used: u64,
}

impl Values<'_> {
    fn item(&mut self) -> Result<(), Fault> {
        if self.scanner.take("_") {
            let count = self.times()?.unwrap_or(1);
            self.reserve(count, 0)?;
            for _ in 0..count {
                self.sequence.push(SequenceValue::omitted());
            }
            return Ok(());
        }
        if self.scanner.take("{{") {
            return self.histograms();
        }
        let start = self.start_value()?;
        let step = match self.scanner.peek() {
            Some('+' | '-') => Some(self.scanner.signed_number(PLACE)?),
            _ => None,
        };
        let more = match (self.times()?, step) {
            (Some(n), _) => n,
            (None, None) => 0,
            (None, Some(_)) => return Err(self.scanner.unexpected(PLACE, "")),
        };
        self.reserve(more.saturating_add(1), 0)?;
        let mut value = start;
        for _ in 0..=more {
            self.sequence.push(SequenceValue::float(value));
            if let Some(step) = step {
                value += step;
            }
        }
        Ok(())
    }

    /// A number or `stale`.
    fn start_value(&mut self) -> Result<f64, Fault> {
        match self.scanner.word() {
            Some(("stale", _)) => Ok(stale_nan()),
            Some((word, span)) => scanner::special(word).ok_or_else(|| {
                let word = quote(word);
                let text = format!(
                    "unexpected identifier {word} in {PLACE}, expected number or \"stale\""
                );
                Fault::new(span, text)
            }),
            None => self.scanner.signed_number(PLACE),
        }
    }

    /// `x` and a count, if they stand here.
    fn times(&mut self) -> Result<Option<u64>, Fault> {
        if !self.scanner.take("x") {
            return Ok(None);
        }
        self.scanner.count(PLACE).map(Some)
    }

    /// Makes sure that `count` more positions of histograms with this many buckets are allowed.
    fn reserve(&mut self, count: u64, buckets: usize) -> Result<(), Fault> {
        let each = 1 + buckets as u64;
        self.used = self.used.saturating_add(count.saturating_mul(each));
        if self.used > MAX_VALUES {
            let text = format!("series description has more than {MAX_VALUES} values");
            return Err(self.scanner.fault(text));
        }
        Ok(())
    }

    /// One or more histograms; the opening braces of the first have been taken.
    fn histograms(&mut self) -> Result<(), Fault> {
        let (base, base_hint) = histogram::histogram(&mut self.scanner)?;
        let adds = match self.scanner.peek() {
            Some('+') => Some(true),
            Some('-') => Some(false),
            _ => None,
        };
        let buckets = |h: &FloatHistogram| {
            h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len()
        };
        let Some(adds) = adds else {
            let count = self.times()?.unwrap_or(0).saturating_add(1);
            self.reserve(count, buckets(&base))?;
            for _ in 0..count {
                let value = SequenceValue::histogram(base.clone(), base_hint);
                self.sequence.push(value);
            }
            return Ok(());
        };
        self.scanner.bump();
        if !self.scanner.take("{{") {
            return Err(self.scanner.unexpected(PLACE, ""));
        }
        let (step, hint) = histogram::histogram(&mut self.scanner)?;
        let Some(more) = self.times()? else {
            return Err(self.scanner.unexpected(PLACE, ""));
        };
        // The sum of two layouts may have the buckets of both.
        let most = buckets(&base) + buckets(&step);
        self.reserve(more.saturating_add(1), most)?;
        self.sequence
            .push(SequenceValue::histogram(base.clone(), hint));
        let mut current = base;
        for _ in 0..more {
            if current.schema > step.schema {
                let (from, to) = (step.schema, current.schema);
                let text =
                    format!("error combining histograms: cannot merge from schema {from} to {to}");
                return Err(self.scanner.fault(text));
            }
            let mut next = current.clone();
            let combined = if adds {
                next.add(&step)
            } else {
                next.sub(&step)
            };
            combined.map_err(|e| self.scanner.fault(e.to_string()))?;
            self.sequence
                .push(SequenceValue::histogram(next.clone(), hint));
            current = next;
        }
        Ok(())
    }
}
