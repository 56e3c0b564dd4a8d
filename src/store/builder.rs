//! How a store is opened, and stores for tests.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::background::{Background, Threads};
use super::control::{Client, Server};
use super::{Store, WeakStore, Writes};
use crate::disk::{Disk, RealDisk};
use crate::engine::check::{CheckProgress, CheckReport, check_store};
use crate::engine::commit::SYNC_BESIDE_ROWS_MIN;
use crate::engine::{Engine, EngineOptions, Reads};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Durability, MAX_FUTURE_SKEW_US_DEFAULT, Sizes};
use crate::text::without_password;
use crate::time::{Clock, SystemClock};

/// Log segments of a temporary store.
const TEMPORARY_SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Settings for opening a store.
#[derive(Clone)]
pub struct StoreBuilder {
    durability: Durability,
    sizes: Sizes,
    max_future_skew_us: i64,
    clock: Arc<dyn Clock>,
    /// The operating system's when absent.
    disk: Option<Arc<dyn Disk>>,
    background: bool,
    /// Decided by disk and threads when absent.
    sync_beside_rows_min: Option<u64>,
    listen: bool,
}

impl Default for StoreBuilder {
    fn default() -> Self {
        StoreBuilder {
            durability: Durability::default(),
            sizes: Sizes::default(),
            max_future_skew_us: MAX_FUTURE_SKEW_US_DEFAULT,
            clock: Arc::new(SystemClock),
            disk: None,
            background: true,
            sync_beside_rows_min: None,
            listen: true,
        }
    }
}

impl StoreBuilder {
    /// When a write counts as done.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sizes of segments, files and memory.
    #[must_use]
    pub fn sizes(mut self, sizes: Sizes) -> Self {
        self.sizes = sizes;
        self
    }

    /// How far ahead of the clock an event timestamp may lie, in microseconds.
    #[must_use]
    pub fn max_future_skew_us(mut self, us: i64) -> Self {
        self.max_future_skew_us = us;
        self
    }

    /// Where `now` comes from.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The file system the store lives on.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Whether a thread of the store's seals full log segments, merges runs, builds lost tables and keeps the interval
    /// of [`Durability::Interval`]. Without it an interval is kept by syncing each write, tables are built while the
    /// store is opened, and [`Store::compact`] is the caller's to call.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Has groups of so many rows or more synced on a thread of its own while the committer makes ready what comes after the
    /// sync, on a disk of the caller's too. For tests: otherwise that is so on the operating system's disk, for groups that
    /// gain by it, and never on one that a test steps through.
    #[doc(hidden)]
    #[must_use]
    pub fn sync_beside(mut self, rows_min: u64) -> Self {
        self.sync_beside_rows_min = Some(rows_min);
        self
    }

