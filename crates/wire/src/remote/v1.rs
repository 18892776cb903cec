//! `prometheus.WriteRequest`.

use tsdb_model::MetricType;

use super::RemoteError;
use super::histogram;
use super::key::{KeyHasher, SeriesKey};
use super::proto::{Part, Reader};
use super::request::{
    ExemplarEntry, MetadataEntry, SampleEntry, SeriesEntry, WriteRequest, metric_type,
};

/// Takes the message in `body` apart.
pub(super) fn read(
    request: &mut WriteRequest,
    body: &[u8],
    keys: &KeyHasher,
) -> Result<(), RemoteError> {
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                let part = reader.part(tag, "Timeseries")?;
                series(request, body, part, keys)?;
            }
            3 => {
                let part = reader.part(tag, "Metadata")?;
                metadata(request, body, part, keys)?;
            }
            _ => reader.skip(tag)?,
        }
    }
    Ok(())
}

#[inline]
fn series(
    request: &mut WriteRequest,
    body: &[u8],
    part: Part,
    keys: &KeyHasher,
) -> Result<(), RemoteError> {
    request.charge(size_of::<SeriesEntry>())?;
    let [samples, histograms, exemplars] = request.ends();
    let mut reader = Reader::of(body, part);
    // The labels, from the first to behind the last one, and whether something else came between.
    let mut labels = Part::new(part.start as usize, part.start as usize);
    let mut together = true;
    let usual = usual_labels(body, part);
    if usual > 0 {
        labels = Part::new(part.start as usize, part.start as usize + usual);
        reader.pass(usual);
    }
    loop {
        let start = reader.position();
        let Some(tag) = reader.tag()? else { break };
        match tag.field {
            1 => {
                reader.part(tag, "Labels")?;
                if labels.is_empty() {
                    labels.start = start as u32;
                } else {
                    together &= labels.end as usize == start;
                }
                labels.end = reader.position() as u32;
            }
            2 => {
                let part = reader.part(tag, "Samples")?;
                request.charge(size_of::<SampleEntry>())?;
                let sample = match usual_sample(part.of(body)) {
                    Some(sample) => sample,
                    None => sample(&mut Reader::of(body, part))?,
                };
                request.samples.push(sample);
            }
            3 => {
                let part = reader.part(tag, "Exemplars")?;
                request.charge(size_of::<ExemplarEntry>())?;
                let exemplar = exemplar(body, part)?;
                request.exemplars.push(exemplar);
            }
            4 => {
                let part = reader.part(tag, "Histograms")?;
                request.charge(histogram::memory(part))?;
                let histogram = histogram::read(body, part)?;
                request.histograms.push(histogram);
            }
            _ => reader.skip(tag)?,
        }
    }
    let key = together.then(|| SeriesKey(keys.bytes(labels.of(body))));
    request.series.push(SeriesEntry {
        key,
        labels: if together { labels } else { part },
        samples: Part::new(samples, request.samples.len()),
        histograms: Part::new(histograms, request.histograms.len()),
        exemplars: Part::new(exemplars, request.exemplars.len()),
        metadata: None,
    });
    Ok(())
}

/// Bytes of the labels that a series begins with as long as they look as nearly all do: one byte of
/// tag and one of length.
#[inline]
fn usual_labels(body: &[u8], part: Part) -> usize {
    let bytes = part.of(body);
    let mut at = 0;
    while let Some([0x0a, len]) = bytes.get(at..at + 2)
        && *len < 0x80
        && at + 2 + usize::from(*len) <= bytes.len()
    {
        at += 2 + usize::from(*len);
    }
    at
}

/// A sample as nearly all are: the value, then a time of six bytes.
#[inline]
fn usual_sample(bytes: &[u8]) -> Option<SampleEntry> {
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    let [0x09, value @ .., 0x10, a, b, c, d, e, f] = bytes else {
        return None;
    };
    let more = a & b & c & d & e & 0x80;
    if more == 0 || f & 0x80 != 0 {
        return None;
    }
    let time = [a, b, c, d, e, f].into_iter().rev();
    let time = time.fold(0, |t, byte| t << 7 | i64::from(byte & 0x7f));
    Some(SampleEntry {
        timestamp_ms: time,
        start_timestamp_ms: 0,
        value: f64::from_le_bytes(*value),
    })
}

/// A sample: `value = 1`, `timestamp = 2`, and in 2.0 also `start_timestamp = 3`.
#[inline]
pub(super) fn sample(reader: &mut Reader<'_>) -> Result<SampleEntry, RemoteError> {
    let mut sample = SampleEntry {
        timestamp_ms: 0,
        start_timestamp_ms: 0,
        value: 0.0,
    };
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => sample.value = reader.double(tag, "Value")?,
            2 => sample.timestamp_ms = reader.number(tag, "Timestamp")? as i64,
            3 => sample.start_timestamp_ms = reader.number(tag, "StartTimestamp")? as i64,
            _ => reader.skip(tag)?,
        }
    }
    Ok(sample)
}

fn exemplar(body: &[u8], part: Part) -> Result<ExemplarEntry, RemoteError> {
    let mut exemplar = ExemplarEntry {
        labels: part,
        value: 0.0,
        timestamp_ms: 0,
    };
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => drop(reader.part(tag, "Labels")?),
            2 => exemplar.value = reader.double(tag, "Value")?,
            3 => exemplar.timestamp_ms = reader.number(tag, "Timestamp")? as i64,
            _ => reader.skip(tag)?,
        }
    }
    Ok(exemplar)
}

fn metadata(
    request: &mut WriteRequest,
    body: &[u8],
    part: Part,
    keys: &KeyHasher,
) -> Result<(), RemoteError> {
    request.charge(size_of::<MetadataEntry>())?;
    let mut entry = MetadataEntry {
        metric_type: MetricType::Unknown,
        family: Part::default(),
        help: Part::default(),
        unit: Part::default(),
        hash: keys.bytes(part.of(body)) as u64,
    };
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => entry.metric_type = metric_type(reader.number(tag, "Type")?),
            2 => entry.family = reader.part(tag, "MetricFamilyName")?,
            4 => entry.help = reader.part(tag, "Help")?,
            5 => entry.unit = reader.part(tag, "Unit")?,
            _ => reader.skip(tag)?,
        }
    }
    request.metadata.push(entry);
    Ok(())
}

/// Name and value of each label message in `part`.
pub(super) fn pairs(body: &[u8], part: Part) -> Result<Vec<(&[u8], &[u8])>, RemoteError> {
    let mut pairs = Vec::new();
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                let part = reader.part(tag, "Labels")?;
                pairs.push(pair(body, part)?);
            }
            _ => reader.skip(tag)?,
        }
    }
    Ok(pairs)
}

fn pair(body: &[u8], part: Part) -> Result<(&[u8], &[u8]), RemoteError> {
    let (mut name, mut value) = (Part::default(), Part::default());
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => name = reader.part(tag, "Name")?,
            2 => value = reader.part(tag, "Value")?,
            _ => reader.skip(tag)?,
        }
    }
    Ok((name.of(body), value.of(body)))
}
