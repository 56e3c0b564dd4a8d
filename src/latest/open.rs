//! A table file's life: created, opened and trusted or not, committed to.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::bulk;
use super::durable::Medium;
use super::free_list;
use super::heap::Heap;
use super::insert::{Inserter, Shared, Storage, Upsert};
use super::layout::{SlotLayout, TableShape};
use super::populate::Populator;
use super::reader::TableReader;
use super::space::Space;
use super::trust::{Opened, judge, map, newest_superblock};
use crate::disk::{Disk, File, MapAccess, OpenMode};
use crate::error::Result;
use crate::format::row::RowRef;
use crate::format::table::{
    BEHIND_NOT, BEHIND_RETIRED, BEHIND_ROWS, DirectoryWord, FORMAT_VERSION, HEADER_WORDS, LINE_WORDS, LIVE_DIRECTORY,
    LIVE_STATE, LIVE_USED_END, LiveState, MAGIC, SUPERBLOCKS_AT, Shard, Superblock, sealed, unsealed, words_of,
};
use crate::format::truncate::Truncate;

/// Sizes of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// How many keys it is built for; it grows beyond.
    pub expected_keys: u64,
    /// Address space reserved, so that growth needs no new mapping.
    pub reserve_bytes: u64,
    /// The greatest truncate of the view: rows before it are left out. Who only reads a table takes the one that it says.
    pub floor: Option<Truncate>,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions { expected_keys: 0, reserve_bytes: 64 << 30, floor: None }
    }
}

/// What a table takes and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Keys that have a row.
    pub keys: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes free for new rows without growth of the file.
    pub free_bytes: u64,
    /// Bytes that killed writers left behind; a rebuild regains them.
    pub lost_bytes: u64,
    /// Damaged slots and tags met since the table was opened.
    pub damage_count: u64,
}

impl TableStats {
    /// Whether it is time to build the table anew: a quarter of the file was left behind, or there are keys that only history
    /// answers for.
    pub fn is_worn(&self) -> bool {
        self.lost_bytes > self.file_bytes / 4 || self.damage_count > 0
    }
}

/// The table as its only writer holds it.
#[derive(Debug)]
pub struct Table {
    pub(super) inserter: Inserter,
    pub(super) superblock: Superblock,
    pub(super) medium: Medium,
}

impl Table {
    /// Makes a new file with an empty table, marked behind until [`Table::clear_behind`].
    ///
    /// # Errors
    /// The name is taken, or the disk is full.
    pub fn create(disk: &dyn Disk, path: &Path, shape: TableShape, options: &TableOptions) -> Result<Table> {
        let file = disk.open(path, OpenMode::Create)?;
        Self::lay_out(disk, file, path, shape, options).inspect_err(|_| {
            // Nobody would read it, and it may hold the space that the next try lacks.
            let _ = disk.remove(path);
        })
    }

