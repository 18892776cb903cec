//! `tsdb inspect verify`.

use std::fmt::Write as _;

use serde_json::json;

use tsdb::inspect::{self, Problem, Verified};

use super::table::size;
use super::{DirArgs, open, print};
use crate::progress::Progress;

/// Checks every byte. False when something is wrong.
pub(super) fn run(args: &DirArgs) -> anyhow::Result<bool> {
    let dir = open(&args.dir)?;
    let mut bar = Progress::new("bytes checked");
    let found = inspect::verify(&dir, &mut |done, all| bar.show_bytes(done, all))?;
    bar.finish();
    let problem = |p: &Problem| json!({"file": p.file, "offset": p.offset, "what": p.what});
    print(
        args.format,
        || {
            json!({
                "files": found.files,
                "bytes": found.bytes,
                "blocks": found.blocks,
                "segments": found.segments,
                "samples": found.samples,
                "problems": found.problems.iter().map(problem).collect::<Vec<_>>(),
            })
        },
        || text(&found),
    )?;
    Ok(found.problems.is_empty())
}

fn text(found: &Verified) -> String {
    let mut text = String::new();
    for p in &found.problems {
        let place = p.offset.map(|o| format!(", byte {o}")).unwrap_or_default();
        let _ = writeln!(text, "{}{place}: {}", p.file, p.what);
    }
    let verdict = match found.problems.len() {
        0 => "all is sound".to_string(),
        1 => "1 problem".to_string(),
        n => format!("{n} problems"),
    };
    let _ = writeln!(
        text,
        "{} files, {}: {} blocks, {} log segments, {} samples; {verdict}",
        found.files,
        size(found.bytes),
        found.blocks,
        found.segments,
        found.samples
    );
    text
}
