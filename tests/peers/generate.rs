//! Random series and random queries over them.

use std::fmt::Write as _;

use crate::support::escape;

/// Small xorshift generator: the same seed gives the same queries everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// A page with the history of all series between two times (ms): counters with resets, gauges of
/// several kinds, special values, gaps, a classic histogram, an info metric.
pub fn exposition(start: i64, end: i64) -> String {
    let mut random = Random::new(42);
    let mut out = String::new();
    for a in ["x", "y", "z"] {
        for b in ["1", "2"] {
            let labels = format!("a=\"{a}\",b=\"{b}\",instance=\"i{b}\",job=\"j\"");
            let jitter = random.below(900) as i64;
            counter(
                &mut out,
                &mut random,
                &format!("c_total{{{labels}}}"),
                start + jitter,
                end,
                15_000,
            );
            gauge(
                &mut out,
                &mut random,
                &format!("g{{{labels}}}"),
                start + 3 * jitter,
                end,
                10_000,
            );
            special(
                &mut out,
                &mut random,
                &format!("s{{{labels}}}"),
                start + jitter,
                end,
            );
        }
        histogram(&mut out, &mut random, a, start, end);
        let info = format!(
            "info{{a=\"{a}\",version=\"v{}\",instance=\"i1\",job=\"j\"}}",
            random.below(2)
        );
        for t in (start..end).step_by(30_000) {
            let _ = writeln!(out, "{info} 1 {t}");
        }
    }
    // Starts late, ends early.
    for t in (start + 600_000..end - 700_000).step_by(20_000) {
        let _ = writeln!(
            out,
            "short{{a=\"x\",instance=\"i1\",job=\"j\"}} {} {t}",
            t % 1000
        );
    }
    out
}

fn counter(out: &mut String, random: &mut Random, series: &str, start: i64, end: i64, every: i64) {
    let mut value = random.below(1000) as f64;
    let whole = random.chance(50);
    let mut t = start;
    while t < end {
        if random.chance(3) {
            value = 0.0;
        }
        if random.chance(4) {
            t += every * 3;
        }
        value += if whole {
            random.below(20) as f64
        } else {
            random.below(2000) as f64 / 1000.0
        };
        let _ = writeln!(out, "{series} {value} {t}");
        t += every
            + if random.chance(10) {
                random.below(700) as i64
            } else {
                0
            };
    }
}

fn gauge(out: &mut String, random: &mut Random, series: &str, start: i64, end: i64, every: i64) {
    let mut value = random.below(100) as f64;
    let scale = [1.0, 10.0, 1000.0, 7.0][random.below(4)];
    for t in (start..end).step_by(every as usize) {
        value += (random.below(21) as f64 - 10.0) / scale;
        let _ = writeln!(out, "{series} {value} {t}");
    }
}

fn special(out: &mut String, random: &mut Random, series: &str, start: i64, end: i64) {
    let values = [
        "NaN", "+Inf", "-Inf", "-0", "0", "1e300", "-1e300", "1e-300", "1", "-1", "0.5", "3",
    ];
    for t in (start..end).step_by(30_000) {
        let _ = writeln!(out, "{series} {} {t}", random.pick(&values));
    }
}

fn histogram(out: &mut String, random: &mut Random, a: &str, start: i64, end: i64) {
    let bounds = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
    let mut counts = [0_u64; 6];
    let mut sum = 0.0;
    let mut lines = vec![String::new(); 8];
    for t in (start..end).step_by(15_000) {
        for (i, count) in counts.iter_mut().enumerate() {
            let more = random.below(5) as u64;
            *count += more;
            sum += more as f64 * i as f64 / 3.0;
        }
        let mut total = 0;
        for (i, le) in bounds.iter().enumerate() {
            total += counts[i];
            let _ = writeln!(
                lines[i],
                "h_bucket{{a=\"{a}\",instance=\"i1\",job=\"j\",le=\"{le}\"}} {total} {t}"
            );
        }
        let _ = writeln!(
            lines[6],
            "h_sum{{a=\"{a}\",instance=\"i1\",job=\"j\"}} {sum} {t}"
        );
        let _ = writeln!(
            lines[7],
            "h_count{{a=\"{a}\",instance=\"i1\",job=\"j\"}} {total} {t}"
        );
    }
    for line in lines {
        out.push_str(&line);
    }
}

