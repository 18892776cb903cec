//! A directory and a store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use tsdb_model::{
    AppendError, Appendable, Appender, CommitReport, Exemplar, HistogramSample, HistogramValue,
    Labels, Matcher, Metadata, Querier, Queryable, SelectHints, SeriesData, SeriesRef, SeriesSet,
    StorageError,
};

use crate::dir::{Dir, DirLock, ReadFile, WriteFile};
use crate::prom_block::SampleValue;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A directory in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct MemDir {
    pub(super) files: Files,
    folders: Arc<Mutex<BTreeSet<String>>>,
}

impl MemDir {
    /// The directory with one file changed.
    pub(super) fn with(&self, name: &str, bytes: Vec<u8>) -> Self {
        let mut files = self.files.lock().unwrap().clone();
        files.insert(name.to_string(), bytes);
        Self {
            files: Arc::new(Mutex::new(files)),
            folders: Arc::clone(&self.folders),
        }
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].clone()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }

    /// All files of a directory of the operating system.
    pub(super) fn load(from: &dyn Dir) -> io::Result<Self> {
        let dir = Self::default();
        dir.load_folder(from, "")?;
        Ok(dir)
    }

    fn load_folder(&self, from: &dyn Dir, folder: &str) -> io::Result<()> {
        for name in from.list(folder)? {
            let name = crate::prom_block::join(folder, &name);
            if self.load_folder(from, &name).is_err() {
                let bytes = from.read_at(&name, 0, from.size(&name)? as usize)?;
                self.files.lock().unwrap().insert(name, bytes);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct MemFile {
    files: Files,
    name: String,
}

impl WriteFile for MemFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        files.get_mut(&self.name).unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.files
            .lock()
            .unwrap()
            .get_mut(&self.name)
            .unwrap()
            .truncate(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Dir for MemDir {
    fn display(&self) -> String {
        "memory".into()
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.folders.lock().unwrap().insert(name.to_string());
        Ok(())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let mut files = self.files.lock().unwrap();
        if files.insert(name.to_string(), Vec::new()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Box::new(MemFile {
            files: Arc::clone(&self.files),
            name: name.to_string(),
        }))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.files.lock().unwrap();
        let bytes = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        Ok(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let files = self.files.lock().unwrap();
        Ok(files.get(name).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn ReadFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let moved: Vec<_> = files
            .keys()
            .filter(|name| {
                name.strip_prefix(from)
                    .is_some_and(|r| r.is_empty() || r.starts_with('/'))
            })
            .cloned()
            .collect();
        for name in moved {
            let bytes = files.remove(&name).unwrap();
            files.insert(name.replacen(from, to, 1), bytes);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files
            .lock()
            .unwrap()
            .remove(name)
            .map(drop)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        let prefix = if name.is_empty() {
            String::new()
        } else {
            format!("{name}/")
        };
        let inside = files
            .keys()
            .filter_map(|f| f.strip_prefix(&prefix)?.split('/').next());
        Ok(inside
            .map(str::to_string)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn DirLock>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) type Series = BTreeMap<Labels, BTreeMap<i64, SampleValue>>;

/// A store in memory: takes all, the first sample of a time stays.
#[derive(Debug, Default)]
pub(super) struct MemStore {
    pub(super) series: Mutex<Series>,
    pub(super) commits: Mutex<u64>,
}

impl MemStore {
    pub(super) fn new(series: Series) -> Self {
        Self {
            series: Mutex::new(series),
            commits: Mutex::new(0),
        }
    }
}

struct MemAppender<'a> {
    store: &'a MemStore,
    known: Vec<Labels>,
    new: Vec<(Labels, i64, SampleValue)>,
}

impl Appendable for MemStore {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(MemAppender {
            store: self,
            known: Vec::new(),
            new: Vec::new(),
        })
    }
}

impl MemAppender<'_> {
    fn add(&mut self, series: SeriesRef, t: i64, value: SampleValue) -> Result<(), AppendError> {
        let labels = self
            .known
            .get(series.0 as usize)
            .ok_or(AppendError::UnknownSeries)?;
        if labels.get("refuse").is_some() {
            return Err(AppendError::OutOfBounds);
        }
        self.new.push((labels.clone(), t, value));
        Ok(())
    }
}

impl Appender for MemAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.known.push(labels.clone());
        Ok(SeriesRef(self.known.len() as u64 - 1))
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        self.add(series, t, SampleValue::Float(v))
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: HistogramValue,
    ) -> Result<(), AppendError> {
        self.add(series, t, SampleValue::Histogram(h))
    }

    fn append_start_timestamp(&mut self, _: SeriesRef, _: i64) -> Result<(), AppendError> {
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: &str, _: Metadata) {}

    fn commit(self: Box<Self>) -> Result<CommitReport, StorageError> {
        let samples = self.new.len() as u64;
        let mut series = self.store.series.lock().unwrap();
        for (labels, t, value) in self.new {
            series.entry(labels).or_default().entry(t).or_insert(value);
        }
        *self.store.commits.lock().unwrap() += 1;
        Ok(CommitReport {
            samples,
            rejected: Vec::new(),
        })
    }

    fn rollback(self: Box<Self>) {}
}

impl Queryable for MemStore {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        Ok(Box::new(MemQuerier(self)))
    }
}

struct MemQuerier<'a>(&'a MemStore);

struct MemSet(Vec<(Labels, BTreeMap<i64, SampleValue>)>);

impl Querier for MemQuerier<'_> {
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let series = self.0.series.lock().unwrap();
        let mut set = Vec::new();
        // Backwards, since no order is promised.
        for (labels, samples) in series.iter().rev() {
            let inside: BTreeMap<_, _> = samples
                .range(hints.start_ms..=hints.end_ms)
                .map(|(t, v)| (*t, v.clone()))
                .collect();
            if !inside.is_empty() && matchers.iter().all(|m| m.matches(labels.value(&m.name))) {
                set.push((labels.clone(), inside));
            }
        }
        Ok(Box::new(MemSet(set)))
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for MemSet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let mut times = Vec::new();
        for (t, value) in &self.0[index].1 {
            let histogram = match value {
                SampleValue::Float(v) => {
                    times.push(*t);
                    data.values.push(*v);
                    continue;
                }
                SampleValue::Histogram(HistogramValue::Int(h)) => Arc::new(h.to_float()),
                SampleValue::Histogram(HistogramValue::Float(h)) => Arc::clone(h),
            };
            let (timestamp_ms, start_timestamp_ms) = (*t, 0);
            data.histograms.push(HistogramSample {
                timestamp_ms,
                start_timestamp_ms,
                histogram,
            });
        }
        data.timestamps = Arc::new(times);
        Ok(())
    }
}
