//! What a target says about its metric families: type, unit, help.

use std::collections::BTreeMap;

use tsdb_model::{Metadata, MetricType};

/// Scrapes after which a family that is no longer described is forgotten.
const KEEP_SCRAPES: u64 = 10;

/// Metadata of one target.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: BTreeMap<String, Family>,
    scrape: u64,
}

#[derive(Debug, Default)]
struct Family {
    metadata: Metadata,
    seen: u64,
    changed: bool,
}

impl MetadataCache {
    /// Starts a page.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
    }

    fn family(&mut self, name: &str) -> &mut Family {
        if !self.families.contains_key(name) {
            self.families.insert(name.to_string(), Family::default());
        }
        let scrape = self.scrape;
        let family = self.families.get_mut(name);
        let family = family.expect("invariant: inserted above");
        family.changed |= family.seen == 0;
        family.seen = scrape;
        family
    }

    /// A `# TYPE` line.
    pub(crate) fn set_type(&mut self, name: &str, metric_type: MetricType) {
        let family = self.family(name);
        if family.metadata.metric_type != metric_type {
            family.metadata.metric_type = metric_type;
            family.changed = true;
        }
    }

    /// A `# HELP` line.
    pub(crate) fn set_help(&mut self, name: &str, help: &str) {
        let family = self.family(name);
        if family.metadata.help != help {
            family.metadata.help = help.to_string();
            family.changed = true;
        }
    }

    /// A `# UNIT` line.
    pub(crate) fn set_unit(&mut self, name: &str, unit: &str) {
        let family = self.family(name);
        if family.metadata.unit != unit {
            family.metadata.unit = unit.to_string();
            family.changed = true;
        }
    }

    /// Hands over what changed in this page, and forgets what has not been there for long.
    pub(crate) fn end(&mut self, mut changed: impl FnMut(&str, &Metadata)) {
        let oldest = self.scrape.saturating_sub(KEEP_SCRAPES);
        self.families.retain(|name, family| {
            if std::mem::take(&mut family.changed) {
                changed(name, &family.metadata);
            }
            family.seen >= oldest
        });
    }

    /// Hands everything over once more with the next page, because the last time was in vain.
    pub(crate) fn repeat(&mut self) {
        for family in self.families.values_mut() {
            family.changed = true;
        }
    }

    /// All families, by name.
    pub(crate) fn list(&self) -> Vec<(String, Metadata)> {
        let all = self.families.iter();
        all.map(|(name, f)| (name.clone(), f.metadata.clone()))
            .collect()
    }

    /// Number of families, and the bytes of their texts.
    pub(crate) fn size(&self) -> (u64, u64) {
        let all = self.families.iter();
        let bytes = all.map(|(n, f)| n.len() + f.metadata.help.len() + f.metadata.unit.len());
        (self.families.len() as u64, bytes.sum::<usize>() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(cache: &mut MetadataCache) -> Vec<String> {
        let mut names = Vec::new();
        cache.end(|name, m| names.push(format!("{name} {} {}", m.metric_type, m.help)));
        names
    }

    #[test]
    fn only_changes_are_handed_over() {
        let mut cache = MetadataCache::default();
        for (help, expected) in [
            ("h", vec!["x counter h"]),
            ("h", vec![]),
            ("i", vec!["x counter i"]),
        ] {
            cache.begin();
            cache.set_type("x", MetricType::Counter);
            cache.set_help("x", help);
            assert_eq!(changes(&mut cache), expected);
        }
        assert_eq!(cache.size(), (1, 2));
        assert_eq!(cache.list().len(), 1);
    }

    #[test]
    fn unnamed_families_are_forgotten_after_ten_pages() {
        let mut cache = MetadataCache::default();
        cache.begin();
        cache.set_unit("x_seconds", "seconds");
        cache.end(|_, _| {});
        for _ in 0..10 {
            cache.begin();
            cache.end(|_, _| {});
            assert_eq!(cache.list().len(), 1);
        }
        cache.begin();
        cache.end(|_, _| {});
        assert!(cache.list().is_empty());
    }
}
