//! `filefd`: open file handles of the whole system and their limit, from /proc/sys/fs/file-nr.

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/sys/fs/file-nr";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let numbers: Option<Vec<u64>> = text
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    // Allocated, allocated but free (always 0 since 2.6), maximum.
    let Some([allocated, _, maximum]) = numbers.as_deref() else {
        return Err(CollectError::parse(
            FILE,
            format_args!("expected 3 numbers: {text:?}"),
        ));
    };
    page.gauge(
        "node_filefd_allocated",
        "File handles allocated.",
        *allocated as f64,
    );
    page.gauge(
        "node_filefd_maximum",
        "File handles the system allows.",
        *maximum as f64,
    );
    Ok(())
}
