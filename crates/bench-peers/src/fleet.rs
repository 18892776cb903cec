//! Made-up hosts with the metrics of a node exporter: the same numbers for the same seed, worked
//! out scrape by scrape so that nothing but the last value of each series is held.

use tsdb_model::stale_nan;

use crate::body::encode_labels;
use crate::random::Random;

/// Series of each target.
pub(crate) const SERIES: usize = 100;
/// Time between two scrapes.
pub(crate) const STEP_MS: i64 = 15_000;

const BUCKETS: [(&str, f64); 11] = [
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2.5", 2.5),
    ("5", 5.0),
    ("+Inf", f64::INFINITY),
];

/// How the values of a series move.
#[derive(Clone, Copy)]
enum Kind {
    /// Counter of hundredths of a second, up to this many a scrape.
    Centis(u64),
    /// Counter of nanoseconds, shown in seconds.
    Nanos(u64),
    /// Counter of things.
    Count(u64),
    /// Counter that moves once in so many scrapes.
    Rare(u64),
    /// Random walk between 0 and a limit, in steps of 10 to the minus decimals.
    Gauge {
        limit: f64,
        step: u64,
        decimals: i32,
    },
    /// Never moves.
    Constant(f64),
    /// Start of the host, in seconds.
    Boot,
    /// The clock of the host.
    Time,
    /// Cumulative bucket of the host's histogram.
    Bucket(usize),
    /// Sum of the histogram, all 17 digits.
    Sum,
    /// Count of the histogram.
    Total,
    /// A gauge that is there only now and then.
    Flapping,
}

