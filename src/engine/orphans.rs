//! What lies in the store's folders and nothing names: what a crash or a failed build left, which goes when the store is
//! next opened for writing, and what somebody else put there, which stays.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::picture::{Picture, history_folder};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::keyspace::VIEW_ID;
use crate::history::{index_path, run_path};
use crate::keyspace::checkpoint;
use crate::latest::Table;
use crate::log::segment_of_name;
use crate::{head, identity, lock, manifest, registry};

/// Sorted pieces of an import under way.
const SCRATCH_PREFIX: &str = "scratch-";
const CLOCK_PREFIX: &str = "commits-";
/// Rows that an import set aside, and the file of them while it is written.
const SET_ASIDE_SUFFIX: &str = ".jsonl";
const SETTING_ASIDE_SUFFIX: &str = ".jsonl.tmp";
/// What a store's own folder holds for good.
const STORE_NAMES: [&str; 10] = [
    identity::FILE_NAME,
    lock::FILE_NAME,
    head::FILE_NAME,
    registry::FILE_NAME,
    manifest::FILE_NAME,
    "control.sock",
    "log",
    "history",
    "latest",
    "quarantine",
];

/// The file in `history/` with the times of the commits in the log up to a segment.
pub(super) fn clock_name(last_segment: u32) -> String {
    format!("{CLOCK_PREFIX}{last_segment:010}")
}

/// A view's folder of sorted pieces, by a number that no run has.
pub(super) fn scratch_name(number: u64) -> String {
    format!("{SCRATCH_PREFIX}{number}")
}

/// A folder in which files are the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `history/`, for its clock files.
    History,
    /// A view's folder there.
    View,
    /// `latest/`.
    Latest,
    /// The store's own.
    Store,
    /// `quarantine/`.
    Quarantine,
    /// `log/`.
    Log,
}

impl Place {
    /// Whether the store gives such names here: to a folder, or to a file.
    fn gives(self, name: &str, is_folder: bool) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Of ten digits and more: one of fewer is somebody's.
        let is_padded = |text: &str| text.len() >= 10 && is_number(text);
        match self {
            Place::View if is_folder => name.strip_prefix(SCRATCH_PREFIX).is_some_and(is_number),
            _ if is_folder => false,
            Place::History => {
                let name = name.strip_suffix(".tmp").unwrap_or(name);
                name.strip_prefix(CLOCK_PREFIX).is_some_and(is_padded)
            }
            Place::View => {
                let stem = name.strip_suffix(".arrow").or_else(|| name.strip_suffix(".idx"));
                stem.is_some_and(is_padded)
            }
            Place::Latest if name == checkpoint::TEMPORARY_NAME => true,
            // ID-NAME@V
            Place::Latest => name.split_once('-').is_some_and(|(id, rest)| {
                is_number(id) && rest.rsplit_once('@').is_some_and(|(_, version)| is_number(version))
            }),
            Place::Store => identity::TEMPORARY_NAMES.contains(&name),
            // RUN-VIEW
            Place::Quarantine => name
                .strip_suffix(SETTING_ASIDE_SUFFIX)
                .and_then(|stem| stem.split_once('-'))
                .is_some_and(|(run, view)| is_padded(run) && !view.is_empty()),
            // Which segments count, the log knows.
            Place::Log => false,
        }
    }
}

/// Something that nothing names.
pub(super) struct Unnamed {
    pub path: PathBuf,
    /// The store left it; otherwise it is somebody else's.
    pub is_orphan: bool,
}

/// What lies in a folder besides what is `named`; nothing where there is no folder.
///
/// # Errors
/// The disk would not say.
pub(super) fn unnamed(disk: &dyn Disk, folder: &Path, place: Place, named: &[PathBuf]) -> Result<Vec<Unnamed>> {
    let names = match disk.list(folder) {
        Err(error) if error.is_missing_file() => Vec::new(),
        names => names?,
    };
    let named: HashSet<&PathBuf> = named.iter().collect();
    let others = names.into_iter().map(|name| (folder.join(&name), name)).filter(|(path, _)| !named.contains(path));
    let judged = others.map(|(path, name)| {
        let is_orphan = place.gives(&name, disk.list(&path).is_ok());
        Unnamed { path, is_orphan }
    });
    Ok(judged.collect())
}

/// Removes the orphans of a folder, each by `removing`, and says what else is there.
///
/// # Errors
/// The disk would not say, or one could not be removed.
fn remove_unnamed(
    disk: &dyn Disk,
    folder: &Path,
    place: Place,
    named: &[PathBuf],
    removing: impl Fn(&Path) -> Result<()>,
) -> Result<()> {
    for Unnamed { path, is_orphan } in unnamed(disk, folder, place, named)? {
        if is_orphan {
            removing(&path)?;
        } else {
            tracing::warn!(path = %path.display(), "it is no file of the store, and is left alone");
        }
    }
    Ok(())
}

