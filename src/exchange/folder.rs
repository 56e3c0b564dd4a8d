//! The data files below a folder.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::kind::FileKind;
use super::temporary::parent_of;
use crate::error::{Error, Result};

const LINK_WAY_OUT: &str = "remove the link, or give it a name that begins with _, which is left out";

/// Every file of a known format below `folder`, in the order of their paths. Names that begin with
/// `.` or `_` are somebody's bookkeeping and left out.
///
/// # Errors
/// A folder cannot be listed; a link leads nowhere, or to a folder that is read already.
pub(super) fn files_of_folder(folder: &Path) -> Result<VecDeque<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    // Where each folder really is: links could lead round and round.
    let mut entered: HashMap<PathBuf, PathBuf> = HashMap::new();
    while let Some(folder) = folders.pop() {
        let trouble = |error| Error::io("list", &folder, error);
        if let Some(other) = entered.insert(fs::canonicalize(&folder).map_err(trouble)?, folder.clone()) {
            let what = format!("is the same folder as {}: its rows would be read twice", other.display());
            return Err(Error::invalid(what).at(folder.display()).remedy(LINK_WAY_OUT));
        }
        for entry in fs::read_dir(&folder).map_err(trouble)? {
            let entry = entry.map_err(trouble)?;
            if is_bookkeeping(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            if is_folder(&entry)? {
                folders.push(path);
            } else if FileKind::of_path(&path).is_some() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found.into())
}

/// Whether it is a folder, or a link to one. What a link without an end was to lead to nobody can say: rows may be missing.
fn is_folder(entry: &fs::DirEntry) -> Result<bool> {
    let path = entry.path();
    let about = entry.file_type().map_err(|error| Error::io("look at", &path, error))?;
    if !about.is_symlink() {
        return Ok(about.is_dir());
    }
    fs::metadata(&path).map(|about| about.is_dir()).map_err(|error| match error.kind() {
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
    let mut below = file.strip_prefix(&path).into_iter().flatten();
    if file.starts_with(&path) && FileKind::of_path(&file).is_some() && !below.any(is_bookkeeping) {
        return Ok(true);
    }
    // A link in the folder may lead to it.
    Ok(files_of_folder(&path)?.iter().any(|found| real(found).as_ref() == Some(&file)))
}