struct Metric {
    name: &'static str,
    labels: Vec<(&'static str, String)>,
    kind: Kind,
}

/// The metrics of one host, `SERIES` of them.
fn metrics() -> Vec<Metric> {
    let mut all = Vec::with_capacity(SERIES);
    let mut add = |name, labels: &[(&'static str, &str)], kind| {
        all.push(Metric {
            name,
            labels: labels.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
            kind,
        });
    };
    for cpu in ["0", "1", "2", "3"] {
        for (mode, kind) in [
            ("idle", Kind::Centis(1500)),
            ("iowait", Kind::Centis(20)),
            ("irq", Kind::Constant(0.0)),
            ("nice", Kind::Rare(200)),
            ("softirq", Kind::Centis(8)),
            ("steal", Kind::Rare(20)),
            ("system", Kind::Centis(120)),
            ("user", Kind::Centis(400)),
        ] {
            add(
                "node_cpu_seconds_total",
                &[("cpu", cpu), ("mode", mode)],
                kind,
            );
        }
    }
    for device in ["eth0", "eth1", "lo"] {
        let d = &[("device", device)];
        add(
            "node_network_receive_bytes_total",
            d,
            Kind::Count(9_000_000),
        );
        add(
            "node_network_transmit_bytes_total",
            d,
            Kind::Count(4_000_000),
        );
        add("node_network_receive_packets_total", d, Kind::Count(9_000));
        add("node_network_transmit_packets_total", d, Kind::Count(6_000));
        if device != "lo" {
            add("node_network_receive_errs_total", d, Kind::Rare(500));
        }
    }
    for device in ["sda", "sdb"] {
        let d = &[("device", device)];
        add("node_disk_reads_completed_total", d, Kind::Count(40));
        add("node_disk_writes_completed_total", d, Kind::Count(300));
        add("node_disk_read_bytes_total", d, Kind::Count(2_000_000));
        add("node_disk_written_bytes_total", d, Kind::Count(8_000_000));
        add(
            "node_disk_io_time_seconds_total",
            d,
            Kind::Nanos(900_000_000),
        );
        add("node_disk_read_time_seconds_total", d, Kind::Centis(40));
    }
    let gauge = |limit, step, decimals| Kind::Gauge {
        limit,
        step,
        decimals,
    };
    add(
        "node_memory_MemTotal_bytes",
        &[],
        Kind::Constant(16_768_909_312.0),
    );
    for name in [
        "node_memory_MemFree_bytes",
        "node_memory_MemAvailable_bytes",
        "node_memory_Cached_bytes",
        "node_memory_Active_bytes",
        "node_memory_Inactive_bytes",
    ] {
        add(name, &[], gauge(16e9, 60_000_000, 0));
    }
    add("node_memory_Buffers_bytes", &[], gauge(4e8, 40_000, 0));
    add("node_memory_Dirty_bytes", &[], gauge(3e7, 900_000, 0));
    add("node_load1", &[], gauge(8.0, 40, 2));
    add("node_load5", &[], gauge(6.0, 12, 2));
    add("node_load15", &[], gauge(5.0, 4, 2));
    for (mount, size) in [("/", 105_089_261_568.0), ("/data", 527_295_578_112.0)] {
        let m = &[("mountpoint", mount)];
        add("node_filesystem_avail_bytes", m, gauge(size, 3_000_000, 0));
        add("node_filesystem_size_bytes", m, Kind::Constant(size));
    }
    add("node_boot_time_seconds", &[], Kind::Boot);
    add("node_time_seconds", &[], Kind::Time);
    let uname = &[("machine", "x86_64"), ("release", "6.12.9-amd64")];
    add("node_uname_info", uname, Kind::Constant(1.0));
    for name in [
        "node_pressure_cpu_waiting_seconds_total",
        "node_pressure_io_waiting_seconds_total",
        "node_pressure_memory_waiting_seconds_total",
    ] {
        add(name, &[], Kind::Nanos(300_000_000));
    }
    for cpu in ["0", "1"] {
        let c = &[("cpu", cpu)];
        add(
            "node_schedstat_running_seconds_total",
            c,
            Kind::Nanos(9_000_000_000),
        );
    }
    add("node_context_switches_total", &[], Kind::Count(90_000));
    add("node_intr_total", &[], Kind::Count(60_000));
    add("node_forks_total", &[], Kind::Count(60));
    for sensor in ["temp1", "temp2"] {
        add(
            "node_hwmon_temp_celsius",
            &[("sensor", sensor)],
            gauge(90.0, 8, 1),
        );
    }
    for (i, (le, _)) in BUCKETS.iter().enumerate() {
        let labels = &[("handler", "/api"), ("le", *le)];
        add(
            "http_request_duration_seconds_bucket",
            labels,
            Kind::Bucket(i),
        );
    }
    add(
        "http_request_duration_seconds_sum",
        &[("handler", "/api")],
        Kind::Sum,
    );
    add(
        "http_request_duration_seconds_count",
        &[("handler", "/api")],
        Kind::Total,
    );
    add("node_hwmon_fan_rpm", &[("fan", "fan1")], Kind::Flapping);
    all
}

/// One host.
pub(crate) struct Target {
    number: usize,
    random: Random,
    offset: i64,
    restart: Option<usize>,
    started: i64,
    /// Protobuf of each series' labels, one after the other, and where each ends.
    labels: Vec<u8>,
    ends: Vec<u32>,
    /// Last value of each series in its own unit: hundredths, nanoseconds, things.
    state: Vec<f64>,
    buckets: [u64; BUCKETS.len()],
    sum: f64,
    kinds: Vec<Kind>,
    last_t: i64,
}

impl Target {
    fn new(number: usize, seed: u64, job: &str, start_ms: i64, metrics: &[Metric]) -> Self {
        let mut random = Random::new(seed ^ (number as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let own = [
            ("arch", "amd64".to_owned()),
            ("az", format!("az-{}", number % 3)),
            ("env", ["prod", "staging", "dev"][number % 7 % 3].to_owned()),
            ("instance", format!("host-{number:04}:9100")),
            ("job", job.to_owned()),
            ("os", "linux".to_owned()),
            ("region", format!("region-{}", number % 5)),
            ("team", format!("team-{}", number % 11)),
        ];
        let (mut labels, mut ends) = (Vec::new(), Vec::new());
        for metric in metrics {
            let mut set: Vec<(&str, &str)> = vec![("__name__", metric.name)];
            set.extend(own.iter().map(|(n, v)| (*n, v.as_str())));
            set.extend(metric.labels.iter().map(|(n, v)| (*n, v.as_str())));
            set.sort_unstable();
            encode_labels(set.into_iter(), &mut labels);
            ends.push(labels.len() as u32);
        }
        let state = metrics
            .iter()
            .map(|m| match m.kind {
                Kind::Centis(n) | Kind::Nanos(n) | Kind::Count(n) => {
                    (random.below(n) * random.below(50_000)) as f64
                }
                Kind::Rare(_) => random.below(40) as f64,
                Kind::Gauge {
                    limit, decimals, ..
                } => (random.unit() * limit * 10f64.powi(decimals)).floor(),
                Kind::Constant(v) => v,
                _ => 0.0,
            })
            .collect();
        Self {
            number,
            offset: random.below(STEP_MS as u64) as i64,
            // 6 % restart once within the first four hours.
            restart: (random.below(100) < 6).then(|| random.below(960) as usize),
            started: start_ms / 1000 - random.below(4_000_000) as i64,
            random,
            labels,
            ends,
            state,
            buckets: [0; BUCKETS.len()],
            sum: 0.0,
            kinds: metrics.iter().map(|m| m.kind).collect(),
            last_t: i64::MIN,
        }
    }

    /// Calls `put(labels, t, v)` for each sample of the scrape; none if the scrape was missed.
    pub(crate) fn scrape(
        &mut self,
        scrape: usize,
        start_ms: i64,
        mut put: impl FnMut(&[u8], i64, f64),
    ) {
        let mut t = start_ms + scrape as i64 * STEP_MS + self.offset;
        if self.random.one_in(50) {
            t += self.random.below(2000) as i64;
        }
        let missed = self.random.one_in(1000);
        if self.restart == Some(scrape) {
            self.started = t / 1000;
            self.buckets = [0; BUCKETS.len()];
            self.sum = 0.0;
            for (state, kind) in self.state.iter_mut().zip(&self.kinds) {
                if let Kind::Centis(_) | Kind::Nanos(_) | Kind::Count(_) | Kind::Rare(_) = kind {
                    *state = 0.0;
                }
            }
        }
        t = t.max(self.last_t + 1);
        self.observe();
        let mut from = 0;
        for i in 0..self.kinds.len() {
            let to = self.ends[i] as usize;
            let v = self.value(i, scrape, t);
            if let Some(v) = v.filter(|_| !missed) {
                put(&self.labels[from..to], t, v);
            }
            from = to;
        }
        if !missed {
            self.last_t = t;
        }
    }

    /// Requests of the last 15 seconds, most of them fast.
    fn observe(&mut self) {
        for _ in 0..self.random.below(12) {
            let u = self.random.unit();
            let seconds = 0.003 / (1.0 - u * 0.9995);
            self.sum += seconds;
            for (count, (_, le)) in self.buckets.iter_mut().zip(BUCKETS) {
                *count += u64::from(seconds <= le);
            }
        }
    }

    fn value(&mut self, i: usize, scrape: usize, t: i64) -> Option<f64> {
        let r = &mut self.random;
        let state = &mut self.state[i];
        Some(match self.kinds[i] {
            Kind::Centis(n) => {
                *state += (n / 2 + r.below(n / 2 + 1)) as f64;
                *state / 100.0
            }
            Kind::Nanos(n) => {
                *state += r.below(n) as f64;
                *state / 1e9
            }
            Kind::Count(n) => {
                *state += r.below(n) as f64;
                *state
            }
            Kind::Rare(n) => {
                *state += f64::from(u8::from(r.one_in(n)));
                *state
            }
            Kind::Gauge {
                limit,
                step,
                decimals,
            } => {
                let unit = 10f64.powi(decimals);
                if !r.one_in(4) {
                    let moved = *state + r.below(2 * step + 1) as f64 - step as f64;
                    *state = moved.clamp(0.0, (limit * unit).floor());
                }
                *state / unit
            }
            Kind::Constant(v) => v,
            Kind::Boot => self.started as f64,
            Kind::Time => t as f64 / 1000.0,
            Kind::Bucket(b) => self.buckets[b] as f64,
            Kind::Sum => self.sum,
            Kind::Total => self.buckets[BUCKETS.len() - 1] as f64,
            Kind::Flapping => {
                // An hour of each three away, out of step from host to host; a marker at its end.
                let at = (scrape + self.number * 37) % 720;
                match at {
                    0..480 => (900 + r.below(400)) as f64,
                    480 => stale_nan(),
                    _ => return None,
                }
            }
        })
    }
}

/// All hosts of a run.
pub(crate) struct Fleet {
    pub(crate) targets: Vec<Target>,
    pub(crate) start_ms: i64,
}

impl Fleet {
    pub(crate) fn new(targets: usize, seed: u64, start_ms: i64) -> Self {
        let metrics = metrics();
        Self {
            targets: (0..targets)
                .map(|n| Target::new(n, seed, "node", start_ms, &metrics))
                .collect(),
            start_ms,
        }
    }
}

/// Hosts never seen before, made one at a time so that a million series cost no memory here.
pub(crate) fn strangers(
    targets: usize,
    seed: u64,
    start_ms: i64,
    mut each: impl FnMut(Target) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let metrics = metrics();
    for n in 0..targets {
        each(Target::new(n, seed, "stranger", start_ms, &metrics))?;
    }
    Ok(())
}

/// The names of all metrics, each once.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = metrics().iter().map(|m| m.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Vec<(Vec<u8>, i64, u64)> {
        let mut fleet = Fleet::new(3, seed, 1_700_000_000_000);
        let mut all = Vec::new();
        for scrape in 0..50 {
            for target in &mut fleet.targets {
                target.scrape(scrape, fleet.start_ms, |l, t, v| {
                    all.push((l.to_vec(), t, v.to_bits()));
                });
            }
        }
        all
    }

    #[test]
    fn the_same_seed_gives_the_same_samples() {
        assert_eq!(metrics().len(), SERIES);
        let first = run(7);
        assert!(first == run(7));
        assert!(first != run(8));
        assert!(first.len() > 3 * 48 * 99 && first.len() <= 3 * 50 * 100);
    }

    #[test]
    fn each_series_moves_forward_in_time() {
        let mut last = std::collections::HashMap::new();
        for (labels, t, _) in run(9) {
            if let Some(before) = last.insert(labels, t) {
                assert!(before < t);
            }
        }
        assert_eq!(last.len(), 300);
    }
}
