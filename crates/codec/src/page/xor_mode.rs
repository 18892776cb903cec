//! The XOR mode, for floats that nothing else makes smaller: docs/format/page.md section 3.

use super::bit_stream::{BitWriter, Forward};
use super::error::PageError;

/// The window that XORs stand in: so many bits above so many zeros.
#[derive(Debug, Clone, Copy)]
struct Window {
    length: u32,
    trailing: u32,
}

/// How one XOR is written.
enum Step {
    Same,
    Inside(Window),
    New(Window),
}

fn step(xor: u64, window: Option<Window>) -> Step {
    if xor == 0 {
        return Step::Same;
    }
    let leading = xor.leading_zeros().min(31);
    let trailing = xor.trailing_zeros();
    if let Some(w) = window
        && trailing >= w.trailing
        && leading >= 64 - w.length - w.trailing
    {
        return Step::Inside(w);
    }
    Step::New(Window {
        length: 64 - leading - trailing,
        trailing,
    })
}

fn steps(values: &[f64]) -> impl Iterator<Item = (u64, Step)> {
    let mut window = None;
    values.windows(2).map(move |pair| {
        let xor = pair.iter().fold(0, |acc, v| acc ^ v.to_bits());
        let step = step(xor, window);
        if let Step::New(w) = step {
            window = Some(w);
        }
        (xor, step)
    })
}

/// Bits that the mode takes.
pub(crate) fn cost(values: &[f64]) -> u32 {
    let bits = steps(values).map(|(_, step)| match step {
        Step::Same => 1,
        Step::Inside(w) => 2 + w.length,
        Step::New(w) => 13 + w.length,
    });
    72 + bits.sum::<u32>()
}

/// Appends the bits of the values.
pub(crate) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let mut w = BitWriter::new(out);
    w.put(values.first().map_or(0, |v| v.to_bits()), 64);
    for (xor, step) in steps(values) {
        match step {
            Step::Same => w.put(0, 1),
            Step::Inside(window) => {
                w.put(0b01, 2);
                w.put(xor >> window.trailing, window.length);
            }
            Step::New(window) => {
                w.put(0b11, 2);
                w.put(u64::from(64 - window.length - window.trailing), 5);
                w.put(u64::from(window.length % 64), 6);
                w.put(xor >> window.trailing, window.length);
            }
        }
    }
    w.finish();
}

/// Decodes all values into the slots, of which there is at least one.
pub(crate) fn decode(bytes: &[u8], out: &mut [f64]) -> Result<(), PageError> {
    let mut r = Forward::new(bytes);
    let mut bits = r.get(64);
    let mut window: Option<Window> = None;
    let mut slots = out.iter_mut();
    if let Some(first) = slots.next() {
        *first = f64::from_bits(bits);
    }
    for slot in slots {
        if r.get(1) == 1 {
            if r.get(1) == 1 {
                let leading = r.get(5) as u32;
                let length = match r.get(6) as u32 {
                    0 => 64,
                    length => length,
                };
                let trailing = (64 - leading).checked_sub(length);
                let trailing = trailing.ok_or(PageError::corrupt("xor window"))?;
                window = Some(Window { length, trailing });
            }
            let w = window.ok_or(PageError::corrupt("xor window not given"))?;
            bits ^= r.get(w.length) << w.trailing;
        }
        *slot = f64::from_bits(bits);
    }
    r.end()
}
