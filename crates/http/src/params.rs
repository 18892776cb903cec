//! Parameters of a request, from the query string and from form bodies, and how their texts
//! become times, durations and limits. The error texts are Prometheus's.

use std::borrow::Cow;

use http::request::Parts;
use http::{Method, header};
use tsdb_model::{Matcher, parse_duration_ms, parse_float};

use crate::error::ApiError;
use crate::form;

/// Earliest time in milliseconds that Prometheus knows; stands for "from the beginning".
pub const MIN_TIME_MS: i64 = (i64::MIN / 1000 + 62_135_596_801) * 1000;
/// Latest time in milliseconds that Prometheus knows; stands for "to the end".
pub const MAX_TIME_MS: i64 = (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999;

/// [`MIN_TIME_MS`] and [`MAX_TIME_MS`] as clients send them; RFC 3339 has no such years.
const BOUNDARY_TIMES: [(&str, i64); 2] = [
    ("-292273086-05-16T16:47:06Z", MIN_TIME_MS),
    ("292277025-08-18T07:12:54.999999999Z", MAX_TIME_MS),
];

/// Most parameters of a request; with more it is refused.
pub const MAX_PARAMS: usize = 10_000;

/// Longest quoted piece of a parameter in an error text, in bytes.
const MAX_QUOTED: usize = 1024;

/// The parameters of one request. Values of the body stand before values of the URL, so that the
/// body wins where one value is wanted.
#[derive(Debug, Clone, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    /// What was wrong with pairs that were left out.
    malformed: Option<String>,
    /// There are more than [`MAX_PARAMS`].
    too_many: bool,
}

impl Params {
    /// Reads the parameters of a request. Pairs with malformed escapes are left out; endpoints
    /// that care ask [`Params::check_form`]. The body counts for POST, PUT and PATCH when it is a
    /// form, url-encoded or multipart.
    pub fn from_request(head: &Parts, body: &[u8]) -> Self {
        let mut params = Self::default();
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            let content_type = head.headers.get(header::CONTENT_TYPE);
            let content_type = content_type
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default();
            params.add_body(content_type, body);
        }
        params.add_urlencoded(head.uri.query().unwrap_or_default().as_bytes());
        params
    }

    /// The parameters of a query string.
    pub fn from_query(query: &str) -> Self {
        let mut params = Self::default();
        params.add_urlencoded(query.as_bytes());
        params
    }

    fn add_body(&mut self, content_type: &str, body: &[u8]) {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            self.add_urlencoded(body);
        } else if media_type.eq_ignore_ascii_case("multipart/form-data") {
            match form::multipart(content_type, body) {
                Ok(pairs) => self.pairs.extend(pairs), // few, see there
                Err(e) => self.malformed = Some(e),
            }
        }
    }

    fn add_urlencoded(&mut self, text: &[u8]) {
        for pair in text.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
            if self.pairs.len() >= MAX_PARAMS {
                self.too_many = true;
                return;
            }
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            match (form::unescape(name, true), form::unescape(value, true)) {
                (Ok(name), Ok(value)) => self.pairs.push((lossy(name), lossy(value))),
                (Err(e), _) | (_, Err(e)) => {
                    self.malformed.get_or_insert(e);
                }
            }
        }
    }

    /// Fails when there are too many of them; those that were kept mean nothing then.
    pub fn check_number(&self) -> Result<(), ApiError> {
        if self.too_many {
            let text = format!("too many parameters: a request may have {MAX_PARAMS}");
            return Err(ApiError::bad_data(text));
        }
        Ok(())
    }

    /// The first value of a parameter; `""` when it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Fails when a pair was left out because it is malformed.
    pub fn check_form(&self) -> Result<(), ApiError> {
        match &self.malformed {
            Some(what) => Err(ApiError::bad_data(format!(
                "error parsing form values: {what}"
            ))),
            None => Ok(()),
        }
    }

    /// A required time in milliseconds.
    pub fn time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time_ms(self.get(name)).map_err(|e| ApiError::invalid(name, e))
    }

    /// An optional time in milliseconds.
    pub fn time_or(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default_ms),
            text => parse_time_ms(text).map_err(|e| {
                ApiError::invalid(name, format!("invalid time value for '{name}': {e}"))
            }),
        }
    }

    /// `limit`; 0 means none.
    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.get("limit") {
            "" => Ok(0),
            text => match parse_int(text) {
                Ok(n) => usize::try_from(n).map_err(|_| "limit must be non-negative".to_string()),
                Err(e) => Err(e),
            }
            .map_err(|e| ApiError::invalid("limit", e)),
        }
    }

    /// The optional duration `timeout` in nanoseconds.
    pub fn timeout_ns(&self) -> Result<Option<i64>, ApiError> {
        match self.get("timeout") {
            "" => Ok(None),
            text => {
                let ns = parse_duration_ns(text).map_err(|e| ApiError::invalid("timeout", e))?;
                Ok(Some(ns))
            }
        }
    }

    /// The optional duration `lookback_delta` in milliseconds; `None` when absent, zero or less.
    pub fn lookback_delta_ms(&self) -> Result<Option<i64>, ApiError> {
        match self.get("lookback_delta") {
            "" => Ok(None),
            text => match parse_duration_ns(text) {
                Ok(ns) => Ok(Some(ns / 1_000_000).filter(|ms| *ms > 0)),
                Err(e) => Err(ApiError::bad_data(format!(
                    "error parsing lookback delta duration: {e}"
                ))),
            },
        }
    }

    /// The selectors of `match[]`, parsed. Errors have no `invalid parameter` in front.
    pub fn matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut sets = Vec::new();
        for text in self.all("match[]") {
            let matchers =
                tsdb_promql::parse_selector(text).map_err(|e| ApiError::bad_data(e.to_string()))?;
            sets.push(matchers);
        }
        if sets
            .iter()
            .any(|matchers| matchers.iter().all(Matcher::matches_empty))
        {
            let text = "match[] must contain at least one non-empty matcher";
            return Err(ApiError::bad_data(text));
        }
        Ok(sets)
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8_lossy(&bytes) {
        Cow::Owned(replaced) => replaced,
        Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
    }
}

