//! Files that nothing names: what a crash left, or somebody put there.

use std::path::PathBuf;

use super::{Check, MADE_ANEW, Severity};
use crate::engine::picture::{Picture, history_folder};
use crate::error::Result;
use crate::history::{index_path, run_path};
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
        let state = &picture.state;
        let own = [identity::FILE_NAME, lock::FILE_NAME, head::FILE_NAME, registry::FILE_NAME, manifest::FILE_NAME];
        let mut known: Vec<PathBuf> = own.iter().chain(&OTHERS).map(|name| self.dir.join(name)).collect();
        known.extend(state.clocks().map(|clock| self.dir.join(&clock.file_name)));
        for view in picture.views.values() {
            known.push(self.dir.join("latest").join(view.record.dir_name()));
            let folder = history_folder(&self.dir, &view.record);
            for run in &view.runs {
                known.extend([run_path(&folder, run.record.id), index_path(&folder, run.record.id)]);
            }
            known.push(folder);
        }
        let is_written_to = self.is_written_to();
        let mut folders = vec![self.dir.clone(), self.dir.join("history"), self.dir.join("latest")];
        folders.extend(picture.views.values().map(|view| history_folder(&self.dir, &view.record)));
        for folder in folders {
            let names = match self.disk.list(&folder) {
                Err(error) if error.is_missing_file() => continue,
                names => names?,
            };
            for path in names.into_iter().map(|name| folder.join(name)).filter(|path| !known.contains(path)) {
                if is_written_to {
                    // A run on its way, a file about to be renamed: its writer knows.
                    continue;
                }
                let remedy = if folder == self.dir {
                    "it is no file of a store; move it elsewhere".to_owned()
                } else {
                    format!("a crash left it; {}", MADE_ANEW.replace("made anew", "removed"))
                };
                self.problem(Severity::Leftover, &path, "nothing names it", remedy);
            }
        }
        self.quarantine()?;
        if is_written_to {
            self.report
                .passed_over
                .push("a process writes to the store: files that nothing names yet are its own".into());
        }
        Ok(())
    }
}
