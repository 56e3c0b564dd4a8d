//! LMDB as a peer.

#![expect(unsafe_code, reason = "heed leaves it to its caller that nobody else changes the file")]

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, PutFlags, RoTxn, WithTls};

use crate::rows::{bytes_of, key_of};

/// An LMDB file's only database.
pub struct Lmdb<'e> {
    env: &'e Env<WithTls>,
    rows: Database<'e, Bytes, Bytes>,
}

/// Opens the folder of an LMDB, made first if need be.
pub fn open(folder: &Path) -> heed::Result<Env<WithTls>> {
    std::fs::create_dir_all(folder)?;
    // SAFETY: the folder is this run's own, and is opened once.
    unsafe { EnvOpenOptions::new().map_size(64 << 30).open(folder) }
}

impl<'e> Lmdb<'e> {
    /// The database in `env`, made first if need be.
    pub fn new(env: &'e Env<WithTls>) -> heed::Result<Lmdb<'e>> {
        let rows = env.create_databases_and_commit(env.write_txn()?, |databases, txn| {
            databases.create_database(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(Lmdb { env, rows: rows.unwrap_commit() })
    }

    /// Loads entities 0 to `count`, in the order of their keys, as LMDB likes it best.
    pub fn load(&self, count: u64) -> heed::Result<()> {
        let mut keys: Vec<[u8; 16]> = (0..count).map(key_of).collect();
        keys.sort_unstable();
        for part in keys.chunks(1 << 20) {
            let mut txn = self.env.write_txn()?;
            for key in part {
                let number = u64::from_be_bytes(*key.last_chunk().expect("16 bytes"));
                self.rows.put_with_flags(&mut txn, PutFlags::APPEND, key, &bytes_of(number))?;
            }
            txn.commit()?;
        }
        Ok(())
    }

    /// Begins to read.
    pub fn read(&self) -> heed::Result<RoTxn<'e, WithTls>> {
        self.env.read_txn()
    }

    /// The bytes of a key, where they lie.
    #[inline]
    pub fn get<'t>(&self, txn: &'t RoTxn<'_, WithTls>, key: &[u8; 16]) -> heed::Result<Option<&'t [u8]>> {
        self.rows.get(txn, key)
    }
}
