//! Checking every byte of a data directory.

use std::io::ErrorKind;
use std::sync::Arc;

use tsdb_model::StorageError;

use super::log::{numbers, segment};
use crate::block::{BLOCKS_DIR, Block, block_name};
use crate::catalogue::block_number;
use crate::dir::Dir;
use crate::tombstones;
use crate::wal::{io_error, segment_name};

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File, relative to the data directory.
    pub file: String,
    /// Where in the file, if that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What a check of a data directory found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files checked.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Blocks among them.
    pub blocks: u64,
    /// Log segments among them.
    pub segments: u64,
    /// Samples that could be decoded; those that are in several files count in each.
    pub samples: u64,
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

fn problem(file: &str, error: &StorageError) -> Problem {
    let (offset, what) = match error {
        StorageError::Corrupt { offset, what, .. } => (Some(*offset), what.clone()),
        other => (None, other.to_string()),
    };
    Problem {
        file: file.to_string(),
        offset,
        what,
    }
}

struct Check<'a> {
    dir: &'a Arc<dyn Dir>,
    all: u64,
    found: Verified,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Check<'_> {
    fn is_gone(&self, name: &str) -> bool {
        let size = self.dir.size(name);
        size.is_err_and(|e| e.kind() == ErrorKind::NotFound)
    }

    fn segment(&mut self, number: u32) -> Result<(), StorageError> {
        let Some(read) = segment(self.dir, number)? else {
            return Ok(());
        };
        let found = &mut self.found;
        found.files += 1;
        found.segments += 1;
        found.bytes += read.bytes;
        found.samples += read.floats + read.histograms;
        for (offset, bytes) in &read.damage {
            found.problems.push(Problem {
                file: read.name.clone(),
                offset: Some(*offset),
                what: format!("{bytes} bytes are no sound records"),
            });
        }
        let more = read.corruptions.saturating_sub(read.damage.len() as u64);
        if more > 0 {
            found.problems.push(Problem {
                file: read.name.clone(),
                offset: None,
                what: format!("{more} records say nothing sensible"),
            });
        }
        let unreadable = read.unreadable.map(|what| Problem {
            file: read.name,
            offset: None,
            what,
        });
        found.problems.extend(unreadable);
        Ok(())
    }

    fn block(&mut self, id: u64) {
        let name = block_name(id);
        let size = self.dir.size(&name).unwrap_or(0);
        let block = match Block::open(self.dir, id) {
            Ok(block) => block,
            Err(_) if self.is_gone(&name) => return,
            Err(e) => {
                self.found.problems.push(problem(&name, &e));
                self.found.files += 1;
                self.found.bytes += size;
                return;
            }
        };
        let (before, all) = (self.found.bytes, self.all);
        let report = block.scrub(|done, steps| {
            let share = u128::from(size) * u128::from(done) / u128::from(steps.max(1));
            (self.progress)(before + share as u64, all);
            true
        });
        self.found.files += 1;
        self.found.blocks += 1;
        self.found.bytes += size;
        self.found.samples += report.samples;
        let errors = report.errors.iter().map(|e| problem(&name, e));
        self.found.problems.extend(errors);
    }

    fn tombstones(&mut self) -> Result<(), StorageError> {
        let file = tombstones::FILE;
        let Some((bytes, copies)) = tombstones::check(&**self.dir)? else {
            return Ok(());
        };
        self.found.files += 1;
        self.found.bytes += bytes;
        let what = match copies {
            2 => return Ok(()),
            1 => "one of the two copies is damaged; the other is used",
            _ => "both copies are damaged: what was deleted may come back",
        };
        self.found.problems.push(Problem {
            file: file.to_string(),
            offset: None,
            what: what.to_string(),
        });
        Ok(())
    }
}

/// Checks every byte of the log, the blocks and the list of deletions in a data directory.
/// `progress` gets bytes done and bytes in all.
pub fn verify(
    dir: &Arc<dyn Dir>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, StorageError> {
    let segments = numbers(&**dir)?;
    let names = match dir.list(BLOCKS_DIR) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(io_error("listing", BLOCKS_DIR, &e)),
    };
    let mut blocks: Vec<u64> = names.iter().filter_map(|n| block_number(n)).collect();
    blocks.sort_unstable();
    let files = segments.iter().map(|n| segment_name(*n));
    let files = files.chain(blocks.iter().map(|id| block_name(*id)));
    let files = files.chain([tombstones::FILE.to_string()]);
    let all = files.map(|name| dir.size(&name).unwrap_or(0)).sum();
    let mut check = Check {
        dir,
        all,
        found: Verified::default(),
        progress,
    };
    check.tombstones()?;
    for number in segments {
        (check.progress)(check.found.bytes, all);
        check.segment(number)?;
    }
    for id in blocks {
        check.block(id);
    }
    Ok(check.found)
}
