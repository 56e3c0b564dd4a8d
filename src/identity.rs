//! The STORE file: which store this is, and what it takes to read it. Written once, when the store
//! is made, and never again.
//!
//! It is the last file that making a store writes. A folder without it is no store, whatever else
//! lies there, and a creation cut short leaves files that the next attempt replaces.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{Disk, OpenMode, atomic_write};
use crate::error::{Error, ErrorKind, Result};

/// The file's name in the store directory.
pub const FILE_NAME: &str = "STORE";
/// Marks a STORE file.
pub const MAGIC: [u8; 8] = *b"asofSTOR";
/// The store format this release writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The required feature of a store that rows of the keyspace were written to.
pub const FEATURE_KEYSPACE: u64 = 1;
/// The required feature of a store of which a view was truncated.
pub const FEATURE_TRUNCATES: u64 = 2;
/// Features without which a store cannot be read rightly, one bit each, that this release knows.
pub const REQUIRED_FEATURES_KNOWN: u64 = FEATURE_KEYSPACE | FEATURE_TRUNCATES;
/// The file's length. Every later version keeps these bytes as they are and may add more.
pub const IDENTITY_BYTES: usize = 64;

const VERSION_AT: usize = 8;
const ZERO_AT: usize = 12;
const REQUIRED_AT: usize = 16;
const OPTIONAL_AT: usize = 24;
const UUID_AT: usize = 32;
const HASH_SEED_AT: usize = 48;
const CHECKSUM_AT: usize = 56;
const _: () = assert!(CHECKSUM_AT + 8 == IDENTITY_BYTES);

/// What a creation that was cut short may have left, beside [`TEMPORARY_NAMES`]. None of it can hold a row: the folders
/// that do are made after STORE is written.
const UNFINISHED_NAMES: [&str; 4] = ["HEAD", "LOCK", "MANIFEST", "registry.redb"];
/// Files of a store's own folder on their way to another name. Who writes one has the right to make or open the store.
pub const TEMPORARY_NAMES: [&str; 4] = ["HEAD.tmp", "MANIFEST.tmp", "STORE.tmp", "registry.redb.new"];

/// Which store this is, and what it takes to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Features a reader must know.
    pub required_features: u64,
    /// Features a reader may ignore.
    pub optional_features: u64,
    /// Tells this store from every other.
    pub uuid: [u8; 16],
    /// Seeds the key hash and the log's checksums.
    pub hash_seed: u64,
}

impl Identity {
    /// The identity of a new store, out of the system's random numbers.
    ///
    /// # Errors
    /// The system gives none.
    pub fn random() -> Result<Identity> {
        let path = Path::new("/dev/urandom");
        let mut bytes = [0; 24];
        std::fs::File::open(path)
            .and_then(|mut source| source.read_exact(&mut bytes))
            .map_err(|source| Error::io("reading random numbers", path, source))?;
        let mut uuid: [u8; 16] = word(&bytes, 0);
        // The two marks of a random (version 4) UUID.
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Ok(Identity::new(uuid, u64::from_le_bytes(word(&bytes, 16))))
    }

    /// An identity of this release's features.
    pub fn new(uuid: [u8; 16], hash_seed: u64) -> Identity {
        Identity { required_features: 0, optional_features: 0, uuid, hash_seed }
    }

    /// The uuid as it is written: hyphenated, in lower case.
    pub fn uuid_text(&self) -> impl fmt::Display {
        UuidText(self.uuid)
    }