    /// Whether commands of other processes of the same user may write through this one, over `control.sock` in the store's
    /// folder; true by default. Never on a [`StoreBuilder::disk`] of the caller's.
    #[must_use]
    pub fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    fn the_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone().unwrap_or_else(|| Arc::new(RealDisk))
    }

    /// The store's folder, wherever the process goes afterwards.
    fn place(&self, path: &Path) -> Result<PathBuf> {
        if self.disk.is_some() {
            return Ok(path.to_path_buf());
        }
        std::path::absolute(path).map_err(|source| Error::io("find", path, source))
    }

    /// Opens the store in `path` for writing; makes one where there is nothing yet.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = &self.place(path.as_ref())?;
        let has_sync_thread = self.background && self.disk.is_none();
        let by_default = has_sync_thread.then_some(SYNC_BESIDE_ROWS_MIN);
        let options = EngineOptions {
            durability: self.durability,
            max_future_skew_us: self.max_future_skew_us,
            syncs_in_background: self.background,
            sync_beside_rows_min: self.sync_beside_rows_min.or(by_default),
            command: command_line(),
            sizes: self.sizes.clone(),
        };
        let engine = Arc::new(Engine::open(self.the_disk(), path, options, Arc::clone(&self.clock))?);
        let mut upkeep = None;
        if self.background {
            upkeep = Some(Threads::start(&engine, self.durability)?);
        } else {
            engine.build_tables_or_warn();
        }
        let store = WeakStore {
            engine: Arc::downgrade(&engine),
            has_upkeep: self.background,
            clock: Arc::clone(&self.clock),
            max_future_skew_us: self.max_future_skew_us,
        };
        let listens = self.listen && self.disk.is_none();
        let server = if listens { Some(Server::start(store, path)?) } else { None };
        let has_threads = upkeep.is_some() || server.is_some();
        Ok(Store {
            background: has_threads.then(|| Arc::new(Background::new(server, upkeep))),
            has_upkeep: self.background,
            reads: Arc::clone(engine.reads()),
            writes: Writes::Here(engine),
            clock: self.clock,
            max_future_skew_us: self.max_future_skew_us,
        })
    }

    /// Opens the store in `path` for reading, beside the process that writes to it or without one. It sees what
    /// is committed as it is committed; it writes nothing and keeps nobody from writing.
    ///
    /// # Errors
    /// There is no store; it is damaged, or of a newer format.
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_beside(path.as_ref(), Writes::Nowhere)
    }

    /// Opens the store in `path` for writing, or, where another process holds it that listens, for reading beside it, with
    /// writes, imports, deletes, definitions and snapshots sent to that process.
    ///
    /// # Errors
    /// As [`Store::open`]; `Locked`: another process holds the store and does not listen.
    pub fn open_or_forward(self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_or_connect(path.as_ref(), Client::connect)
    }

    fn open_or_connect(self, path: &Path, mut connect: impl FnMut(&Path) -> Result<Option<Client>>) -> Result<Store> {
        let mut is_last = false;
        loop {
            match self.clone().open(path) {
                Err(error) if error.kind() == ErrorKind::Locked && self.disk.is_none() => match connect(path)? {
                    Some(holder) => return self.open_beside(path, Writes::There(Arc::new(holder))),
                    None if is_last => return Err(error),
                    // Whoever held the store may have ended in between, or not have begun to listen.
                    None => is_last = true,
                },
                opened => return opened,
            }
        }
    }

    fn open_beside(self, path: &Path, writes: Writes) -> Result<Store> {
        let path = &self.place(path)?;
        Ok(Store {
            background: None,
            has_upkeep: false,
            reads: Arc::new(Reads::open(self.the_disk(), path, self.sizes.table_reserve_bytes)?),
            writes,
            clock: self.clock,
            max_future_skew_us: self.max_future_skew_us,
        })
    }

    /// Checks the store in `path` without opening it: as [`Store::check`], and for a store that no longer opens too.
    ///
    /// # Errors
    /// `path` holds no store, or one of a newer format; the disk refuses to read. `Locked`: as [`Store::check`].
    pub fn check(&self, path: impl AsRef<Path>, progress: &mut dyn FnMut(CheckProgress)) -> Result<CheckReport> {
        check_store(&self.the_disk(), path.as_ref(), progress)
    }

    /// A store in a new temporary folder, which is removed when it is dropped. Its log segments are of 4 MiB at most: they are
    /// allocated when they are made, and a test has many stores with few rows each.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written to.
    pub fn temporary(mut self) -> Result<TemporaryStore> {
        self.listen = false;
        self.sizes.segment_bytes = self.sizes.segment_bytes.min(TEMPORARY_SEGMENT_BYTES_MAX);
        let folder = Folder::new()?;
        let store = self.clone().open(folder.0.join("store"))?;
        Ok(TemporaryStore { store, folder, builder: self })
    }
}

/// How this process was started, for people: arguments need not be UTF-8, and passwords are nobody's business.
fn command_line() -> String {
    let shown = |argument: std::ffi::OsString| without_password(&argument.to_string_lossy()).into_owned();
    let arguments: Vec<_> = std::env::args_os().map(shown).collect();
    arguments.join(" ")
}

/// A store for a test, gone when it is dropped: closed then, for clones and handles too.
pub struct TemporaryStore {
    store: Store,
    folder: Folder,
    builder: StoreBuilder,
}

struct Folder(PathBuf);

