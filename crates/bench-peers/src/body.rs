//! Bodies of remote write 1.0: protobuf, then snappy.

use anyhow::Result;

/// Label fields of one series as they stand in a `TimeSeries` message. Labels must come sorted.
pub(crate) fn encode_labels<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    out: &mut Vec<u8>,
) {
    for (name, value) in labels {
        let len = 2
            + varint_len(name.len() as u64)
            + varint_len(value.len() as u64)
            + name.len()
            + value.len();
        out.push(0x0a);
        varint(len as u64, out);
        out.push(0x0a);
        varint(name.len() as u64, out);
        out.extend_from_slice(name.as_bytes());
        out.push(0x12);
        varint(value.len() as u64, out);
        out.extend_from_slice(value.as_bytes());
    }
}

/// A request that grows series by series. The labels come encoded already, so that making a body
/// costs little beside the servers that are measured on the same cores.
pub(crate) struct Body {
    raw: Vec<u8>,
    packed: Vec<u8>,
    snappy: snap::raw::Encoder,
    samples: usize,
}

impl Body {
    pub(crate) fn new() -> Self {
        Self {
            raw: Vec::new(),
            packed: Vec::new(),
            snappy: snap::raw::Encoder::new(),
            samples: 0,
        }
    }

    /// Samples in it so far.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// One series with one sample, as scrapers send them.
    pub(crate) fn push(&mut self, labels: &[u8], t: i64, v: f64) {
        let sample = 1 + 8 + 1 + varint_len(t as u64);
        let series = labels.len() + 1 + varint_len(sample as u64) + sample;
        self.raw.push(0x0a);
        varint(series as u64, &mut self.raw);
        self.raw.extend_from_slice(labels);
        self.raw.push(0x12);
        varint(sample as u64, &mut self.raw);
        self.raw.push(0x09);
        self.raw.extend_from_slice(&v.to_le_bytes());
        self.raw.push(0x10);
        varint(t as u64, &mut self.raw);
        self.samples += 1;
    }

    /// The compressed body. The next `push` begins a new one.
    pub(crate) fn finish(&mut self) -> Result<&[u8]> {
        self.packed
            .resize(snap::raw::max_compress_len(self.raw.len()), 0);
        let n = self.snappy.compress(&self.raw, &mut self.packed)?;
        self.raw.clear();
        self.samples = 0;
        Ok(&self.packed[..n])
    }
}

fn varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn varint_len(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_encoded_as_the_protocol_says() {
        let mut labels = Vec::new();
        encode_labels([("__name__", "up")].into_iter(), &mut labels);
        let mut body = Body::new();
        body.push(&labels, 300, 1.0);
        assert_eq!(body.samples(), 1);
        let packed = body.finish().unwrap().to_vec();
        let raw = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
        let mut want = vec![0x0a, 16 + 2 + 12, 0x0a, 14, 0x0a, 8];
        want.extend_from_slice(b"__name__");
        want.extend_from_slice(&[0x12, 2, b'u', b'p', 0x12, 12, 0x09]);
        want.extend_from_slice(&1f64.to_le_bytes());
        want.extend_from_slice(&[0x10, 0xac, 0x02]);
        assert_eq!(raw, want);
        assert_eq!(body.samples(), 0);
    }

    #[test]
    fn lengths_of_varints() {
        for (v, n) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16383, 2),
            (16384, 3),
            (u64::MAX, 10),
        ] {
            let mut out = Vec::new();
            varint(v, &mut out);
            assert_eq!((out.len(), varint_len(v)), (n, n), "{v}");
        }
    }
}
