//! The data files below a folder.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::kind::FileKind;
use crate::error::{Error, Result};

/// Every file of a known format below `folder`, in the order of their paths. Names that begin with
/// `.` or `_` are somebody's bookkeeping and left out.
pub(super) fn files_of_folder(folder: &Path) -> Result<VecDeque<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let trouble = |error| Error::io("list", &folder, error);
        for entry in std::fs::read_dir(&folder).map_err(trouble)? {
            let entry = entry.map_err(trouble)?;
            let name = entry.file_name();
            let is_hidden = name.to_string_lossy().starts_with(['.', '_']);
            // A link to a folder could lead back here; only real folders are entered.
            if is_hidden {
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
