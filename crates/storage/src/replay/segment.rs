//! Reading one segment: first its records in order, with definitions and an index of all pieces;
//! then the pieces group by group, in as many threads as there are processors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tsdb_model::SeriesRef;

use super::{Claim, Replay};
use crate::head::{Batch, Head};
use crate::wal::decode::{LogCommit, Malformed, Part, PieceAt, part, sections};
use crate::wal::group_reader::{GroupAt, Payload, Single, Tally, Window};
use crate::wal::log::SegmentInfo;
use crate::wal::read::SegmentReader;

/// Most threads that decode.
const MAX_THREADS: usize = 8;

/// Samples that a segment must have for more than one thread to pay, as bytes of pieces.
const WORTH_THREADS: usize = 1 << 16;

/// What a segment holds that is not in the head yet.
#[derive(Debug, Default)]
struct Index {
    payloads: Vec<Payload>,
    groups: BTreeMap<u32, GroupAt>,
    /// Histograms.
    singles: Vec<Single>,
    piece_bytes: usize,
}

/// The commit whose records are being read.
#[derive(Debug, Default)]
struct Open {
    rest: LogCommit,
    /// The first of its records among the payloads.
    first: usize,
    expected: Option<Part>,
}

fn split(id: u64) -> Result<(u32, u16), Malformed> {
    let group = u32::try_from(id >> 16).map_err(|_| Malformed)?;
    Ok((group, id as u16))
}

impl Index {
    fn member(&self, id: u64) -> Option<SeriesRef> {
        let (group, slot) = split(id).ok()?;
        self.groups.get(&group)?.member(slot)
    }

    /// Keeps a record's pieces.
    fn push(&mut self, payload: Vec<u8>, commit: u64, pieces: Vec<PieceAt>) {
        let number = self.payloads.len();
        for piece in pieces {
            self.piece_bytes += piece.range.len();
            let group = self.groups.entry(piece.group).or_default();
            group.push(piece.number, number, piece.range.start, piece.range.end);
        }
        self.payloads.push(Payload {
            bytes: payload,
            commit,
            whole: false,
        });
    }

    fn set_apart(&mut self, id: u64) {
        if let Ok((group, slot)) = split(id)
            && let Some(group) = self.groups.get_mut(&group)
        {
            group.set_apart(slot);
        }
    }
}

impl Replay {
    /// Reads a segment of the present version.
    pub(super) fn read(
        &mut self,
        reader: &mut SegmentReader,
        name: &str,
        info: &mut SegmentInfo,
    ) -> std::io::Result<()> {
        let claims = self.claims_on(info.number);
        let mut index = Index::default();
        let mut open = Open::default();
        let mut commit = 0;
        while let Some(payload) = reader.next()? {
            let mut pieces = Vec::new();
            let mut entries = LogCommit::default();
            let read = part(&payload).and_then(|(part, rest)| {
                sections(&payload, rest, &mut entries, &mut pieces)?;
                Ok(part)
            });
            let Ok(part) = read else {
                self.damaged(name, "a record that says nothing sensible");
                self.incomplete += u64::from(open.expected.take().is_some());
                continue;
            };
            if part.first {
                self.incomplete += u64::from(open.expected.is_some());
                commit += 1;
                open = Open {
                    first: index.payloads.len(),
                    ..Open::default()
                };
            }
            // Definitions count and values are kept for what follows even if the commit does not.
            for (id, labels) in entries.definitions {
                if !self.define_in(&mut index, info.number, id, labels) {
                    self.damaged(name, "a number that two series have");
                }
            }
            index.push(payload, commit, pieces);
            let fits = open
                .expected
                .is_some_and(|e| (e.seq, e.index) == (part.seq, part.index));
            if !part.first && !fits {
                // Its beginning is missing.
                self.incomplete += u64::from(part.last || open.expected.is_some());
                open.expected = None;
                continue;
            }
            open.rest.samples.append(&mut entries.samples);
            open.rest.exemplars.append(&mut entries.exemplars);
            open.rest.metadata.append(&mut entries.metadata);
            if part.last {
                open.expected = None;
                for payload in index.payloads.iter_mut().skip(open.first) {
                    payload.whole = true;
                }
                let rest = std::mem::take(&mut open.rest);
                self.apply_rest(rest, &mut index, commit, &claims, info);
            } else {
                open.expected = Some(Part {
                    index: part.index.saturating_add(1),
                    ..part
                });
            }
        }
        self.incomplete += u64::from(open.expected.is_some());
        self.load(index, name, &claims, info);
        Ok(())
    }

    /// Gives a number of the segment to a series; false when another one has it.
    fn define_in(
        &mut self,
        index: &mut Index,
        segment: u32,
        id: u64,
        labels: tsdb_model::Labels,
    ) -> bool {
        let Ok((group, slot)) = split(id) else {
            return false;
        };
        let known = self.head.find(&labels);
        let Some(handle) = known.or_else(|| self.head.create(&labels, None)) else {
            return true;
        };
        let group = index.groups.entry(group).or_default();
        if !group.define(slot, handle) {
            return false;
        }
        let Some(series) = self.head.get_mut(handle) else {
            return true;
        };
        if series.log_segment == Some(segment) && series.log_id != id {
            // It left memory and came back: what it had under both numbers must be put in order.
            let before = series.log_id;
            index.set_apart(before);
            index.set_apart(id);
        }
        (series.log_id, series.log_segment) = (id, Some(segment));
        true
    }

