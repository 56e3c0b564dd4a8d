//! The side of a process that found the store held by another.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::RecordBatch;
use serde::de::DeserializeOwned;

use super::wire::{receive_answer, send_batch, send_call};
use super::{Call, Hello, Socket};
use crate::definition::Definitions;
use crate::disk::RealDisk;
use crate::engine::summary::KeySummary;
use crate::error::{Error, ErrorKind, Result};
use crate::format::accept::Refusal;
use crate::lock::holder;
#[cfg(feature = "server")]
use crate::registry::records::KeyRecord;
use crate::registry::records::SnapshotRecord;
use crate::request::{BulkOptions, DeleteOptions, WriteOptions};
use crate::store::{DeleteReport, ImportReport, WriteReport};

/// Whoever holds a store greets at once, unless it was stopped or has no descriptor left for one more connection.
const HELLO_WAIT: Duration = Duration::from_secs(10);

/// Knows where the holder listens; every call has a connection of its own.
#[derive(Debug)]
pub(in crate::store) struct Client {
    socket: Socket,
    hello_wait: Duration,
}

impl Client {
    /// A client of whoever holds the store in `dir`; `None` where nobody listens, or nobody any more.
    ///
    /// # Errors
    /// `Locked`: whoever listens does not answer. It speaks another version; the socket cannot be reached.
    pub fn connect(dir: &Path) -> Result<Option<Client>> {
        Client::connect_patient(dir, HELLO_WAIT)
    }

    pub(in crate::store) fn connect_patient(dir: &Path, hello_wait: Duration) -> Result<Option<Client>> {
        let client = Client { socket: Socket::of(dir)?, hello_wait };
        let is_heard = client.greet()?.is_some();
        Ok(is_heard.then_some(client))
    }