impl Folder {
    /// A new one. What a process of the same number left that was killed is passed over.
    fn new() -> Result<Folder> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("asof-{}-{number}", std::process::id()));
            match std::fs::create_dir(&folder) {
                Ok(()) => return Ok(Folder(folder)),
                Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::io("make a temporary folder", &folder, source)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to the system's care of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl TemporaryStore {
    /// Closes the store and opens it again, as a new process would. Clones and handles made before fail from then on.
    ///
    /// # Errors
    /// As [`Store::close`]. As [`Store::open`]: `Locked` while a clone or an import of it is left. After an error the store is a
    /// closed one, and `reopen` can be tried again.
    pub fn reopen(&mut self) -> Result<()> {
        self.end()?;
        self.store = self.builder.clone().open(self.path())?;
        Ok(())
    }

    /// Whatever comes of it, the store is closed then, and nothing here holds LOCK.
    fn end(&mut self) -> Result<()> {
        let closed = self.store.close();
        self.store.reads.close();
        self.store.background = None;
        self.store.writes = Writes::Closed;
        closed
    }

    /// The store's directory.
    pub fn path(&self) -> PathBuf {
        self.folder.0.join("store")
    }
}

impl Deref for TemporaryStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for TemporaryStore {
    fn drop(&mut self) {
        // What could not be closed in order goes with its folder.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_holder_that_ends_before_it_is_asked_leaves_the_store_to_who_asks() {
        let mut store = Store::temporary().unwrap();
        let path = store.path();
        let builder = Store::builder().background(false).listen(false);
        // It ends between the refusal and the connection, of which then nobody is at the other end.
        let mut asked = 0;
        let opened = builder.clone().open_or_connect(&path, |_| {
            asked += 1;
            store.end().unwrap();
            Ok(None)
        });
        assert!(matches!(opened.unwrap().writes, Writes::Here(_)));
        assert_eq!(asked, 1);
        // One that stays and does not listen is told of.
        let holder = builder.clone().open(&path).unwrap();
        let error = builder.open_or_connect(&path, |_| Ok(None)).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        drop(holder);
    }

    #[test]
    fn a_holder_that_does_not_answer_is_not_waited_for_without_end() {
        let store = Store::temporary().unwrap();
        let path = store.path();
        // It listens, and takes no call up: as one that was stopped.
        let _listener = UnixListener::bind(path.join("control.sock")).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn({
            let path = path.clone();
            move || told.send(Client::connect_patient(&path, Duration::from_millis(20)).map(drop))
        });
        let error =
            heard.recv_timeout(Duration::from_secs(60)).expect("it waits for a greeting without end").unwrap_err();
        let holder = format!("pid {}", std::process::id());
        assert!(error.to_string().contains("does not answer") && error.to_string().contains(&holder), "{error}");
        assert_eq!(error.kind(), ErrorKind::Locked);
    }

    #[test]
    fn folders_that_a_killed_process_left_are_passed_over() {
        let first = Store::temporary().unwrap();
        let name = first.path().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let number: u64 = name.rsplit('-').next().unwrap().parse().unwrap();
        // Other tests take numbers meanwhile: some of these are met.
        let left: Vec<PathBuf> = (number + 1..number + 200)
            .map(|number| std::env::temp_dir().join(format!("asof-{}-{number}", std::process::id())))
            .filter(|folder| std::fs::create_dir(folder).is_ok())
            .collect();
        let made = Store::temporary();
        for folder in &left {
            std::fs::remove_dir(folder).unwrap();
        }
        assert!(!left.is_empty());
        made.unwrap();
    }

    #[test]
    fn a_holder_that_ends_while_it_is_spoken_to_leaves_the_store_to_who_asks() {
        // It got an error of the connection, of a store that anybody could open.
        let mut store = Store::temporary().unwrap();
        let path = store.path();
        let listener = UnixListener::bind(path.join("control.sock")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let spoken_to = listener.accept().unwrap();
                store.end().unwrap();
                drop(spoken_to);
            });
            let opened = Store::builder().background(false).listen(false).open_or_forward(&path);
            assert!(matches!(opened.unwrap().writes, Writes::Here(_)));
        });
    }
}
