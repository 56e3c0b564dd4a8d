//! What HEAD and MANIFEST say, both of one time.

use super::{Check, MADE_ANEW, Severity};
use crate::disk::MapAccess;
use crate::engine::outlived::is_outlived;
use crate::engine::reads::log_place;
use crate::error::Result;
use crate::head::{self, Head, HeadState, Trust};
use crate::identity::Identity;
use crate::manifest;
use crate::registry::RegistryState;

/// Writers may come and go this often while the two are read.
const ATTEMPTS_MAX: usize = 20;

/// What HEAD says, and how far that can be believed.
type Said = (HeadState, Trust);

impl Check<'_> {
    /// What HEAD says, where there is one, and a MANIFEST that was read after it and so is as new. A HEAD that the store has
    /// outlived is not trusted.
    pub(super) fn head_and_manifest(
        &self,
        identity: &Identity,
    ) -> Result<(Option<Said>, Result<Option<RegistryState>>)> {
        let log = log_place(&self.disk, &self.dir, identity);
        let ask_head = || -> Result<Option<Said>> {
            let head = Head::open(&*self.disk, &self.dir, &identity.uuid, MapAccess::Read)?;
            Ok(head.as_ref().map(Head::read_trusted))
        };
        let mut head = ask_head()?;
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let published = manifest::load(&*self.disk, &self.dir, &identity.uuid);
            let loaded = published.and_then(|published| published.map(RegistryState::from_manifest).transpose());
            let (Some((said, trust)), Ok(Some(state))) = (head, &loaded) else { return Ok((head, loaded)) };
            if trust == Trust::Untrusted || !is_outlived(&said, state.generation(), &log)? {
                return Ok((head, loaded));
            }
            // A writer that has come since took the mark back first: what it says goes with a newer MANIFEST.
            let now = ask_head()?;
            attempts_left -= 1;
            if now == head || attempts_left == 0 {
                // A log that goes on says more, as after a power failure.
                return Ok((Some((said, Trust::Untrusted)), loaded));
            }
            head = now;
        }
    }

    /// That it was read, or is none.
    pub(super) fn note_head(&mut self, head: Option<Said>) {
        match head {
            None => self.problem(
                Severity::Derived,
                head::FILE_NAME,
                "it is missing, or is no HEAD of this store",
                MADE_ANEW,
            ),
            Some(_) => self.read(head::FILE_NAME.as_ref()),
        }
    }
}
