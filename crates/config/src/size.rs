//! Sizes in bytes: `512KB`, `1.5GiB`, `1MB512KB`. All units are powers of 1024.

use std::fmt::Write as _;

const UNITS: [(&str, u32); 13] = [
    ("B", 0),
    ("KB", 10),
    ("MB", 20),
    ("GB", 30),
    ("TB", 40),
    ("PB", 50),
    ("EB", 60),
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("TiB", 40),
    ("PiB", 50),
    ("EiB", 60),
];

/// Reads a size. The error is Prometheus's.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("units: invalid {text}");
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err(invalid());
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, bits) = known.ok_or_else(|| format!("units: unknown unit {unit} in {text}"))?;
        total += number * (1_u64 << bits) as f64;
        rest = tail;
    }
    // Prometheus keeps sizes in 63 bits.
    if total < i64::MAX as f64 {
        Ok(total as u64)
    } else {
        Err(invalid())
    }
}

/// Prints a size as Prometheus does: `1MiB512KiB`.
pub fn format_size(size: u64) -> String {
    let mut out = String::new();
    let mut rest = size;
    for (name, bits) in UNITS
        .into_iter()
        .rev()
        .filter(|(name, _)| name.contains('i'))
    {
        let n = rest >> bits;
        if n > 0 {
            let _ = write!(out, "{n}{name}");
            rest -= n << bits;
        }
    }
    if rest > 0 || out.is_empty() {
        let _ = write!(out, "{rest}B");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, printed) in [
            ("0", 0, "0B"),
            ("0B", 0, "0B"),
            ("10B", 10, "10B"),
            ("1KB", 1024, "1KiB"),
            ("1.5KiB", 1536, "1KiB512B"),
            ("10MB", 10 << 20, "10MiB"),
            ("2GiB3B", (2 << 30) + 3, "2GiB3B"),
            ("7EB", 7 << 60, "7EiB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(format_size(bytes), printed);
            assert_eq!(parse_size(printed), Ok(bytes), "{printed}");
        }
        for (text, error) in [
            ("10", "units: unknown unit  in 10"),
            ("10mb", "units: unknown unit mb in 10mb"),
            ("", "units: invalid "),
            ("-1B", "units: invalid -1B"),
            ("1.2.3B", "units: invalid 1.2.3B"),
            ("8EB", "units: invalid 8EB"),
            ("MB", "units: invalid MB"),
            ("1é", "units: unknown unit é in 1é"),
        ] {
            assert_eq!(parse_size(text).unwrap_err(), error);
        }
    }
}
