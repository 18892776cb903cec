//! Bytes that grow at the end, in small chunks from one pool: a buffer of its own for each series,
//! copied whenever it grows, would leave holes of all its former sizes.

use super::paged::Paged;

const LINK: usize = 4;
const NONE: u32 = u32::MAX;

/// Bytes of the first chunk of a chain, and of each further one.
const FIRST: usize = 16;
const NEXT: usize = 32;
const FIRST_ROOM: usize = FIRST - LINK;
const NEXT_ROOM: usize = NEXT - LINK;

/// Chunks of one size. The last bytes of each are the number of the one behind it, in a chain or
/// among the free ones.
#[derive(Debug)]
struct Chunks<const N: usize> {
    chunks: Paged<[u8; N]>,
    free: u32,
}

impl<const N: usize> Default for Chunks<N> {
    fn default() -> Self {
        Self {
            chunks: Paged::default(),
            free: NONE,
        }
    }
}

impl<const N: usize> Chunks<N> {
    fn get(&self, chunk: u32) -> &[u8; N] {
        self.chunks
            .get(chunk)
            .expect("invariant: links lead to chunks")
    }

    fn get_mut(&mut self, chunk: u32) -> &mut [u8; N] {
        self.chunks
            .get_mut(chunk)
            .expect("invariant: links lead to chunks")
    }

    fn link(&self, chunk: u32) -> u32 {
        let bytes = self.get(chunk);
        let link = bytes[N - LINK..].first_chunk();
        u32::from_le_bytes(*link.expect("invariant: a link is behind each chunk"))
    }

    fn set_link(&mut self, chunk: u32, link: u32) {
        self.get_mut(chunk)[N - LINK..].copy_from_slice(&link.to_le_bytes());
    }

    fn take(&mut self) -> u32 {
        if self.free == NONE {
            let chunk = u32::try_from(self.chunks.len()).expect("invariant: memory ends before");
            self.chunks.push([u8::MAX; N]);
            return chunk;
        }
        let chunk = self.free;
        self.free = self.link(chunk);
        self.set_link(chunk, NONE);
        chunk
    }

    fn give_back(&mut self, chunk: u32) {
        self.set_link(chunk, self.free);
        self.free = chunk;
    }
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    firsts: Chunks<FIRST>,
    nexts: Chunks<NEXT>,
}

/// Bytes in a pool. What belongs to a chain goes back by [`Chain::free`] only.
#[derive(Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    len: u16,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

impl Chain {
    pub(crate) fn len(&self) -> usize {
        self.len.into()
    }

    pub(crate) fn push(&mut self, byte: u8, slab: &mut Slab) {
        let at = self.len();
        self.len += 1;
        if at < FIRST_ROOM {
            if at == 0 {
                self.first = slab.firsts.take();
            }
            slab.firsts.get_mut(self.first)[at] = byte;
            return;
        }
        let at = (at - FIRST_ROOM) % NEXT_ROOM;
        if at == 0 {
            let chunk = slab.nexts.take();
            if self.last == NONE {
                slab.firsts.set_link(self.first, chunk);
            } else {
                slab.nexts.set_link(self.last, chunk);
            }
            self.last = chunk;
        }
        slab.nexts.get_mut(self.last)[at] = byte;
    }

    /// The last byte, to be changed.
    pub(crate) fn last_mut<'a>(&self, slab: &'a mut Slab) -> Option<&'a mut u8> {
        let at = self.len().checked_sub(1)?;
        match at.checked_sub(FIRST_ROOM) {
            None => slab.firsts.get_mut(self.first).get_mut(at),
            Some(at) => slab.nexts.get_mut(self.last).get_mut(at % NEXT_ROOM),
        }
    }

    /// Appends the bytes to `out`.
    pub(crate) fn copy_to(&self, slab: &Slab, out: &mut Vec<u8>) {
        let mut left = self.len();
        if left == 0 {
            return;
        }
        let now = left.min(FIRST_ROOM);
        out.extend_from_slice(&slab.firsts.get(self.first)[..now]);
        left -= now;
        let mut chunk = if left > 0 {
            slab.firsts.link(self.first)
        } else {
            NONE
        };
        while left > 0 {
            let now = left.min(NEXT_ROOM);
            out.extend_from_slice(&slab.nexts.get(chunk)[..now]);
            left -= now;
            chunk = slab.nexts.link(chunk);
        }
    }

    /// Gives all chunks back.
    pub(crate) fn free(&mut self, slab: &mut Slab) {
        if self.len > 0 {
            let mut left = self.len().saturating_sub(FIRST_ROOM).div_ceil(NEXT_ROOM);
            let mut chunk = slab.firsts.link(self.first);
            slab.firsts.give_back(self.first);
            while left > 0 {
                let next = slab.nexts.link(chunk);
                slab.nexts.give_back(chunk);
                chunk = next;
                left -= 1;
            }
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chains_do_not_touch_each_other(
            steps in proptest::collection::vec((0..5usize, 0..80usize, any::<bool>()), 0..60)
        ) {
            let mut slab = Slab::default();
            let mut chains: [(Chain, Vec<u8>); 5] = Default::default();
            for (i, (which, bytes, free)) in steps.into_iter().enumerate() {
                let (chain, want) = &mut chains[which];
                if free {
                    chain.free(&mut slab);
                    want.clear();
                }
                for byte in 0..bytes {
                    let byte = (byte + i) as u8;
                    chain.push(byte, &mut slab);
                    want.push(byte);
                }
                if let (Some(a), Some(b)) = (chain.last_mut(&mut slab), want.last_mut()) {
                    prop_assert_eq!(*a, *b);
                    (*a, *b) = (7, 7);
                }
                for (chain, want) in &chains {
                    let mut got = Vec::new();
                    chain.copy_to(&slab, &mut got);
                    prop_assert_eq!(&got, want);
                    prop_assert_eq!(chain.len(), want.len());
                }
            }
            // All that was ever used serves again.
            let (firsts, nexts) = (slab.firsts.chunks.len(), slab.nexts.chunks.len());
            for (chain, _) in &mut chains {
                chain.free(&mut slab);
            }
            let mut again = Chain::default();
            for _ in 0..(FIRST_ROOM + nexts * NEXT_ROOM).min(u16::MAX.into()) {
                again.push(1, &mut slab);
            }
            prop_assert_eq!(slab.firsts.chunks.len(), firsts.max(1));
            prop_assert_eq!(slab.nexts.chunks.len(), nexts);
        }
    }
}
