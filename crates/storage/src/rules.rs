//! Retention rules: series that are kept for less time than the others. What a rule says is left out
//! whenever a block is written anew; a block is written anew for that alone when it is worth it.

use tsdb_model::{Labels, Matcher, StorageError};

use crate::jobs::Jobs;
use crate::order::Bounds;
use crate::shared::Shared;
use crate::stop::Throttle;
use crate::view::View;

/// Share of a block's samples that must go to be worth writing it anew: one in so many.
const WORTH: u64 = 20;

/// Series that are kept for less time.
#[derive(Debug, Clone)]
pub struct RetentionRule {
    /// Which series: those that pass all matchers.
    pub matchers: Vec<Matcher>,
    /// For how long, in milliseconds, counted as [`Options::retention_ms`](crate::Options) is.
    pub keep_ms: i64,
}

impl RetentionRule {
    fn concerns(&self, labels: &Labels) -> bool {
        let mut matchers = self.matchers.iter();
        matchers.all(|m| m.matches(labels.value(&m.name)))
    }
}

impl Shared {
    /// For each rule the time before which its series have nothing.
    fn rule_floors(&self) -> Vec<i64> {
        let max_t = self.head().max_t;
        let floor = |rule: &RetentionRule| {
            let options = crate::Options {
                retention_ms: rule.keep_ms,
                ..self.options.clone()
            };
            Bounds::new(&options, 0, max_t).retention_floor
        };
        self.options.retention_rules.iter().map(floor).collect()
    }

    /// For each of the label sets the time before which rules leave nothing; nothing at all when
    /// there are no rules.
    pub(crate) fn floors_of(&self, sets: &[Labels]) -> Vec<i64> {
        let rules = &self.options.retention_rules;
        if rules.is_empty() {
            return Vec::new();
        }
        let floors = self.rule_floors();
        let floor = |labels: &Labels| {
            let concerned = rules.iter().zip(&floors);
            let concerned = concerned.filter(|(rule, _)| rule.concerns(labels));
            concerned.map(|(_, f)| *f).max().unwrap_or(i64::MIN)
        };
        sets.iter().map(floor).collect()
    }

    /// Position of a block that a rule makes worth writing anew.
    pub(crate) fn due_by_rules(
        &self,
        jobs: &mut Jobs,
        view: &View,
        throttle: &mut Throttle<'_>,
    ) -> Result<Option<usize>, StorageError> {
        if self.options.retention_rules.is_empty() {
            return Ok(None);
        }
        let floors = self.rule_floors();
        for (position, block) in view.blocks.iter().enumerate() {
            let (meta, block) = (block.block.meta(), &block.block);
            let mut gone = 0;
            let mut newly = Vec::new();
            for (rule, floor) in floors.iter().enumerate() {
                if meta.max_t >= *floor || block.is_damaged() {
                    continue;
                }
                if !jobs.rules_seen.contains(&(meta.new.id, rule)) {
                    newly.push((meta.new.id, rule));
                }
            }
            if newly.is_empty() {
                continue;
            }
            for (_, rule) in &newly {
                let matchers = self.options.retention_rules.get(*rule);
                for series in block.select(matchers.map_or(&[], |r| &r.matchers))? {
                    gone += block.weight(series)?.0;
                    throttle.pause()?;
                }
            }
            jobs.rules_seen.extend(newly);
            if gone > 0 && gone >= meta.samples / WORTH {
                return Ok(Some(position));
            }
        }
        let is_there = |id: u64| view.blocks.iter().any(|b| b.block.meta().new.id == id);
        jobs.rules_seen.retain(|(id, _)| is_there(*id));
        Ok(None)
    }
}
