//! redb on our files, so that it runs on every [`Disk`](super::Disk) and takes part in its faults.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use super::File;
use crate::error::{Error, Result};

/// A file for redb to keep its database in.
///
/// redb's own locks are left out: the store's lock already keeps to one writer, and no reader opens
/// the database.
#[derive(Debug)]
pub struct RedbFile(pub Arc<dyn File>);

/// redb speaks `io::Error`; ours is kept inside, text and all.
fn to_io<T>(result: Result<T>) -> io::Result<T> {
    result.map_err(|e: Error| io::Error::new(e.io_kind().unwrap_or(io::ErrorKind::Other), e))
}

impl StorageBackend for RedbFile {
    fn len(&self) -> io::Result<u64> {
        to_io(self.0.len_bytes())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        to_io(self.0.read_at(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        to_io(self.0.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        to_io(self.0.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        to_io(self.0.write_at(offset, data))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use redb::{Builder, Database, ReadableDatabase, TableDefinition};

    use super::*;
    use crate::disk::{Disk, MemDisk, OpenMode};

    const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("records");

    fn open(disk: &MemDisk, mode: OpenMode) -> Database {
        let file = disk.open(Path::new("registry.redb"), mode).unwrap();
        Builder::new().create_with_backend(RedbFile(file)).unwrap()
    }

    fn put(db: &Database, value: u64) {
        let write = db.begin_write().unwrap();
        write.open_table(TABLE).unwrap().insert("n", value).unwrap();
        write.commit().unwrap();
    }

    fn get(db: &Database) -> Option<u64> {
        let read = db.begin_read().unwrap();
        read.open_table(TABLE).ok()?.get("n").unwrap().map(|value| value.value())
    }

    #[test]
    fn redb_opens_commits_and_reopens() {
        let disk = MemDisk::new();
        let db = open(&disk, OpenMode::Create);
        put(&db, 7);
        drop(db);
        let mut db = open(&disk, OpenMode::Write);
        assert_eq!(get(&db), Some(7));
        assert!(db.check_integrity().unwrap());
    }
}
