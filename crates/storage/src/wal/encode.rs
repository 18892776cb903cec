//! Commits as records.

use tsdb_codec::varint::put_uvarint;
use tsdb_model::{Exemplar, HistogramValue, Labels, Metadata, StorageError};

use super::define::DefinitionWriter;
use super::entries::Entries;
use super::groups::{Groups, Item};
use super::records::Records;
pub(crate) use super::records::{FLAG_FIRST, FLAG_LAST};

/// What a section holds. In version 1 these are kinds of records, and 2 are floats in another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Definitions = 1,
    Pieces = 2,
    Histograms = 3,
    Exemplars = 4,
    Metadata = 5,
}

/// Bytes that the definitions of a record may expand to.
const TARGET_EXPANDED: usize = 16 << 20;

/// Puts the sections of one commit into one buffer.
#[derive(Debug)]
pub(super) struct CommitEncoder {
    records: Records,
    kind: Option<Kind>,
    section: Entries,
    definitions: DefinitionWriter,
    expanded: usize,
    last_group: i64,
    definition_bytes: usize,
}

impl CommitEncoder {
    pub(super) fn new(seq: u64) -> Self {
        Self {
            records: Records::new(seq, 0),
            kind: None,
            section: Entries::default(),
            definitions: DefinitionWriter::default(),
            expanded: 0,
            last_group: 0,
            definition_bytes: 0,
        }
    }

    /// Makes sure that an entry of `kind` can be appended: in a section of the kind, in a record
    /// that is not full.
    fn section(&mut self, kind: Kind) {
        let full = self.records.is_full(self.section.out.len()) || self.expanded >= TARGET_EXPANDED;
        if self.kind == Some(kind) && !full {
            return;
        }
        self.end_section();
        if full {
            self.records.begin(&[]);
            self.expanded = 0;
        }
        self.kind = Some(kind);
        self.section.clear();
        self.definitions.clear();
        self.last_group = 0;
    }

    fn end_section(&mut self) {
        if let Some(kind) = self.kind.take() {
            let out = &mut self.records.out;
            out.push(kind as u8);
            put_uvarint(out, self.section.out.len() as u64);
            out.append(&mut self.section.out);
        }
    }

    /// States which labels the number `id` stands for.
    pub(super) fn definition(&mut self, id: u64, labels: &Labels) {
        self.section(Kind::Definitions);
        let before = self.section.out.len();
        self.section.id(id);
        self.definitions.put(labels, &mut self.section.out);
        self.expanded += labels.heap_bytes();
        self.definition_bytes += self.section.out.len() - before;
    }

    /// Float samples, in any order.
    pub(super) fn floats(&mut self, groups: &mut Groups, items: &mut [Item]) {
        groups.pieces(items, |group, put| {
            self.section(Kind::Pieces);
            put(self.last_group, &mut self.section.out);
            self.last_group = i64::from(group);
        });
    }

    pub(super) fn histogram(&mut self, id: u64, t: i64, start: i64, value: &HistogramValue) {
        self.section(Kind::Histograms);
        self.section.histogram(id, t, start, value);
    }

    pub(super) fn exemplar(&mut self, id: u64, exemplar: &Exemplar) {
        self.section(Kind::Exemplars);
        self.section.exemplar(id, exemplar);
    }

    pub(super) fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.section(Kind::Metadata);
        self.section.metadata(family, metadata);
    }

    /// Bytes that definitions took.
    pub(super) fn definition_bytes(&self) -> usize {
        self.definition_bytes
    }

    /// The records, to be written at byte `offset` of a segment. Fails when one is too large.
    pub(super) fn finish(mut self, salt: u64, offset: u64) -> Result<Vec<u8>, StorageError> {
        self.end_section();
        self.records.finish(salt, offset)
    }
}