/// The folders of history, and what the registry names in each.
pub(super) fn history_folders(store: &Path, picture: &Picture) -> Vec<(PathBuf, Place, Vec<PathBuf>)> {
    let clocks = picture.state.clocks().map(|clock| store.join(&clock.file_name));
    let views = picture.views.values().map(|view| history_folder(store, &view.record));
    let mut folders = vec![(store.join("history"), Place::History, clocks.chain(views).collect())];
    for view in picture.views.values() {
        let folder = history_folder(store, &view.record);
        let ids = view.runs.iter().map(|run| run.record.id);
        let named = ids.flat_map(|id| [run_path(&folder, id), index_path(&folder, id)]).collect();
        folders.push((folder, Place::View, named));
    }
    folders
}

/// The folder of what is derived: latest tables, and the keyspace's checkpoint where there is a keyspace.
pub(super) fn latest_folder(store: &Path, picture: &Picture) -> (PathBuf, Place, Vec<PathBuf>) {
    let latest = store.join("latest");
    let views = picture.views.values().filter(|view| view.record.has_table() || view.record.id == VIEW_ID);
    let named = views.map(|view| latest.join(view.record.dir_name())).collect();
    (latest, Place::Latest, named)
}

/// The store's own folder, and what is to be in it.
pub(super) fn store_folder(store: &Path) -> (PathBuf, Place, Vec<PathBuf>) {
    (store.to_path_buf(), Place::Store, STORE_NAMES.iter().map(|name| store.join(name)).collect())
}

/// The folder of rows that were set aside, and their files.
///
/// # Errors
/// The disk would not say.
pub(super) fn quarantine_folder(disk: &dyn Disk, store: &Path) -> Result<(PathBuf, Place, Vec<PathBuf>)> {
    folder_of(disk, store.join("quarantine"), Place::Quarantine, |name| name.ends_with(SET_ASIDE_SUFFIX))
}

/// The folder of the log, and its segments.
///
/// # Errors
/// The disk would not say.
pub(super) fn log_folder(disk: &dyn Disk, store: &Path) -> Result<(PathBuf, Place, Vec<PathBuf>)> {
    folder_of(disk, store.join("log"), Place::Log, |name| segment_of_name(name).is_some())
}

/// A folder whose files are the store's by their names.
fn folder_of(
    disk: &dyn Disk,
    folder: PathBuf,
    place: Place,
    is_named: impl Fn(&str) -> bool,
) -> Result<(PathBuf, Place, Vec<PathBuf>)> {
    let names = match disk.list(&folder) {
        Err(error) if error.is_missing_file() => Vec::new(),
        names => names?,
    };
    let named = names.iter().filter(|name| is_named(name)).map(|name| folder.join(name)).collect();
    Ok((folder, place, named))
}

/// Removes a file into which rows were being set aside, unless somebody still writes it: an import through a process that held
/// the store does not know at once that it is gone.
fn remove_unless_written(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.try_lock(path)? {
        Some(_nobodys) => disk.remove(path),
        None => Ok(()),
    }
}

/// Removes a table that no view has any more. No commit goes into it: where it cannot be written to, whoever has it open need not be told.
fn remove_table(disk: &dyn Disk, path: &Path) -> Result<()> {
    Table::remove_file(disk, path).or_else(|error| disk.remove(path).map_err(|_| error))
}

/// For what nothing depends on: where it cannot be removed it stays.
fn removed_or_left(path: &Path, removed: Result<()>) -> Result<()> {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "a leftover cannot be removed, and stays");
    }
    Ok(())
}

/// Removes what a crash left and the registry does not name. Only at open, when nothing is being built.
///
/// # Errors
/// The disk would not say, or one could not be removed. Those of `latest/` and `quarantine/` are left then.
pub(super) fn remove_orphans(disk: &dyn Disk, store: &Path, picture: &Picture) -> Result<()> {
    let (folder, place, named) = store_folder(store);
    remove_unnamed(disk, &folder, place, &named, |path| disk.remove(path))?;
    let (folder, place, named) = log_folder(disk, store)?;
    remove_unnamed(disk, &folder, place, &named, |path| disk.remove(path))?;
    let (folder, place, named) = quarantine_folder(disk, store)?;
    remove_unnamed(disk, &folder, place, &named, |path| removed_or_left(path, remove_unless_written(disk, path)))?;
    for (folder, place, named) in history_folders(store, picture) {
        remove_unnamed(disk, &folder, place, &named, |path| match disk.list(path) {
            Ok(pieces) => {
                pieces.iter().try_for_each(|piece| disk.remove(&path.join(piece)))?;
                disk.remove_dir(path)
            }
            Err(_) => disk.remove(path),
        })?;
    }
    let (folder, place, named) = latest_folder(store, picture);
    remove_unnamed(disk, &folder, place, &named, |path| {
        let is_table = !path.ends_with(checkpoint::FILE_NAME) && !path.ends_with(checkpoint::TEMPORARY_NAME);
        removed_or_left(path, if is_table { remove_table(disk, path) } else { disk.remove(path) })
    })
}
