//! A second decoder, written from docs/format/page.md alone, slow and plain: what the fast one reads
//! must be what the page says. It panics on bytes that are no page.

/// Bits from the front, or from the back.
struct Bits<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl Bits<'_> {
    fn bit(&self, at: usize) -> u64 {
        u64::from(self.bytes[at / 8] >> (at % 8) & 1)
    }

    fn forwards(&mut self, k: u32) -> u64 {
        let mut x = 0;
        for i in 0..k {
            x |= self.bit(self.front) << i;
            self.front += 1;
        }
        x
    }

    fn backwards(&mut self, k: u32) -> u64 {
        let mut x = 0;
        for _ in 0..k {
            self.back -= 1;
            x = x << 1 | self.bit(self.back);
        }
        x
    }

    fn gamma(&mut self) -> u64 {
        let mut low = 0;
        while self.forwards(1) == 0 {
            low += 1;
        }
        1 << low | self.forwards(low)
    }

    fn golomb(&mut self, k: u32) -> u64 {
        let high = self.gamma() - 1;
        high << k | self.forwards(k)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u8(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn varint(&mut self) -> u64 {
        let (mut x, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            x |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return x;
            }
        }
    }

    fn zigzag(&mut self) -> i64 {
        undo_zigzag(self.varint())
    }

    fn coded(&mut self, code: u8) -> u64 {
        match code {
            0 => 0x7ff0_0000_0000_0002,
            1 => 0x7ff8_0000_0000_0001,
            2 => 0x7ff0_0000_0000_0000,
            3 => 0xfff0_0000_0000_0000,
            4 => 0x8000_0000_0000_0000,
            5 => {
                self.at += 8;
                u64::from_le_bytes(self.bytes[self.at - 8..self.at].try_into().unwrap())
            }
            _ => panic!("code {code}"),
        }
    }

    /// Section 4: row and bits of every exception.
    fn exceptions(&mut self) -> Vec<(usize, u64)> {
        let mut all = vec![];
        let mut at = 0;
        for _ in 0..self.varint() {
            let head = self.varint();
            at += (head >> 4) as usize;
            let rows = if head & 1 == 1 { self.varint() + 2 } else { 1 };
            let bits = self.coded((head >> 1 & 7) as u8);
            for _ in 0..rows {
                all.push((at, bits));
                at += 1;
            }
        }
        all
    }

    /// Section 5.
    fn stream(&mut self, rows: usize) -> Vec<i64> {
        let head = self.u8();
        let order = usize::from(head & 3);
        let x0 = if order >= 1 { self.zigzag() } else { 0 };
        let d1 = if order == 2 { self.zigzag() } else { 0 };
        let g = if head & 8 != 0 {
            self.varint() as i64
        } else {
            1
        };
        let b = if head & 16 != 0 { self.zigzag() } else { 0 };
        let m = rows - order;
        let numbers = if head & 32 != 0 {
            self.tans(m)
        } else {
            self.packed(m, rows, order, head & 64 != 0, head & 128 != 0)
        };
        let s = numbers.into_iter().map(|u| {
            let z = if head & 4 != 0 {
                undo_zigzag(u)
            } else {
                u as i64
            };
            b.wrapping_add(g.wrapping_mul(z))
        });
        let mut x = match order {
            0 => vec![],
            1 => vec![x0],
            _ => vec![x0, x0.wrapping_add(d1)],
        };
        let mut d = d1;
        for s in s {
            let last = x.last().copied().unwrap_or(0);
            match order {
                0 => x.push(s),
                1 => x.push(last.wrapping_add(s)),
                _ => {
                    d = d.wrapping_add(s);
                    x.push(last.wrapping_add(d));
                }
            }
        }
        x
    }

    /// Section 5.1.
    fn packed(
        &mut self,
        m: usize,
        rows: usize,
        order: usize,
        patches: bool,
        restarts: bool,
    ) -> Vec<u64> {
        let w = u32::from(self.u8());
        let mut bits = Bits {
            bytes: &self.bytes[self.at..],
            front: 0,
            back: 0,
        };
        let mut numbers: Vec<u64> = (0..m).map(|_| bits.forwards(w)).collect();
        self.at += (w as usize * m).div_ceil(8);
        if restarts {
            for _ in (120..rows).step_by(120) {
                self.zigzag();
                if order == 2 {
                    self.zigzag();
                }
            }
        }
        if patches {
            let mut at = 0;
            for _ in 0..self.varint() {
                at += self.varint() as usize;
                numbers[at] |= self.varint() << w;
            }
        }
        numbers
    }

    /// Section 5.2.
    fn tans(&mut self, m: usize) -> Vec<u64> {
        let bytes = &self.bytes[self.at..];
        self.at = self.bytes.len();
        let mut bits = Bits {
            bytes,
            front: 0,
            back: bytes.len() * 8,
        };
        let (d, mantissa) = [(1, 0), (2, 1), (4, 1), (4, 2)][bits.forwards(2) as usize];
        // Smallest number and extra bits of every token, in order.
        let mut set: Vec<(u64, u32)> = (0..1u64 << d).map(|x| (x, 0)).collect();
        for l in d + 1..=64u32 {
            for low in 0..1u64 << mantissa {
                let extra = l - 1 - mantissa;
                set.push(((1u64 << mantissa | low) << extra, extra));
            }
        }
        let log = bits.forwards(4) as u32;
        let k = bits.gamma();
        if k == 1 {
            let (base, extra) = set[bits.gamma() as usize - 1];
            return (0..m).map(|_| base + bits.backwards(extra)).collect();
        }
        let q = bits.forwards(2) as u32;
        let mut token = -1i64;
        let mut tokens = vec![];
        let mut left = 1u64 << log;
        for i in 0..k {
            token += bits.gamma() as i64;
            let f = if i + 1 < k { bits.golomb(q) + 1 } else { left };
            left -= f;
            tokens.push((token as usize, f));
        }
        let size = 1usize << log;
        let mut table = vec![usize::MAX; size];
        let mut at = 0;
        for (i, &(_, f)) in tokens.iter().enumerate() {
            for _ in 0..f {
                assert_eq!(table[at], usize::MAX);
                table[at] = i;
                at = (at + size / 2 + size / 8 + 3) % size;
            }
        }
        let mut seen = vec![0; tokens.len()];
        let table: Vec<(usize, u32, u64)> = table
            .into_iter()
            .map(|i| {
                let n: u64 = tokens[i].1 + seen[i];
                seen[i] += 1;
                let bits = log - n.ilog2();
                (tokens[i].0, bits, (n << bits) - size as u64)
            })
            .collect();
        let mut states: Vec<u64> = (0..m.min(4)).map(|_| bits.forwards(log)).collect();
        let mut numbers = vec![];
        for i in 0..m {
            let (token, n, next) = table[states[i % 4] as usize];
            if i + 4 < m {
                states[i % 4] = next + bits.forwards(n);
            }
            let (base, extra) = set[token];
            numbers.push(base + bits.backwards(extra));
        }
        assert!(bits.back >= bits.front && bits.back - bits.front < 8);
        numbers
    }
}

