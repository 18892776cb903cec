use std::fmt::Write;

use tsdb_model::{Matcher, StorageError};

use super::given::small;
use super::*;
use crate::block::frames::FRAME_BYTES;
use crate::block::layout::{TRAILER_BYTES, Trailer};

const NAME: &str = "blocks/00000007.block";

/// Everything a block says, as text.
fn everything(block: &Block) -> Result<String, StorageError> {
    let mut out = format!("{:?}", block.meta());
    for index in 0..block.series() {
        let mut columns = SeriesColumns::default();
        block.read_columns(index, i64::MIN, i64::MAX, &mut columns)?;
        let bits: Vec<u64> = columns.values.iter().map(|v| v.to_bits()).collect();
        let times = &columns.times[columns.first_row..][..bits.len()];
        let starts = (&columns.starts, &columns.histograms);
        write!(
            out,
            "{} {times:?} {bits:?} {starts:?}",
            block.labels(index)?
        )
        .unwrap();
    }
    for name in block.label_names()? {
        let values = block.label_values(&name)?;
        for value in &values {
            let selected = block.select(&[Matcher::equal(name.as_str(), value.as_str())])?;
            write!(out, "{name} {value} {selected:?}").unwrap();
        }
    }
    Ok(out)
}

fn written() -> (FaultDir, Arc<dyn Dir>, Vec<u8>, String) {
    let (fault, dir) = memory();
    let block = write(&dir, &new_block(), &small());
    let text = everything(&block).unwrap();
    (fault.clone(), dir, fault.bytes(NAME), text)
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let (fault, dir, good, text) = written();
    assert!(good.len() < 8000, "{}", good.len());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fault.set_bytes(NAME, bytes);
        let said = Block::open(&dir, 7).and_then(|block| everything(&block));
        match said {
            Ok(said) => assert_eq!(said, text, "byte {at}"),
            Err(StorageError::Corrupt { path, .. }) => assert_eq!(path, NAME),
            Err(error) => panic!("byte {at}: {error}"),
        }
        // A scrub notices all of them.
        let noticed = Block::open(&dir, 7).map_or(true, |block| block.verify().is_err());
        assert!(noticed, "byte {at}");
    }
}

#[test]
fn cut_files_are_refused() {
    let (fault, dir, good, text) = written();
    for len in 0..good.len() {
        fault.set_bytes(NAME, good[..len].to_vec());
        assert!(Block::open(&dir, 7).is_err(), "{len}");
    }
    let mut longer = good.clone();
    longer.push(0);
    fault.set_bytes(NAME, longer);
    assert!(Block::open(&dir, 7).is_err());
    fault.set_bytes(NAME, good);
    assert_eq!(everything(&Block::open(&dir, 7).unwrap()).unwrap(), text);
    assert!(matches!(Block::open(&dir, 8), Err(StorageError::Io { .. })));
}

/// Makes all checksums fit again.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - TRAILER_BYTES;
    let footer_bytes = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let Some(footer_at) = at.checked_sub(footer_bytes) else {
        return bytes;
    };
    let Ok(trailer) = Trailer::parse(&bytes[at..]) else {
        return bytes;
    };
    let size = bytes.len() as u64;
    if let Ok(footer) = trailer.footer(&bytes[footer_at..at], size) {
        let body = footer.body as usize;
        let crcs: Vec<u8> = bytes[..body]
            .chunks(FRAME_BYTES)
            .flat_map(|frame| crc32c::crc32c(frame).to_le_bytes())
            .collect();
        let table_crc = crc32c::crc32c(&crcs).to_le_bytes();
        bytes[body..footer_at].copy_from_slice(&crcs);
        let old = footer.table_crc.to_le_bytes();
        let place = bytes[footer_at..at]
            .windows(4)
            .position(|w| w == old)
            .unwrap();
        bytes[footer_at + place..][..4].copy_from_slice(&table_crc);
    }
    let crc = crc32c::crc32c(&bytes[footer_at..at + 20]).to_le_bytes();
    bytes[at + 20..at + 24].copy_from_slice(&crc);
    bytes
}

#[test]
fn decoders_bear_anything_behind_good_checksums() {
    let (fault, dir, good, text) = written();
    assert_eq!(resealed(good.clone()), good);
    let mut refused = 0;
    for at in 0..good.len() {
        for change in [1u8, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            fault.set_bytes(NAME, resealed(bytes));
            let said = Block::open(&dir, 7).and_then(|block| {
                let _ = block.verify();
                let mut columns = SeriesColumns::default();
                for index in 0..block.series().min(100) {
                    let _ = block.read_columns(index, 2500, 9999, &mut columns);
                    let _ = block.labels(index);
                }
                let _ = block.select(&[Matcher::equal("job", "node"), Matcher::equal("le", "")]);
                everything(&block)
            });
            refused += u32::from(said.is_err());
            drop(said);
        }
    }
    assert!(refused > 100, "{refused} {}", text.len());
}

#[test]
fn newer_versions_and_other_blocks() {
    let (fault, dir, good, _) = written();
    let at = good.len() - TRAILER_BYTES;
    for offset in [4, 8] {
        let mut bytes = good.clone();
        bytes[at + offset] ^= 2;
        let footer_bytes = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c(&bytes[at - footer_bytes..at + 20]).to_le_bytes();
        bytes[at + 20..at + 24].copy_from_slice(&crc);
        fault.set_bytes(NAME, bytes);
        assert!(matches!(
            Block::open(&dir, 7),
            Err(StorageError::Unavailable(_))
        ));
    }
    // An optional feature is no reason to refuse.
    let mut bytes = good.clone();
    bytes[at + 12] ^= 2;
    fault.set_bytes(NAME, resealed(bytes));
    Block::open(&dir, 7).unwrap();
    fault.set_bytes("blocks/00000009.block", good);
    assert!(matches!(
        Block::open(&dir, 9),
        Err(StorageError::Corrupt { .. })
    ));
}
