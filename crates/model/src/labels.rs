//! Sorted label sets in one allocation, and the builder that makes them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// Name of the label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// One label, borrowed: name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label<'a> {
    /// Label name.
    pub name: &'a str,
    /// Label value, never empty inside [`Labels`].
    pub value: &'a str,
}

/// An immutable label set: names strictly increasing in byte order, no empty values. Cloning is
/// cheap (one reference count).
///
/// All labels stand in one string, each name and value behind its length, so that a set is one
/// allocation. Lengths are written six bits a byte, lowest first, with bit 6 set while more
/// follow: always ASCII, so the whole stays valid UTF-8 and can be sliced without checks on its
/// content.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        Self(EMPTY.clone())
    }

    /// A set from pairs in any order. Pairs with an empty value are left out; of pairs with the
    /// same name the last one counts.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// A set from labels that are already strictly sorted by name and have no empty values.
    ///
    /// # Panics
    /// In debug builds, when they are not.
    pub fn from_sorted<'a>(labels: impl IntoIterator<Item = Label<'a>>) -> Self {
        let mut text = String::with_capacity(256);
        let mut last: Option<&str> = None;
        for label in labels {
            debug_assert!(last.is_none_or(|l| l < label.name) && !label.value.is_empty());
            push_field(&mut text, label.name);
            push_field(&mut text, label.value);
            last = Some(label.name);
        }
        Self(text.into())
    }

    /// Labels in order of their names.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of a label, or `None` when the set does not have it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .take_while(|l| l.name <= name)
            .find(|l| l.name == name)
            .map(|l| l.value)
    }

    /// The value of a label; `""` when the set does not have it, which PromQL treats as the same.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, or `""`.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True when there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes this set occupies on the heap, without the allocator's own overhead.
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }

    /// The set without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        Self::from_sorted(self.iter().filter(|l| l.name != METRIC_NAME))
    }

    /// The set with only the labels whose names `keep` accepts.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(Label<'_>) -> bool) -> Self {
        Self::from_sorted(self.iter().filter(|l| keep(*l)))
    }

    /// A hash that is the same in every process: xxHash64 over each name and value behind its
    /// length (one byte, or 255 and three bytes little-endian from 255 on). `limit_ratio` samples
    /// by it as Prometheus does.
    pub fn stable_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.0.len() + 8);
        for label in self {
            for field in [label.name, label.value] {
                match u8::try_from(field.len()) {
                    Ok(n) if n < 255 => bytes.push(n),
                    _ => {
                        let n = (field.len() as u32).to_le_bytes();
                        bytes.extend_from_slice(&[255, n[0], n[1], n[2]]);
                    }
                }
                bytes.extend_from_slice(field.as_bytes());
            }
        }
        twox_hash::XxHash64::oneshot(0, &bytes)
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            labels: self
                .iter()
                .map(|l| (l.name.to_string(), l.value.to_string()))
                .collect(),
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Sets compare label by label, name before value, as Prometheus sorts results.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        let same = common_prefix(a, b);
        if same == a.len().min(b.len()) {
            // One has all labels of the other.
            return a.len().cmp(&b.len());
        }
        // Up to the field with the first difference both are the same.
        let mut rest = (&*self.0, &*other.0);
        loop {
            let (field, after) = take_field(rest.0);
            if self.0.len() - after.len() > same {
                let (there, _) = take_field(rest.1);
                return field.cmp(there);
            }
            rest = (after, rest.1.split_at(rest.0.len() - after.len()).1);
        }
    }
}

/// Number of bytes in front that are the same in both.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 16;
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let same = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    let bytes = a[same..].iter().zip(&b[same..]);
    same + bytes.take_while(|(a, b)| a == b).count()
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = Label<'a>;
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// `{__name__="up", job="x"}`, values quoted as Go quotes strings; what Prometheus prints in errors.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, label) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(label.name) {
                f.write_str(label.name)?;
            } else {
                write_quoted(f, label.name)?;
            }
            f.write_str("=")?;
            write_quoted(f, label.value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// True for names of the form `[a-zA-Z_][a-zA-Z0-9_]*`, which PromQL takes without quotes.
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// True for metric names of the form `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Writes `text` in double quotes with Go's escapes (`strconv.Quote`).
pub fn write_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\t' => out.write_str("\\t")?,
            '\r' => out.write_str("\\r")?,
            '\u{7}' => out.write_str("\\a")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{b}' => out.write_str("\\v")?,
            '\u{c}' => out.write_str("\\f")?,
            c if (c as u32) < 0x20 || c == '\u{7f}' => write!(out, "\\x{:02x}", c as u32)?,
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(out, "\\u{:04x}", c as u32)?;
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Iterator over the labels of a set.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = Label<'a>;

    #[inline]
    fn next(&mut self) -> Option<Label<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = take_field(self.rest);
        let (value, rest) = take_field(rest);
        self.rest = rest;
        Some(Label { name, value })
    }
}

