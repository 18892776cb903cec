//! Tests of the scrape loop in paused time, with targets that are functions.

use super::*;
use crate::fetch::Fetched;
use crate::sample::SampleRules;
use crate::test_store::TestStore;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tsdb_net::FetchError;
use tsdb_net::client::Response;

const INTERVAL: i64 = 10_000;
/// A tick of the schedule that all loops here have.
const T: i64 = 1_700_000_000_000;

/// The runtime's clock, which tests move by sleeping.
struct TokioClock {
    start: Instant,
    skew_ms: AtomicI64,
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        let elapsed = self.start.elapsed().as_millis() as i64;
        T - 500 + elapsed + self.skew_ms.load(Ordering::SeqCst)
    }
}

type Page = Result<&'static str, FetchError>;

/// Answers scrape `n` (from 0 on) after a time, milliseconds.
struct FakeTarget<F>(AtomicUsize, F);

impl<F: Fn(usize) -> (u64, Page) + Send + Sync> Fetch for FakeTarget<F> {
    fn fetch<'a>(&'a self, request: &'a FetchRequest) -> Fetched<'a> {
        let (delay_ms, page) = (self.1)(self.0.fetch_add(1, Ordering::SeqCst));
        let timeout = request.timeout;
        Box::pin(async move {
            let answer = tokio::time::sleep(Duration::from_millis(delay_ms));
            if tokio::time::timeout(timeout, answer).await.is_err() {
                return Err(FetchError::Body("context deadline exceeded".into()));
            }
            Ok(Response {
                status: http::StatusCode::OK,
                status_text: "200 OK".into(),
                headers: http::HeaderMap::new(),
                content_type: Some("text/plain".into()),
                body: page?.as_bytes().to_vec(),
            })
        })
    }
}

struct Bench {
    store: Arc<TestStore>,
    shared: Arc<Shared>,
    clock: Arc<TokioClock>,
}

impl Bench {
    fn new(target: impl Fn(usize) -> (u64, Page) + Send + Sync + 'static) -> Self {
        let store = TestStore::new();
        let clock = Arc::new(TokioClock {
            start: Instant::now(),
            skew_ms: AtomicI64::new(0),
        });
        let shared = Shared {
            appendable: store.clone(),
            clock: clock.clone(),
            fetch: Arc::new(FakeTarget(AtomicUsize::new(0), target)),
            counters: Arc::default(),
            ingests: Semaphore::new(1),
            huge_ingests: Semaphore::new(1),
        };
        Self {
            store,
            shared: Arc::new(shared),
            clock,
        }
    }

    fn start(&self, instance: &str) -> ScrapeLoop {
        ScrapeLoop::start(&self.shared, &Handle::current(), config(instance))
    }

