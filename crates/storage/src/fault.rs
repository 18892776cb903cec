//! A disk in memory for tests: it can fail at any call, and lose or tear what was not forced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use crate::dir::{Dir, DirLock, WriteFile};
use crate::shared::lock;

#[derive(Debug, Clone, Default)]
struct FileState {
    bytes: Vec<u8>,
    /// Bytes that are surely on the disk.
    synced: usize,
}

#[derive(Debug, Clone, Default)]
struct State {
    files: BTreeMap<String, FileState>,
    folders: BTreeSet<String>,
    locked: bool,
    /// Calls that change something, so far.
    calls: u64,
    /// Calls that fail, from one on and so many.
    failing: Option<(u64, u64)>,
}

impl State {
    /// Counts a call; true when it is to fail.
    fn call(&mut self) -> bool {
        let now = self.calls;
        self.calls += 1;
        self.failing
            .is_some_and(|(from, count)| from <= now && now - from < count)
    }
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// The disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultDir(Arc<Mutex<State>>);

impl FaultDir {
    /// What another process finds after this one died right now.
    pub(crate) fn after_kill(&self) -> Self {
        let mut state = lock(&self.0).clone();
        state.locked = false;
        state.failing = None;
        Self(Arc::new(Mutex::new(state)))
    }

    /// What is found after a power cut: of each file what was synced, and `keep(bytes)` of the
    /// unsynced bytes behind.
    pub(crate) fn after_power_cut(&self, mut keep: impl FnMut(usize) -> usize) -> Self {
        let cut = self.after_kill();
        for file in lock(&cut.0).files.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            file.bytes
                .truncate(file.synced + keep(unsynced).min(unsynced));
        }
        cut
    }

    /// Lets `count` calls fail, after `after` more that work.
    pub(crate) fn fail(&self, after: u64, count: u64) {
        let mut state = lock(&self.0);
        state.failing = Some((state.calls + after, count));
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        lock(&self.0).files[name].bytes.clone()
    }

    pub(crate) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        lock(&self.0)
            .files
            .insert(name.into(), FileState { bytes, synced });
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.0).files.keys().cloned().collect()
    }
}

#[derive(Debug)]
struct FaultFile {
    state: Arc<Mutex<State>>,
    name: String,
}

impl FaultFile {
    fn with<T>(&self, work: impl FnOnce(&mut FileState, bool) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        let fails = state.call();
        match state.files.get_mut(&self.name) {
            Some(file) => work(file, fails),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl WriteFile for FaultFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.with(|file, fails| {
            if fails {
                file.bytes.extend(&bytes[..bytes.len() / 2]);
                return Err(no_space());
            }
            file.bytes.extend(bytes);
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|file, fails| {
            if fails {
                return Err(no_space());
            }
            file.bytes.truncate(len as usize);
            file.synced = file.synced.min(file.bytes.len());
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|file, fails| {
            if fails {
                return Err(no_space());
            }
            file.synced = file.bytes.len();
            Ok(())
        })
    }
}

#[derive(Debug)]
struct FaultLock(Arc<Mutex<State>>);

impl DirLock for FaultLock {}

impl Drop for FaultLock {
    fn drop(&mut self) {
        lock(&self.0).locked = false;
    }
}

impl Dir for FaultDir {
    fn display(&self) -> String {
        "memory".into()
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        state.folders.insert(name.into());
        Ok(())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        if state.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(name.into(), FileState::default());
        Ok(Box::new(FaultFile {
            state: Arc::clone(&self.0),
            name: name.into(),
        }))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = lock(&self.0);
        let file = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let from = file.bytes.get(offset as usize..).unwrap_or_default();
        Ok(from[..len.min(from.len())].to_vec())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let state = lock(&self.0);
        Ok(state
            .files
            .get(name)
            .ok_or(io::ErrorKind::NotFound)?
            .bytes
            .len() as u64)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        state
            .files
            .remove(name)
            .map(drop)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let state = lock(&self.0);
        if !state.folders.contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let prefix = if name.is_empty() {
            String::new()
        } else {
            format!("{name}/")
        };
        let all = state.files.keys().chain(state.folders.iter());
        let inside = all.filter_map(|n| n.strip_prefix(&prefix));
        Ok(inside
            .filter(|n| !n.is_empty() && !n.contains('/'))
            .map(String::from)
            .collect())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        if lock(&self.0).call() {
            Err(no_space())
        } else {
            Ok(())
        }
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn DirLock>> {
        let mut state = lock(&self.0);
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(FaultLock(Arc::clone(&self.0))))
    }
}
