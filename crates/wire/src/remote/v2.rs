//! `io.prometheus.write.v2.Request`.

use tsdb_model::MetricType;

use super::RemoteError;
use super::histogram;
use super::key::{KeyHasher, SeriesKey};
use super::proto::{Part, Reader};
use super::request::{
    ExemplarEntry, MetadataEntry, SampleEntry, SeriesEntry, WriteRequest, metric_type,
};
use super::v1::sample;

/// Takes the message in `body` apart.
pub(super) fn read(
    request: &mut WriteRequest,
    body: &[u8],
    keys: &KeyHasher,
) -> Result<(), RemoteError> {
    // Symbols may stand behind the series that use them, so they are gathered first.
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        if tag.field == 4 {
            let part = reader.part(tag, "Symbols")?;
            request.charge(size_of::<Part>() + size_of::<u128>())?;
            request.symbols.push(part);
            request.symbol_hashes.push(keys.bytes(part.of(body)));
        } else {
            reader.skip(tag)?;
        }
    }
    if request.symbols.first().is_some_and(|s| !s.is_empty()) {
        return Err(RemoteError::FirstSymbol);
    }
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        if tag.field == 5 {
            let part = reader.part(tag, "Timeseries")?;
            series(request, body, part, keys)?;
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(())
}

fn series(
    request: &mut WriteRequest,
    body: &[u8],
    part: Part,
    keys: &KeyHasher,
) -> Result<(), RemoteError> {
    request.charge(size_of::<SeriesEntry>())?;
    let [samples, histograms, exemplars] = request.ends();
    let first_ref = request.refs.len();
    let mut reader = Reader::of(body, part);
    let mut metadata = None;
    let mut created = 0;
    // References of exemplars must not come between those of the series: exemplars come later.
    let mut exemplar_parts = Vec::new();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => reader.numbers(tag, "LabelsRefs", |v| push_ref(request, v))?,
            2 => {
                let part = reader.part(tag, "Samples")?;
                request.charge(size_of::<SampleEntry>())?;
                let sample = sample(&mut Reader::of(body, part))?;
                request.samples.push(sample);
            }
            3 => {
                let part = reader.part(tag, "Histograms")?;
                request.charge(histogram::memory(part))?;
                let histogram = histogram::read(body, part)?;
                request.histograms.push(histogram);
            }
            4 => {
                request.charge(size_of::<ExemplarEntry>() + size_of::<Part>())?;
                exemplar_parts.push(reader.part(tag, "Exemplars")?);
            }
            5 => {
                let part = reader.part(tag, "Metadata")?;
                metadata = read_metadata(request, body, part, keys)?;
            }
            6 => created = reader.number(tag, "CreatedTimestamp")? as i64,
            _ => reader.skip(tag)?,
        }
    }
    let labels = Part::new(first_ref, request.refs.len());
    check_refs(request, labels)?;
    for part in exemplar_parts {
        let exemplar = exemplar(request, body, part)?;
        request.exemplars.push(exemplar);
    }
    if created != 0 {
        let samples = request.samples.iter_mut().skip(samples);
        for sample in samples.filter(|s| s.start_timestamp_ms == 0) {
            sample.start_timestamp_ms = created;
        }
        let histograms = request.histograms.iter_mut().skip(histograms);
        for histogram in histograms.filter(|h| h.start_timestamp_ms == 0) {
            histogram.start_timestamp_ms = created;
        }
    }
    let refs = request.refs.get(labels.range()).unwrap_or_default();
    let hashes = &request.symbol_hashes;
    let key = refs.iter().fold(keys.start(), |key, r| {
        let hash = hashes.get(*r as usize).copied().unwrap_or_default();
        keys.add(key, hash)
    });
    let entry = SeriesEntry {
        key: Some(SeriesKey(key)),
        labels,
        samples: Part::new(samples, request.samples.len()),
        histograms: Part::new(histograms, request.histograms.len()),
        exemplars: Part::new(exemplars, request.exemplars.len()),
        metadata,
    };
    request.series.push(entry);
    Ok(())
}

