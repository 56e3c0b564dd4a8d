//! registry.redb: the records in one redb table, on a file that [`Disk`] provides.
//!
//! redb makes each commit whole or not at all. Beside the records the table holds one of ours, the
//! seal: store uuid, generation and digest of all records. It is written in the same transaction, so a file that
//! redb finds in order but that is not what we committed is noticed without MANIFEST.
//!
//! redb 4.4 answers some damaged pages with a panic: about 1 in 90 single flipped bytes of a small file. Calls
//! into it are therefore made within [`caught`], and a panic counts as damage: a store that can be rebuilt must not
//! take the caller's process down. After one, the handle is never used again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use crate::caught::caught;
use crate::disk::{Disk, OpenMode, RedbFile, memory_available_bytes};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, Records, digest};

/// The file's name in the store directory.
pub const FILE_NAME: &str = "registry.redb";
const NEW_FILE_NAME: &str = "registry.redb.new";
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// Sorts before every record's key and can be none.
const SEAL_KEY: &str = "";
/// Length of the seal: store uuid, generation, digest.
pub const SEAL_BYTES: usize = 40;
/// The whole registry is in memory anyway.
const CACHE_BYTES: usize = 1 << 20;
/// A copy of the file is made so many bytes at a time.
const COPIED_BYTES: usize = 1 << 20;

/// An open registry file.
#[derive(Debug)]
pub(super) struct RegistryFile {
    path: PathBuf,
    /// `None` once a commit failed: what the file holds is known only after it is opened again.
    database: Option<Database>,
}

impl RegistryFile {
    /// Opens the file, checks every page and reads what it holds.
    ///
    /// # Errors
    /// `NotFound` when it is missing; `Damaged` when it can be rebuilt; anything else is the disk's refusal.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16]) -> Result<(RegistryFile, Manifest)> {
        let path = dir.join(FILE_NAME);
        if !disk.exists(&path)? {
            return Err(Error::not_found("the file is missing").at(path.display()));
        }
        let file = disk.open(&path, OpenMode::Write)?;
        if file.len_bytes()? == 0 {
            // redb would make an empty file into a new database.
            return Err(Error::damaged(&path, "the file is empty"));
        }
        let (database, manifest) = open_on(RedbFile(file), &path, store_uuid)?;
        Ok((RegistryFile { path, database: Some(database) }, manifest))
    }

    /// What the file holds, which nobody has open: read out of a copy in memory, for redb writes to what it opens.
    ///
    /// # Errors
    /// As [`RegistryFile::open`].
    pub(super) fn read(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16]) -> Result<Manifest> {
        let path = dir.join(FILE_NAME);
        // Not mapped: a writer that comes meanwhile may cut it.
        let file = disk.open(&path, OpenMode::Read)?;
        let len = file.len_bytes()?;
        if len == 0 {
            return Err(Error::damaged(&path, "the file is empty"));
        }
        // The length is the file system's word, not the file's; even so a sparse giant must not end the process.
        if memory_available_bytes().is_some_and(|available| len > available) {
            return Err(Error::damaged(&path, format!("{len} bytes do not fit memory")));
        }
        let copy = InMemoryBackend::new();
        let copied = |outcome: std::io::Result<()>| outcome.map_err(|source| Error::io("copy", &path, source));
        copied(copy.set_len(len))?;
        let mut part = vec![0; COPIED_BYTES];
        for start in (0..len).step_by(COPIED_BYTES) {
            let part_len = usize::try_from(len - start).map_or(COPIED_BYTES, |left| left.min(COPIED_BYTES));
            file.read_at(start, &mut part[..part_len]).map_err(|error| match error.io_kind() {
                Some(std::io::ErrorKind::UnexpectedEof) => Error::damaged(&path, "the file was cut while it was read"),
                _ => error,
            })?;
            copied(copy.write(start, &part[..part_len]))?;
        }
        open_on(copy, &path, store_uuid).map(|(_, manifest)| manifest)
    }

    /// Makes the file anew out of `manifest`, beside the old one, and puts it in its place.
    ///
    /// # Errors
    /// The disk refuses; the old file is still in place.
    pub(super) fn rebuild(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> Result<RegistryFile> {
        let (path, new_path) = (dir.join(FILE_NAME), dir.join(NEW_FILE_NAME));
        if disk.exists(&new_path)? {
            disk.remove(&new_path)?;
        }
        let file = disk.open(&new_path, OpenMode::Create)?;
        let changes = manifest.records.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        guarded(&new_path, || {
            let database = redb::Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(RedbFile(Arc::clone(&file)))
                .map_err(|error| redb_error(&new_path, error.into()))?;
            write_all(&database, &new_path, &changes, manifest)
        })?;
        // redb synced the commit; closing wrote its own notes after that.
        file.sync()?;
        disk.rename(&new_path, &path)?;
        disk.sync_dir(dir)?;
        let (opened, found) = RegistryFile::open(disk, dir, &manifest.store_uuid)?;
        assert_eq!(found.generation, manifest.generation, "what was just written reads back");
        Ok(opened)
    }

    /// Whether no commit failed.
    pub(super) fn takes_commits(&self) -> bool {
        self.database.is_some()
    }

    /// Applies `changes`, which lead to `after`. Durable on return.
    ///
    /// # Errors
    /// Whether the change took place is unknown, except that it did so whole or not at all. The file takes no more.
    pub(super) fn commit(&mut self, changes: &BTreeMap<String, Option<Bytes>>, after: &Manifest) -> Result<()> {
        let Some(database) = self.database.take() else {
            return Err(Error::new(ErrorKind::Poisoned, "an earlier commit to the registry failed")
                .at(self.path.display())
                .remedy("close the store and open it again"));
        };
        let path = &self.path;
        self.database = Some(guarded(path, || {
            write_all(&database, path, changes, after)?;
            Ok(database)
        })?);
        Ok(())
    }
}

