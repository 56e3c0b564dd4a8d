//! The data files below a folder.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::kind::FileKind;
use super::temporary::parent_of;
use crate::error::{Error, Result};

const LINK_WAY_OUT: &str = "remove the link, or give it a name that begins with _, which is left out";

/// What lies below a folder.
pub(super) struct FolderFiles {
    /// Every file of a known format, in the order of their paths.
    pub files: VecDeque<PathBuf>,
    /// The folders they were looked for in, as they are really called.
    real_folders: HashSet<PathBuf>,
}

/// Looks for files of a known format below `folder`. Names that begin with `.` or `_` are somebody's bookkeeping and left out.
///
/// # Errors
/// A folder cannot be listed; a link leads nowhere, or to what is read already.
pub(super) fn files_of_folder(folder: &Path) -> Result<FolderFiles> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut has_links = false;
    // Links could lead round and round.
    let mut entered = Entered::new("folder");
    while let Some(folder) = folders.pop() {
        let trouble = |error| Error::io("list", &folder, error);
        entered.enter(&folder)?;
        for entry in fs::read_dir(&folder).map_err(trouble)? {
            let entry = entry.map_err(trouble)?;
            if is_bookkeeping(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            let (is_folder, is_link) = look_at(&entry)?;
            has_links |= is_link;
            if is_folder {
                folders.push(path);
            } else if FileKind::of_path(&path).is_some() {
                found.push(path);
            }
        }
    }
    found.sort();
    if has_links {
        let mut entered = Entered::new("file");
        found.iter().try_for_each(|file| entered.enter(file))?;
    }
    Ok(FolderFiles { files: found.into(), real_folders: entered.names.into_keys().collect() })
}

/// Every file of a known format below a folder, as an import of it finds them, in the order of their paths.
///
/// # Errors
/// As an import of it.
#[cfg(feature = "http")]
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(files_of_folder(folder)?.files.into())
}

/// Where each file or folder really is, and what it was called on the way there.
struct Entered {
    what: &'static str,
    names: HashMap<PathBuf, PathBuf>,
}

impl Entered {
    fn new(what: &'static str) -> Entered {
        Entered { what, names: HashMap::new() }
    }

    /// # Errors
    /// It was entered by another name.
    fn enter(&mut self, path: &Path) -> Result<()> {
        let real = fs::canonicalize(path).map_err(|error| Error::io("look at", path, error))?;
        let Some(other) = self.names.insert(real, path.to_path_buf()) else { return Ok(()) };
        let what = format!("is the same {} as {}: its rows would be read twice", self.what, other.display());
        Err(Error::invalid(what).at(path.display()).remedy(LINK_WAY_OUT))
    }
}

/// Whether it is a folder, or a link to one, and whether it is a link. What a link without an end was to lead to nobody can say:
/// rows may be missing.
fn look_at(entry: &fs::DirEntry) -> Result<(bool, bool)> {
    let path = entry.path();
    let about = entry.file_type().map_err(|error| Error::io("look at", &path, error))?;
    if !about.is_symlink() {
        return Ok((about.is_dir(), false));
    }
    fs::metadata(&path).map(|about| (about.is_dir(), true)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::not_found("the link leads nowhere").at(path.display()).remedy(LINK_WAY_OUT),
        _ => Error::io("follow the link", &path, error),
    })
}

fn is_bookkeeping(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(['.', '_'])
}

/// Whether [`open_source`](super::open_source) of `path` reads `file`, or would if it were there: what is written to it takes the
/// place of what is read, or becomes a part of it. Links are followed, of either.
///
/// # Errors
/// A folder cannot be listed.
pub fn reads_file(path: &Path, file: &Path) -> Result<bool> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let to_be = || Some(real(parent_of(file))?.join(file.file_name()?));
    let (Some(path), Some(file)) = (real(path), real(file).or_else(to_be)) else { return Ok(false) };
    if !path.is_dir() {
        return Ok(path == file);
    }
    let found = files_of_folder(&path)?;
    let is_read = |name: &OsStr| !is_bookkeeping(name) && FileKind::of_path(&file).is_some();
    // It lies in a folder that is listed, or a link leads to it.
    Ok(found.real_folders.contains(parent_of(&file)) && file.file_name().is_some_and(is_read)
        || found.files.iter().any(|found| real(found).as_ref() == Some(&file)))
}
