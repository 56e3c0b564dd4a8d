//! How far an export has come: a key of the target's own, which goes with the target and is gone when the export is done.

use redis::Cmd;
use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::error::Result;

/// Where it lies. No view's name begins so.
pub(super) const CHECKPOINT_KEY: &[u8] = b"_asof:export";
/// An export that was left for so long begins anew: what it pushed is of another day.
const KEPT_S: u64 = 24 * 60 * 60;

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// The store, whose hashes the order of entities is of.
    pub store: String,
    /// The revision of its definitions.
    pub revision: u64,
    pub layout: String,
    /// Feast's name of the project.
    pub project: String,
    pub views: Vec<String>,
}

/// Everything before this was pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// A place in the views of the subject.
    pub view: usize,
    /// The first hash of a key that was not.
    pub hash: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    subject: Subject,
    place: Place,
}

/// Where an export of the same was interrupted; `None`: none was, or of something else.
///
/// # Errors
/// The target does not answer.
pub(super) fn find(target: &mut Target, subject: &Subject) -> Result<Option<Place>> {
    let mut get = redis::cmd("GET");
    get.arg(CHECKPOINT_KEY);
    let text: Option<Vec<u8>> = target.ask(&get)?;
    // What cannot be read is of no use, and is overwritten.
    let found: Option<Checkpoint> = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(found.filter(|found| found.subject == *subject).map(|found| found.place))
}

/// Says how far it is now.
pub(super) fn set(subject: &Subject, place: Place) -> Cmd {
    let text = serde_json::json!({ "subject": subject, "place": place }).to_string();
    let mut set = redis::cmd("SET");
    set.arg(CHECKPOINT_KEY).arg(text).arg("EX").arg(KEPT_S);
    set
}

/// The export is done.
pub(super) fn remove() -> Cmd {
    let mut del = redis::cmd("DEL");
    del.arg(CHECKPOINT_KEY);
    del
}
