//! `entropy`: fill and size of the kernel's entropy pool.

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let available = context
        .tree
        .required_number("proc/sys/kernel/random/entropy_avail")?;
    let size = context
        .tree
        .required_number("proc/sys/kernel/random/poolsize")?;
    page.gauge(
        "node_entropy_available_bits",
        "Bits of entropy available.",
        available,
    );
    page.gauge(
        "node_entropy_pool_size_bits",
        "Bits the entropy pool can hold.",
        size,
    );
    Ok(())
}
