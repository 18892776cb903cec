//! `loadavg`: runnable and waiting tasks, averaged over 1, 5 and 15 minutes.

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/loadavg";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    // Not the parser of `procfs`: it reads these as f32, and 0.1_f32 is not 0.1.
    let averages: Vec<f64> = text
        .split_whitespace()
        .take(3)
        .map_while(|word| word.parse().ok())
        .collect();
    let [one, five, fifteen] = averages[..] else {
        return Err(CollectError::parse(
            FILE,
            format_args!("expected 3 averages: {text:?}"),
        ));
    };
    page.gauge("node_load1", "Load averaged over 1 minute.", one);
    page.gauge("node_load15", "Load averaged over 15 minutes.", fifteen);
    page.gauge("node_load5", "Load averaged over 5 minutes.", five);
    Ok(())
}