    fn lay_out(
        disk: &dyn Disk,
        file: Arc<dyn File>,
        path: &Path,
        shape: TableShape,
        options: &TableOptions,
    ) -> Result<Table> {
        let layout = Arc::new(SlotLayout::new(shape));
        let (depth, groups) = bulk::plan(&layout, options.expected_keys);
        let directory = DirectoryWord { start: HEADER_WORDS, depth };
        let shard_words = Shard { start: 0, groups, depth }.end(layout.slot_words);
        let shards_at = HEADER_WORDS + directory.len().next_multiple_of(LINE_WORDS);
        let used_end = shards_at + shard_words * directory.len();
        let file_words = used_end.next_multiple_of(8 << 10);
        file.allocate(file_words as u64 * 8)?;
        let reader = map(&file, &layout, MapAccess::Write, options, options.floor)?;
        // A lookup is two random reads: with small pages it spends most of its time on finding where they lie.
        reader.map.advise_hugepage();
        let superblock = Superblock {
            magic: MAGIC,
            format_version: FORMAT_VERSION,
            store_uuid: words_of(layout.shape().store_uuid),
            hash_seed: layout.shape().hash_seed,
            layout_digest: layout.digest,
            key_bytes: layout.shape().key_bytes.map_or(u64::MAX, |len| len as u64),
            field_count: layout.shape().row.field_count() as u64,
            slot_bytes: layout.slot_bytes() as u64,
            identity: file.identity()?.into(),
            boot_id: words_of(disk.boot_id()),
            behind: BEHIND_ROWS,
            ..Superblock::default()
        };
        let superblock = superblock.with_floor(options.floor);
        let space = Space::new(file, Arc::clone(&reader.map), used_end, file_words);
        let shared = new_shared(reader, path, space, Heap::default(), 0);
        let words = shared.words();
        words[LIVE_USED_END].store(sealed(used_end as u64, LIVE_USED_END), Ordering::Release);
        for i in 0..directory.len() {
            let shard = Shard { start: shards_at + i * shard_words, groups, depth };
            let hash = if depth == 0 { 0 } else { (i as u64) << (64 - depth) };
            shared.begin_shard(shard, hash, |_| [0; 2], 0);
            words[directory.start + i].store(shard.encode(), Ordering::Release);
        }
        words[LIVE_DIRECTORY].store(directory.encode(), Ordering::Release);
        // The medium has never seen this file called clean.
        let mut table = Table { inserter: Inserter::new(Arc::new(shared), true), superblock, medium: Medium::InUse };
        table.publish();
        Ok(table)
    }

