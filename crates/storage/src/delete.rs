//! Deletions: visible at once, in the head and over the blocks; applied to blocks when they are
//! written anew.

use std::sync::Arc;

use tsdb_model::{Matcher, StorageError};

use crate::head::Head;
use crate::jobs::Jobs;
use crate::shared::{Shared, lock};
use crate::stop::Throttle;
use crate::tombstones::{self, Delete, Tombstones};
use crate::wal::{WAL_DIR, io_error};

/// Series changed under one lock.
const SLICE: usize = 512;

impl Shared {
    /// Deletes what passes the matchers between two times. What is written later stays.
    pub(crate) fn delete(
        &self,
        matchers: &[Matcher],
        mint: i64,
        maxt: i64,
    ) -> Result<(), StorageError> {
        let mut log = lock(&self.log);
        self.check_writable()?;
        if mint > maxt {
            return Ok(());
        }
        // A deletion stands between two segments.
        self.finish_segment(&mut log)?;
        let (list, delete, commit) = {
            let mut head = self.head_mut();
            head.published = head.applied;
            let seq = head.view.last_delete + 1;
            let delete = Arc::new(Delete {
                seq,
                segment: log.current_number(),
                mint,
                maxt,
                matchers: matchers.to_vec(),
            });
            let mut deletes = head.view.deletes.clone();
            // The number is used up even if this fails: blocks written from now on must not be
            // taken for older ones.
            let blocks = head.view.plain_blocks();
            self.replace_view(&mut head, blocks, Some((deletes.clone(), seq)));
            deletes.push(Arc::clone(&delete));
            let list = Tombstones { last: seq, deletes };
            (list, delete, head.applied + 1)
        };
        list.replace(&*self.dir)?;
        if let Err(e) = self.dir.sync_dir("") {
            // Nobody knows which list will be found; blocks written from now on would not know
            // whether they are to embody the deletion.
            self.refuse_writes(&format!(
                "a deletion could not be forced to the disk ({e}); nothing is stored until the \
                 store is opened again"
            ));
            return Err(io_error("forcing to the disk", tombstones::FILE, &e));
        }
        // Readers that began before go on seeing what is removed; new ones do not see the deletion
        // before it is published.
        let slots: Vec<u32> = self.head().index.select(matchers).iter().collect();
        for slice in slots.chunks(SLICE) {
            let mut head = self.head_mut();
            for slot in slice {
                head.delete(*slot, mint, maxt, Some(commit));
            }
        }
        let mut head = self.head_mut();
        head.applied = commit;
        head.published = commit;
        let blocks = head.view.plain_blocks();
        self.replace_view(&mut head, blocks, Some((list.deletes, list.last)));
        tracing::info!(number = delete.seq, mint, maxt, "deleted");
        Ok(())
    }

    /// Forgets deletions that all blocks and log segments embody.
    pub(crate) fn retire_deletes(&self, jobs: &Jobs) -> Result<(), StorageError> {
        if jobs.catalogue.has_retired() || jobs.quarantined > 0 {
            // What comes back could bring back what was deleted.
            return Ok(());
        }
        let log = lock(&self.log);
        self.check_writable()?;
        let view = Arc::clone(&self.head().view);
        let mut needed = Vec::new();
        for delete in &view.deletes {
            let mut touches = !log.begins_at(delete.segment);
            for block in &view.blocks {
                if touches {
                    break;
                }
                touches = block.is_touched_by(delete.seq)?;
            }
            if touches {
                needed.push(Arc::clone(delete));
            }
        }
        if needed.len() == view.deletes.len() {
            return Ok(());
        }
        // Segments that were removed must not come back.
        self.dir
            .sync_dir(WAL_DIR)
            .map_err(|e| io_error("forcing to the disk", WAL_DIR, &e))?;
        let list = Tombstones {
            last: view.last_delete,
            deletes: needed,
        };
        list.write(&*self.dir)?;
        let mut head = self.head_mut();
        let blocks = head.view.plain_blocks();
        self.replace_view(&mut head, blocks, Some((list.deletes, list.last)));
        Ok(())
    }

    /// Applies all deletions to the blocks, and forgets them.
    pub(crate) fn clean_tombstones(
        &self,
        jobs: &mut Jobs,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        self.check_writable()?;
        self.clean_blocks(jobs, throttle)?;
        jobs.catalogue.remove_retired(&*self.dir)?;
        self.retire_deletes(jobs)
    }
}

/// Applies a deletion to a head that nobody else sees yet.
pub(crate) fn delete_replayed(head: &mut Head, delete: &Delete) {
    for slot in &head.index.select(&delete.matchers) {
        head.delete(slot, delete.mint, delete.maxt, None);
    }
}
