//! Large memory that is filled in no order: in huge pages, where the system has them to give.
//!
//! A column of a million float64 has two thousand pages of 4 KiB, and to be given them one by one takes longer than to fill them.

use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;
use memmap2::{Advice, MmapMut, MmapOptions};

/// What a huge page is on x86-64 and mostly on ARM.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed bytes, to be filled and then kept as a [`Buffer`].
pub(crate) enum Zeroed {
    /// Whole huge pages, of which `len` bytes are meant.
    Mapped {
        pages: MmapMut,
        len: usize,
    },
    Allocated(MutableBuffer),
}

impl Zeroed {
    /// `len` of them. What would not fill a huge page is ordinary memory.
    pub fn new(len: usize) -> Zeroed {
        if len >= HUGE_PAGE_BYTES
            && let Some(len_mapped) = len.checked_next_multiple_of(HUGE_PAGE_BYTES)
            && let Ok(pages) = MmapOptions::new().len(len_mapped).map_anon()
        {
            // Refused by kernels that have none: then nothing is lost.
            let _ = pages.advise(Advice::HugePage);
            return Zeroed::Mapped { pages, len };
        }
        Zeroed::Allocated(MutableBuffer::from_len_zeroed(len))
    }

    /// To write into.
    pub fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Zeroed::Mapped { pages, len } => &mut pages[..*len],
            Zeroed::Allocated(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Zeroed {
    fn as_ref(&self) -> &[u8] {
        match self {
            Zeroed::Mapped { pages, len } => &pages[..*len],
            Zeroed::Allocated(bytes) => bytes,
        }
    }
}

impl From<Zeroed> for Buffer {
    fn from(bytes: Zeroed) -> Buffer {
        match bytes {
            Zeroed::Mapped { .. } => Buffer::from(Bytes::from_owner(bytes)),
            Zeroed::Allocated(bytes) => bytes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_zero_then_what_was_written_and_lie_as_arrow_wants_them() {
        for len in [0, 1, 1_000, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 1, 3 * HUGE_PAGE_BYTES - 5] {
            let mut bytes = Zeroed::new(len);
            assert_eq!(matches!(bytes, Zeroed::Mapped { .. }), len >= HUGE_PAGE_BYTES, "{len}");
            assert!(bytes.as_mut().len() == len && bytes.as_ref().iter().all(|byte| *byte == 0), "{len}");
            for (place, byte) in bytes.as_mut().iter_mut().enumerate() {
                *byte = (place % 251) as u8;
            }
            let buffer = Buffer::from(bytes);
            assert!(buffer.len() == len && buffer.iter().enumerate().all(|(place, byte)| *byte == (place % 251) as u8));
            assert_eq!(buffer.as_ptr().align_offset(64), 0, "{len}");
        }
    }
}