/// Go's `%q` of a parameter, cut when it is long.
pub(crate) fn quoted(text: &str) -> String {
    let mut end = text.len().min(MAX_QUOTED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = String::new();
    let _ = tsdb_model::labels::write_quoted(&mut out, &text[..end]);
    if end < text.len() {
        out.push_str("...");
    }
    out
}

/// A time: Unix seconds as a float, rounded to the nearest millisecond, or RFC 3339. Times beyond
/// [`MIN_TIME_MS`] and [`MAX_TIME_MS`] become these; NaN is the earliest time.
pub fn parse_time_ms(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_go_float(text) {
        // Whole seconds and the rest apart, as Prometheus does: the rounding is visible.
        let ms = (seconds.fract() * 1000.0).round() as i64;
        let whole = seconds.trunc() as i64;
        let time = whole.saturating_mul(1000).saturating_add(ms);
        return Ok(if seconds.is_nan() {
            MIN_TIME_MS
        } else {
            time.clamp(MIN_TIME_MS, MAX_TIME_MS)
        });
    }
    if let Some(ms) = parse_rfc3339_ms(text) {
        return Ok(ms);
    }
    let boundary = BOUNDARY_TIMES.iter().find(|(t, _)| *t == text);
    boundary
        .map(|(_, ms)| *ms)
        .ok_or_else(|| format!("cannot parse {} to a valid timestamp", quoted(text)))
}

/// A duration in nanoseconds: seconds as a float, or a Prometheus duration (`1m30s`).
pub fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_go_float(text) {
        let ns = seconds * 1e9;
        if !(ns.is_nan() || (-(2f64.powi(63))..=2f64.powi(63)).contains(&ns)) {
            let text = quoted(text);
            return Err(format!(
                "cannot parse {text} to a valid duration. It overflows int64"
            ));
        }
        return Ok(if ns.is_nan() { i64::MIN } else { ns as i64 });
    }
    parse_duration_ms(text)
        .map(|ms| ms.saturating_mul(1_000_000))
        .map_err(|_| format!("cannot parse {} to a valid duration", quoted(text)))
}

/// An integer as Go's `strconv.Atoi` reads it, with its error texts.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let reason = if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(n) => return Ok(n),
            Err(_) => "value out of range",
        }
    };
    Err(format!("strconv.Atoi: parsing {}: {reason}", quoted(text)))
}

/// A truth value as Go's `strconv.ParseBool` reads it, with its error text.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quoted(text)
        )),
    }
}

/// A float in Go's syntax: decimal, hexadecimal (`0x1p-2`), `inf`, `nan`; underscores between
/// digits.
fn parse_go_float(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return parse_float(text).or_else(|| parse_hex_float(text));
    }
    let bytes = text.as_bytes();
    let digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_hexdigit);
    let after_prefix = |i: usize| i >= 2 && matches!(&bytes[i - 2..i], b"0x" | b"0X");
    let allowed = bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(i, _)| {
            let before = i.checked_sub(1).and_then(|i| bytes.get(i));
            (digit(before) || after_prefix(i)) && digit(bytes.get(i + 1))
        });
    let plain = text.replace('_', "");
    allowed.then(|| parse_float(&plain).or_else(|| parse_hex_float(&plain)))?
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest
        .strip_prefix("0x")
        .or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, exponent) = rest.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // 13 hexadecimal digits are exact; more are of no use for a time.
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 13 {
        return None;
    }
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() < 1000)?;
    let value = value * 2f64.powi(exponent - 4 * fraction.len() as i32);
    value
        .is_finite()
        .then_some(if negative { -value } else { value })
}

/// RFC 3339 (`2024-01-02T15:04:05.678+01:00`) in milliseconds since the Unix epoch; finer
/// fractions are cut. `None` when the text is something else, a plain date too.
pub fn parse_rfc3339_ms(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = b.get(from..to)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let at = |i: usize, c: u8| b.get(i) == Some(&c);
    if !(at(4, b'-') && at(7, b'-') && at(10, b'T') && at(13, b':') && at(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut i = 19;
    let mut ms = 0;
    if at(i, b'.') || at(i, b',') {
        let digits = b[i + 1..].iter().take_while(|d| d.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let used = digits.min(3);
        ms = number(i + 1, i + 1 + used)? * [100, 10, 1][used - 1];
        i += 1 + digits;
    }
    let offset_minutes = match b.get(i)? {
        b'Z' if b.len() == i + 1 => 0,
        sign @ (b'+' | b'-') if b.len() == i + 6 && at(i + 3, b':') => {
            let (hours, minutes) = (number(i + 1, i + 3)?, number(i + 4, i + 6)?);
            if hours > 24 || minutes > 60 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    Some(seconds * 1000 + ms)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
