//! `uname`: what the system calls itself. Asked of the kernel, not of the tree.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

#[expect(clippy::unnecessary_wraps, reason = "has the type of every collector")]
pub(crate) fn collect(_: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let uname = rustix::system::uname();
    page.family(
        "node_uname_info",
        MetricType::Gauge,
        "Constant 1, labelled by what the uname system call answers.",
    );
    page.sample(
        &[
            ("domainname", &uname.domainname().to_string_lossy()),
            ("machine", &uname.machine().to_string_lossy()),
            ("nodename", &uname.nodename().to_string_lossy()),
            ("release", &uname.release().to_string_lossy()),
            ("sysname", &uname.sysname().to_string_lossy()),
            ("version", &uname.version().to_string_lossy()),
        ],
        1.0,
    );
    Ok(())
}