    /// A connection to a holder that speaks as this process does. `None` where nobody listens, or whoever did ended before the
    /// connection was taken up.
    fn greet(&self) -> Result<Option<UnixStream>> {
        let mut stream = match UnixStream::connect(self.socket.path()) {
            Ok(stream) => stream,
            Err(source) if matches!(source.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                return Ok(None);
            }
            Err(source) => return Err(self.socket.error("connect to", source)),
        };
        let ours = Hello::ours();
        let wait = |stream: &UnixStream, limit| {
            stream.set_read_timeout(limit).map_err(|source| self.socket.error("wait at", source))
        };
        wait(&stream, Some(self.hello_wait))?;
        let greeted = receive_answer(&mut stream).and_then(|holder: Hello| {
            Hello::check(&holder, &ours)?;
            // What is called for may take its time.
            wait(&stream, None)?;
            send_call(&mut stream, &ours)
        });
        match greeted {
            Ok(()) => Ok(Some(stream)),
            Err(error) if error.io_kind() == Some(io::ErrorKind::WouldBlock) => Err(self.is_silent()?),
            // The connection broke; what a holder says of its own comes without a cause.
            Err(error) if error.io_kind().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_silent(&self) -> Result<Error> {
        let dir = &self.socket.dir;
        let holder = holder(&RealDisk, dir)?.unwrap_or_default();
        let what = format!("{holder} holds the store for writing and does not answer; nothing was done");
        Ok(Error::new(ErrorKind::Locked, what)
            .at(dir.display())
            .remedy("continue it if it was stopped, or end it; reading works beside it"))
    }

    fn stream(&self) -> Result<UnixStream> {
        self.greet()?.ok_or_else(|| {
            Error::new(ErrorKind::Io, "the process that held the store has ended, or takes no more calls")
                .at(self.socket.dir.display())
                .remedy("nothing was done: open the store again")
        })
    }

    fn call<T: DeserializeOwned>(&self, call: &Call, batch: Option<&RecordBatch>) -> Result<T> {
        call_on(&mut self.stream()?, call, batch)
    }

    pub fn apply(&self, definitions: &Definitions, prune: bool) -> Result<()> {
        self.call(&Call::Apply { definitions: definitions.clone(), prune }, None)
    }

    pub fn write(&self, view: &str, batch: &RecordBatch, options: &WriteOptions) -> Result<WriteReport> {
        self.call(&Call::Write { view: view.to_owned(), options: options.clone() }, Some(batch))
    }

    pub fn delete(&self, view: &str, key: Vec<u8>, options: &DeleteOptions) -> Result<DeleteReport> {
        self.call(&Call::Delete { view: view.to_owned(), key, options: *options }, None)
    }

    pub fn snapshot(&self, name: &str) -> Result<SnapshotRecord> {
        self.call(&Call::Snapshot { name: name.to_owned() }, None)
    }

    #[cfg(feature = "server")]
    pub fn add_key(&self, record: KeyRecord) -> Result<KeySummary> {
        self.call(&Call::AddKey { record }, None)
    }

    pub fn revoke_key(&self, key: &str) -> Result<KeySummary> {
        self.call(&Call::RevokeKey { key: key.to_owned() }, None)
    }

    pub fn import_version(&self, view: &str, from_version: u32) -> Result<ImportReport> {
        self.call(&Call::ImportVersion { view: view.to_owned(), from_version }, None)
    }

    pub fn compact(&self) -> Result<()> {
        self.call(&Call::Compact, None)
    }

    /// Begins an import, which has a connection to itself.
    pub fn import(&self, view: &str, options: &BulkOptions) -> Result<RemoteImport> {
        let mut import = RemoteImport { stream: self.stream()?, dir: self.socket.dir.clone() };
        import.call::<()>(&Call::Import { view: view.to_owned(), options: options.clone() })?;
        Ok(import)
    }
}

fn call_on<T: DeserializeOwned>(stream: &mut UnixStream, call: &Call, batch: Option<&RecordBatch>) -> Result<T> {
    let sent = send_call(stream, call).and_then(|()| batch.map_or(Ok(()), |batch| send_batch(stream, batch)));
    match sent {
        Ok(()) => receive_answer(stream),
        // A holder that ends a connection in the middle of a message has said why.
        Err(broken) if broken.kind() == ErrorKind::Io => {
            Err(receive_answer::<()>(stream).err().filter(|why| why.kind() != ErrorKind::Io).unwrap_or(broken))
        }
        Err(unsent) => Err(unsent),
    }
}

/// An import under way in the holder's process; dropped before its commit, it leaves nothing.
#[derive(Debug)]
pub(in crate::store) struct RemoteImport {
    stream: UnixStream,
    dir: PathBuf,
}

impl RemoteImport {
    fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T> {
        call_on(&mut self.stream, call, None)
    }

    pub fn was_imported_without(&mut self, digest: &str, features: &[String]) -> Result<bool> {
        self.call(&Call::WasImported { digest: digest.to_owned(), without: features.to_vec() })
    }

    pub fn begin_file(&mut self, path: String) -> Result<()> {
        self.call(&Call::BeginFile { path })
    }

    pub fn end_file(&mut self, digest: String, rows_unread: u64) -> Result<()> {
        self.call(&Call::EndFile { digest, rows_unread })
    }

    pub fn skip_file(&mut self, path: String) -> Result<()> {
        self.call(&Call::SkipFile { path })
    }

    pub fn quarantine_file(&mut self) -> Result<PathBuf> {
        let path: PathBuf = self.call(&Call::QuarantineFile)?;
        // As this process calls the store's folder: the holder may stand elsewhere, and have opened a relative path.
        let name = path.file_name().ok_or_else(|| Error::invalid("the holder names no file to set rows aside in"))?;
        Ok(self.dir.join("quarantine").join(name))
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        call_on(&mut self.stream, &Call::Batch, Some(batch))
    }

    pub fn commit(mut self) -> Result<ImportReport> {
        self.call(&Call::Commit)
    }
}
