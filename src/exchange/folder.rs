//! The data files below a folder.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::kind::FileKind;
use super::temporary::parent_of;
use crate::error::{Error, Result};

/// Every file of a known format below `folder`, in the order of their paths. Names that begin with
/// `.` or `_` are somebody's bookkeeping and left out.
pub(super) fn files_of_folder(folder: &Path) -> Result<VecDeque<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let trouble = |error| Error::io("list", &folder, error);
        for entry in fs::read_dir(&folder).map_err(trouble)? {
            let entry = entry.map_err(trouble)?;
            // A link to a folder could lead back here; only real folders are entered.
            if is_bookkeeping(&entry.file_name()) {
                continue;
            } else if entry.file_type().map_err(trouble)?.is_dir() {
                folders.push(entry.path());
            } else if FileKind::of_path(&entry.path()).is_some() && entry.path().is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found.into())
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
