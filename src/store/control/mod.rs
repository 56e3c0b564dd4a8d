//! `control.sock`: calls of other processes of the same user, carried to the one that writes.
//!
//! What is carried are `Store` calls, not command lines: a client reads its own files under its own rights and sends
//! rows. One call at a time a connection; whoever vanishes before the commit leaves nothing.

mod client;
mod server;
mod wire;

pub(super) use client::{Client, RemoteImport};
pub(super) use server::Server;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Definitions;
use crate::error::{Error, Result};
use crate::request::{BulkOptions, DeleteOptions, WriteOptions};

/// The socket's name in the store directory.
const SOCKET_NAME: &str = "control.sock";

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
enum Call {
    /// Makes the store match the definitions.
    Apply { definitions: Definitions, prune: bool },
    /// The batch that follows, into a view.
    Write { view: String, options: WriteOptions },
    /// A delete row of an encoded entity key.
    Delete { view: String, key: Vec<u8>, options: DeleteOptions },
    /// Names the present state of knowledge.
    Snapshot { name: String },
    /// Copies the features that an older version shares.
    ImportVersion { view: String, from_version: u32 },
    /// Seals the log and merges runs.
    Compact,
    /// Begins an import; the calls below are about it.
    Import { view: String, options: BulkOptions },
    /// Whether the ledger has a file of this content.
    WasImported { digest: String },
    /// Batches belong to this file from here on.
    BeginFile { path: String },
    /// The file is whole.
    EndFile { digest: String, rows_unread: u64 },
    /// A file that is not read.
    SkipFile { path: String },
    /// Where rows are set aside.
    QuarantineFile,
    /// The batch that follows belongs to the import.
    Batch,
    /// Ends the import.
    Commit,
}

/// The socket in a store's folder, which is kept open: it is found wherever the process goes, and whatever the folder's path.
#[derive(Debug)]
struct Socket {
    folder: File,
    dir: PathBuf,
}

impl Socket {
    fn of(dir: &Path) -> Result<Socket> {
        let folder = File::open(dir).map_err(|source| Error::io("open", dir, source))?;
        Ok(Socket { folder, dir: dir.to_path_buf() })
    }

    /// A path that is short enough for a socket's address.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", self.folder.as_raw_fd()))
    }

    /// An error about it, by the path that the caller knows.
    fn error(&self, doing: &str, source: std::io::Error) -> Error {
        Error::io(doing, &self.dir.join(SOCKET_NAME), source)
    }
}
