//! Copies of the whole store, as of one commit.

use std::path::Path;
use std::sync::Arc;

use tsdb_model::StorageError;

use crate::block::{BLOCKS_DIR, block_name};
use crate::dir::{Dir, StdDir};
use crate::jobs::Jobs;
use crate::shared::Shared;
use crate::stop::Throttle;
use crate::tombstones::{Delete, Tombstones};
use crate::wal::io_error;

/// Bytes copied at once where a hard link is not possible.
const COPY_BYTES: usize = 1 << 20;

impl Shared {
    /// Makes a copy in directory `path`, with or without what is in memory only.
    pub(crate) fn snapshot(
        &self,
        jobs: &mut Jobs,
        path: &Path,
        with_head: bool,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let copy: Arc<dyn Dir> = Arc::new(StdDir::new(path));
        let shown = copy.display();
        let io = |what: &'static str, e: std::io::Error| io_error(what, &shown, &e);
        copy.create_dir("").map_err(|e| io("making", e))?;
        if !copy.list("").map_err(|e| io("listing", e))?.is_empty() {
            return Err(StorageError::Unavailable(format!("{shown} is not empty")));
        }
        copy.create_dir(BLOCKS_DIR).map_err(|e| io("making", e))?;
        copy.create_dir(crate::wal::WAL_DIR)
            .map_err(|e| io("making", e))?;
        let (commit, view) = self.open_reader();
        let result = (|| {
            for block in &view.blocks {
                self.copy_block(&*copy, path, block.block.meta().new.id, throttle)?;
            }
            if with_head {
                self.snapshot_head(jobs, &copy, commit, view.last_delete, throttle)?;
            }
            // No segment of the copy is before its deletions.
            let deletes = view.deletes.iter().map(|d| {
                Arc::new(Delete {
                    segment: 0,
                    ..(**d).clone()
                })
            });
            let list = Tombstones {
                last: view.last_delete,
                deletes: deletes.collect(),
            };
            list.write(&*copy)?;
            let synced = copy.sync_dir(BLOCKS_DIR).and_then(|()| copy.sync_dir(""));
            synced.map_err(|e| io("forcing to the disk", e))
        })();
        self.close_reader(commit);
        result
    }

    fn copy_block(
        &self,
        copy: &dyn Dir,
        path: &Path,
        id: u64,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let name = block_name(id);
        if self.dir.hard_link(&name, &path.join(&name)).is_ok() {
            return Ok(());
        }
        let io = |e: std::io::Error| io_error("copying", &name, &e);
        let size = self.dir.size(&name).map_err(io)?;
        let file = copy.create(&name).map_err(io)?;
        let mut offset = 0;
        while offset < size {
            let bytes = self.dir.read_at(&name, offset, COPY_BYTES).map_err(io)?;
            if bytes.is_empty() {
                return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            file.append(&bytes).map_err(io)?;
            offset += bytes.len() as u64;
            throttle.pause()?;
        }
        file.sync_data().map_err(io)
    }
}
