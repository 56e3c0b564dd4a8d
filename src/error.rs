//! The one error type: what is wrong, where, and what to do about it.

use std::fmt;
use std::path::Path;

use arrow_schema::ArrowError;
use serde::{Deserialize, Serialize};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about a file that is damaged or missing and is never changed: a copy of any day has it.
pub(crate) const RESTORE_FILE: &str = "put the file back from a copy of the store's folder; without one its rows are lost, \
    and asof export saves the views that asof check does not name";
/// What to do about damage to what goes on from commit to commit.
pub(crate) const RESTORE_STORE: &str = "put a copy of the store's whole folder in its place and write again what came after \
    the copy; without one, what cannot be read is lost";
/// What to do about a MANIFEST that is lost while registry.redb is sound.
pub(crate) const PUBLISH_AGAIN: &str =
    "open the store for writing once, as asof apply does: MANIFEST is published again out of registry.redb";

/// What to do after a change that the disk failed within.
pub(crate) const LOOK_FIRST: &str =
    "whether it took place shows when the store is opened again: look before doing it once more";
/// What an error of a full disk says, unless something of the write was kept after all.
const NOTHING_KEPT: &str = "nothing of this write was kept";

/// Whether this process, or all of them, have too many files open. There is no kind for it.
fn is_too_many_open_files(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|number| [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&number))
}

/// What sort of trouble an [`Error`] is. Callers branch on it; people read the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input is wrong: a type, a name, a missing column, a timestamp out of range.
    Invalid,
    /// A name that nothing answers to: a view, a feature, a service, a snapshot, a file.
    NotFound,
    /// The request is understood and refused: an incompatible change, a folder that is no store.
    Refused,
    /// Another process holds the store for writing.
    Locked,
    /// The bytes on disk are not what was written.
    Damaged,
    /// The store was written by a newer release.
    NewerFormat,
    /// The disk has no room for the write; nothing of it was kept.
    NoSpace,
    /// An earlier write could not be made durable, and this writer accepts no more; or the store was closed.
    Poisoned,
    /// The operating system refused an operation.
    Io,
}

