//! The folder of blocks: what is loaded when a store is opened, numbers of new blocks, and removal
//! of files that nobody needs any more.

use std::io::ErrorKind;
use std::sync::{Arc, Weak};

use hashbrown::HashSet;
use tsdb_model::StorageError;

use crate::block::{BLOCKS_DIR, Block, block_name};
use crate::dir::Dir;
use crate::wal::io_error;

const SUFFIX: &str = ".block";
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The number of the block that a file name in the folder stands for.
pub(crate) fn block_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let id: u64 = digits.parse().ok()?;
    (format!("{id:08}") == digits).then_some(id)
}

/// What the folder holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Blocks that cannot be read: left in place.
    pub(crate) quarantined: Vec<u64>,
    /// Blocks whose content is in another one.
    pub(crate) replaced: Vec<u64>,
    /// Unfinished files.
    temporaries: Vec<String>,
    pub(crate) next_id: u64,
}

/// Why the folder could not be read.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// A running writer changed it meanwhile.
    Changed,
    Other(StorageError),
}

fn list(dir: &dyn Dir) -> Result<Vec<String>, LoadError> {
    match dir.list(BLOCKS_DIR) {
        Ok(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(LoadError::Other(io_error("listing", BLOCKS_DIR, &e))),
    }
}

/// Opens all blocks. One that cannot be read is left alone, and the others count.
pub(crate) fn load(dir: &Arc<dyn Dir>) -> Result<Loaded, LoadError> {
    let names = list(&**dir)?;
    let mut loaded = Loaded {
        next_id: 1,
        ..Loaded::default()
    };
    for name in &names {
        if name.ends_with(TEMPORARY_SUFFIX) {
            loaded.temporaries.push(name.clone());
        }
        let Some(id) = block_number(name) else {
            continue;
        };
        loaded.next_id = loaded.next_id.max(id.saturating_add(1));
        match Block::open(dir, id) {
            Ok(block) if block.meta().new.id == id => loaded.blocks.push(Arc::new(block)),
            Ok(block) => {
                let stated = block.meta().new.id;
                tracing::error!(block = id, stated, "a block has another's name; not loaded");
                loaded.quarantined.push(id);
            }
            Err(_)
                if dir
                    .size(&block_name(id))
                    .is_err_and(|e| e.kind() == ErrorKind::NotFound) =>
            {
                return Err(LoadError::Changed);
            }
            Err(e) => {
                tracing::error!(block = id, error = %e, "a block cannot be read; not loaded");
                loaded.quarantined.push(id);
            }
        }
    }
    // A listing is not made at one moment.
    if list(&**dir)? != names {
        return Err(LoadError::Changed);
    }
    let replaced: HashSet<u64> = loaded
        .blocks
        .iter()
        .flat_map(|b| b.meta().new.replaces.iter().copied())
        .collect();
    loaded
        .blocks
        .retain(|b| !replaced.contains(&b.meta().new.id));
    loaded.quarantined.retain(|id| !replaced.contains(id));
    loaded.replaced = names
        .iter()
        .filter_map(|n| block_number(n))
        .filter(|id| replaced.contains(id))
        .collect();
    Ok(loaded)
}

impl Loaded {
    /// Removes unfinished files.
    pub(crate) fn remove_temporaries(&self, dir: &dyn Dir) {
        for name in &self.temporaries {
            if let Err(e) = dir.remove(&format!("{BLOCKS_DIR}/{name}")) {
                tracing::warn!(name, error = %e, "removing an unfinished block failed");
            }
        }
    }
}

/// A block that left the view, whose file is still there.
#[derive(Debug)]
struct Retired {
    id: u64,
    /// Alive as long as some querier may read it.
    block: Weak<Block>,
    removed: bool,
}

/// The files, as the jobs see them.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) next_id: u64,
    retired: Vec<Retired>,
}

impl Catalogue {
    pub(crate) fn new(loaded: &Loaded) -> Self {
        let mut catalogue = Self {
            next_id: loaded.next_id,
            retired: Vec::new(),
        };
        for id in &loaded.replaced {
            catalogue.retire(*id, Weak::new());
        }
        catalogue
    }

    /// A number for a new block.
    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The file of block `id` is to go as soon as nobody holds the block.
    pub(crate) fn retire(&mut self, id: u64, block: Weak<Block>) {
        self.retired.push(Retired {
            id,
            block,
            removed: false,
        });
    }

    /// True when files are still to go.
    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// What a child of `parents` replaces: these, and blocks that they replaced and that are
    /// still there.
    pub(crate) fn replaces(&self, parents: &[Arc<Block>]) -> Vec<u64> {
        let mut ids: Vec<u64> = parents.iter().map(|p| p.meta().new.id).collect();
        let older = parents.iter().flat_map(|p| p.meta().new.replaces.iter());
        ids.extend(older.filter(|id| self.retired.iter().any(|r| r.id == **id)));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Removes files that nobody reads any more. They count as there until that is on the disk.
    pub(crate) fn remove_retired(&mut self, dir: &dyn Dir) -> Result<(), StorageError> {
        let mut result = Ok(());
        let mut any = false;
        for retired in &mut self.retired {
            if retired.removed || retired.block.strong_count() > 0 {
                any |= retired.removed;
                continue;
            }
            let name = block_name(retired.id);
            match dir.remove(&name) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    result = Err(io_error("removing", &name, &e));
                }
                _ => {
                    retired.removed = true;
                    any = true;
                }
            }
        }
        if any {
            dir.sync_dir(BLOCKS_DIR)
                .map_err(|e| io_error("forcing to the disk", BLOCKS_DIR, &e))?;
            self.retired.retain(|r| !r.removed);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(block_name(12), "blocks/00000012.block");
        assert_eq!(block_number("00000012.block"), Some(12));
        assert_eq!(block_number("123456789.block"), Some(123_456_789));
        for name in [
            "12.block",
            "00000012.tmp",
            "0000000x.block",
            ".block",
            "000000012.block",
        ] {
            assert_eq!(block_number(name), None, "{name}");
        }
    }
}
