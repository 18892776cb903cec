//! Numbers and durations: how far they reach, and what they are worth.

use super::{Fault, Lexer, is_word};
use crate::token::{TokenKind, quote};

impl Lexer<'_> {
    /// True when `c`, which has just been read, begins a number.
    pub(super) fn starts_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|c| c.is_ascii_digit()))
    }

    /// Reads the number or duration whose first character has just been read.
    pub(super) fn number_or_duration(&mut self) -> Result<TokenKind, Fault> {
        self.pos = self.start;
        if self.scan_number(false) {
            return Ok(TokenKind::Number);
        }
        if self.scan_units() {
            return Ok(TokenKind::Duration);
        }
        let text = quote(self.text(self.start, self.pos));
        Err(self.fault(format!("bad number or duration syntax: {text}")))
    }

    /// Reads what looks like a number; whether it is one is found out when it is parsed.
    /// In a series description an `x` repeats the number.
    fn scan_number(&mut self, in_series: bool) -> bool {
        let mut hex = false;
        if !in_series && self.accept(|c| c == '0') && self.accept(|c| matches!(c, 'x' | 'X')) {
            self.accept(|c| c == '_');
            hex = true;
        }
        let digit = move |c: char| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        let exponent = |c: char| matches!(c, 'e' | 'E');
        let (mut dots, mut exponents) = (0, 0);
        self.accept(|c| c == '.');
        self.accept(digit);
        while let Some(c) = self.peek() {
            if c == '.' {
                self.bump();
                dots += 1;
                if dots > 1 || self.accept(|c| matches!(c, '_' | '.')) || hex {
                    return false;
                }
            } else if exponent(c) {
                self.bump();
                exponents += 1;
                if exponents > 1 {
                    return false;
                }
                self.accept(|c| matches!(c, '+' | '-'));
                if self.accept(|c| matches!(c, '.' | '_') || exponent(c)) || self.peek().is_none() {
                    return false;
                }
            } else if c == '_' {
                self.bump();
                if self.accept(|c| matches!(c, '.' | '_') || exponent(c)) || self.peek().is_none() {
                    return false;
                }
            } else if digit(c) {
                self.accept_run(digit);
            } else {
                break;
            }
        }
        self.pos > self.start
            && !self
                .peek()
                .is_some_and(|c| is_word(c) && !(in_series && c == 'x'))
    }

    /// Reads the units behind the first number of a duration; whether they stand in the right
    /// order is found out when the duration is parsed.
    fn scan_units(&mut self) -> bool {
        if !self.accept(|c| "smhdwy".contains(c)) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            self.accept_run(|c| c.is_ascii_digit());
            if !self.accept(|c| "smhdw".contains(c)) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        // A character too many becomes part of the error.
        !self.accept(is_word)
    }
}

/// End of the number of a series description that begins at `start`; `Err` with the end of what
/// cannot be one.
pub(crate) fn series_number_end(text: &str, start: usize) -> Result<usize, usize> {
    let mut lexer = Lexer::new(text);
    (lexer.pos, lexer.start) = (start, start);
    let is_number = lexer.scan_number(true);
    if is_number {
        Ok(lexer.pos)
    } else {
        Err(lexer.pos)
    }
}

/// Value of a number as Prometheus reads it: whole numbers in Go's syntax (`0x1f`, `017` is
/// octal, `1_000`), then floats.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(n) = parse_int(text) {
        return Ok(n as f64);
    }
    let error = |reason: &str| {
        let text = quote(text);
        format!("error parsing number: strconv.ParseFloat: parsing {text}: {reason}")
    };
    if !underscores_fit(text) {
        return Err(error("invalid syntax"));
    }
    let plain = text.replace('_', "");
    if let Some(v) = tsdb_model::parse_float(&plain) {
        return Ok(v);
    }
    let too_large = plain.parse::<f64>().is_ok_and(f64::is_infinite);
    Err(error(if too_large {
        "value out of range"
    } else {
        "invalid syntax"
    }))
}

fn parse_int(text: &str) -> Option<i64> {
    if !underscores_fit(text) {
        return None;
    }
    let plain = text.replace('_', "");
    let prefixed = |prefix: &str| {
        let head = plain.get(..2).filter(|_| plain.len() > 2)?;
        head.eq_ignore_ascii_case(prefix).then(|| &plain[2..])
    };
    let (digits, radix) = if let Some(digits) = prefixed("0x") {
        (digits, 16)
    } else if let Some(digits) = plain.strip_prefix('0').filter(|d| !d.is_empty()) {
        (digits, 8)
    } else {
        (plain.as_str(), 10)
    };
    // `from_str_radix` takes a sign, which cannot stand here.
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then_some(())?;
    i64::from_str_radix(digits, radix).ok()
}

/// Underscores stand only between digits, or between a prefix and a digit.
fn underscores_fit(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let digit = |c: char| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
    let body = if hex {
        text.get(2..).unwrap_or_default()
    } else {
        text
    };
    let mut last = if hex { '0' } else { '^' };
    for c in body.chars() {
        if c == '_' && !digit(last) || last == '_' && !digit(c) {
            return false;
        }
        last = c;
    }
    last != '_'
}

/// Units from the largest to the smallest, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Seconds of a duration (`1h30m`), or why it is not one.
pub(crate) fn duration_seconds(text: &str) -> Result<f64, String> {
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let too_large = || "duration out of range".to_string();
    let mut rest = text;
    let mut next_unit = 0;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        if unit.is_empty() {
            return Err(invalid());
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit);
        let at =
            at.ok_or_else(|| format!("unknown unit {} in duration {}", quote(unit), quote(text)))?;
        if at < next_unit {
            return Err(invalid());
        }
        next_unit = at + 1;
        total = UNITS
            .get(at)
            .and_then(|(_, size)| number.checked_mul(*size))
            .and_then(|size| total.checked_add(size))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(too_large)?;
        rest = tail;
    }
    let (whole, part) = (total / 1_000_000_000, total % 1_000_000_000);
    Ok(whole as f64 + part as f64 / 1e9)
}