    /// Sleeps until the clock shows `t_ms`, and lets the loops do what is due.
    async fn until(&self, t_ms: i64) {
        let wait = (t_ms - self.clock.now_ms()).max(0);
        tokio::time::sleep(Duration::from_millis(wait as u64)).await;
        // Blocking threads hold the clock; one more millisecond lets them come back.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn up(&self) -> Vec<(i64, String)> {
        self.store.samples(r#"{__name__="up", instance="i"}"#)
    }

    fn series(&self, name: &str) -> Vec<(i64, String)> {
        self.store
            .samples(&format!(r#"{{__name__="{name}", instance="i"}}"#))
    }
}

fn config(instance: &str) -> Arc<LoopConfig> {
    let labels = Labels::from_pairs([("instance", instance)]);
    Arc::new(LoopConfig {
        pool: "job".into(),
        request: FetchRequest {
            client: None,
            url: "http://target/".into(),
            headers: Vec::new(),
            timeout: Duration::from_millis(INTERVAL as u64),
            max_body_bytes: 0,
        },
        fallback: None,
        schedule: Schedule::new(INTERVAL, 0, 0),
        rules: Arc::new(CycleRules {
            sample: SampleRules {
                target: labels.clone(),
                honor_labels: false,
                relabel: Vec::new(),
                legacy_names: false,
                label_limit: 0,
                label_name_length_limit: 0,
                label_value_length_limit: 0,
            },
            honor_timestamps: true,
            track_timestamps_staleness: false,
            sample_limit: 0,
        }),
        refused: None,
        target: Target {
            discovered: Labels::empty(),
            labels,
            url: "http://target/".into(),
            interval_ms: INTERVAL,
            timeout_ms: INTERVAL,
        },
    })
}

fn ticks(ticks: impl IntoIterator<Item = i64>, value: &str) -> Vec<(i64, String)> {
    let all = ticks.into_iter();
    all.map(|n| (T + n * INTERVAL, value.to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn scrapes_at_every_tick() {
    let bench = Bench::new(|_| (100, Ok("a 1\n")));
    let running = bench.start("i");
    assert_eq!(running.status().health, Health::Unknown);
    bench.until(T + 3 * INTERVAL + 200).await;
    assert_eq!(bench.up(), ticks(0..4, "1"));
    assert_eq!(bench.series("a"), ticks(0..4, "1"));
    let status = running.status();
    assert_eq!(status.health, Health::Up);
    assert_eq!(status.last_scrape_ms, Some(T + 3 * INTERVAL));
    assert!(status.last_duration_seconds >= 0.1);
    let stats = bench.shared.counters.snapshot(BTreeMap::new());
    assert_eq!(stats.interval_length["10s"].count, 3);
    assert_eq!((stats.scrapes, stats.scrapes_failed), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn errors_are_shown_until_the_next_success() {
    let bench = Bench::new(|n| match n {
        1 => (0, Err(FetchError::TooLarge)),
        2 => (0, Ok("nonsense nonsense\n")),
        _ => (0, Ok("a 1\n")),
    });
    let running = bench.start("i");
    bench.until(T + INTERVAL).await;
    let status = running.status();
    assert_eq!(status.health, Health::Down);
    assert_eq!(status.last_error, "body size limit exceeded");
    bench.until(T + 2 * INTERVAL).await;
    assert_ne!(running.status().last_error, "body size limit exceeded");
    bench.until(T + 3 * INTERVAL).await;
    assert_eq!(running.status().last_error, "");
    let values: Vec<String> = bench.up().into_iter().map(|(_, v)| v).collect();
    assert_eq!(values, ["1", "0", "0", "1"]);
    let stats = bench.shared.counters.snapshot(BTreeMap::new());
    assert_eq!(
        (stats.exceeded_body_size_limit, stats.scrapes_failed),
        (1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn slow_target_does_not_delay_another() {
    let slow = Bench::new(|_| (u64::MAX / 2, Ok("")));
    let mut fast_config = (*config("i")).clone();
    fast_config.request.url = "http://fast/".into();
    let fast = Bench::new(|_| (0, Ok("a 1\n")));
    let _slow = ScrapeLoop::start(&slow.shared, &Handle::current(), config("slow"));
    // Both take in their pages through the slow bench's single permit.
    let shared = Arc::new(Shared {
        appendable: slow.store.clone(),
        clock: fast.clock.clone(),
        fetch: fast.shared.fetch.clone(),
        counters: Arc::default(),
        ingests: Semaphore::new(1),
        huge_ingests: Semaphore::new(1),
    });
    let _fast = ScrapeLoop::start(&shared, &Handle::current(), Arc::new(fast_config));
    fast.until(T + 2 * INTERVAL).await;
    assert_eq!(slow.up(), ticks(0..3, "1"));
}

#[tokio::test(start_paused = true)]
async fn timeout_of_a_whole_interval_loses_no_tick() {
    let bench = Bench::new(|n| {
        if n == 1 {
            (20_000, Ok(""))
        } else {
            (0, Ok("a 1\n"))
        }
    });
    let _running = bench.start("i");
    bench.until(T + 4 * INTERVAL).await;
    let times: Vec<i64> = bench.up().iter().map(|(t, _)| (t - T) / INTERVAL).collect();
    assert_eq!(times, [0, 1, 2, 3, 4]);
    assert_eq!(bench.up()[1].1, "0");
}

#[tokio::test(start_paused = true)]
async fn gone_target_is_marked_after_one_more_interval() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let running = bench.start("i");
    bench.until(T + 100).await;
    running.end();
    bench.until(T + 2 * INTERVAL).await;
    assert_eq!(bench.series("a"), ticks([0], "1"), "not yet");
    bench.until(T + 2 * INTERVAL + INTERVAL / 10).await;
    for series in [bench.series("a"), bench.up()] {
        assert_eq!(series, [ticks([0], "1"), ticks([1], "stale")].concat());
    }
    bench.until(T + 5 * INTERVAL).await;
    assert!(running.is_finished());
    assert_eq!(bench.series("a").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn target_that_comes_back_goes_on() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let mut running = bench.start("i");
    bench.until(T + 100).await;
    let lookups = bench.store.lookups();
    running.end();
    bench.until(T + INTERVAL + 100).await;
    running.reconfigure(config("i"));
    bench.until(T + 3 * INTERVAL).await;
    let values: Vec<String> = bench.series("a").into_iter().map(|(_, v)| v).collect();
    assert!(
        values.len() >= 3 && values.iter().all(|v| v == "1"),
        "{values:?}"
    );
    assert_eq!(bench.store.lookups(), lookups, "known series stay known");
}

#[tokio::test(start_paused = true)]
async fn stop_gives_up_the_request_and_writes_no_markers() {
    let bench = Bench::new(|n| {
        if n == 0 {
            (0, Ok("a 1\n"))
        } else {
            (9_000, Ok("a 2\n"))
        }
    });
    let running = bench.start("i");
    bench.until(T + INTERVAL + 100).await;
    let before = bench.clock.now_ms();
    running.stop();
    running.finished().await;
    assert_eq!(bench.clock.now_ms(), before, "stopped at once");
    assert_eq!(bench.series("a"), ticks([0], "1"));
    assert_eq!(bench.up(), ticks([0], "1"));
}

#[tokio::test(start_paused = true)]
async fn reload_takes_effect_and_keeps_known_series() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let mut running = bench.start("i");
    bench.until(T + 100).await;
    let lookups = bench.store.lookups();
    let mut changed = (*config("i")).clone();
    changed.target.interval_ms = 5_000;
    changed.schedule = Schedule::new(5_000, 0, 0);
    running.reconfigure(Arc::new(changed));
    bench.until(T + 2 * INTERVAL).await;
    let times: Vec<i64> = bench.up().iter().map(|(t, _)| t - T).collect();
    assert!(
        times.ends_with(&[5_000, 10_000, 15_000, 20_000]),
        "{times:?}"
    );
    assert_eq!(bench.store.lookups(), lookups);
}

#[tokio::test(start_paused = true)]
async fn refused_target_is_down_without_being_asked() {
    let asked = Arc::new(AtomicUsize::new(0));
    let a = asked.clone();
    let bench = Bench::new(move |_| {
        a.fetch_add(1, Ordering::SeqCst);
        (0, Ok("a 1\n"))
    });
    let mut config = (*config("i")).clone();
    config.refused = Some("target_limit exceeded".into());
    let running = ScrapeLoop::start(&bench.shared, &Handle::current(), Arc::new(config));
    bench.until(T).await;
    assert_eq!(bench.up(), ticks([0], "0"));
    assert_eq!(running.status().last_error, "target_limit exceeded");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn clock_set_back_does_not_stop_scraping() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let running = bench.start("i");
    bench.until(T + INTERVAL).await;
    bench.clock.skew_ms.store(-3_600_000, Ordering::SeqCst);
    bench.until(bench.clock.now_ms() + 4 * INTERVAL).await;
    let stats = bench.shared.counters.snapshot(BTreeMap::new());
    assert!(stats.scrapes >= 5, "{}", stats.scrapes);
    assert!(stats.out_of_order > 0);
    assert_eq!(running.status().health, Health::Up);
}

#[tokio::test(start_paused = true)]
async fn loop_that_has_finished_says_so() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let mut running = bench.start("i");
    bench.until(T + 100).await;
    assert!(running.reconfigure(config("i")));
    running.end();
    bench.until(T + 5 * INTERVAL).await;
    assert!(!running.reconfigure(config("i")));
}

#[tokio::test(start_paused = true)]
async fn target_that_comes_back_while_it_is_marked_goes_on() {
    let bench = Bench::new(|_| (0, Ok("a 1\n")));
    let mut running = bench.start("i");
    bench.until(T + 100).await;
    // Nothing is stored while this is held: the markers have to wait.
    let permit = bench.shared.ingests.acquire().await.unwrap();
    running.end();
    bench.until(T + 3 * INTERVAL).await;
    assert!(
        running.reconfigure(config("i")),
        "the markers are not written yet"
    );
    drop(permit);
    bench.until(T + 6 * INTERVAL).await;
    assert_eq!(
        bench.series("a")[..2],
        [ticks([0], "1"), ticks([1], "stale")].concat()
    );
    assert!(bench.series("a").len() > 2, "{:?}", bench.series("a"));
}
