//! Are two answers the same?

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How far an answer is from the reference.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// Series or entries that only one of them has.
    pub(crate) series: usize,
    /// Points that only one of them has.
    pub(crate) points: usize,
    /// Points compared.
    pub(crate) compared: usize,
    /// Points that differ by more than 1e-9 of the value.
    pub(crate) wrong: usize,
    /// Largest relative difference.
    pub(crate) largest: f64,
}

impl Difference {
    pub(crate) fn none(&self) -> bool {
        self.series == 0 && self.points == 0 && self.wrong == 0
    }
}

type Series = BTreeMap<String, BTreeMap<i64, f64>>;

/// Compares the bodies of two answers, whatever the order of their series.
pub(crate) fn compare(answer: &[u8], reference: &[u8]) -> Result<Difference> {
    let (a, b) = (series(answer)?, series(reference)?);
    let mut d = Difference {
        series: a.keys().filter(|k| !b.contains_key(*k)).count(),
        ..Difference::default()
    };
    for (key, want) in &b {
        let Some(got) = a.get(key) else {
            d.series += 1;
            continue;
        };
        d.points += got.keys().filter(|t| !want.contains_key(t)).count();
        for (t, w) in want {
            let Some(g) = got.get(t) else {
                d.points += 1;
                continue;
            };
            d.compared += 1;
            let relative = if g == w || (g.is_nan() && w.is_nan()) {
                0.0
            } else if g.is_finite() && w.is_finite() {
                (g - w).abs() / g.abs().max(w.abs())
            } else {
                f64::INFINITY
            };
            d.largest = d.largest.max(relative);
            d.wrong += usize::from(relative > 1e-9);
        }
    }
    Ok(d)
}

/// All series of an answer by the text of their labels; entries of lists have no points.
fn series(body: &[u8]) -> Result<Series> {
    let value: Value = serde_json::from_slice(body).context("answer is not JSON")?;
    if value["status"] != "success" {
        bail!("status {}: {}", value["status"], value["error"]);
    }
    let data = &value["data"];
    let mut all = Series::new();
    if let Value::Array(entries) = data {
        for entry in entries {
            all.insert(entry.to_string(), BTreeMap::new());
        }
        return Ok(all);
    }
    let result = &data["result"];
    if data["resultType"] == "scalar" {
        all.insert(String::new(), points(std::slice::from_ref(result))?);
        return Ok(all);
    }
    for entry in result.as_array().context("no result")? {
        let points = match (&entry["values"], &entry["value"]) {
            (Value::Array(values), _) => points(values)?,
            (_, value) => points(std::slice::from_ref(value))?,
        };
        // serde_json keeps the keys of an object sorted.
        all.insert(entry["metric"].to_string(), points);
    }
    Ok(all)
}

fn points(values: &[Value]) -> Result<BTreeMap<i64, f64>> {
    values
        .iter()
        .map(|p| {
            let t = p[0].as_f64().context("no time")?;
            let v = p[1].as_str().context("no value")?;
            Ok(((t * 1000.0).round() as i64, v.parse::<f64>()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(points: &str) -> Vec<u8> {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{points}]}}}}"#)
            .into_bytes()
    }

    #[test]
    fn order_does_not_matter_but_values_do() {
        let a = r#"{"metric":{"a":"1"},"value":[1,"2"]}"#;
        let b = r#"{"metric":{"a":"2"},"value":[1,"NaN"]}"#;
        let c = r#"{"metric":{"a":"2"},"value":[1,"3"]}"#;
        let both = vector(&format!("{a},{b}"));
        let d = compare(&both, &vector(&format!("{b},{a}"))).unwrap();
        assert!(d.none() && d.compared == 2);
        assert_eq!(compare(&both, &vector(a)).unwrap().series, 1);
        assert_eq!(
            compare(&both, &vector(&format!("{a},{c}"))).unwrap().wrong,
            1
        );
    }

    #[test]
    fn errors_are_not_answers() {
        assert!(compare(br#"{"status":"error","error":"x"}"#, &vector("")).is_err());
    }
}