    /// Opens a table to write, of a store with rows up to `committed_seq`. One that was not closed cleanly, or lacks some of those
    /// rows, is marked behind before any reader may believe it: replay the rows beyond [`Table::applied`], then
    /// [`Table::clear_behind`].
    ///
    /// # Errors
    /// The operating system refuses; a file that is missing or wrong is [`Opened::NeedsRebuild`].
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        shape: TableShape,
        options: &TableOptions,
        committed_seq: u64,
    ) -> Result<Opened<Table>> {
        let file = match disk.open(path, OpenMode::Write) {
            Ok(file) => file,
            Err(error) if error.is_missing_file() => return Ok(Opened::NeedsRebuild("there is no file".to_owned())),
            Err(error) => return Err(error),
        };
        let layout = Arc::new(SlotLayout::new(shape));
        let Some(mut superblock) = newest_superblock(&*file)? else {
            return Ok(Opened::NeedsRebuild("neither superblock is sound".to_owned()));
        };
        if let Err(reason) = judge(disk, &*file, &layout, &superblock)? {
            return Ok(Opened::NeedsRebuild(reason));
        }
        if superblock.floor() != options.floor {
            return Ok(Opened::NeedsRebuild("the view was truncated since".to_owned()));
        }
        let reader = map(&file, &layout, MapAccess::Write, options, options.floor)?;
        if reader.is_retired() {
            return Ok(Opened::NeedsRebuild("another file was to take its place".to_owned()));
        }
        let file_words = reader.known_end.load(Ordering::Relaxed);
        let live_directory = reader.map.words()[LIVE_DIRECTORY].load(Ordering::Acquire);
        let was_clean = superblock.is_clean == 1;
        if DirectoryWord::decode(live_directory).is_none() || was_clean && live_directory != superblock.directory {
            return Ok(Opened::NeedsRebuild("the directory's place is damaged".to_owned()));
        }
        // After a kill the last extents may be in no superblock; they are never handed out twice.
        let live_end = unsealed(reader.map.words()[LIVE_USED_END].load(Ordering::Acquire), LIVE_USED_END);
        let used_end = match live_end.and_then(|end| usize::try_from(end).ok()) {
            Some(end) if end <= file_words && end as u64 >= superblock.used_end => end,
            _ => file_words.next_multiple_of(LINE_WORDS),
        };
        let mut space = Space::new(Arc::clone(&file), Arc::clone(&reader.map), used_end, file_words);
        let mut heap = Heap::default();
        let mut keys = superblock.key_count;
        if was_clean {
            if !free_list::load(&reader, &superblock, &mut space, &mut heap) {
                superblock.lost_words = superblock.lost_words.saturating_add(superblock.free_words);
            }
        } else {
            superblock.lost_words = superblock.lost_words.saturating_add(superblock.free_words);
            keys = 0;
        }
        if !was_clean || superblock.applied_seq < committed_seq {
            superblock.behind = BEHIND_ROWS;
        }
        let shared = new_shared(reader, path, space, heap, keys);
        if !was_clean {
            match count_keys(&shared) {
                Ok(keys) => shared.key_count.store(keys, Ordering::Relaxed),
                Err(error) => return Ok(Opened::NeedsRebuild(error.to_string())),
            }
        }
        superblock.identity = file.identity()?.into();
        superblock.boot_id = words_of(disk.boot_id());
        superblock.is_clean = 0;
        let medium = if was_clean { Medium::AsClosed } else { Medium::OfKilled };
        let inserter = Inserter { may_be_torn: !was_clean, ..Inserter::new(Arc::new(shared), true) };
        let mut table = Table { inserter, superblock, medium };
        // The writer before may have been killed between moving a shard and telling of it.
        table.inserter.shared.raise_epoch();
        // For readers beside this writer; the medium is told before the first change.
        table.publish();
        Ok(Opened::Trusted(table))
    }

    /// Stores a row unless the table holds a greater one of its key. Its changes count once [`Table::commit`]
    /// says so; after an error the table is marked behind.
    ///
    /// # Errors
    /// The row is not of this table's shape; the disk is full, or fails; the table is damaged where the key belongs.
    pub fn upsert(&mut self, hash: u64, row: &RowRef<'_>, seq: u64) -> Result<Upsert> {
        let stored = self.begin_changes().and_then(|()| self.inserter.upsert(hash, row, seq));
        if stored.is_err() {
            self.mark_behind();
        }
        stored
    }

    /// Every row up to `applied_seq` is in the table; the log goes on at `applied_log`.
    ///
    /// A table that is behind stays where it was: what it lacks lies above its applied seq.
    pub fn commit(&mut self, applied_seq: u64, applied_log: u64) {
        if !self.is_behind() {
            self.superblock.applied_seq = applied_seq;
            self.superblock.applied_log = applied_log;
        }
        self.publish();
    }

    /// Sends readers to the as-of path until [`Table::clear_behind`].
    pub fn mark_behind(&mut self) {
        self.superblock.behind = BEHIND_ROWS;
        self.publish();
    }

    /// The table has every row up to its applied seq again. One that was retired stays so.
    pub fn clear_behind(&mut self) {
        self.inserter.may_be_torn = false;
        self.superblock.behind = BEHIND_NOT;
        self.publish();
    }

    /// Removes the file of a table if this process may not write to it.
    ///
    /// # Errors
    /// Nor may it remove it.
    pub fn remove_unwritable(disk: &dyn Disk, path: &Path) -> Result<()> {
        match disk.open(path, OpenMode::Write) {
            Err(error) if error.io_kind() == Some(ErrorKind::PermissionDenied) => disk.remove(path).map_err(|_| {
                error.remedy("give it back to the user that writes to the store, or remove it: it is built anew")
            }),
            _ => Ok(()),
        }
    }

    /// Tells whoever has the file open that another takes its place. Nothing is done where there is no table.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn retire_file(disk: &dyn Disk, path: &Path) -> Result<()> {
        let file = match disk.open(path, OpenMode::Write) {
            Ok(file) => file,
            Err(error) if error.is_missing_file() || error.io_kind() == Some(ErrorKind::IsADirectory) => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.len_bytes()? < HEADER_WORDS as u64 * 8 {
            return Ok(());
        }
        let live = LiveState { applied_seq: 0, applied_log: 0, behind: BEHIND_RETIRED };
        // Where a mapping cannot be had, too: who has the file mapped sees the same pages.
        file.write_at(LIVE_STATE as u64 * 8, live.encode().map(u64::to_le_bytes).as_flattened())?;
        // After a power failure, too: it may have rows that the log lost.
        file.sync()
    }

    /// Removes a table's file, where there is one; whoever has it open is told, and looks for the one that takes its name.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn remove_file(disk: &dyn Disk, path: &Path) -> Result<()> {
        Table::remove_unwritable(disk, path)?;
        Table::retire_file(disk, path)?;
        match disk.remove(path) {
            Err(error) if !error.is_missing_file() => Err(error),
            _ => Ok(()),
        }
    }

    /// Has a thread ask for the memory of what the file hands out next, from now on.
    pub fn populate_ahead(&mut self) {
        let shared = &self.inserter.shared;
        let Storage { space, .. } = &mut *shared.storage();
        let used_end = space.used_end;
        space.populator.get_or_insert_with(|| Populator::new(Arc::clone(&shared.reader.map), used_end));
    }

    /// The truncate that deleted what is left out.
    pub fn floor(&self) -> Option<Truncate> {
        self.inserter.shared.reader.floor
    }

    /// Applied seq and log position.
    pub fn applied(&self) -> (u64, u64) {
        (self.superblock.applied_seq, self.superblock.applied_log)
    }

    /// Whether readers are sent to the as-of path.
    pub fn is_behind(&self) -> bool {
        self.superblock.behind != BEHIND_NOT
    }

    /// A reader in this process.
    pub fn open_reader(&self) -> TableReader {
        self.inserter.shared.reader.clone()
    }

    /// What the table takes and holds.
    pub fn stats(&self) -> TableStats {
        let shared = &self.inserter.shared;
        let storage = shared.storage();
        TableStats {
            keys: shared.key_count.load(Ordering::Relaxed),
            file_bytes: storage.space.file_end as u64 * 8,
            free_bytes: (storage.space.free_words() + storage.heap.free_words()) as u64 * 8,
            lost_bytes: self.superblock.lost_words.saturating_mul(8),
            damage_count: shared.damage_count.load(Ordering::Relaxed),
        }
    }

    /// Writes the older superblock and the live words.
    pub(super) fn publish(&mut self) {
        let shared = &self.inserter.shared;
        let words = shared.words();
        let block = &mut self.superblock;
        if shared.reader.is_retired() {
            // For ever, whoever says that this table has every row: another bears its name and gets the commits.
            block.behind = BEHIND_RETIRED;
        }
        block.generation += 1;
        block.key_count = shared.key_count.load(Ordering::Relaxed);
        block.directory = words[LIVE_DIRECTORY].load(Ordering::Relaxed);
        {
            let storage = shared.storage();
            block.used_end = storage.space.used_end as u64;
            block.file_end = storage.space.file_end as u64;
            block.free_words = (storage.space.free_words() + storage.heap.free_words()) as u64;
        }
        let slot = usize::from(block.generation % 2 == 1);
        let live = LiveState { applied_seq: block.applied_seq, applied_log: block.applied_log, behind: block.behind };
        let store = |at: usize, values: &[u64]| {
            for (word, value) in words[at..].iter().zip(values) {
                word.store(*value, Ordering::Release);
            }
        };
        // A reader believes a file by its superblock, and asks the live words whether it has every row: what lacks some is
        // called so before it is believed.
        if block.behind != BEHIND_NOT {
            store(LIVE_STATE, &live.encode());
        }
        store(SUPERBLOCKS_AT[slot], &block.encode(slot));
        if block.behind == BEHIND_NOT {
            store(LIVE_STATE, &live.encode());
        }
    }
}

fn new_shared(reader: TableReader, path: &Path, space: Space, heap: Heap, keys: u64) -> Shared {
    Shared {
        reader,
        path: path.to_path_buf(),
        storage: Mutex::new(Storage { space, heap }),
        key_count: AtomicU64::new(keys),
        damage_count: AtomicU64::new(0),
    }
}

fn count_keys(shared: &Shared) -> Result<u64> {
    let directory = shared.directory()?;
    let mut keys = 0_u64;
    let mut last = None;
    for i in 0..directory.len() {
        let hash = if directory.depth == 0 { 0 } else { (i as u64) << (64 - directory.depth) };
        let shard = shared.shard(hash)?;
        if last != Some(shard) {
            // A damaged count says what it likes.
            keys = shared.count(shard).load(Ordering::Relaxed).saturating_add(keys);
            last = Some(shard);
        }
    }
    Ok(keys)
}
