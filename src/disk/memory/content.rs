//! What a file holds: sparse pages, shared between copies until written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

pub(super) const PAGE_BYTES: usize = 4096;
pub(super) type Page = [u8; PAGE_BYTES];

/// Bytes of a file. A page that is not there is all zero, and costs nothing. A copy shares every
/// page, and the table of pages, until one side writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub len: u64,
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
    /// All bytes in one piece, made for an immutable mapping, until the next change.
    whole: Option<Bytes>,
}

impl Content {
    /// Fills `out`; the caller has checked that the range lies within the file.
    pub fn read(&self, offset: u64, out: &mut [u8]) {
        for_each_piece(offset, out.len(), |page, in_page, range| match self.pages.get(&page) {
            Some(bytes) => out[range.clone()].copy_from_slice(&bytes[in_page..in_page + range.len()]),
            None => out[range].fill(0),
        });
    }

    /// Writes, making the file longer where needed.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.whole = None;
        self.len = self.len.max(offset + bytes.len() as u64);
        let pages = Arc::make_mut(&mut self.pages);
        for_each_piece(offset, bytes.len(), |page, in_page, range| {
            let piece = &bytes[range];
            if !pages.contains_key(&page) && is_zero(piece) {
                return;
            }
            let page = pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[in_page..in_page + piece.len()].copy_from_slice(piece);
        });
    }

    /// Cuts or extends with zeros.
    pub fn set_len(&mut self, len: u64) {
        self.whole = None;
        if len < self.len {
            let in_page = to_usize(len % PAGE_BYTES as u64);
            let pages = Arc::make_mut(&mut self.pages);
            pages.split_off(&len.div_ceil(PAGE_BYTES as u64));
            if in_page > 0
                && let Some(page) = pages.get_mut(&(len / PAGE_BYTES as u64))
            {
                Arc::make_mut(page)[in_page..].fill(0);
            }
        }
        self.len = len;
    }

    /// The page of this number; `None` is all zero.
    pub fn page(&self, number: u64) -> Option<&Arc<Page>> {
        self.pages.get(&number)
    }

    /// Numbers of the pages that are not all zero, from `first` on.
    pub fn pages_from(&self, first: u64) -> impl Iterator<Item = (u64, &Arc<Page>)> {
        self.pages.range(first..).map(|(&number, page)| (number, page))
    }

    /// Puts a whole page in place.
    pub fn set_page(&mut self, number: u64, page: Option<Arc<Page>>) {
        self.whole = None;
        let pages = Arc::make_mut(&mut self.pages);
        match page {
            Some(page) => pages.insert(number, page),
            None => pages.remove(&number),
        };
    }

    /// All bytes in one piece, aligned to 64 as Arrow wants them.
    pub fn whole(&mut self) -> Bytes {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        const ALIGN: usize = 64;
        let len = to_usize(self.len);
        let mut bytes = vec![0; len + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN);
        self.read(0, &mut bytes[start..start + len]);
        let whole = Bytes::from(bytes).slice(start..start + len);
        self.whole = Some(whole.clone());
        whole
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Simulated files are far below the address space.
pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("64-bit targets only")
}

/// Splits a range at page boundaries: page number, offset in it, range in the caller's buffer.
fn for_each_piece(offset: u64, len: usize, mut piece: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let in_page = to_usize(at % PAGE_BYTES as u64);
        let take = (PAGE_BYTES - in_page).min(len - done);
        piece(at / PAGE_BYTES as u64, in_page, done..done + take);
        done += take;
    }
}
