//! Files that nothing names: what a crash left, or somebody put there.

use super::{Check, MADE_ANEW, Severity};
use crate::engine::orphans::{Place, Unnamed, history_folders, log_folder, quarantine_folder, store_folder, unnamed};
use crate::engine::picture::Picture;
use crate::error::Result;

impl Check<'_> {
    pub(super) fn leftovers(&mut self, picture: &Picture) -> Result<()> {
        let (quarantine, place, set_aside) = quarantine_folder(&*self.disk, &self.dir)?;
        // Rows that were set aside are no part of the store: their files are read, and nothing else is asked of them.
        set_aside.iter().for_each(|path| self.read(path));
        if self.is_written_to() {
            // A run on its way, a file about to be renamed: its writer knows.
            self.report
                .passed_over
                .push("a process writes to the store: files that nothing names yet are its own".into());
            return Ok(());
        }
        let mut folders = history_folders(&self.dir, picture);
        folders.extend([store_folder(&self.dir), log_folder(&*self.disk, &self.dir)?]);
        folders.push((quarantine, place, set_aside));
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