/// What went wrong, where, and what to do.
///
/// `Display` prints the three parts in that order, separated by semicolons.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    what: String,
    place: Option<String>,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `what` is a clause without a full stop.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Error(Box::new(Parts { kind, what: what.into(), place: None, remedy: None, source: None }))
    }

    /// The caller's input is wrong.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// Nothing goes by that name.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, what)
    }

    /// Understood, and refused.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, what)
    }

    /// Bytes on disk that are not what was written.
    pub fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, what).at(path.display())
    }

    /// An operation of the operating system that failed on `path`.
    pub fn io(what: impl Into<String>, path: &Path, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            std::io::ErrorKind::FileTooLarge => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        let is_limit = source.kind() == std::io::ErrorKind::FileTooLarge;
        let mut error = Self::new(kind, format!("{}: {source}", what.into())).at(path.display());
        if kind == ErrorKind::NoSpace {
            let way_out = if is_limit { "raise the limit on the size of files (ulimit -f)" } else { "free some space" };
            error = error.remedy(format!("{way_out}; {NOTHING_KEPT}"));
        }
        match source.kind() {
            std::io::ErrorKind::PermissionDenied => {
                error = error.remedy("look who owns it and its folder (ls -ld), and run asof as a user who may");
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                error = error.remedy("the file system takes no writes: choose a folder on another one");
            }
            _ if is_too_many_open_files(&source) => {
                error = error.remedy("let processes open more files (ulimit -n), or close some");
            }
            _ => {}
        }
        error.0.source = Some(Box::new(source));
        error
    }

    /// What a reader of batches failed with: this crate's error where it is one of its own, else `what` and the reader's words.
    pub(crate) fn of_reader(error: ArrowError, what: &str) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => Error::invalid(format!("{what}: {other}")),
            },
            other => Error::invalid(format!("{what}: {other}")),
        }
    }

    /// Says where: a file, a view, a row. A place set earlier stays, as the more exact one.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let place = place.to_string();
        self.0.place = Some(match self.0.place.take() {
            Some(inner) if inner.strip_prefix(&place).is_some_and(|rest| rest.is_empty() || rest.starts_with(": ")) => {
                inner
            }
            Some(inner) => format!("{place}: {inner}"),
            None => place,
        });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// For a change of which something was kept, or may have been: that is not [`ErrorKind::NoSpace`], whatever the disk said, and
    /// `outcome` follows what is to be done about the disk.
    #[must_use]
    pub(crate) fn with_outcome(mut self, outcome: &str) -> Self {
        if self.0.kind == ErrorKind::NoSpace {
            self.0.kind = ErrorKind::Io;
        }
        let way_out = self.0.remedy.take().unwrap_or_default();
        let way_out = way_out.strip_suffix(NOTHING_KEPT).unwrap_or(&way_out).trim_end_matches("; ");
        let remedy = if way_out.is_empty() { outcome.to_owned() } else { format!("{way_out}; {outcome}") };
        self.remedy(remedy)
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The sort of trouble.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without the place and the way out.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// Where it went wrong.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What to do.
    pub fn way_out(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// Where and what, for an error that has this one as its cause and a way out of its own.
    pub(crate) fn as_cause(&self) -> String {
        match &self.0.place {
            Some(place) => format!("{place}: {}", self.0.what),
            None => self.0.what.clone(),
        }
    }

    fn io_source(&self) -> Option<&std::io::Error> {
        self.0.source.as_deref()?.downcast_ref()
    }

    /// The operating system's error, where one was the cause.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        self.io_source().map(std::io::Error::kind)
    }

    /// Whether the cause is that this process, or all of them, have too many files open: it says nothing of the file.
    pub(crate) fn is_too_many_open_files(&self) -> bool {
        self.io_source().is_some_and(is_too_many_open_files)
    }

    /// Whether the cause is a path that does not exist.
    pub fn is_missing_file(&self) -> bool {
        self.io_kind() == Some(std::io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_cause())?;
        if let Some(remedy) = &self.0.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// The nearest of `names` to `wanted`, where one is near enough to be meant.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(wanted);
    names
        .into_iter()
        .map(|name| {
            let letters = letters(name);
            let longer = wanted.chars().count().max(letters.chars().count());
            (strsim::damerau_levenshtein(&wanted, &letters), longer, name)
        })
        // Names of one letter each have nothing in common.
        .filter(|&(distance, longer, _)| distance == 0 || distance < longer && distance <= 1.max(longer / 3))
        .min_by_key(|&(distance, _, name)| (distance, name))
        .map(|(.., name)| name)
}

/// Shorter names are often a letter apart.
const NAME_SLIP_LETTERS_MIN: usize = 4;

/// Whether two names are one but for a slip of the keyboard, or in another way of writing. Names that differ in a number or in the last
/// letter alone tell columns apart.
pub(crate) fn is_slip(one: &str, other: &str) -> bool {
    let without_digits = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let but_the_last = |name: &str| name.chars().rev().skip(1).collect::<String>();
    let (one, other) = (letters(one), letters(other));
    one == other
        || one.chars().count().max(other.chars().count()) >= NAME_SLIP_LETTERS_MIN
            && strsim::damerau_levenshtein(&one, &other) == 1
            && without_digits(&one) != without_digits(&other)
            && but_the_last(&one) != but_the_last(&other)
}

/// Whether two names are one in another way of writing: `Temp`, `depDelay`.
pub(crate) fn is_rewritten(one: &str, other: &str) -> bool {
    letters(one) == letters(other)
}

/// What of a name does not depend on the way of writing.
fn letters(name: &str) -> String {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // Of a name without any, the signs tell.
    if letters.is_empty() { name.to_owned() } else { letters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_then_what_then_the_way_out() {
        let error = Error::invalid("wants float64, got string 'abc'")
            .at("row 12")
            .at("weather:temp")
            .remedy("mend the row, or import with --bad-rows quarantine");
        assert_eq!(
            error.to_string(),
            "weather:temp: row 12: wants float64, got string 'abc'; mend the row, or import with --bad-rows quarantine"
        );
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_cause_is_told_with_its_place_and_without_its_way_out() {
        let cause = Error::io("write", Path::new("log/1"), std::io::Error::from(std::io::ErrorKind::StorageFull));
        let told = cause.as_cause();
        assert!(cause.to_string().contains("; free some space"), "{cause}");
        assert!(told.starts_with("log/1: write: ") && !told.contains("free some space"), "{told}");
    }

    #[test]
    fn a_full_disk_has_a_kind_of_its_own() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::io("write", Path::new("log/1"), full).kind(), ErrorKind::NoSpace);
    }

    #[test]
    fn a_disk_that_was_full_within_a_change_is_not_said_to_have_kept_nothing() {
        for (kind, way_out) in [
            (std::io::ErrorKind::StorageFull, "; free some space; it may be there"),
            (std::io::ErrorKind::PermissionDenied, "as a user who may; it may be there"),
            (std::io::ErrorKind::Other, "other error; it may be there"),
        ] {
            let error = Error::io("syncing", Path::new("log/1"), kind.into()).with_outcome("it may be there");
            assert!(error.kind() == ErrorKind::Io && error.to_string().ends_with(way_out), "{error:?}");
        }
    }

    #[test]
    fn refused_permissions_have_a_way_out() {
        for (refused, way_out) in
            [(std::io::ErrorKind::PermissionDenied, "ls -ld"), (std::io::ErrorKind::ReadOnlyFilesystem, "another one")]
        {
            let error = Error::io("open", Path::new("store/LOCK"), std::io::Error::from(refused));
            assert!(error.kind() == ErrorKind::Io && error.to_string().contains(way_out), "{error}");
        }
    }

    #[test]
    fn a_limit_on_open_files_has_a_way_out() {
        let error = Error::io("open", Path::new("a.csv"), std::io::Error::from_raw_os_error(24));
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("ulimit -n"), "{error}");
    }

    #[test]
    fn the_nearest_name_is_a_slip_not_a_guess() {
        assert_eq!(nearest("wether", ["weather", "plane"]), Some("weather"));
        assert_eq!(nearest("passengers", ["weather", "plane"]), None);
        assert_eq!(nearest("x", ["a", "b"]), None);
        assert_eq!(nearest("depDelay", ["arr_delay", "dep_delay", "DEP_DELAYS"]), Some("dep_delay"));
        assert_eq!(nearest("__", ["$"]), None);
        // Names are as long as they have letters, in any script: temperature, humidity.
        let (temperature, humidity) = ("\u{6e29}\u{5ea6}", "\u{6e7f}\u{5ea6}");
        assert!(!is_slip(temperature, humidity));
        assert_eq!(nearest(temperature, ["\u{98a8}\u{901f}"]), None);
    }
}
