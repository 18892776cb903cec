//! Blocks against plain vectors.

mod damage;
pub(crate) mod figures;
mod given;
mod matching;
mod round_trip;

use std::sync::Arc;

use tsdb_model::Labels;

use super::{Block, BlockWriter, NewBlock, SeriesColumns};
use crate::dir::{Dir, StdDir};
use crate::fault::FaultDir;

/// Writes a block of these series, sorted first.
fn write(dir: &Arc<dyn Dir>, new: &NewBlock, series: &[(Labels, SeriesColumns)]) -> Block {
    let sets = series.iter().map(|s| s.0.clone()).collect();
    let mut writer = BlockWriter::create(Arc::clone(dir), new.clone(), sets).unwrap();
    for (index, (_, columns)) in series.iter().enumerate() {
        writer.write_series(index, columns).unwrap();
    }
    writer.finish().unwrap()
}

fn memory() -> (FaultDir, Arc<dyn Dir>) {
    let fault = FaultDir::default();
    (fault.clone(), Arc::new(fault))
}

/// A directory on the disk, with and without maps.
fn on_disk() -> (tempfile::TempDir, [Arc<dyn Dir>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let dir = StdDir::new(folder.path());
    dir.create_dir(super::BLOCKS_DIR).unwrap();
    let dirs: [Arc<dyn Dir>; 2] = [Arc::new(dir.clone()), Arc::new(dir.without_mmap())];
    (folder, dirs)
}

fn new_block() -> NewBlock {
    NewBlock {
        id: 7,
        order: 3,
        late: true,
        range_from: -5,
        range_until: i64::MAX,
        log_until: 9,
        cut_until: Some(-1),
        deletes_until: 77,
        level: 2,
        replaces: vec![1, 2, 300],
    }
}