const METRICS: &[&str] = &[
    "c_total", "g", "s", "h_bucket", "h_sum", "h_count", "info", "short", "nothing",
];
const LABELS: &[&str] = &["a", "b", "instance", "job", "le", "version", "missing"];
const MATH: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "sgn",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "deg",
    "rad",
    "round",
    "timestamp",
    "sort",
    "sort_desc",
    "absent",
    "minute",
    "hour",
    "month",
    "year",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
];
const RANGES: &[&str] = &[
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "resets",
    "changes",
    "deriv",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "absent_over_time",
    "mad_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
    "ts_of_last_over_time",
];
const AGGREGATIONS: &[&str] = &[
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const DURATIONS: &[&str] = &[
    "10s", "15s", "30s", "1m", "2m", "5m", "7m30s", "10m", "61s", "1500ms",
];
const NUMBERS: &[&str] = &[
    "0", "1", "2", "-1", "0.5", "3.14159", "1e9", "NaN", "Inf", "-Inf", "100", "0x1F", "5m",
];

/// Writes random queries. Most are valid; some are refused by the parser or by the evaluation.
pub struct Generator {
    random: Random,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
        }
    }

    /// A whole query.
    pub fn query(&mut self) -> String {
        let depth = 1 + self.random.below(4);
        match self.random.below(20) {
            0 => self.scalar(depth),
            1 => self.matrix(0),
            _ => self.vector(depth),
        }
    }

    /// Path and form of the request: instant or range, at random times.
    pub fn request(&mut self, query: &str, start: i64, end: i64) -> String {
        let query = escape(query);
        let span = (end - start) as usize;
        let at = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        if self.random.chance(40) {
            let t = start + self.random.below(span + 300_000) as i64;
            let t = if self.random.chance(50) {
                t / 1000 * 1000
            } else {
                t
            };
            return format!("/api/v1/query?query={query}&time={}", at(t));
        }
        let from = start - 120_000 + self.random.below(span) as i64;
        let from = if self.random.chance(70) {
            from / 15_000 * 15_000
        } else {
            from
        };
        let to = from + self.random.below(1_200_000) as i64;
        let step = self
            .random
            .pick(&["5", "10", "15", "30", "60", "17.3", "300"]);
        format!(
            "/api/v1/query_range?query={query}&start={}&end={}&step={step}",
            at(from),
            at(to)
        )
    }

    fn matchers(&mut self) -> String {
        let mut out = Vec::new();
        for _ in 0..[0, 0, 1, 1, 2][self.random.below(5)] {
            let label = self.random.pick(LABELS);
            out.push(match self.random.below(6) {
                0 | 1 => format!(
                    "{label}=\"{}\"",
                    self.random.pick(&["x", "y", "1", "i1", "j", ""])
                ),
                2 => format!("{label}!=\"{}\"", self.random.pick(&["x", "2", "i1", ""])),
                3 | 4 => format!(
                    "{label}=~\"{}\"",
                    self.random
                        .pick(&["x|y", "[xyz]", ".+", ".*", "i.", "1|", "(x|z)?"])
                ),
                _ => format!(
                    "{label}!~\"{}\"",
                    self.random.pick(&["x|y", "z.*", ".+", "i2"])
                ),
            });
        }
        if out.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", out.join(","))
        }
    }

    fn modifiers(&mut self) -> String {
        let mut out = String::new();
        if self.random.chance(15) {
            let sign = if self.random.chance(20) { "-" } else { "" };
            let _ = write!(out, " offset {sign}{}", self.random.pick(DURATIONS));
        }
        if self.random.chance(6) {
            out += self.random.pick(&[" @ start()", " @ end()"]);
        }
        out
    }

    fn selector(&mut self) -> String {
        let metric = self.random.pick(METRICS);
        let matchers = self.matchers();
        if self.random.chance(4) {
            return format!(
                "{{__name__=~\"{}\"{}}}",
                self.random.pick(&["c_total|g", "h_.*", "g|s"]),
                matchers
                    .trim_matches(['{', '}'])
                    .split(',')
                    .filter(|m| !m.is_empty())
                    .map(|m| format!(",{m}"))
                    .collect::<String>()
            );
        }
        format!("{metric}{matchers}")
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.chance(25) {
            let inner = self.vector(depth - 1);
            let step = self.random.pick(&["", "10s", "15s", "1m", "7s"]);
            let modifiers = self.modifiers();
            return format!(
                "({inner})[{}:{step}]{modifiers}",
                self.random.pick(DURATIONS)
            );
        }
        let selector = self.selector();
        let modifiers = self.modifiers();
        format!("{selector}[{}]{modifiers}", self.random.pick(DURATIONS))
    }

    fn scalar(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => self.random.pick(NUMBERS).to_string(),
            2 => self.random.pick(&["time()", "pi()"]).to_string(),
            3 => format!("scalar({})", self.vector(depth - 1)),
            4 => format!(
                "({} {} {})",
                self.scalar(depth - 1),
                self.random.pick(ARITHMETIC),
                self.scalar(depth - 1)
            ),
            _ => format!(
                "({} {} bool {})",
                self.scalar(depth - 1),
                self.random.pick(COMPARISONS),
                self.scalar(depth - 1)
            ),
        }
    }

    fn labels(&mut self) -> String {
        let n = self.random.below(4);
        (0..n)
            .map(|_| self.random.pick(LABELS))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector() + &self.modifiers();
        }
        let d = depth - 1;
        match self.random.below(24) {
            0..=2 => self.selector() + &self.modifiers(),
            3..=7 => format!("{}({})", self.random.pick(RANGES), self.matrix(d)),
            8..=10 => {
                let op = self.random.pick(AGGREGATIONS);
                let by = self.grouping();
                format!("{op}{by}({})", self.vector(d))
            }
            11 => {
                let op =
                    self.random
                        .pick(&["topk", "bottomk", "quantile", "limitk", "limit_ratio"]);
                let param = match op {
                    "quantile" => self
                        .random
                        .pick(&["0.5", "0", "1", "0.99", "-1", "2", "NaN"])
                        .to_string(),
                    "limit_ratio" => self.random.pick(&["0.5", "-0.5", "1", "0.1"]).to_string(),
                    _ => self
                        .random
                        .pick(&["1", "2", "3", "0", "100", "0.5"])
                        .to_string(),
                };
                let by = self.grouping();
                format!("{op}{by}({param}, {})", self.vector(d))
            }
            12 => format!("count_values{}(\"v\", {})", self.grouping(), self.vector(d)),
            13 | 14 => format!("{}({})", self.random.pick(MATH), self.vector(d)),
            15..=18 => self.binary(d),
            19 => match self.random.below(6) {
                0 => format!(
                    "quantile_over_time({}, {})",
                    self.random.pick(&["0.5", "0.9", "0", "1", "2"]),
                    self.matrix(d)
                ),
                1 => format!(
                    "predict_linear({}, {})",
                    self.matrix(d),
                    self.random.pick(&["60", "3600", "-10"])
                ),
                2 => format!("double_exponential_smoothing({}, 0.5, 0.3)", self.matrix(d)),
                3 => format!(
                    "histogram_quantile({}, {})",
                    self.random.pick(&["0.5", "0.9", "0", "1", "-1", "2"]),
                    self.buckets(d)
                ),
                4 => format!("histogram_quantile(0.9, {})", self.vector(d)),
                _ => format!("vector({})", self.scalar(d)),
            },
            20 => match self.random.below(5) {
                0 => format!(
                    "clamp({}, {}, {})",
                    self.vector(d),
                    self.scalar(0),
                    self.scalar(0)
                ),
                1 => format!("clamp_min({}, {})", self.vector(d), self.scalar(d)),
                2 => format!("clamp_max({}, {})", self.vector(d), self.scalar(d)),
                3 => format!(
                    "round({}, {})",
                    self.vector(d),
                    self.random.pick(&["0.1", "5", "0", "-1", "1e-3"])
                ),
                _ => format!("sort_by_label({}, \"a\", \"b\")", self.vector(d)),
            },
            21 => format!(
                "label_replace({}, \"{}\", \"{}\", \"{}\", \"{}\")",
                self.vector(d),
                self.random.pick(&["a", "new", "__name__", "job"]),
                self.random.pick(&["$1", "v-$1-${1}", "", "const", "$2"]),
                self.random.pick(LABELS),
                self.random
                    .pick(&["(.*)", "x(.*)", "(.+)", "i(.)", "nomatch"])
            ),
            22 => format!(
                "label_join({}, \"{}\", \"-\", \"a\", \"b\")",
                self.vector(d),
                self.random.pick(&["new", "a", "job"])
            ),
            _ => format!(
                "{}{}",
                self.random.pick(&["-", "+"]),
                format_args!("({})", self.vector(d))
            ),
        }
    }

    fn buckets(&mut self, _depth: usize) -> String {
        match self.random.below(3) {
            0 => "h_bucket".to_string(),
            1 => format!("rate(h_bucket[{}])", self.random.pick(DURATIONS)),
            _ => format!(
                "sum by (le{}) (rate(h_bucket[{}]))",
                self.random.pick(&["", ", a"]),
                self.random.pick(DURATIONS)
            ),
        }
    }

    fn grouping(&mut self) -> String {
        match self.random.below(4) {
            0 => String::new(),
            1 => format!(" without ({}) ", self.labels()),
            _ => format!(" by ({}) ", self.labels()),
        }
    }

    fn binary(&mut self, d: usize) -> String {
        let (mut lhs, mut rhs) = (self.vector(d), self.vector(d));
        let kind = self.random.below(10);
        if kind < 3 {
            let scalar = self.scalar(d);
            if self.random.chance(50) {
                rhs = scalar
            } else {
                lhs = scalar
            }
            let op = if self.random.chance(60) {
                self.random.pick(ARITHMETIC).to_string()
            } else {
                let bool = self.random.pick(&["", " bool"]);
                format!("{}{bool}", self.random.pick(COMPARISONS))
            };
            return format!("({lhs}) {op} ({rhs})");
        }
        let matching = match self.random.below(5) {
            0 | 1 => String::new(),
            2 => format!(" on ({})", self.labels()),
            3 => format!(" ignoring ({})", self.labels()),
            _ => " on (a, b, instance)".to_string(),
        };
        if kind < 5 {
            let op = self.random.pick(&["and", "or", "unless"]);
            return format!("({lhs}) {op}{matching} ({rhs})");
        }
        let group = if !matching.is_empty() && self.random.chance(35) {
            let side = self.random.pick(&["group_left", "group_right"]);
            format!(
                " {side} ({})",
                if self.random.chance(40) {
                    self.labels()
                } else {
                    String::new()
                }
            )
        } else {
            String::new()
        };
        let op = if self.random.chance(65) {
            self.random.pick(ARITHMETIC).to_string()
        } else {
            let bool = self.random.pick(&["", " bool"]);
            format!("{}{bool}", self.random.pick(COMPARISONS))
        };
        if self.random.chance(30) {
            rhs = lhs.clone();
        }
        format!("({lhs}) {op}{matching}{group} ({rhs})")
    }
}