#[inline]
fn push_ref(request: &mut WriteRequest, v: u64) -> Result<(), RemoteError> {
    request.charge(size_of::<u32>())?;
    request.refs.push(v as u32);
    Ok(())
}

fn check_refs(request: &WriteRequest, part: Part) -> Result<(), RemoteError> {
    let refs = request.refs.get(part.range()).unwrap_or_default();
    if !refs.len().is_multiple_of(2) {
        return Err(RemoteError::OddRefs(refs.len()));
    }
    let size = request.symbols.len();
    match refs.iter().position(|r| *r as usize >= size) {
        None => Ok(()),
        Some(index) => Err(RemoteError::RefOutOfRange {
            reference: refs.get(index).copied().unwrap_or_default(),
            index,
            size,
        }),
    }
}

fn exemplar(
    request: &mut WriteRequest,
    body: &[u8],
    part: Part,
) -> Result<ExemplarEntry, RemoteError> {
    let first_ref = request.refs.len();
    let (mut value, mut timestamp_ms) = (0.0, 0);
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => reader.numbers(tag, "LabelsRefs", |v| push_ref(request, v))?,
            2 => value = reader.double(tag, "Value")?,
            3 => timestamp_ms = reader.number(tag, "Timestamp")? as i64,
            _ => reader.skip(tag)?,
        }
    }
    let labels = Part::new(first_ref, request.refs.len());
    check_refs(request, labels)?;
    Ok(ExemplarEntry {
        labels,
        value,
        timestamp_ms,
    })
}

/// Keeps what is said about a metric; `None` when it says nothing.
fn read_metadata(
    request: &mut WriteRequest,
    body: &[u8],
    part: Part,
    keys: &KeyHasher,
) -> Result<Option<u32>, RemoteError> {
    let (mut kind, mut help, mut unit) = (0, 0, 0);
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => kind = reader.number(tag, "Type")?,
            3 => help = reader.number(tag, "HelpRef")? as u32,
            4 => unit = reader.number(tag, "UnitRef")? as u32,
            _ => reader.skip(tag)?,
        }
    }
    let symbol = |reference: u32| match request.symbols.get(reference as usize) {
        Some(part) => Ok(*part),
        // A request without symbols may say 0 for "no text".
        None if reference == 0 => Ok(Part::default()),
        None => Err(RemoteError::RefOutOfRange {
            reference,
            index: 0,
            size: request.symbols.len(),
        }),
    };
    let mut entry = MetadataEntry {
        metric_type: metric_type(kind),
        family: Part::default(),
        help: symbol(help)?,
        unit: symbol(unit)?,
        hash: 0,
    };
    let says_nothing =
        entry.metric_type == MetricType::Unknown && entry.help.is_empty() && entry.unit.is_empty();
    if says_nothing {
        return Ok(None);
    }
    let hash_of = |r: u32| request.symbol_hashes.get(r as usize).copied();
    let hashes = [hash_of(help), hash_of(unit), Some(u128::from(kind))];
    let hash = hashes.into_iter().fold(keys.start(), |key, hash| {
        keys.add(key, hash.unwrap_or_default())
    });
    entry.hash = hash as u64;
    request.charge(size_of::<MetadataEntry>())?;
    request.metadata.push(entry);
    Ok(Some(request.metadata.len() as u32 - 1))
}

/// Name and value of each pair of references.
pub(super) fn pairs(request: &WriteRequest, part: Part) -> Vec<(&[u8], &[u8])> {
    let refs = request.refs.get(part.range()).unwrap_or_default();
    let text = |r: u32| {
        let part = request.symbols.get(r as usize).copied();
        part.unwrap_or_default().of(&request.body)
    };
    let pairs = refs.chunks_exact(2);
    pairs
        .map(|pair| match pair {
            [name, value] => (text(*name), text(*value)),
            _ => Default::default(),
        })
        .collect()
}
