//! Label names, and the pairs of name and value sorted by both: docs/format/index.md section 2.

use tsdb_codec::varint::put_uvarint;
use tsdb_model::Label;

use super::bytes::{Bad, Cursor};

/// Pairs from one restart to the next.
pub(super) const PAIRS_RESTART: u32 = 16;

/// Writes the values of sorted pairs: first the places of restarts, then the values, each against
/// the one before it.
pub(super) fn put_pairs(pairs: &[Label<'_>]) -> Result<Vec<u8>, Bad> {
    let mut restarts: Vec<u8> = Vec::new();
    let mut out = Vec::new();
    for group in pairs.chunks(PAIRS_RESTART as usize) {
        let at = u32::try_from(out.len()).map_err(|_| Bad("more labels than fit"))?;
        restarts.extend(at.to_le_bytes());
        let mut before: &[u8] = &[];
        for pair in group {
            let value = pair.value.as_bytes();
            let shared = value.iter().zip(before).take_while(|(a, b)| a == b).count();
            let rest = value.get(shared..).unwrap_or_default();
            // Both in one byte, where they fit.
            if shared < 15 && rest.len() < 15 {
                out.push((shared as u8) << 4 | rest.len() as u8);
            } else {
                out.push(0xff);
                put_uvarint(&mut out, shared as u64);
                put_uvarint(&mut out, rest.len() as u64);
            }
            out.extend(rest);
            before = value;
        }
    }
    restarts.extend(out);
    Ok(restarts)
}

/// Bytes of the restarts of so many pairs.
pub(super) const fn restart_bytes(pairs: u32) -> u64 {
    pairs.div_ceil(PAIRS_RESTART) as u64 * 4
}

/// The values from a restart on, one after the other.
#[derive(Debug)]
pub(super) struct Values<'a> {
    cursor: Cursor<'a>,
    value: Vec<u8>,
}

impl<'a> Values<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(bytes),
            value: Vec::new(),
        }
    }

    /// Goes to the next value, which need not be text.
    fn step(&mut self) -> Result<(), Bad> {
        let head = self.cursor.byte()?;
        let (shared, rest) = if head == 0xff {
            (self.cursor.usize()?, self.cursor.usize()?)
        } else {
            (usize::from(head >> 4), usize::from(head & 15))
        };
        if shared > self.value.len() {
            return Err(Bad("label value"));
        }
        let rest = self.cursor.bytes(rest)?;
        self.value.truncate(shared);
        self.value.extend_from_slice(rest);
        Ok(())
    }

    /// The next value.
    pub(super) fn next(&mut self) -> Result<&str, Bad> {
        self.step()?;
        std::str::from_utf8(&self.value).map_err(|_| Bad("label value is not UTF-8"))
    }

    /// The value behind so many others.
    pub(super) fn nth(&mut self, skip: u32) -> Result<&str, Bad> {
        for _ in 0..skip {
            self.step()?;
        }
        self.next()
    }
}

/// A label name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    /// Its first pair; its last is before the first of the next name.
    pub(super) first_pair: u32,
    /// Where its posting stands in the section of names, and how long it is.
    pub(super) posting: (u32, u32),
}

/// Writes a name, the number of its pairs, and the posting of all that have it.
pub(super) fn put_name(out: &mut Vec<u8>, text: &str, pairs: u32, posting: &[u8]) {
    put_uvarint(out, text.len() as u64);
    out.extend(text.as_bytes());
    put_uvarint(out, u64::from(pairs));
    put_uvarint(out, posting.len() as u64);
    out.extend(posting);
}

/// Reads all names; together they have `pairs` pairs.
pub(super) fn take_names(bytes: &[u8], pairs: u32) -> Result<Vec<Name>, Bad> {
    let mut cursor = Cursor::new(bytes);
    let mut names: Vec<Name> = Vec::new();
    let mut first_pair = 0u32;
    while !cursor.is_empty() {
        let text = std::str::from_utf8(cursor.blob()?).map_err(|_| Bad("label name"))?;
        if names.last().is_some_and(|n| &*n.text >= text) {
            return Err(Bad("label names do not rise"));
        }
        let count = cursor.u32()?;
        let posting = cursor.blob()?;
        let end = bytes.len() - cursor.len();
        let at = u32::try_from(end - posting.len()).map_err(|_| Bad("names too long"))?;
        names.push(Name {
            text: text.into(),
            first_pair,
            posting: (at, posting.len() as u32),
        });
        first_pair = first_pair
            .checked_add(count)
            .filter(|p| *p <= pairs && count > 0)
            .ok_or(Bad("pairs of a label name"))?;
    }
    if first_pair == pairs {
        Ok(names)
    } else {
        Err(Bad("pairs of the label names"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back(values in proptest::collection::btree_set("[ab]{1,30}|\\PC{1,9}", 0..70)) {
            let pairs: Vec<Label<'_>> = values.iter().map(|value| Label { name: "n", value }).collect();
            let bytes = put_pairs(&pairs).unwrap();
            let (restarts, data) = bytes.split_at(restart_bytes(pairs.len() as u32) as usize);
            for (i, value) in values.iter().enumerate() {
                let place = restarts[i / 16 * 4..][..4].try_into().unwrap();
                let from = &data[u32::from_le_bytes(place) as usize..];
                let mut values = Values::new(from);
                prop_assert_eq!(values.nth(i as u32 % 16), Ok(value.as_str()));
            }
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let mut values = Values::new(&bytes);
            while values.next().is_ok() {}
            let _ = take_names(&bytes, 3);
        }
    }

    #[test]
    fn names_come_back() {
        let mut bytes = Vec::new();
        put_name(&mut bytes, "a", 2, &[1, 2, 3]);
        put_name(&mut bytes, "b", 1, &[]);
        let names = take_names(&bytes, 3).unwrap();
        assert_eq!(
            (&*names[0].text, names[0].first_pair, names[0].posting),
            ("a", 0, (4, 3))
        );
        assert_eq!((&*names[1].text, names[1].first_pair), ("b", 2));
        assert!(take_names(&bytes, 4).is_err());
        assert!(take_names(&bytes[..8], 3).is_err());
    }
}
