//! What a power failure leaves of a table: called in use on the medium before its first change, called clean when all of it was
//! synced.
//!
//! **Invariant:** where the medium may have a superblock that calls the table clean, all it has beyond the header page is what it
//! had when the table was closed. So a table that is not changed needs no sync, neither when it is opened nor when it is closed:
//! whichever superblock comes back, what it says is so, or it says that the table was in use.

use std::sync::Arc;

use super::free_list;
use super::open::Table;
use crate::error::Result;
use crate::format::table::{BEHIND_RETIRED, HEADER_WORDS};

/// What the medium has of a table that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// What was closed, but for the header page; it may call that clean.
    AsClosed,
    /// What a killed writer had of it. It may call the table clean if that writer changed nothing.
    OfKilled,
    /// Anything, and nothing that calls it clean.
    InUse,
    /// What a killed writer had of it, and not all: something of that could not be written.
    Incomplete,
}

impl Table {
    /// To be called before anything beyond the header page changes: a power failure must not find the table still called clean.
    ///
    /// # Errors
    /// The disk has no room for what the file leaves out, or the header could not be made durable; nothing may change.
    #[inline]
    pub(super) fn begin_changes(&mut self) -> Result<()> {
        if self.medium == Medium::InUse { Ok(()) } else { self.call_in_use() }
    }

    #[cold]
    fn call_in_use(&mut self) -> Result<()> {
        self.inserter.shared.storage().space.fill_holes()?;
        (self.superblock.free_list_at, self.superblock.free_list_words) = (0, 0);
        // The second superblock since the table was opened: neither calls it clean, for the older one comes back when the newer was
        // being written. Where a sync failed before, the page is written to again: it may count as written.
        self.publish();
        let synced = self.sync_header();
        self.medium = match (&synced, self.medium) {
            (Err(_), Medium::AsClosed) => Medium::AsClosed,
            (Ok(()), Medium::AsClosed | Medium::OfKilled | Medium::InUse) => Medium::InUse,
            // What failed may be a page that the killed writer had changed, and no other sync speaks of it again.
            (_, Medium::Incomplete) | (Err(_), _) => Medium::Incomplete,
        };
        if self.medium == Medium::Incomplete {
            return Err(self.inserter.shared.damaged("what a killed writer left could not be made durable"));
        }
        synced
    }

    /// Makes everything durable and calls the table clean, so that the next open trusts it after any reboot. One that was closed
    /// before and is as it was then is called clean without a sync: if power fails before the system has written that, it is
    /// brought up from where it was closed before, or built anew.
    ///
    /// # Errors
    /// The operating system refuses; the table is then retired, for nobody knows what the medium has of it.
    pub fn close(mut self) -> Result<()> {
        if self.medium == Medium::AsClosed {
            self.superblock.is_clean = 1;
            self.publish();
            return Ok(());
        }
        let closed = self.sync_all().and_then(|()| {
            self.superblock.is_clean = 1;
            self.publish();
            self.sync_header()
        });
        if closed.is_err() {
            self.superblock.is_clean = 0;
            self.retire();
        }
        closed
    }

    fn sync_all(&mut self) -> Result<()> {
        self.begin_changes()?;
        let shared = Arc::clone(&self.inserter.shared);
        // Where the disk is full, what is free counts as lost.
        let (at, words) = free_list::store(&shared).unwrap_or_default();
        (self.superblock.free_list_at, self.superblock.free_list_words) = (at as u64, words as u64);
        self.publish();
        shared.reader.map.sync(0, self.superblock.used_end * 8)
    }

    /// Another file takes this one's place, or it may have rows that are lost: readers of this one are told for ever.
    pub fn retire(mut self) {
        self.superblock.behind = BEHIND_RETIRED;
        // The second superblock since it was opened: neither calls it clean.
        self.publish();
        if self.medium != Medium::InUse {
            // Where that fails, what the medium may still call clean is what was closed.
            let _ = self.sync_header();
        }
    }

    fn sync_header(&self) -> Result<()> {
        self.inserter.shared.reader.map.sync(0, HEADER_WORDS as u64 * 8)
    }
}