    /// What a whole commit has besides floats.
    fn apply_rest(
        &mut self,
        rest: LogCommit,
        index: &mut Index,
        commit: u64,
        claims: &[Claim],
        info: &mut SegmentInfo,
    ) {
        let mut batch = Batch {
            metadata: rest.metadata,
            ..Batch::default()
        };
        for (id, sample) in rest.samples {
            info.max_t = info.max_t.max(Some(sample.t));
            let Some(series) = index.member(id) else {
                self.orphans += 1;
                continue;
            };
            index.set_apart(id);
            if claims.iter().any(|c| c.holds(sample.t)) {
                self.embodied += 1;
            } else {
                index.singles.push(Single {
                    series,
                    commit,
                    sample,
                });
            }
        }
        for (id, exemplar) in rest.exemplars {
            match index.member(id) {
                Some(series) => batch.exemplars.push((series, exemplar)),
                None => self.orphans += 1,
            }
        }
        info.max_t = info.max_t.max(batch.max_t());
        if !batch.is_empty() {
            let number = self.head.applied + 1;
            self.head.apply(batch, number, false, 0);
        }
    }

    /// Decodes all pieces into the head.
    fn load(&mut self, index: Index, name: &str, claims: &[Claim], info: &mut SegmentInfo) {
        let Index {
            payloads,
            groups,
            mut singles,
            piece_bytes,
        } = index;
        self.head.applied += 1;
        let mut damaged = 0;
        for (number, group) in &groups {
            if group.lost() > 0 {
                damaged += 1;
                self.lost_pieces += group.lost();
                tracing::warn!(
                    segment = name,
                    group = number,
                    pieces = group.lost(),
                    "pieces coded against lost ones left out"
                );
            }
        }
        let groups: Vec<GroupAt> = groups.into_values().collect();
        let threads = match piece_bytes {
            0..WORTH_THREADS => 1,
            _ => thread::available_parallelism().map_or(1, usize::from),
        };
        let in_block = |t: i64| claims.iter().any(|c| c.holds(t));
        let head = &mut self.head;
        let tally = decode_all(&groups, &payloads, in_block, threads, |window| {
            take_window(head, window, &mut singles);
        });
        drop((groups, payloads));
        info.max_t = info.max_t.max(tally.max_t);
        self.embodied += tally.embodied;
        self.orphans += tally.orphans;
        self.lost_pieces += tally.lost;
        // A gap in one group is the trace of damage that was counted where it is.
        self.corruptions += tally.malformed;
        if tally.malformed > 0 {
            tracing::warn!(
                segment = name,
                groups = tally.malformed,
                "malformed pieces left out"
            );
        }
        tracing::debug!(segment = name, damaged, threads, "segment read");
        self.apply_singles(singles);
    }

    /// Samples of series that have them in more than one place of the segment.
    fn apply_singles(&mut self, mut singles: Vec<Single>) {
        if singles.is_empty() {
            return;
        }
        // Of two at the same time the later one counts.
        singles.sort_by(|a, b| {
            let key = |s: &Single| (s.series, s.sample.t);
            key(a).cmp(&key(b)).then(b.commit.cmp(&a.commit))
        });
        singles.dedup_by_key(|s| (s.series, s.sample.t));
        let samples = singles.into_iter().map(|s| (s.series, s.sample)).collect();
        let batch = Batch {
            samples,
            ..Batch::default()
        };
        let number = self.head.applied + 1;
        self.head.apply(batch, number, false, 0);
    }
}

fn take_window(head: &mut Head, window: Window, singles: &mut Vec<Single>) {
    for (series, column) in window.columns {
        head.load(series, &column.samples, &column.starts);
    }
    singles.extend(window.singles);
}

/// Decodes groups in `threads` threads; `take` gets what they hand over, in this one.
fn decode_all(
    groups: &[GroupAt],
    payloads: &[Payload],
    in_block: impl Fn(i64) -> bool + Sync,
    threads: usize,
    mut take: impl FnMut(Window),
) -> Tally {
    let threads = threads.min(groups.len()).min(MAX_THREADS);
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Tally::default());
    let work = |hand_over: &mut dyn FnMut(Window)| {
        let mut tally = Tally::default();
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            tally.add(group.decode(payloads, &in_block, &mut *hand_over));
        }
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(tally);
    };
    if threads > 1 {
        let (sender, receiver) = sync_channel(threads);
        let run = |sender: SyncSender<Window>| {
            work(&mut |window| {
                // The other side is there until all senders are gone.
                let _ = sender.send(window);
            });
        };
        thread::scope(|scope| {
            for i in 0..threads {
                let sender = sender.clone();
                let name = format!("tsdb-replay-{i}");
                let thread = thread::Builder::new().name(name);
                // Where no thread can be had the others do its work, in the end this one.
                if thread.spawn_scoped(scope, || run(sender)).is_err() {
                    break;
                }
            }
            drop(sender);
            receiver.iter().for_each(&mut take);
        });
    }
    work(&mut take);
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
