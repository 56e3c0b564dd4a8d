//! What HEAD and MANIFEST say, and the log they speak of, all of one time.

use std::sync::Arc;

use super::{Check, MADE_ANEW, RESTORE, Severity};
use crate::disk::MapAccess;
use crate::engine::outlived::is_outlived;
use crate::engine::reads::log_place;
use crate::error::{Error, ErrorKind, Result};
use crate::head::{self, Head, HeadState, Trust};
use crate::identity::Identity;
use crate::latest::Beside;
use crate::manifest;
use crate::registry::RegistryState;
use crate::tail::TailSegment;

/// Writers may come and go, or seal the log, this often while it is read.
const ATTEMPTS_MAX: usize = 20;

/// What HEAD says, and how far that can be believed.
type Said = (HeadState, Trust);

/// A store's records, and the rows of its log that lie in none of the runs these name.
pub(super) struct Published {
    pub state: Arc<RegistryState>,
    pub tail: Vec<Arc<TailSegment>>,
    /// Rows up to this number are committed.
    pub seq: u64,
    /// Whose its tables are.
    pub beside: Beside,
}

impl Check<'_> {
    /// Reads HEAD, MANIFEST and the log; `None` where no MANIFEST can be read. Segments that are sealed meanwhile lie in
    /// runs that a newer MANIFEST names: it is taken instead, and everything is read again.
    pub(super) fn published(&mut self, identity: &Identity) -> Result<Option<Published>> {
        let before = self.report.clone();
        for _ in 0..ATTEMPTS_MAX {
            let (head, loaded) = self.head_and_manifest(identity)?;
            self.note_head(head);
            let Some(state) = self.passed(manifest::FILE_NAME, loaded)? else { return Ok(None) };
            let Some(state) = state else {
                let remedy = "open the store for writing once: it is published again out of registry.redb";
                self.problem(Severity::Damage, manifest::FILE_NAME, "it is missing", remedy);
                return Ok(None);
            };
            self.read(manifest::FILE_NAME.as_ref());
            let said = head.and_then(|(said, trust)| (trust != Trust::Untrusted).then_some(said));
            if said.is_some_and(|said| said.manifest_generation > state.generation()) {
                let generation = state.generation();
                let what = format!("it is of generation {generation}, and HEAD says that a newer one was committed");
                self.problem(Severity::Damage, manifest::FILE_NAME, what, RESTORE);
            }
            let state = Arc::new(state);
            if let Some((tail, seq)) = self.log(identity, &state, said.as_ref())? {
                let has_writer = said.is_some_and(|said| !said.is_clean);
                let beside = if has_writer { Beside::Writer } else { Beside::Nobody { committed_seq: seq } };
                return Ok(Some(Published { state, tail, seq, beside }));
            }
            self.report = before.clone();
        }
        Err(Error::new(ErrorKind::Locked, "the log is sealed more often than it can be read")
            .at(self.dir.display())
            .remedy("check the store while less is written to it"))
    }

    /// What HEAD says, where there is one, and a MANIFEST that was read after it and so is as new. A HEAD that the store has
    /// outlived is not trusted.
    fn head_and_manifest(&self, identity: &Identity) -> Result<(Option<Said>, Result<Option<RegistryState>>)> {
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
    fn note_head(&mut self, head: Option<Said>) {
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
