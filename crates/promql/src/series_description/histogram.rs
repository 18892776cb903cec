//! Native histograms in value sequences: `{{schema:1 count:5 buckets:[2 3]}}`.

use tsdb_model::{CounterResetHint, FloatHistogram, Span};

use super::scanner::{Scanner, special};
use crate::lexer::Fault;
use crate::token::{quote, quote_char};

const PLACE: &str = "histogram description";

/// Most buckets one side may have.
const MAX_BUCKETS: usize = 100_000;

/// What was written between the braces; every key at most once.
#[derive(Default)]
struct Description {
    seen: Vec<&'static str>,
    histogram: FloatHistogram,
    offset: i32,
    negative_offset: i32,
    hint_set: bool,
}

const KEYS: [&str; 11] = [
    "schema",
    "sum",
    "count",
    "z_bucket",
    "z_bucket_w",
    "custom_values",
    "buckets",
    "offset",
    "n_buckets",
    "n_offset",
    "counter_reset_hint",
];

/// Reads a histogram whose opening braces have been taken; also says whether its counter reset
/// hint was written out.
pub(super) fn histogram(scanner: &mut Scanner<'_>) -> Result<(FloatHistogram, bool), Fault> {
    let mut description = Description::default();
    let spaces = scanner.skip_spaces();
    let mut ready = !spaces;
    while !scanner.take("}}") {
        if !ready {
            return Err(
                scanner.unexpected(PLACE, "histogram description key, e.g. buckets:[5 10 7]")
            );
        }
        description.item(scanner)?;
        ready = scanner.skip_spaces();
    }
    Ok(description.finish())
}

impl Description {
    fn item(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let key = key(scanner)?;
        if self.seen.contains(&key) {
            return Err(Fault::new(
                crate::ast::Span::default(),
                format!("duplicate key \"{key}\" in histogram"),
            ));
        }
        self.seen.push(key);
        let h = &mut self.histogram;
        match key {
            "schema" => h.schema = whole(scanner)?,
            "sum" => h.sum = scanner.signed_number(PLACE)?,
            "count" => h.count = scanner.signed_number(PLACE)?,
            "z_bucket" => h.zero_count = scanner.signed_number(PLACE)?,
            "z_bucket_w" => h.zero_threshold = scanner.number(PLACE)?,
            "custom_values" => h.custom_values = bucket_set(scanner)?,
            "buckets" => h.positive_buckets = bucket_set(scanner)?,
            "n_buckets" => h.negative_buckets = bucket_set(scanner)?,
            "offset" => self.offset = whole(scanner)?,
            "n_offset" => self.negative_offset = whole(scanner)?,
            _ => {
                h.reset_hint = hint(scanner)?;
                self.hint_set = true;
            }
        }
        Ok(())
    }

    fn finish(self) -> (FloatHistogram, bool) {
        let spans = |offset: i32, buckets: &[f64]| {
            let span = Span {
                offset,
                length: buckets.len() as u32,
            };
            if buckets.is_empty() {
                Vec::new()
            } else {
                vec![span]
            }
        };
        let mut h = self.histogram;
        h.positive_spans = spans(self.offset, &h.positive_buckets);
        h.negative_spans = spans(self.negative_offset, &h.negative_buckets);
        (h, self.hint_set)
    }
}

/// The key that stands here, and the colon behind it.
fn key(scanner: &mut Scanner<'_>) -> Result<&'static str, Fault> {
    let incomplete = |scanner: &Scanner<'_>| {
        let c = quote_char(scanner.peek());
        scanner.fault(format!("histogram description incomplete unexpected: {c}"))
    };
    let Some(word) = letters(scanner) else {
        return Err(incomplete(scanner));
    };
    let found = KEYS.iter().find(|key| key.eq_ignore_ascii_case(word));
    let Some(key) = found else {
        let word = quote(word);
        return Err(scanner.fault(format!("bad histogram descriptor found: {word}")));
    };
    if !scanner.take(":") {
        return Err(scanner.fault("missing `:` for histogram descriptor"));
    }
    Ok(key)
}

fn letters<'a>(scanner: &mut Scanner<'a>) -> Option<&'a str> {
    scanner.word_of(|c| c.is_ascii_alphabetic() || c == '_')
}

/// A whole number with or without a minus sign, 32 bits of it.
fn whole(scanner: &mut Scanner<'_>) -> Result<i32, Fault> {
    let negative = scanner.take("-");
    let count = scanner.count(PLACE)?;
    let value = i32::try_from(count).map_err(|_| {
        scanner.fault(format!(
            "number {count} in histogram description is too large"
        ))
    })?;
    Ok(if negative { -value } else { value })
}

/// `[1 2 3]`
fn bucket_set(scanner: &mut Scanner<'_>) -> Result<Vec<f64>, Fault> {
    if !scanner.take("[") {
        return Err(scanner.unexpected(PLACE, ""));
    }
    let mut buckets = Vec::new();
    loop {
        buckets.push(bucket(scanner)?);
        if buckets.len() > MAX_BUCKETS {
            let text = format!("histogram has more than {MAX_BUCKETS} buckets");
            return Err(scanner.fault(text));
        }
        let spaces = scanner.skip_spaces();
        if scanner.take("]") {
            return Ok(buckets);
        }
        if !spaces {
            let c = quote_char(scanner.peek());
            let text = format!("invalid character in buckets description: {c}");
            return Err(scanner.fault(text));
        }
    }
}

fn bucket(scanner: &mut Scanner<'_>) -> Result<f64, Fault> {
    let negative = scanner.take("-");
    let value = match letters(scanner) {
        Some(word) => special(word).ok_or_else(|| scanner.unexpected(PLACE, ""))?,
        None => scanner.number(PLACE)?,
    };
    Ok(if negative { -value } else { value })
}

fn hint(scanner: &mut Scanner<'_>) -> Result<CounterResetHint, Fault> {
    match letters(scanner).map(str::to_ascii_lowercase).as_deref() {
        Some("unknown") => Ok(CounterResetHint::Unknown),
        Some("reset") => Ok(CounterResetHint::Reset),
        Some("not_reset") => Ok(CounterResetHint::NotReset),
        Some("gauge") => Ok(CounterResetHint::Gauge),
        word => {
            let word = quote(word.unwrap_or_default());
            Err(scanner.fault(format!("bad histogram descriptor found: {word}")))
        }
    }
}
