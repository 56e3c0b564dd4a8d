//! The latest table: the greatest row of every key, one shared mapped file per view version.
//!
//! Derived from log and runs, and so free to say "ask history" whenever a checksum disagrees.
//!
//! | file | says |
//! | --- | --- |
//! | `layout` | what a slot looks like for a view |
//! | `seqlock` | reading a slot while it is written |
//! | `probe` | sixteen tags at a time |
//! | `slot` | a copied slot and its fields |
//! | `fill` | the slot that a row becomes |
//! | `says` | the word of it that says what it holds |
//! | `reader` | a table's shared words |
//! | `lookup` | the search for a key, whatever happens meanwhile |
//! | `cursor` | its short path, for one key or many |
//! | `ahead` | memory of rows that come next, fetched before they do |
//! | `insert` | upserts, and repair of what a killed writer left |
//! | `grow` | shards that grow and split, the directory |
//! | `space`, `heap` | where in the file things lie |
//! | `free_list` | free space from a clean close to the next open |
//! | `trust` | which files are believed |
//! | `open` | create, open, commit |
//! | `durable` | what a power failure leaves |
//! | `walk` | every slot, for checks |
//! | `bulk` | building from many rows, by hash range |

/// What `seqlock` runs on; its loom test puts loom's in this place.
mod atomics {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

mod ahead;
mod bulk;
mod cursor;
mod durable;
mod fill;
mod free_list;
mod grow;
mod heap;
mod insert;
mod layout;
mod lookup;
mod open;
mod probe;
mod reader;
mod says;
mod seqlock;
mod slot;
mod space;
#[cfg(test)]
mod tests;
mod trust;
mod walk;

pub use bulk::BulkPart;
pub use cursor::{Begun, Cursor, Found};
pub use insert::Upsert;
pub use layout::{KEY_INLINE_BYTES, SLOT_HEADER_BYTES, SlotLayout, TableShape, WordField, WordRun};
pub use lookup::{Lookup, Need};
pub use open::{Table, TableOptions, TableStats};
pub use reader::TableReader;
pub use slot::{RowOrder, SlotCopy};
pub use trust::{Beside, Opened};
pub use walk::WalkedRow;
