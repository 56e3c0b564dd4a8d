//! Which table files may be believed, and how they are mapped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::layout::{SlotLayout, TableShape};
use super::open::TableOptions;
use super::reader::TableReader;
use crate::disk::{Disk, File, MapAccess, OpenMode};
use crate::error;
use crate::format::table::{
    BEHIND_RETIRED, FORMAT_VERSION, HEADER_WORDS, SUPERBLOCK_WORDS, SUPERBLOCKS_AT, Superblock, words_of,
};
use crate::format::truncate::Truncate;

/// How often a reader looks again while a writer replaces superblocks under it.
const SUPERBLOCK_READS_MAX: usize = 20;

/// A table, or why there is none to trust.
#[derive(Debug)]
pub enum Opened<T> {
    /// Every answer it gives is checked; rows beyond its applied seq are to be replayed.
    Trusted(T),
    /// It is to be built anew from history, for this reason.
    NeedsRebuild(String),
}

/// Who else has the tables that a reader opens, as HEAD says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A writer. The tables it keeps are not closed: one that is it has not opened, or it is a copy that was put in the place of
    /// one it has.
    Writer,
    /// Nobody any more, and the store was not closed: its writer was killed, perhaps when it had closed its tables already or had
    /// not opened them yet. A table that is closed has the rows up to this number, or is a copy.
    Killed {
        /// The number.
        committed_seq: u64,
    },
    /// Nobody, since the store was closed in order with rows up to this number: its tables have exactly those.
    Nobody {
        /// The number.
        committed_seq: u64,
    },
}

impl Beside {
    fn judge(self, block: &Superblock) -> Result<(), String> {
        match self {
            Beside::Writer if block.is_clean == 1 => Err("it is closed, and the store is not".to_owned()),
            Beside::Killed { committed_seq } if block.is_clean == 1 => has_rows_up_to(committed_seq, block),
            Beside::Nobody { committed_seq } => has_rows_up_to(committed_seq, block),
            Beside::Writer | Beside::Killed { .. } => Ok(()),
        }
    }
}

fn has_rows_up_to(committed_seq: u64, block: &Superblock) -> Result<(), String> {
    let applied_seq = block.applied_seq;
    if applied_seq == committed_seq {
        return Ok(());
    }
    Err(format!("it was closed with rows up to {applied_seq}, the store with rows up to {committed_seq}"))
}

/// The newer sound superblock of a file.
pub(super) fn newest_superblock(file: &dyn File) -> error::Result<Option<Superblock>> {
    let mut bytes = [0; 2 * SUPERBLOCK_WORDS * 8];
    if file.len_bytes()? < HEADER_WORDS as u64 * 8 {
        return Ok(None);
    }
    file.read_at(0, &mut bytes)?;
    let words = bytes.as_chunks::<8>().0;
    let decode = |slot: usize| {
        let mut block = [0; SUPERBLOCK_WORDS];
        for (word, bytes) in block.iter_mut().zip(&words[SUPERBLOCKS_AT[slot]..]) {
            *word = u64::from_le_bytes(*bytes);
        }
        Superblock::decode(&block, slot)
    };
    Ok([decode(0), decode(1)].into_iter().flatten().max_by_key(|block| block.generation))
}

/// Whether the file is a table of this shape that may be believed; why not, otherwise.
pub(super) fn judge(
    disk: &dyn Disk,
    file: &dyn File,
    layout: &SlotLayout,
    block: &Superblock,
) -> error::Result<Result<(), String>> {
    let shape = layout.shape();
    let expected = Superblock {
        format_version: FORMAT_VERSION,
        store_uuid: words_of(shape.store_uuid),
        hash_seed: shape.hash_seed,
        layout_digest: layout.digest,
        ..*block
    };
    if block.format_version != expected.format_version {
        return Ok(Err(format!("it has format {}, this release writes {FORMAT_VERSION}", block.format_version)));
    }
    if *block != expected {
        return Ok(Err("it is a table of another store or layout".to_owned()));
    }
    if file.len_bytes()? / 8 < block.used_end {
        return Ok(Err("it is cut short".to_owned()));
    }
    if block.behind == BEHIND_RETIRED {
        return Ok(Err("another file took its place".to_owned()));
    }
    if block.is_clean == 1 {
        return Ok(Ok(()));
    }
    let (device, inode) = file.identity()?;
    if block.boot_id != words_of(disk.boot_id()) {
        return Ok(Err("it was not closed before the machine stopped".to_owned()));
    }
    if block.identity != [device, inode] {
        return Ok(Err("it is a copy of a table that was open".to_owned()));
    }
    Ok(Ok(()))
}

fn map_words(len_bytes: u64) -> usize {
    usize::try_from(len_bytes / 8).unwrap_or(usize::MAX)
}

/// Address space reserved where there is not as much as is asked for.
const RESERVE_BYTES_SCARCE: u64 = 1 << 30;

/// Maps the file that was judged, whatever bears its name by now.
pub(super) fn map(
    file: &Arc<dyn File>,
    layout: &Arc<SlotLayout>,
    access: MapAccess,
    options: &TableOptions,
    floor: Option<Truncate>,
) -> error::Result<TableReader> {
    let file_bytes = file.len_bytes()?;
    let least_bytes = file_bytes.saturating_mul(2);
    let with_room = file.map_shared(access, options.reserve_bytes.max(least_bytes));
    // Some processors and systems give a process 512 GiB of addresses, which a few tables would take.
    let map = with_room.or_else(|error| match options.reserve_bytes > RESERVE_BYTES_SCARCE {
        true => file.map_shared(access, least_bytes.max(RESERVE_BYTES_SCARCE)),
        false => Err(error),
    })?;
    let known_end = Arc::new(AtomicUsize::new(map_words(file_bytes).min(map.words().len())));
    Ok(TableReader { map, file: Arc::clone(file), layout: Arc::clone(layout), known_end, floor })
}

impl TableReader {
    /// Opens a table to read, beside its writer or without one.
    ///
    /// # Errors
    /// The operating system refuses; a file that is missing or wrong is [`Opened::NeedsRebuild`].
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        shape: TableShape,
        options: &TableOptions,
        beside: Beside,
    ) -> error::Result<Opened<Self>> {
        match disk.open(path, OpenMode::Read) {
            Ok(file) => Self::of_file(disk, &file, shape, options, beside),
            Err(error) if error.is_missing_file() => Ok(Opened::NeedsRebuild("there is no file".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// [`TableReader::open`] of a file that is open: another may bear its name before it is mapped.
    pub(super) fn of_file(
        disk: &dyn Disk,
        file: &Arc<dyn File>,
        shape: TableShape,
        options: &TableOptions,
        beside: Beside,
    ) -> error::Result<Opened<Self>> {
        let layout = Arc::new(SlotLayout::new(shape));
        for _ in 0..SUPERBLOCK_READS_MAX {
            let Some(block) = newest_superblock(&**file)? else {
                continue;
            };
            let judged = judge(disk, &**file, &layout, &block)?;
            return Ok(match judged.and_then(|()| beside.judge(&block)) {
                Ok(()) => Opened::Trusted(map(file, &layout, MapAccess::Read, options, block.floor())?),
                Err(reason) => Opened::NeedsRebuild(reason),
            });
        }
        Ok(Opened::NeedsRebuild("neither superblock is sound".to_owned()))
    }
}
