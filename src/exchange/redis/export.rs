//! The latest values of views into a Redis.

use std::fmt;

use redis::Cmd;

use super::checkpoint::{self, Place, Subject};
use super::feast::Feast;
use super::plain::Plain;
use super::target::Target;
use super::url::RedisUrl;
use super::{RedisLayout, selected};
use crate::engine::entities::EntityView;
use crate::error::Result;
use crate::exchange::RowProgress;
use crate::store::Store;
use crate::time::Timestamp;

/// Entities that are asked for at a time.
const PART: usize = 1 << 16;
/// A batch is sent when it holds so many entities,
const BATCH_ENTITIES: usize = 512;
/// or so many bytes of keys, fields and values.
const BATCH_BYTES: u64 = 1 << 20;
const MICROS_PER_MILLI: i64 = 1_000;

/// What to push, and how.
#[derive(Clone, Default)]
pub struct RedisExportOptions {
    /// How it is to lie there.
    pub layout: RedisLayout,
    /// Views, by name or with a version; none: all.
    pub views: Vec<String>,
    /// Taken for a cluster without asking.
    pub cluster: bool,
    /// Push everything, even where an export was interrupted.
    pub restart: bool,
    /// Told how many entities were looked at.
    pub progress: Option<RowProgress>,
}

impl fmt::Debug for RedisExportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisExportOptions")
            .field("layout", &self.layout)
            .field("views", &self.views)
            .field("cluster", &self.cluster)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

/// What an export pushed. Of one that went on where another was interrupted: since then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisExportReport {
    /// Where to, without user and password.
    pub target: String,
    /// The views, each with its version.
    pub views: Vec<String>,
    /// Entities written.
    pub entities: u64,
    /// Values written.
    pub fields: u64,
    /// Bytes of keys, fields and values.
    pub bytes: u64,
    /// Entities that were deleted, are too old or past their deadlines: none of theirs is left there.
    pub gone: u64,
    /// Values that the layout has no form for, such as a list of integers with a null in it; null there.
    pub values_left_out: u64,
    /// Entities whose keys the layout has no form for.
    pub keys_left_out: u64,
    /// Deadlines of single values that a target before Redis 7.4 does not know.
    pub field_deadlines_left_out: u64,
    /// Whether it went on where another was interrupted.
    pub resumed: bool,
}

/// A layout on its way out.
pub(super) trait Outgoing {
    /// Adds what is to be done for an entity of the view at this place among those exported.
    fn push(&mut self, view: usize, key: &[u8], now: Timestamp, batch: &mut Batch) -> Result<()>;
}

/// Commands to be sent at once, and what they come to.
#[derive(Default)]
pub(super) struct Batch {
    commands: Vec<Cmd>,
    pub counts: RedisExportReport,
    entities: usize,
    bytes: u64,
    has_field_deadlines: bool,
}

impl Batch {
    /// Adds a command.
    pub fn command(&mut self, name: &str, say: impl FnOnce(&mut Cmd)) {
        let mut command = redis::cmd(name);
        say(&mut command);
        self.commands.push(command);
    }

    /// Counts entities, and so many fields of one.
    pub fn pushed(&mut self, entities: u64, fields: u64, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.counts.entities += entities;
        self.counts.fields += fields;
        self.counts.bytes += bytes;
        self.bytes += bytes;
    }

    /// From then on, microseconds since 1970, a field is gone.
    pub fn expire_field(&mut self, key: &[u8], field: &[u8], deadline: i64) {
        if !self.has_field_deadlines {
            self.counts.field_deadlines_left_out += 1;
            return;
        }
        self.command("HPEXPIREAT", |expire| {
            expire.arg(key).arg(deadline.div_euclid(MICROS_PER_MILLI)).arg("FIELDS").arg(1).arg(field);
        });
    }

    fn is_full(&self) -> bool {
        self.entities >= BATCH_ENTITIES || self.bytes >= BATCH_BYTES
    }
}

impl Store {
    /// Pushes the latest values of views into a Redis, or a Redis Cluster. What an earlier export left there of these entities is
    /// replaced; those that are gone are removed. Interrupted, it goes on from there when it is called again within a day.
    ///
    /// Each entity is pushed as it is when its turn comes.
    ///
    /// # Errors
    /// There is no such view; nobody answers there, or refuses: what was pushed by then stays.
    pub fn export_redis(&self, url: &RedisUrl, options: &RedisExportOptions) -> Result<RedisExportReport> {
        let views = self.entity_views()?;
        let places = selected(&views.views, &options.views, &options.layout)?;
        let chosen: Vec<&EntityView> = places.iter().map(|&place| &views.views[place]).collect();
        let mut out: Box<dyn Outgoing> = match &options.layout {
            RedisLayout::Plain => Box::new(Plain::new(self, &views.views, &places)?),
            RedisLayout::Feast { project } => Box::new(Feast::new(self, &views.views, &places, project)?),
        };
        let subject = Subject {
            store: self.summary()?.uuid,
            revision: views.revision,
            layout: options.layout.name().to_owned(),
            project: match &options.layout {
                RedisLayout::Feast { project } => project.clone(),
                RedisLayout::Plain => String::new(),
            },
            views: chosen.iter().map(|view| view.definition().reference().to_string()).collect(),
        };
        let mut target = Target::connect(url, options.cluster)?;
        let before = if options.restart {
            // Should this one not get far, the next one is not to go on from where another was.
            target.run(vec![checkpoint::remove()])?;
            None
        } else {
            checkpoint::find(&mut target, &subject)?
        };
        let mut batch = Batch { has_field_deadlines: target.has_field_deadlines, ..Batch::default() };
        let mut looked_at = 0_u64;
        let mut sending = Sending { target, subject };
        let mut place = before.unwrap_or_default();
        while let Some(view) = chosen.get(place.view) {
            let part = self.entity_keys(view, place.hash, PART)?;
            for (hash, key) in &part.keys {
                // Keys of one hash stay together: what is gone on from is a hash.
                if batch.is_full() && *hash != place.hash {
                    place.hash = *hash;
                    sending.send(&mut batch, place)?;
                    if let Some(progress) = &options.progress {
                        progress(looked_at);
                    }
                }
                place.hash = *hash;
                out.push(place.view, key, self.now(), &mut batch)?;
                batch.entities += 1;
                looked_at += 1;
            }
            place = match part.next {
                Some(next) => Place { hash: next, ..place },
                None => Place { view: place.view + 1, hash: 0 },
            };
        }
        sending.send(&mut batch, place)?;
        sending.target.run(vec![checkpoint::remove()])?;
        let Sending { target, subject } = sending;
        Ok(RedisExportReport { target: target.name, views: subject.views, resumed: before.is_some(), ..batch.counts })
    }
}

/// Where batches go.
struct Sending {
    target: Target,
    subject: Subject,
}

impl Sending {
    /// Sends a batch, and then that everything before `place` is there.
    fn send(&mut self, batch: &mut Batch, place: Place) -> Result<()> {
        let commands = std::mem::take(&mut batch.commands);
        (batch.entities, batch.bytes) = (0, 0);
        // Only when the batch is there may it say so: a command of a transaction that fails does not keep the others from being done, and in
        // a cluster it lies on another node.
        self.target.run(commands)?;
        self.target.run(vec![checkpoint::set(&self.subject, place)])
    }
}