fn open_on(backend: impl StorageBackend, path: &Path, store_uuid: &[u8; 16]) -> Result<(Database, Manifest)> {
    guarded(path, || {
        let mut database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(backend)
            .map_err(|error| redb_error(path, error.into()))?;
        // redb believes a file that says it was closed clean; what happened to it since, only this finds.
        // What it had to repair holds our records or does not: the seal tells.
        if !database.check_integrity().map_err(|error| redb_error(path, error.into()))? {
            tracing::warn!(path = %path.display(), "redb repaired the registry");
        }
        let manifest = read_all(&database, path, store_uuid)?;
        Ok((database, manifest))
    })
}

fn write_all(
    database: &Database,
    path: &Path,
    changes: &BTreeMap<String, Option<Bytes>>,
    after: &Manifest,
) -> Result<()> {
    let seal = seal(after)?;
    let write = || -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        // Two syncs instead of one: the newest commit is then never taken for one by its checksum alone.
        transaction.set_two_phase_commit(true);
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_str(), value.as_ref())?,
                    None => table.remove(key.as_str())?,
                };
            }
            table.insert(SEAL_KEY, seal.as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    };
    write().map_err(|error| redb_error(path, error))
}

fn read_all(database: &Database, path: &Path, store_uuid: &[u8; 16]) -> Result<Manifest> {
    let read = || -> Result<(Records, Option<Vec<u8>>), redb::Error> {
        let transaction = database.begin_read()?;
        let table = transaction.open_table(RECORDS)?;
        let mut records = Records::new();
        let mut seal = None;
        for entry in table.iter()? {
            let (key, value) = entry?;
            if key.value() == SEAL_KEY {
                seal = Some(value.value().to_vec());
            } else {
                records.insert(key.value().to_owned(), Bytes::copy_from_slice(value.value()));
            }
        }
        Ok((records, seal))
    };
    let (records, seal) = read().map_err(|error| match error {
        redb::Error::TableDoesNotExist(_) => Error::damaged(path, "it holds no records"),
        error => redb_error(path, error),
    })?;
    let seal: [u8; SEAL_BYTES] = seal
        .and_then(|seal| seal.try_into().ok())
        .ok_or_else(|| Error::damaged(path, "the seal on its records is missing"))?;
    let mut generation = [0; 8];
    generation.copy_from_slice(&seal[16..24]);
    if seal[..16] != *store_uuid {
        return Err(Error::damaged(path, "it belongs to another store"));
    }
    if seal[24..] != digest(&records)?.to_le_bytes() {
        return Err(Error::damaged(path, "its records are not those that were committed"));
    }
    Ok(Manifest { store_uuid: *store_uuid, generation: u64::from_le_bytes(generation), records })
}

fn seal(manifest: &Manifest) -> Result<[u8; SEAL_BYTES]> {
    let mut seal = [0; SEAL_BYTES];
    seal[..16].copy_from_slice(&manifest.store_uuid);
    seal[16..24].copy_from_slice(&manifest.generation.to_le_bytes());
    seal[24..].copy_from_slice(&manifest.digest()?.to_le_bytes());
    Ok(seal)
}

/// Runs calls into redb; a panic in there is damage. See the head of this file.
fn guarded<T>(path: &Path, calls: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(calls)
        .unwrap_or_else(|said| Err(Error::damaged(path, format!("redb cannot make sense of the file: {said}"))))
}

fn redb_error(path: &Path, error: redb::Error) -> Error {
    match error {
        redb::Error::Io(source) if !is_damage(&source) => {
            // Mostly that of the file, which says where and what to do.
            source.downcast::<Error>().unwrap_or_else(|source| Error::io("registry", path, source))
        }
        redb::Error::UpgradeRequired(_) => Error::damaged(path, error.to_string()),
        redb::Error::Corrupted(_) | redb::Error::Io(_) | redb::Error::RepairAborted => {
            Error::damaged(path, error.to_string())
        }
        other => Error::damaged(path, other.to_string()).caused_by(other),
    }
}

/// Whether redb read beyond the end of the file, or what makes no sense.
fn is_damage(error: &std::io::Error) -> bool {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => true,
        // Beyond the end of a copy in memory; a disk's own has more to say.
        std::io::ErrorKind::InvalidInput => error.get_ref().is_none_or(|cause| !cause.is::<Error>()),
        _ => false,
    }
}