    /// The file's bytes.
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut out = [0; IDENTITY_BYTES];
        out[..VERSION_AT].copy_from_slice(&MAGIC);
        out[VERSION_AT..ZERO_AT].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[REQUIRED_AT..OPTIONAL_AT].copy_from_slice(&self.required_features.to_le_bytes());
        out[OPTIONAL_AT..UUID_AT].copy_from_slice(&self.optional_features.to_le_bytes());
        out[UUID_AT..HASH_SEED_AT].copy_from_slice(&self.uuid);
        out[HASH_SEED_AT..CHECKSUM_AT].copy_from_slice(&self.hash_seed.to_le_bytes());
        let checksum = xxh3_64(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a file's bytes. `path` is for messages.
    ///
    /// # Errors
    /// `Refused` when this is something else, `Damaged`, or `NewerFormat` when this release must not touch the store.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Identity> {
        let Some(head) = bytes.first_chunk::<IDENTITY_BYTES>() else {
            return Err(damaged(path, format!("{} bytes long, expected {IDENTITY_BYTES}", bytes.len())));
        };
        if head[..VERSION_AT] != MAGIC {
            return Err(damaged(path, "it does not begin as a STORE file does".to_owned()));
        }
        // The checksum comes before the version: a flipped bit must not read as a newer release's work.
        let (expected, found) = (u64::from_le_bytes(word(head, CHECKSUM_AT)), xxh3_64(&head[..CHECKSUM_AT]));
        if expected != found {
            return Err(damaged(path, format!("checksum {found:#018x}, expected {expected:#018x}")));
        }
        let version = u32::from_le_bytes(word(head, VERSION_AT));
        if version > FORMAT_VERSION {
            return Err(Error::new(
                ErrorKind::NewerFormat,
                format!(
                    "the store has format version {version}, and this release of asof reads up to {FORMAT_VERSION}"
                ),
            )
            .at(path.display())
            .remedy("upgrade asof"));
        }
        if version == 0 || u32::from_le_bytes(word(head, ZERO_AT)) != 0 || bytes.len() != IDENTITY_BYTES {
            return Err(damaged(path, "impossible header".to_owned()));
        }
        let required_features = u64::from_le_bytes(word(head, REQUIRED_AT));
        let unknown = required_features & !REQUIRED_FEATURES_KNOWN;
        if unknown != 0 {
            return Err(Error::new(
                ErrorKind::NewerFormat,
                format!(
                    "the store has format version {version} with features {unknown:#x}, and this release of asof \
                     reads format version {FORMAT_VERSION} without them"
                ),
            )
            .at(path.display())
            .remedy("upgrade asof"));
        }
        Ok(Identity {
            required_features,
            optional_features: u64::from_le_bytes(word(head, OPTIONAL_AT)),
            uuid: word(head, UUID_AT),
            hash_seed: u64::from_le_bytes(word(head, HASH_SEED_AT)),
        })
    }

