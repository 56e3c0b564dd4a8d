//! `control.sock`: calls of other processes of the same user, carried to the one that writes.
//!
//! What is carried are `Store` calls, not command lines: a client reads its own files under its own rights and sends
//! rows. One call at a time a connection; whoever vanishes before the commit leaves nothing.
//!
//! The first message of each side is a [`Hello`], the holder's first: both must speak one [`PROTOCOL_VERSION`], so that nobody
//! takes in half of what the other asks for. Then calls and answers follow in turns (`wire` has their bytes). What cannot be
//! understood is answered, and ends the connection.

mod calls;
mod client;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use client::{Client, RemoteImport};
pub(super) use server::Server;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Definitions;
use crate::error::{Error, Result};
use crate::registry::records::KeyRecord;
use crate::request::{BulkOptions, DeleteOptions, WriteOptions};

/// The socket's name in the store directory.
const SOCKET_NAME: &str = "control.sock";

/// Raised by every change, from the first release on, of what is sent: a [`Call`], an answer, anything in them.
const PROTOCOL_VERSION: u32 = 1;

/// Who speaks. Every release can read that of any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    release: String,
}

impl Hello {
    fn ours() -> Hello {
        Hello { protocol: PROTOCOL_VERSION, release: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// # Errors
    /// `Refused`: the two sides do not speak one version.
    fn check(holder: &Hello, client: &Hello) -> Result<()> {
        if holder.protocol == client.protocol {
            return Ok(());
        }
        let side = |hello: &Hello| format!("asof {} (version {})", hello.release, hello.protocol);
        let (holder, client) = (side(holder), side(client));
        Err(Error::refused(format!(
            "the store is held by {holder} and the call is of {client}, which do not understand each other; nothing was done"
        ))
        .remedy("use one release of asof for both, or stop the process that holds the store"))
    }
}

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum Call {
    /// Makes the store match the definitions.
    Apply { definitions: Definitions, prune: bool },
    /// The batch that follows, into a view.
    Write { view: String, options: WriteOptions },
    /// A delete row of an encoded entity key.
    Delete { view: String, key: Vec<u8>, options: DeleteOptions },
    /// Names the present state of knowledge.
    Snapshot { name: String },
    /// Keeps an API key that the client made: its digest, not the key.
    AddKey { record: KeyRecord },
    /// Ends an API key, by id or name.
    RevokeKey { key: String },
    /// Copies the features that an older version shares.
    ImportVersion { view: String, from_version: u32 },
    /// Seals the log and merges runs.
    Compact,
    /// Begins an import; the calls below are about it.
    Import { view: String, options: BulkOptions },
    /// Whether the ledger has a file of this content, as imported when the view was `without` these features.
    WasImported { digest: String, without: Vec<String> },
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
