//! Files that nothing names: what a crash left, or somebody put there.

use super::{Check, MADE_ANEW, Severity};
use crate::engine::orphans::{Place, Unnamed, history_folders, unnamed};
use crate::engine::picture::Picture;
use crate::error::Result;
use crate::{head, identity, lock, manifest, registry};

/// What a store's directory holds besides.
const OTHERS: [&str; 5] = ["log", "history", "latest", "quarantine", "control.sock"];

impl Check<'_> {
    /// Rows that were set aside are no part of the store: they are read, and what is no such file is told of.
    fn quarantine(&mut self) -> Result<()> {
        let folder = self.dir.join("quarantine");
        let names = match self.disk.list(&folder) {
            Err(error) if error.is_missing_file() => return Ok(()),
            names => names?,
        };
        for path in names.into_iter().map(|name| folder.join(name)) {
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                self.read(&path);
            } else if !self.is_written_to() {
                self.problem(Severity::Leftover, &path, "it holds no rows that were set aside", "move it elsewhere");
            }
        }
        Ok(())
    }

    pub(super) fn leftovers(&mut self, picture: &Picture) -> Result<()> {
        self.quarantine()?;
        if self.is_written_to() {
            // A run on its way, a file about to be renamed: its writer knows.
            self.report
                .passed_over
                .push("a process writes to the store: files that nothing names yet are its own".into());
            return Ok(());
        }
        let own = [identity::FILE_NAME, lock::FILE_NAME, head::FILE_NAME, registry::FILE_NAME, manifest::FILE_NAME];
        for name in self.disk.list(&self.dir)?.iter().filter(|name| !own.iter().chain(&OTHERS).any(|own| own == name)) {
            self.leftover(Unnamed { path: self.dir.join(name), is_orphan: false });
        }
        let mut folders = history_folders(&self.dir, picture);
        let latest = self.dir.join("latest");
        let tables = picture.views.values().map(|view| latest.join(view.record.dir_name())).collect();
        folders.push((latest, Place::Latest, tables));
        for (folder, place, named) in folders {
            unnamed(&*self.disk, &folder, place, &named)?.into_iter().for_each(|found| self.leftover(found));
        }
        Ok(())
    }

    fn leftover(&mut self, Unnamed { path, is_orphan }: Unnamed) {
        let remedy = if is_orphan {
            format!("a crash left it; {}", MADE_ANEW.replace("made anew", "removed"))
        } else {
            "it is no file of a store; move it elsewhere".to_owned()
        };
        self.problem(Severity::Leftover, &path, "nothing names it", remedy);
    }
}
