//! Definitions: which labels a number stands for, each coded against the one before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use hashbrown::HashMap;
use tsdb_codec::varint::put_uvarint;
use tsdb_model::{Label, Labels};

use super::decode::{Body, MAX_EXPANDED, Malformed};

/// Writes definitions; what it knows is good for one section.
#[derive(Debug, Default)]
pub(super) struct DefinitionWriter {
    before: Labels,
    texts: HashMap<Box<str>, u64>,
}

/// Bytes that two texts share at the front, whole characters.
fn shared(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rfind(|n| b.is_char_boundary(*n)).unwrap_or(0)
}

impl DefinitionWriter {
    /// Begins a section.
    pub(super) fn clear(&mut self) {
        self.before = Labels::default();
        self.texts.clear();
    }

    fn text(&mut self, text: &str, model: &str, out: &mut Vec<u8>) {
        if let Some(number) = self.texts.get(text) {
            put_uvarint(out, *number);
            return;
        }
        let same = shared(model, text);
        put_uvarint(out, 0);
        put_uvarint(out, same as u64);
        put_uvarint(out, (text.len() - same) as u64);
        out.extend(text.bytes().skip(same));
        let number = self.texts.len() as u64 + 1;
        self.texts.insert(text.into(), number);
    }

    /// Appends a definition but for its number.
    pub(super) fn put(&mut self, labels: &Labels, out: &mut Vec<u8>) {
        let before = std::mem::take(&mut self.before);
        let (mut byte, mut kept, mut count) = (0u8, 0, 0);
        // Both are sorted by name.
        let mut now = labels.iter().peekable();
        for label in &before {
            while now.next_if(|l| l.name < label.name).is_some() {}
            if now.peek() == Some(&label) {
                byte |= 1 << (count % 8);
                kept += 1;
            }
            count += 1;
            if count % 8 == 0 {
                out.push(std::mem::take(&mut byte));
            }
        }
        if count % 8 != 0 {
            out.push(byte);
        }
        put_uvarint(out, (labels.len() - kept) as u64);
        let mut old = before.iter().peekable();
        for label in labels {
            while old.next_if(|l| l.name < label.name).is_some() {}
            let model = old.peek().filter(|l| l.name == label.name);
            let model = model.map(|l| l.value);
            if model != Some(label.value) {
                self.text(label.name, "", out);
                self.text(label.value, model.unwrap_or(""), out);
            }
        }
        self.before = labels.clone();
    }
}

/// Where a text stands among all texts of a section.
type Place = (usize, usize);

/// Reads definitions of one section.
#[derive(Debug, Default)]
pub(super) struct DefinitionReader {
    all: String,
    texts: Vec<Place>,
    before: Vec<(Place, Place)>,
    expanded: usize,
}

impl DefinitionReader {
    fn at(&self, place: Place) -> &str {
        self.all.get(place.0..place.1).unwrap_or_default()
    }

    fn text(&mut self, body: &mut Body<'_>, model: Option<Place>) -> Result<Place, Malformed> {
        let number = body.uvarint()?;
        if let Some(number) = number.checked_sub(1) {
            let number = usize::try_from(number).map_err(|_| Malformed)?;
            return self.texts.get(number).copied().ok_or(Malformed);
        }
        let same = usize::try_from(body.uvarint()?).map_err(|_| Malformed)?;
        let rest = body.text()?;
        let from = self.all.len();
        if same > 0 {
            let model = model.ok_or(Malformed)?;
            let end = model.0.checked_add(same).filter(|end| *end <= model.1);
            let range = model.0..end.ok_or(Malformed)?;
            if self.all.get(range.clone()).is_none() || from + same > MAX_EXPANDED {
                return Err(Malformed);
            }
            self.all.extend_from_within(range);
        }
        self.all.push_str(rest);
        let place = (from, self.all.len());
        self.texts.push(place);
        Ok(place)
    }

    /// Takes a definition but for its number.
    pub(super) fn take(&mut self, body: &mut Body<'_>) -> Result<Labels, Malformed> {
        let before = std::mem::take(&mut self.before);
        let kept = body.bytes(before.len().div_ceil(8) as u64)?;
        let is_kept = |i: usize| kept.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 != 0);
        let mut now = Vec::with_capacity(before.len() + 2);
        let added = body.uvarint()?;
        // Both are sorted by name: they are merged.
        let mut old = before.iter().enumerate().filter(|(i, _)| is_kept(*i));
        let mut next = old.next();
        for _ in 0..added {
            let name = self.text(body, None)?;
            let model = before
                .iter()
                .find(|pair| self.at(pair.0) == self.at(name))
                .map(|pair| pair.1);
            let value = self.text(body, model)?;
            while let Some((_, pair)) = next
                && self.at(pair.0) < self.at(name)
            {
                now.push(*pair);
                next = old.next();
            }
            now.push((name, value));
            // Each takes more memory than it has bytes.
            self.expanded += size_of::<Place>();
        }
        while let Some((_, pair)) = next {
            now.push(*pair);
            next = old.next();
        }
        let labels = now.iter().map(|(name, value)| Label {
            name: self.at(*name),
            value: self.at(*value),
        });
        let mut expanded = self.expanded;
        let mut last = None;
        for label in labels.clone() {
            if label.value.is_empty() || last.is_some_and(|l| l >= label.name) {
                return Err(Malformed);
            }
            last = Some(label.name);
            expanded += label.name.len() + label.value.len();
        }
        if last.is_none() || expanded > MAX_EXPANDED {
            return Err(Malformed);
        }
        let labels = Labels::from_sorted(labels);
        self.expanded = expanded;
        self.before = now;
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(sets: &[Labels]) -> Vec<u8> {
        let mut writer = DefinitionWriter::default();
        let mut out = Vec::new();
        for labels in sets {
            writer.put(labels, &mut out);
        }
        let mut reader = DefinitionReader::default();
        let mut body = Body::new(&out);
        for labels in sets {
            assert_eq!(reader.take(&mut body).as_ref(), Ok(labels));
        }
        assert!(body.is_empty());
        out
    }

    proptest! {
        #[test]
        fn label_sets_come_back(
            sets in proptest::collection::vec(
                proptest::collection::btree_map("[abä]{1,3}|.", "[xyü]{1,4}|.", 1..12), 1..20),
        ) {
            let sets: Vec<Labels> = sets
                .iter()
                .map(Labels::from_pairs)
                .filter(|labels| !labels.is_empty())
                .collect();
            round_trip(&sets);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            let mut reader = DefinitionReader::default();
            let mut body = Body::new(&bytes);
            while !body.is_empty() && reader.take(&mut body).is_ok() {}
        }
    }

    #[test]
    fn much_the_same_takes_few_bytes() {
        let mut sets = Vec::new();
        for instance in 0..20 {
            for cpu in 0..8 {
                for mode in ["idle", "user", "system", "iowait"] {
                    sets.push(Labels::from_pairs([
                        ("__name__", "node_cpu_seconds_total"),
                        ("cpu", &cpu.to_string()),
                        ("instance", &format!("host-{instance}.example.org:9100")),
                        ("job", "node"),
                        ("mode", mode),
                        ("region", "eu-west"),
                    ]));
                }
            }
        }
        let bytes = round_trip(&sets).len();
        assert!(bytes < 6 * sets.len(), "{bytes} for {}", sets.len());
    }
}