    /// Writes STORE: from here on the folder is a store.
    ///
    /// # Errors
    /// The file could not be made durable.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        atomic_write(disk, dir, FILE_NAME, &self.encode())
    }

    /// Says in STORE that a feature is required, durably. In place: the file is one sector, which a medium writes whole or not at
    /// all, and is locked by whoever has the store open.
    ///
    /// # Errors
    /// The disk fails; STORE says what it said, or that the feature is required.
    pub fn require(&self, disk: &dyn Disk, dir: &Path, feature: u64) -> Result<()> {
        let required = Identity { required_features: self.required_features | feature, ..*self };
        let file = disk.open(&file_path(dir), OpenMode::Write)?;
        file.write_at(0, &required.encode())?;
        file.sync()
    }

    /// Reads the STORE of an existing store.
    ///
    /// # Errors
    /// `NotFound` when the folder is no store; otherwise as [`Identity::parse`].
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Identity> {
        let path = file_path(dir);
        let read = || -> Result<Vec<u8>> {
            let file = disk.open(&path, OpenMode::Read)?;
            // More than a later version will ever need, and no more than it takes to say no.
            let len = file.len_bytes()?.min(4_096);
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(IDENTITY_BYTES)];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Identity::parse(&bytes, &path),
            Err(error) if error.is_missing_file() => {
                Err(Error::not_found(format!("{} is no asof store", dir.display()))
                    .remedy("make one with asof init, then asof apply"))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the folder is a store already.
///
/// # Errors
/// `Refused` where a file stands in its place; the disk would not say.
pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    disk.exists(&file_path(dir)).map_err(|error| match error.io_kind() {
        Some(std::io::ErrorKind::NotADirectory) => {
            Error::refused(format!("{} is a file, and no asof store", dir.display()))
                .remedy("choose an empty folder, or a name that is not taken")
        }
        _ => error,
    })
}

/// Checks that a store may be made in `dir`: it is missing, empty, or holds only what a creation that
/// was cut short left behind.
///
/// # Errors
/// `Refused`, when a store is there or anything else is.
pub fn check_vacant(disk: &dyn Disk, dir: &Path) -> Result<()> {
    if !disk.exists(dir)? {
        return Ok(());
    }
    let names = disk.list(dir)?;
    if names.iter().any(|name| name == FILE_NAME) {
        return Err(Error::refused(format!("{} is an asof store already", dir.display())));
    }
    match names.iter().find(|name| !UNFINISHED_NAMES.iter().chain(&TEMPORARY_NAMES).any(|own| own == name)) {
        None => Ok(()),
        Some(name) => {
            Err(Error::refused(format!("{} is not empty and is no asof store: it holds {name}", dir.display()))
                .remedy("choose an empty folder, or a name that is not taken"))
        }
    }
}

fn file_path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

fn damaged(path: &Path, what: String) -> Error {
    Error::damaged(path, what)
        .remedy("put it back from a copy of the store's folder; the data beside it is not touched")
}

/// `N` bytes at `offset`, which the caller knows to be there.
fn word<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

struct UuidText([u8; 16]);

impl fmt::Display for UuidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;

    fn sample() -> Identity {
        Identity::new(*b"0123456789abcdef", 0x1122_3344_5566_7788)
    }

    fn store() -> (MemDisk, &'static Path) {
        let (disk, dir) = (MemDisk::new(), Path::new("/store"));
        disk.create_dir(dir).unwrap();
        (disk, dir)
    }

    fn touch(disk: &MemDisk, path: &Path) {
        disk.open(path, OpenMode::Create).unwrap();
    }

    fn with_checksum(mut bytes: [u8; IDENTITY_BYTES]) -> [u8; IDENTITY_BYTES] {
        let checksum = xxh3_64(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let (disk, dir) = store();
        assert!(!exists(&disk, dir).unwrap());
        sample().write(&disk, dir).unwrap();
        assert!(exists(&disk, dir).unwrap());
        assert_eq!(Identity::read(&disk, dir).unwrap(), sample());
        assert_eq!(sample().uuid_text().to_string(), "30313233-3435-3637-3839-616263646566");
    }

    #[test]
    fn two_new_stores_are_two() {
        let (one, other) = (Identity::random().unwrap(), Identity::random().unwrap());
        assert_ne!(one.uuid, other.uuid);
        assert_ne!(one.hash_seed, other.hash_seed);
        assert_eq!(one.uuid[6] >> 4, 4);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage_and_never_a_newer_release() {
        let (bytes, path) = (sample().encode(), Path::new("STORE"));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes;
                flipped[at] ^= 1 << bit;
                assert_eq!(Identity::parse(&flipped, path).unwrap_err().kind(), ErrorKind::Damaged, "{at}.{bit}");
            }
            assert_eq!(Identity::parse(&bytes[..at], path).unwrap_err().kind(), ErrorKind::Damaged, "cut at {at}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Identity::parse(&longer, path).unwrap_err().kind(), ErrorKind::Damaged);
    }

    #[test]
    fn a_newer_store_is_refused_with_both_versions_and_the_way_out() {
        let mut bytes = sample().encode();
        bytes[VERSION_AT] = 3;
        // A later version may be longer; that much of it is still understood.
        let newer = [with_checksum(bytes).as_slice(), b"more"].concat();
        let error = Identity::parse(&newer, Path::new("STORE")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat);
        assert_eq!(
            error.to_string(),
            "STORE: the store has format version 3, and this release of asof reads up to 1; upgrade asof"
        );
    }

    #[test]
    fn an_unknown_required_feature_is_refused_and_an_optional_one_is_not() {
        let required = Identity { required_features: 1 << 5, ..sample() };
        let error = Identity::parse(&required.encode(), Path::new("STORE")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat);
        assert!(error.to_string().contains("features 0x20"), "{error}");
        let optional = Identity { optional_features: 1 << 5, ..sample() };
        assert_eq!(Identity::parse(&optional.encode(), Path::new("STORE")).unwrap(), optional);
    }

    #[test]
    fn a_folder_that_is_no_store_says_how_to_make_one() {
        let (disk, dir) = store();
        for dir in [dir, Path::new("/nowhere")] {
            let error = Identity::read(&disk, dir).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let expected = format!("{} is no asof store; make one with asof init, then asof apply", dir.display());
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_store_is_made_only_where_nothing_of_anybody_is() {
        let (disk, dir) = store();
        check_vacant(&disk, Path::new("/nowhere")).unwrap();
        check_vacant(&disk, dir).unwrap();
        for name in UNFINISHED_NAMES.into_iter().chain(TEMPORARY_NAMES) {
            touch(&disk, &dir.join(name));
        }
        check_vacant(&disk, dir).unwrap();
        touch(&disk, &dir.join("thesis.tex"));
        let error = check_vacant(&disk, dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("it holds thesis.tex"), "{error}");
        sample().write(&disk, dir).unwrap();
        assert!(check_vacant(&disk, dir).unwrap_err().to_string().contains("is an asof store already"));
    }

    /// STORE lost out of a store with rows is no reason to make a new store on top of them.
    #[test]
    fn folders_that_can_hold_rows_are_no_leftovers() {
        let (disk, dir) = store();
        disk.create_dir(&dir.join("log")).unwrap();
        assert_eq!(check_vacant(&disk, dir).unwrap_err().kind(), ErrorKind::Refused);
    }
}
