//! `time`: the wall clock, and what the kernel derives it from.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};

const DIR: &str = "sys/devices/system/clocksource";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let now_ms = context.clock.now_ms();
    page.gauge(
        "node_time_seconds",
        "System time, in seconds since the Unix epoch.",
        now_ms as f64 / 1000.0,
    );

    let mut families = Families::default();
    for name in context.tree.list(DIR)? {
        let Some(device) = name.strip_prefix("clocksource") else {
            continue;
        };
        for (file, family, help) in [
            (
                "available_clocksource",
                "node_time_clocksource_available_info",
                "Constant 1 for each clock source there is.",
            ),
            (
                "current_clocksource",
                "node_time_clocksource_current_info",
                "Constant 1 for the clock source in use.",
            ),
        ] {
            let sources = context
                .tree
                .value(&format!("{DIR}/{name}/{file}"))
                .unwrap_or_default();
            for source in sources.split_whitespace() {
                let labels = [("clocksource", source), ("device", device)];
                families.add(family, MetricType::Gauge, || help.to_string(), &labels, 1.0);
            }
        }
    }
    families.write(page);
    Ok(())
}
