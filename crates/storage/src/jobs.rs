//! Jobs: cuts, merges, retention, one at a time, and the views that they replace.

use std::sync::{Arc, Weak};

use hashbrown::HashSet;

use crate::block::Block;
use crate::catalogue::Catalogue;
use crate::head::Head;
use crate::shared::{Shared, lock};
use crate::tombstones::Delete;
use crate::view::View;

/// What jobs know; whoever holds it may run one.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) catalogue: Catalogue,
    /// Blocks that were not loaded.
    pub(crate) quarantined: u64,
    /// Blocks, and rules by number, that were looked at.
    pub(crate) rules_seen: HashSet<(u64, usize)>,
    /// The first view whose blocks hold what can be dropped from memory.
    pub(crate) undropped: Option<u64>,
    /// Log segments below the first are in blocks as far as they are before the second.
    pub(crate) cut_log: (u32, i64),
}

impl Shared {
    /// Gives later queriers these blocks, and these deletions if there are others now.
    pub(crate) fn replace_view(
        &self,
        head: &mut Head,
        blocks: Vec<Arc<Block>>,
        deletes: Option<(Vec<Arc<Delete>>, u64)>,
    ) {
        let before = Arc::clone(&head.view);
        let (deletes, last) =
            deletes.unwrap_or_else(|| (before.deletes.clone(), before.last_delete));
        head.view = Arc::new(View::new(&before, blocks, deletes, last));
        let mut old = lock(&self.old_views);
        old.retain(|(_, view)| view.strong_count() > 0);
        old.push((before.number, Arc::downgrade(&before)));
    }

    /// Number of the oldest view that some querier holds or a new one gets.
    pub(crate) fn oldest_view(&self) -> u64 {
        let now = self.head().view.number;
        let old = lock(&self.old_views);
        let held = old.iter().filter(|(_, view)| view.strong_count() > 0);
        held.map(|(number, _)| *number)
            .min()
            .map_or(now, |n| n.min(now))
    }

    /// Removes a block that is not in any view, finished or not.
    pub(crate) fn discard(&self, jobs: &mut Jobs, id: u64) {
        jobs.catalogue.retire(id, Weak::new());
        if let Err(e) = jobs.catalogue.remove_retired(&*self.dir) {
            tracing::warn!(error = %e, "removing a block failed; tried again later");
        }
    }

    /// Takes blocks out of the view and retires their files; `child` comes in instead.
    pub(crate) fn exchange(&self, jobs: &mut Jobs, gone: &[Arc<Block>], child: Option<Block>) {
        {
            let mut head = self.head_mut();
            let mut blocks = head.view.plain_blocks();
            blocks.retain(|b| !gone.iter().any(|g| Arc::ptr_eq(b, g)));
            blocks.extend(child.map(Arc::new));
            self.replace_view(&mut head, blocks, None);
        }
        for block in gone {
            jobs.catalogue
                .retire(block.meta().new.id, Arc::downgrade(block));
        }
    }
}
