//! Row records of one view, as they stand in the log: in chunks that never move, so that a store that takes many
//! rows copies none of them twice.

const CHUNK_BYTES_MIN: usize = 4 << 10;
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Of a chunk the system gives what was written to, in pieces of this size.
const PAGE_BYTES: usize = 4 << 10;

/// Where a record begins.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace {
    chunk: u32,
    start: u32,
}

/// Records by place.
#[derive(Debug, Default)]
pub(super) struct Records {
    chunks: Vec<Vec<u8>>,
    bytes: usize,
    /// Bytes of the pages that were written to.
    held_bytes: usize,
}

impl Records {
    /// Takes a copy of records that stand back to back; where the first begins.
    pub fn push(&mut self, records: &[u8]) -> RecordPlace {
        let has_room = |chunk: &Vec<u8>| chunk.capacity() - chunk.len() >= records.len();
        if !self.chunks.last().is_some_and(has_room) {
            // As much again as there is, so that few chunks hold many records and small views take little.
            let len_bytes = self.bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).max(records.len());
            self.chunks.push(Vec::with_capacity(len_bytes));
        }
        let number =
            u32::try_from(self.chunks.len() - 1).expect("a segment is below 2^32 bytes, and so are its chunks");
        let chunk = self.chunks.last_mut().expect("one was just found or made");
        let place = RecordPlace { chunk: number, start: offset(chunk.len()) };
        let held = |chunk: &Vec<u8>| chunk.len().next_multiple_of(PAGE_BYTES).min(chunk.capacity());
        let before = held(chunk);
        chunk.extend_from_slice(records);
        self.bytes += records.len();
        self.held_bytes += held(chunk) - before;
        place
    }

    /// Bytes of memory, about.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The bytes from `place` on, as far as they were pushed together or after it.
    #[inline]
    pub fn from(&self, place: RecordPlace) -> &[u8] {
        &self.chunks[place.chunk as usize][place.start as usize..]
    }
}

impl RecordPlace {
    /// The place `bytes` further on, among records that were pushed together.
    pub(super) fn after(self, bytes: usize) -> RecordPlace {
        RecordPlace { start: self.start + offset(bytes), ..self }
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame is below 2^30 bytes, a chunk takes one or is smaller")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_found_where_it_was_put_whatever_its_length() {
        let mut records = Records::default();
        let mut known: Vec<(RecordPlace, Vec<u8>)> = Vec::new();
        let lengths = [1, 4_000, 100, 9_000, 5 << 20, 1, 3 << 20, 3 << 20, CHUNK_BYTES_MAX, 0, 7];
        for (i, len) in lengths.into_iter().cycle().take(33).enumerate() {
            let bytes: Vec<u8> = (0..len).map(|at| ((at * 7 + i) % 251) as u8).collect();
            known.push((records.push(&bytes), bytes));
        }
        for (place, bytes) in &known {
            assert!(records.from(*place).starts_with(bytes));
            let half = bytes.len() / 2;
            assert!(records.from(place.after(half)).starts_with(&bytes[half..]));
        }
    }
}