fn undo_zigzag(u: u64) -> i64 {
    if u & 1 == 0 {
        (u / 2) as i64
    } else {
        -((u / 2) as i64) - 1
    }
}

fn ord(b: u64) -> i64 {
    if b >> 63 == 0 {
        b as i64
    } else {
        (!b ^ 1 << 63) as i64
    }
}

fn unord(o: i64) -> u64 {
    if o >= 0 {
        o as u64
    } else {
        !(o as u64 ^ 1 << 63)
    }
}

fn power(e: u8) -> f64 {
    format!("1e{e}").parse().unwrap()
}

fn inverse(e: u8) -> f64 {
    format!("1e-{e}").parse().unwrap()
}

/// The bits of the rows of a value page.
pub(super) fn decode(page: &[u8], rows: usize) -> Vec<u64> {
    let mut r = Reader { bytes: page, at: 0 };
    let head = r.u8();
    let mut values: Vec<u64> = match head & 15 {
        0 => {
            let code = r.u8();
            vec![r.coded(code); rows]
        }
        1 => {
            let e = r.u8();
            vec![(r.zigzag() as f64 / power(e)).to_bits(); rows]
        }
        2 => vec![(r.zigzag() as f64).to_bits(); rows],
        mode @ 3..=6 => {
            let s = if mode == 4 || mode == 5 { r.u8() } else { 0 };
            let exceptions = if head & 128 != 0 {
                r.exceptions()
            } else {
                vec![]
            };
            let mut values: Vec<u64> = match mode {
                3 => r
                    .stream(rows)
                    .into_iter()
                    .map(|x| (x as f64).to_bits())
                    .collect(),
                4 if s < 32 => r
                    .stream(rows)
                    .into_iter()
                    .map(|x| (x as f64 / power(s)).to_bits())
                    .collect(),
                4 => r
                    .stream(rows)
                    .into_iter()
                    .map(|x| (x as f64 * inverse(s - 32)).to_bits())
                    .collect(),
                5 => {
                    let length = r.varint() as usize;
                    let mut first = Reader {
                        bytes: &page[..r.at + length],
                        at: r.at,
                    };
                    let x = first.stream(rows);
                    assert_eq!(first.at, r.at + length);
                    r.at += length;
                    let y = r.stream(rows);
                    let value = |(x, y): (&i64, &i64)| {
                        unord(ord((*x as f64 / power(s)).to_bits()).wrapping_add(*y))
                    };
                    x.iter().zip(&y).map(value).collect()
                }
                _ => r.stream(rows).into_iter().map(unord).collect(),
            };
            for (row, bits) in exceptions {
                values[row] = bits;
            }
            values
        }
        7 => {
            let e = r.u8();
            let (d, c) = (r.varint(), r.varint());
            let mut i = 0;
            let mut entries = vec![];
            for _ in 0..d {
                i += r.zigzag();
                entries.push((i as f64 / power(e)).to_bits());
            }
            for _ in 0..c {
                let code = r.u8();
                entries.push(r.coded(code));
            }
            r.stream(rows)
                .into_iter()
                .map(|x| entries[x as usize])
                .collect()
        }
        8 => {
            let mut bits = Bits {
                bytes: &page[1..],
                front: 0,
                back: 0,
            };
            r.at = page.len();
            let mut values = vec![bits.forwards(64)];
            let (mut leading, mut length) = (0, 0);
            while values.len() < rows {
                let mut x = values[values.len() - 1];
                if bits.forwards(1) == 1 {
                    if bits.forwards(1) == 1 {
                        leading = bits.forwards(5) as u32;
                        length = bits.forwards(6) as u32;
                        if length == 0 {
                            length = 64;
                        }
                    }
                    x ^= bits.forwards(length) << (64 - leading - length);
                }
                values.push(x);
            }
            values
        }
        mode => panic!("mode {mode}"),
    };
    assert_eq!(r.at, page.len());
    values.truncate(rows);
    values
}
