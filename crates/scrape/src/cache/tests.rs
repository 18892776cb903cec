//! Tests of the series cache.

use super::*;

/// Takes in a page of series names; a name is its own series. Returns the number of misses.
fn scrape(cache: &mut SeriesCache, names: &[&str]) -> usize {
    cache.begin();
    let mut misses = 0;
    for name in names {
        let key = cache.key(name.as_bytes(), 0);
        let id = cache.find(key).unwrap_or_else(|| {
            misses += 1;
            let series = name.bytes().fold(0, |h, b| h * 256 + u64::from(b));
            cache.insert(key, Some(SeriesRef(series)))
        });
        cache.see(id, true);
    }
    misses
}

fn series(name: &str) -> SeriesRef {
    SeriesRef(name.bytes().fold(0, |h, b| h * 256 + u64::from(b)))
}

#[test]
fn lines_are_found_in_any_order() {
    let mut cache = SeriesCache::new();
    assert_eq!(scrape(&mut cache, &["a", "b", "c"]), 3);
    cache.end();
    assert_eq!(scrape(&mut cache, &["a", "b", "c"]), 0);
    cache.end();
    assert_eq!(scrape(&mut cache, &["c", "x", "a", "b"]), 1);
    assert_eq!(cache.vanished(), []);
    cache.end();
    assert_eq!(scrape(&mut cache, &["x", "b"]), 0);
    assert_eq!(cache.vanished(), [series("a"), series("c")]);
    cache.end();
    // Marked once only.
    assert_eq!(scrape(&mut cache, &["x", "b"]), 0);
    assert_eq!(cache.vanished(), []);
}

#[test]
fn variants_are_different_lines() {
    let cache = SeriesCache::new();
    assert_ne!(cache.key(b"a", 0), cache.key(b"a", 1));
    assert_ne!(cache.key(b"a", 0), cache.key(b"b", 0));
}

#[test]
fn failed_scrape_ends_all_series_once() {
    let mut cache = SeriesCache::new();
    scrape(&mut cache, &["a", "b"]);
    cache.end();
    scrape(&mut cache, &["b", "new"]);
    assert_eq!(cache.tracked_last_time(), [series("a"), series("b")]);
    cache.end_failed();
    scrape(&mut cache, &[]);
    assert_eq!(cache.tracked_last_time(), []);
    cache.end_failed();
    assert_eq!(scrape(&mut cache, &["a", "b", "new"]), 0);
    assert_eq!(cache.vanished(), []);
}

#[test]
fn uncommitted_scrape_changes_nothing() {
    let mut cache = SeriesCache::new();
    scrape(&mut cache, &["a", "b"]);
    cache.end();
    scrape(&mut cache, &["b", "new"]);
    cache.end_uncommitted();
    scrape(&mut cache, &["x"]);
    assert_eq!(cache.vanished(), [series("a"), series("b")]);
}

#[test]
fn untracked_series_do_not_end() {
    let mut cache = SeriesCache::new();
    cache.begin();
    let key = cache.key(b"a", 0);
    let id = cache.insert(key, Some(SeriesRef(1)));
    assert!(cache.see(id, false));
    assert!(!cache.see(id, false));
    cache.end();
    cache.begin();
    assert_eq!(cache.vanished(), []);
}

#[test]
fn series_that_loses_its_tracking_ends() {
    let mut cache = SeriesCache::new();
    scrape(&mut cache, &["a"]);
    cache.end();
    cache.begin();
    let id = cache.find(cache.key(b"a", 0)).unwrap();
    cache.see(id, false);
    assert_eq!(cache.vanished(), [series("a")]);
}

#[test]
fn same_series_in_other_words_does_not_end() {
    let mut cache = SeriesCache::new();
    for text in ["a{x=\"1\",y=\"2\"}", "a{y=\"2\",x=\"1\"}"] {
        cache.begin();
        let key = cache.key(text.as_bytes(), 0);
        let id = cache.insert(key, Some(SeriesRef(7)));
        cache.see(id, true);
        assert_eq!(cache.vanished(), []);
        cache.end();
    }
}

#[test]
fn dropped_lines_have_no_series() {
    let mut cache = SeriesCache::new();
    cache.begin();
    let key = cache.key(b"a", 0);
    let id = cache.insert(key, None);
    cache.see(id, false);
    cache.end();
    cache.begin();
    let id = cache.find(key).unwrap();
    assert_eq!(cache.series(id), None);
    assert_eq!(cache.tracked_last_time(), []);
}

#[test]
fn churn_does_not_pile_up() {
    let mut cache = SeriesCache::new();
    let stay: Vec<String> = (0..100).map(|i| format!("stay{i}")).collect();
    for round in 0..50 {
        let new: Vec<String> = (0..50).map(|i| format!("r{round}_{i}")).collect();
        let names: Vec<&str> = stay.iter().chain(&new).map(String::as_str).collect();
        let misses = scrape(&mut cache, &names);
        assert_eq!(misses, if round == 0 { 150 } else { 50 });
        assert_eq!(cache.vanished().len(), if round == 0 { 0 } else { 50 });
        cache.end();
        assert!(cache.slots.len() <= 150 + 150 / 2 + 64 + 50);
    }
}

#[test]
fn failing_scrapes_do_not_pile_up() {
    let mut cache = SeriesCache::new();
    let mut flushed = false;
    for round in 0..50 {
        let names: Vec<String> = (0..100).map(|i| format!("r{round}_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        scrape(&mut cache, &names);
        flushed |= cache.end_failed();
        assert!(cache.slots.len() <= 1100);
    }
    assert!(flushed);
}

#[test]
fn new_rules_keep_what_was_there() {
    let mut cache = SeriesCache::new();
    scrape(&mut cache, &["a", "b"]);
    cache.end();
    cache.forget_meanings();
    assert_eq!(scrape(&mut cache, &["b"]), 1);
    assert_eq!(cache.vanished(), [series("a")]);
    cache.end();
    scrape(&mut cache, &["b"]);
    assert_eq!(cache.vanished(), []);
}