fn push_field(text: &mut String, field: &str) {
    let mut n = field.len();
    while n >= 64 {
        text.push((0x40 | (n & 0x3f) as u8) as char);
        n >>= 6;
    }
    text.push(n as u8 as char);
    text.push_str(field);
}

#[inline]
fn take_field(text: &str) -> (&str, &str) {
    let mut len = 0;
    let mut shift = 0;
    let mut used = 0;
    for b in text.bytes() {
        used += 1;
        len |= usize::from(b & 0x3f) << shift;
        if b & 0x40 == 0 {
            break;
        }
        shift += 6;
    }
    text[used..].split_at(len)
}

/// Collects labels in any order and makes a [`Labels`].
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    labels: Vec<(String, String)>, // sorted by name, no empty values
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.labels.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.position(name) {
            Ok(i) if value.is_empty() => drop(self.labels.remove(i)),
            Ok(i) => {
                self.labels[i].1.clear();
                self.labels[i].1.push_str(value);
            }
            Err(_) if value.is_empty() => {}
            Err(i) => self.labels.insert(i, (name.to_string(), value.to_string())),
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Ok(i) = self.position(name) {
            self.labels.remove(i);
        }
        self
    }

    /// Keeps only the labels that `keep(name, value)` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.labels.retain(|(n, v)| keep(n, v));
        self
    }

    /// The value of a label, or `""`.
    pub fn get(&self, name: &str) -> &str {
        match self.position(name) {
            Ok(i) => &self.labels[i].1,
            Err(_) => "",
        }
    }

    /// Labels in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        self.labels.iter().map(|(n, v)| Label { name: n, value: v })
    }

    /// True when there is no label.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }
}

/// Sets can be looked up in hash maps by their encoded text.
impl Borrow<str> for Labels {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn sorted_without_empty_values_and_last_wins() {
        let l = Labels::from_pairs([("z", "1"), ("a", "2"), ("m", ""), ("z", "3")]);
        let got: Vec<_> = l.iter().map(|l| (l.name, l.value)).collect();
        assert_eq!(got, [("a", "2"), ("z", "3")]);
        assert_eq!(l.get("m"), None);
        assert_eq!(l.value("z"), "3");
        assert_eq!(l.to_string(), r#"{a="2", z="3"}"#);
    }

    #[test]
    fn long_fields_and_utf8_survive() {
        for n in [0usize, 1, 63, 64, 65, 4095, 4096, 300_000] {
            let value = "é".repeat(n / 2) + if n % 2 == 1 { "x" } else { "" };
            let l = Labels::from_pairs([("a b", value.as_str()), ("zz", "y")]);
            assert_eq!(l.value("a b"), value);
            assert_eq!(l.value("zz"), "y");
        }
    }

    proptest::proptest! {
        #[test]
        fn order_is_that_of_the_pairs(
            a in proptest::collection::btree_map("[ab]{1,3}", "[xyz]{1,2}|x{60,70}", 0..5),
            b in proptest::collection::btree_map("[ab]{1,3}", "[xyzé]{1,2}|x{60,70}", 0..5),
        ) {
            let (x, y) = (Labels::from_pairs(a.clone()), Labels::from_pairs(b.clone()));
            proptest::prop_assert_eq!(x.cmp(&y), a.into_iter().cmp(b));
        }
    }

    #[test]
    fn order_is_by_pairs_not_by_encoding() {
        let short = Labels::from_pairs([("a", "zz")]);
        let long = Labels::from_pairs([("a", "b".repeat(100).as_str())]);
        assert!(long < short);
        assert!(Labels::empty() < long);
        let more = Labels::from_pairs([("a", "zz"), ("b", "1")]);
        assert!(short < more);
    }

    #[test]
    fn lookup_by_encoded_text() {
        let l = Labels::from_pairs([("a", "b")]);
        let map = HashMap::from([(l.clone(), 1)]);
        let text: &str = l.borrow();
        assert_eq!(map.get(text), Some(&1));
    }

    #[test]
    fn builder_and_name() {
        let l = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "x")]);
        assert_eq!(l.metric_name(), "up");
        assert_eq!(l.without_name().to_string(), r#"{job="x"}"#);
        let mut b = l.to_builder();
        b.set("job", "").set("a", "1").remove("nope");
        assert_eq!(b.build().to_string(), r#"{__name__="up", a="1"}"#);
    }
}
