//! A made-up fleet host: random walks of 0 to 2 decimals, counters of many rates, nanosecond
//! counters, float sums, constants, histograms, series that come and go, random doubles.

use crate::Series;

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A small generator, the same everywhere.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.unit().max(1e-300), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).max(0.0).round() as u64;
        }
        let limit = (-mean).exp();
        let (mut k, mut p) = (0, self.unit());
        while p > limit {
            k += 1;
            p *= self.unit();
        }
        k
    }
}

fn round(x: f64, decimals: i32) -> f64 {
    let p = 10f64.powi(decimals);
    (x * p).round() / p
}

/// The series of some hosts, so many rows of 15 s.
pub(crate) fn series(rows: usize, hosts: usize) -> Vec<Series> {
    let mut r = Random(42);
    let mut all = Vec::new();
    for host in 0..hosts {
        let offset = r.bits() as i64 & 0x1fff;
        let times: Vec<i64> = (0..rows as i64)
            .map(|i| 1_789_999_200_000 + offset + i * 15_000)
            .collect();
        let mut push = |key: String, values: Vec<f64>| {
            let key = key.replacen('{', &format!("{{host=\"{host}\","), 1);
            all.push(Series {
                key,
                times: times.clone(),
                values,
            });
        };
        for (name, sigma, decimals) in [("a", 1.0, 0), ("b", 0.5, 1), ("c", 1.0, 2)] {
            for k in 0..10 {
                let mut x = r.unit() * 100.0;
                let mut next = |_| {
                    x = (x + r.normal() * sigma).clamp(0.0, 100.0);
                    round(x, decimals)
                };
                push(
                    format!("{name}_gauge{{cpu=\"{k}\"}}"),
                    (0..rows).map(&mut next).collect(),
                );
            }
        }
        for (k, mean) in [0.01, 0.1, 1.0, 10.0, 1e3, 1e6].into_iter().enumerate() {
            for j in 0..2 {
                let mut sum = (r.bits() % 1_000_000) as f64;
                let mut next = |_| {
                    sum += r.poisson(mean) as f64;
                    sum
                };
                let values = (0..rows).map(&mut next).collect();
                push(format!("d_counter{{rate=\"{k}\",j=\"{j}\"}}"), values);
            }
        }
        for j in 0..8 {
            let mut ns = r.bits() % 1_000_000_000_000;
            let mean = 1e6 * 10f64.powi(j % 4);
            let mut next = |_| {
                ns += (mean * (r.normal() * 0.7).exp()) as u64;
                ns as f64 / 1e9
            };
            push(
                format!("e_seconds{{j=\"{j}\"}}"),
                (0..rows).map(&mut next).collect(),
            );
        }
        for j in 0..4 {
            let mut sum = r.unit() * 100.0;
            let mut next = |_| {
                for _ in 0..r.poisson(2.0) {
                    sum += (1e6 * r.normal().exp()).trunc() / 1e9;
                }
                sum
            };
            push(
                format!("e_sum{{j=\"{j}\"}}"),
                (0..rows).map(&mut next).collect(),
            );
        }
        for j in 0..24 {
            let x = match j % 4 {
                0 => 0.0,
                1 => 1.0,
                2 => (r.bits() % (1 << 34)) as f64,
                _ => round(r.unit() * 100.0, 2),
            };
            push(format!("f_constant{{j=\"{j}\"}}"), vec![x; rows]);
        }
        for (q, mean) in [0.05, 2.0, 100.0].into_iter().enumerate() {
            let mut totals = [0u64; 12];
            let mut columns = vec![vec![]; 12];
            for _ in 0..rows {
                for _ in 0..r.poisson(mean) {
                    totals[(6.0 + r.normal() * 2.0).clamp(0.0, 11.0) as usize] += 1;
                }
                let mut sum = 0;
                for (column, total) in columns.iter_mut().zip(totals) {
                    sum += total;
                    column.push(sum as f64);
                }
            }
            push(format!("g_count{{q=\"{q}\"}}"), columns[11].clone());
            for (b, column) in columns.into_iter().enumerate() {
                let le = if b == 11 {
                    f64::INFINITY
                } else {
                    0.005 * f64::from(1 << b)
                };
                push(format!("g_bucket{{q=\"{q}\",le=\"{le}\"}}"), column);
            }
        }
        for j in 0..2 {
            push(
                format!("i_random{{j=\"{j}\"}}"),
                (0..rows).map(|_| r.unit()).collect(),
            );
        }
        for j in 0..4 {
            let (mut x, mut up) = (50.0, true);
            let mut next = |_| {
                up ^= r.unit() < 0.02;
                x = round(x + r.normal(), 1);
                if up { x } else { f64::from_bits(STALE) }
            };
            push(
                format!("h_flaky{{j=\"{j}\"}}"),
                (0..rows).map(&mut next).collect(),
            );
        }
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}
