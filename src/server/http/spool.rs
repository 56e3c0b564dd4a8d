//! What is too long for memory: a body on its way in, an answer on its way out, in a file that goes with the request.

use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::body::Unread;
use super::media::EXTENSIONS;
use super::options::HttpOptions;
use super::problem::Problem;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

/// So much of a file is sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A file may take so much memory at once, while it is read batch by batch.
pub(super) const BATCH_BYTES_MAX: u64 = 1 << 30;
/// What is read as a whole may take so many times as much memory as its body may be long.
const TIMES_DECODED: u64 = 8;

/// How folders of requests are called, before the process and a number.
const PREFIX: &str = "asof-http-";

/// A folder that is there until it is dropped; there are so many at a time, and no more.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// Who holds its lock is there still.
    _lock: File,
    _place: OwnedSemaphorePermit,
}

impl Spool {
    /// A new one, that nobody else may look into.
    ///
    /// # Errors
    /// 503: there are too many. The disk refuses.
    pub(super) fn new(shared: &Shared) -> Result<Spool, Problem> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Ok(place) = Arc::clone(&shared.spools).try_acquire_owned() else {
            let why = format!("{} requests keep files already; ask again", shared.options.spools_max);
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder = shared.options.spool_folder.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => {
                    let lock = lock(&folder).map_err(|error| {
                        // Nothing is in it yet.
                        let _ = fs::remove_dir(&folder);
                        Error::io("lock the folder", &folder, error)
                    })?;
                    return Ok(Spool { folder, _lock: lock, _place: place });
                }
                // Of a process that was killed, and had this number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("make the folder", &folder, error).into()),
            }
        }
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes a file of it that is done with.
    pub(super) fn remove(&self, path: &Path) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "a file of a request could not be removed");
        }
    }

    /// An error, with files of the spool called what they are to the caller. A body that is damaged is the caller's mistake.
    pub(super) fn problem(&self, error: Error) -> Problem {
        // As a query says it.
        let mut text = error.to_string().replace("--bad-rows quarantine", "bad_rows=quarantine");
        let mut is_of_body = false;
        for (name, is) in [("body", "the body"), ("answer", "the answer")] {
            for extension in EXTENSIONS {
                let path = self.file(&format!("{name}.{extension}"));
                if text.contains(&*path.to_string_lossy()) {
                    is_of_body |= name == "body";
                    text = text.replace(&*path.to_string_lossy(), is);
                }
            }
        }
        match error.kind() {
            ErrorKind::Damaged if is_of_body => Problem::mistake(text),
            _ => Problem { detail: text, ..Problem::from(error) },
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Long files take their time.
        tokio::task::block_in_place(|| {
            if let Err(error) = fs::remove_dir_all(&self.folder) {
                tracing::warn!(%error, folder = %self.folder.display(), "a folder of a request could not be removed");
            }
        });
    }
}

/// Removes folders of processes that were killed.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_spool = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_spool || !entry.file_type().is_ok_and(|kind| kind.is_dir()) || may_be_locked_soon(&entry) {
            continue;
        }
        // Those of other users cannot be locked or removed, and are not.
        if let Ok(_lock) = lock(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether a folder may have been made just now by a process that is there, and not be locked yet.
fn may_be_locked_soon(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
    let is_there = process.is_some_and(|process| Path::new("/proc").join(process).exists());
    let age = entry.metadata().and_then(|about| about.modified()).map(|made| made.elapsed().unwrap_or_default());
    is_there && age.is_ok_and(|age| age < Duration::from_secs(60))
}

/// The lock of a folder, which goes with its process however that ends.
fn lock(folder: &Path) -> std::io::Result<File> {
    let opened = File::open(folder)?;
    opened.try_lock()?;
    Ok(opened)
}

/// So much memory may a body take that is read as a whole.
pub(super) fn whole_bytes_max(options: &HttpOptions) -> u64 {
    TIMES_DECODED.saturating_mul(options.body_bytes_max as u64)
}

/// Writes all of a body into a file.
///
/// # Errors
/// It is too long, stands still or takes too long, or ends before its end; the disk refuses.
pub(super) async fn receive(body: Body, path: &Path, options: &HttpOptions, bytes_max: u64) -> Result<(), Problem> {
    match tokio::time::timeout(options.stream_time, receive_all(body, path, options, bytes_max)).await {
        Ok(done) => done,
        Err(_) => {
            let why = format!("the body was not there after {:?}", options.stream_time);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

async fn receive_all(mut body: Body, path: &Path, options: &HttpOptions, bytes_max: u64) -> Result<(), Problem> {
    let failed = |error| Error::io("keep the body", path, error);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut length = 0_u64;
    while let Some(frame) = next_frame(&mut body, options.body_time).await? {
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > bytes_max {
            let why = format!("the body is longer than {bytes_max} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        // Into the system's memory, mostly.
        tokio::task::block_in_place(|| file.write_all(&data)).map_err(failed)?;
    }
    Ok(())
}

async fn next_frame(body: &mut Body, patience: Duration) -> Result<Option<Frame<Bytes>>, Unread> {
    match tokio::time::timeout(patience, body.frame()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(Some(Err(error))) => Err((StatusCode::BAD_REQUEST, format!("the body could not be read: {error}"))),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, format!("nothing of the body came for {patience:?}"))),
    }
}

/// A file of a spool as the body of an answer.
pub(super) struct FileBody {
    file: File,
    rest: u64,
    /// When whoever takes it has had long enough.
    deadline: Instant,
    /// Around the file's lines, which become the elements of an array.
    array: Option<Array>,
    /// Goes with the answer.
    _spool: Spool,
}

/// JSON Lines on their way to be a JSON array.
struct Array {
    head: Vec<u8>,
    tail: &'static [u8],
}

impl FileBody {
    /// The file as it is, to be taken within so long.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn new(spool: Spool, path: &Path, time: Duration) -> Result<FileBody> {
        let open = || -> std::io::Result<(File, u64)> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, rest) = open().map_err(|error| Error::io("open", path, error))?;
        Ok(FileBody { file, rest, deadline: Instant::now() + time, array: None, _spool: spool })
    }

    /// A file of JSON Lines as an array, between `head` and `tail`.
    pub(super) fn into_array(mut self, head: Vec<u8>, tail: &'static [u8]) -> FileBody {
        self.array = Some(Array { head, tail });
        self
    }

    fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        if self.rest > 0 && Instant::now() > self.deadline {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        let mut chunk = Vec::new();
        if let Some(array) = &mut self.array {
            chunk.append(&mut array.head);
        }
        let before = chunk.len();
        let count = self.rest.min(CHUNK_BYTES as u64);
        (&self.file).take(count).read_to_end(&mut chunk)?;
        if (chunk.len() - before) as u64 != count {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.rest -= count;
        if let Some(array) = &self.array {
            // Within a line of JSON a line end cannot stand.
            chunk[before..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
            if self.rest == 0 {
                if chunk.len() > before {
                    // The last line ends the array.
                    chunk.pop();
                }
                chunk.extend_from_slice(array.tail);
                self.array = None;
            }
        }
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        // Mostly the system still has it in memory.
        Poll::Ready(tokio::task::block_in_place(|| self.next()).map(|chunk| chunk.map(Frame::data)).transpose())
    }
}
