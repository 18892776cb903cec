//! A disk in memory for tests: it can fail at any call, and lose or tear what was not forced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use crate::dir::{Dir, DirLock, ReadFile, Space, WriteFile};
use crate::shared::lock;

#[derive(Debug, Clone, Default)]
struct FileState {
    bytes: Vec<u8>,
    /// Bytes that are surely on the disk.
    synced: usize,
}

/// A change of a folder that was not forced to the disk yet.
#[derive(Debug, Clone)]
enum NameChange {
    Added(String, u64),
    Renamed(String, String, u64),
    Removed(String),
}

impl NameChange {
    fn folder(&self) -> &str {
        let (Self::Added(name, _) | Self::Renamed(name, _, _) | Self::Removed(name)) = self;
        name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Added(name, file) => drop(names.insert(name, file)),
            Self::Renamed(from, to, file) => {
                names.remove(&from);
                names.insert(to, file);
            }
            Self::Removed(name) => drop(names.remove(&name)),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<String, u64>,
    /// The names that are surely on the disk, and changes that may be.
    synced_names: BTreeMap<String, u64>,
    changes: Vec<NameChange>,
    next_file: u64,
    folders: BTreeSet<String>,
    locked: bool,
    /// What [`Dir::space`] answers.
    space: Option<Space>,
    /// Calls that change something, so far.
    calls: u64,
    /// Calls that fail, from one on and so many.
    failing: Option<(u64, u64)>,
    /// Copies of the disk made before each call.
    recorded: Option<Vec<Self>>,
}

impl State {
    /// Counts a call; true when it is to fail.
    fn call(&mut self) -> bool {
        self.record();
        let now = self.calls;
        self.calls += 1;
        self.failing
            .is_some_and(|(from, count)| from <= now && now - from < count)
    }

    fn record(&mut self) {
        if let Some(mut recorded) = self.recorded.take() {
            recorded.push(self.clone());
            self.recorded = Some(recorded);
        }
    }

    fn file(&self, name: &str) -> io::Result<&FileState> {
        let number = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.files
            .get(number)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.changes.push(change);
    }

    fn into_dir(mut self) -> FaultDir {
        self.locked = false;
        self.failing = None;
        self.recorded = None;
        let used: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|number, _| used.contains(number));
        self.synced_names = self.names.clone();
        self.changes.clear();
        FaultDir(Arc::new(Mutex::new(self)))
    }
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// The disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultDir(Arc<Mutex<State>>);

/// The disk as it was at some call.
#[derive(Debug, Clone)]
pub(crate) struct Recorded(State);

impl Recorded {
    /// Number of the call it was recorded before.
    pub(crate) fn call(&self) -> u64 {
        self.0.calls
    }

    /// What is found when the process died.
    pub(crate) fn after_kill(&self) -> FaultDir {
        self.0.clone().into_dir()
    }

    /// What is found after a power cut. Of changed folders and of the bytes behind a sync some
    /// reached the disk, in any order, as `random` has it.
    pub(crate) fn after_power_cut(&self, mut random: impl FnMut() -> u64) -> FaultDir {
        let mut state = self.0.clone();
        state.names = state.synced_names.clone();
        for change in std::mem::take(&mut state.changes) {
            if random().is_multiple_of(2) {
                change.apply(&mut state.names);
            }
        }
        for file in state.files.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            if unsynced == 0 {
                continue;
            }
            let kept = random() as usize % (unsynced + 1);
            file.bytes.truncate(file.synced + kept);
            if kept > 0 && random().is_multiple_of(3) {
                let hole = file.synced + random() as usize % kept;
                let end = hole + random() as usize % (file.bytes.len() - hole + 1);
                file.bytes[hole..end].fill(0);
            }
        }
        state.into_dir()
    }
}

impl FaultDir {
    /// What another process finds after this one died right now.
    pub(crate) fn after_kill(&self) -> Self {
        lock(&self.0).clone().into_dir()
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

    /// Begins to record the disk before each call.
    pub(crate) fn record(&self) {
        lock(&self.0).recorded = Some(Vec::new());
    }

    /// What was recorded.
    pub(crate) fn take_recorded(&self) -> Vec<Recorded> {
        let recorded = lock(&self.0).recorded.take();
        recorded
            .unwrap_or_default()
            .into_iter()
            .map(Recorded)
            .collect()
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// What the disk says about its space.
    pub(crate) fn set_space(&self, space: Option<Space>) {
        lock(&self.0).space = space;
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        lock(&self.0).file(name).unwrap().bytes.clone()
    }

    pub(crate) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        let mut state = lock(&self.0);
        let number = state.next_file;
        state.next_file += 1;
        state.files.insert(number, FileState { bytes, synced });
        state.names.insert(name.into(), number);
        state.synced_names.insert(name.into(), number);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.0).names.keys().cloned().collect()
    }
}

#[derive(Debug)]
struct FaultFile {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl FaultFile {
    fn with<T>(&self, work: impl FnOnce(&mut FileState, bool) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        let fails = state.call();
        match state.files.get_mut(&self.number) {
            Some(file) => work(file, fails),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl WriteFile for FaultFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.with(|file, fails| {
            file.bytes.extend(first);
            if fails { Err(no_space()) } else { Ok(()) }
        })?;
        let mut state = lock(&self.state);
        // It may also die in the middle.
        state.calls -= 1;
        state.record();
        state.calls += 1;
        match state.files.get_mut(&self.number) {
            Some(file) => file.bytes.extend(second),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
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

#[derive(Debug)]
struct FaultReadFile {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl FaultReadFile {
    fn with<T>(&self, work: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let state = lock(&self.state);
        let file = state.files.get(&self.number);
        Ok(work(&file.ok_or(io::ErrorKind::NotFound)?.bytes))
    }
}

impl ReadFile for FaultReadFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.with(|bytes| {
            let from = bytes.get(offset as usize..).unwrap_or_default();
            from[..len.min(from.len())].to_vec()
        })
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
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.next_file;
        state.next_file += 1;
        state.files.insert(number, FileState::default());
        state.change(NameChange::Added(name.into(), number));
        Ok(Box::new(FaultFile {
            state: Arc::clone(&self.0),
            number,
        }))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = lock(&self.0);
        let from = state.file(name)?.bytes.get(offset as usize..);
        let from = from.unwrap_or_default();
        Ok(from[..len.min(from.len())].to_vec())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(lock(&self.0).file(name)?.bytes.len() as u64)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadFile>> {
        let state = lock(&self.0);
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(FaultReadFile {
            state: Arc::clone(&self.0),
            number,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        let number = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(NameChange::Renamed(from.into(), to.into(), number));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        state.file(name)?;
        state.change(NameChange::Removed(name.into()));
        Ok(())
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
        let all = state.names.keys().chain(state.folders.iter());
        let inside = all.filter_map(|n| n.strip_prefix(&prefix));
        Ok(inside
            .filter(|n| !n.is_empty() && !n.contains('/'))
            .map(String::from)
            .collect())
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.call() {
            return Err(no_space());
        }
        for change in std::mem::take(&mut state.changes) {
            if change.folder() == folder {
                change.apply(&mut state.synced_names);
            } else {
                state.changes.push(change);
            }
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        Ok(lock(&self.0).space)
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
