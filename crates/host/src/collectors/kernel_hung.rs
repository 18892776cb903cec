//! `kernel_hung`: tasks the kernel found hung since boot (Linux 6.13 and later).

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let count = context
        .tree
        .required_number("proc/sys/kernel/hung_task_detect_count")?;
    page.counter(
        "node_kernel_hung_tasks_total",
        "Tasks found hung since boot.",
        count,
    );
    Ok(())
}
