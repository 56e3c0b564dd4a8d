//! What a Redis holds into views.

use std::collections::HashSet;
use std::fmt;

use redis::{Connection, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::checkpoint::CHECKPOINT_KEY;
use super::incoming::{Addressed, Fields, Incoming};
use super::taking::{Bad, Taking};
use super::target::{connect_to_all, refusal, refused, trouble};
use super::url::RedisUrl;
use super::{RedisLayout, selected};
use crate::engine::entities::EntityView;
use crate::error::Result;
use crate::exchange::RowProgress;
use crate::redis_key::shown;
use crate::request::BadRows;
use crate::store::{ImportReport, Store};

/// Keys that `SCAN` looks at in one turn.
const SCAN_COUNT: usize = 1_000;

/// What to take, and how.
#[derive(Clone, Default)]
pub struct RedisImportOptions {
    /// How it lies there.
    pub layout: RedisLayout,
    /// Views, by name or with a version; none: all.
    pub views: Vec<String>,
    /// Taken for a cluster without asking.
    pub cluster: bool,
    /// What to do with keys and hashes that are no rows.
    pub bad_rows: BadRows,
    /// Take event timestamps however far ahead of the clock.
    pub allow_future: bool,
    /// Told how many keys were looked at.
    pub progress: Option<RowProgress>,
}

impl fmt::Debug for RedisImportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisImportOptions")
            .field("layout", &self.layout)
            .field("views", &self.views)
            .field("cluster", &self.cluster)
            .field("bad_rows", &self.bad_rows)
            .field("allow_future", &self.allow_future)
            .finish_non_exhaustive()
    }
}

/// What an import took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RedisImportReport {
    /// Where from, without user and password.
    pub source: String,
    /// Keys looked at; of the layout `feast`, those that end as the project's do.
    pub keys: u64,
    /// Those of them that are of none of the views.
    pub keys_of_others: u64,
    /// Rows of keys with a deadline there: the rows have none.
    pub deadlines_left_out: u64,
    /// View by view, of those that rows were found for.
    pub views: Vec<(String, ImportReport)>,
}

impl Store {
    /// Takes the hashes of a Redis, or a Redis Cluster, into the views that their keys name. Of the layout `feast` a row is of the event
    /// time that it has there; of the layout `plain`, which knows none, of now, unless the view's row of now says the same already.
    ///
    /// A view's rows are committed together when everything is read.
    ///
    /// # Errors
    /// There is no such view; nobody answers there; a hash cannot be read or stored, where bad rows are not to be set aside: nothing is
    /// imported then. A commit fails: views that were committed before stay.
    pub fn import_redis(&self, url: &RedisUrl, options: &RedisImportOptions) -> Result<RedisImportReport> {
        let all = self.entity_views()?.views;
        let places = selected(&all, &options.views, &options.layout)?;
        let mut reading = Reading {
            incoming: Incoming::new(&all, &places, &options.layout)?,
            views: places.iter().map(|&place| all[place].clone()).collect(),
            taking: Taking::new(self, places.iter().map(|&place| all[place].clone()), url.to_string(), options),
            seen: HashSet::new(),
            report: RedisImportReport { source: url.to_string(), ..RedisImportReport::default() },
        };
        for (name, mut connection) in connect_to_all(url, options.cluster)? {
            let mut cursor = Vec::from(b"0");
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(&cursor).arg("COUNT").arg(SCAN_COUNT);
                if let Some(pattern) = reading.incoming.pattern() {
                    scan.arg("MATCH").arg(pattern);
                }
                let scanned = scan.query(&mut connection).map_err(|error| trouble(error, &name));
                let (next, keys): (Vec<u8>, Vec<Vec<u8>>) = scanned?;
                reading.take(&keys, &mut connection, &name)?;
                if let Some(progress) = &options.progress {
                    progress(reading.report.keys);
                }
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        let Reading { taking, mut report, .. } = reading;
        report.views = taking.commit()?;
        Ok(report)
    }
}

/// An import while keys are read.
struct Reading<'a> {
    incoming: Incoming,
    views: Vec<EntityView>,
    taking: Taking<'a>,
    /// Hashes of keys: `SCAN` may give one more than once.
    seen: HashSet<u128>,
    report: RedisImportReport,
}

impl Reading<'_> {
    /// Takes the hashes of keys of one node.
    fn take(&mut self, keys: &[Vec<u8>], connection: &mut Connection, node: &str) -> Result<()> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        let mut asked: Vec<(&[u8], Vec<Addressed>)> = Vec::new();
        for key in keys {
            if key == CHECKPOINT_KEY || !self.seen.insert(xxh3_128(key)) {
                continue;
            }
            self.report.keys += 1;
            match self.incoming.route(key) {
                Ok(addressed) if addressed.is_empty() => self.report.keys_of_others += 1,
                Ok(addressed) => {
                    pipe.cmd("HGETALL").arg(key).cmd("PTTL").arg(key);
                    asked.push((key, addressed));
                }
                Err((view, reason)) => self.taking.set_aside(view, Bad { key, reason, fields: &Fields::new() })?,
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let answers: Vec<Value> = pipe.query(connection).map_err(|error| trouble(error, node))?;
        for ((key, addressed), answers) in asked.into_iter().zip(answers.chunks(2)) {
            self.take_hash(key, &addressed, answers, node)?;
        }
        Ok(())
    }

    fn take_hash(&mut self, key: &[u8], addressed: &[Addressed], answers: &[Value], node: &str) -> Result<()> {
        let [hash, deadline] = answers else { return Ok(()) };
        if let Some(why) = refusal(hash) {
            let Some(first) = addressed.first().filter(|_| why.starts_with("WRONGTYPE")) else {
                return Err(refused(&why, node));
            };
            let reason = "it is no hash".to_owned();
            return self.taking.set_aside(first.view, Bad { key, reason, fields: &Fields::new() });
        }
        let fields: Fields = redis::from_redis_value_ref(hash)
            .map_err(|error| refused(&format!("HGETALL of '{}': {error}", shown(key)), node))?;
        if fields.is_empty() {
            // It went since.
            return Ok(());
        }
        let mut is_of_any = false;
        for Addressed { view, keys } in addressed {
            match self.incoming.read(&self.views[*view], *view, &fields) {
                Ok(None) => {}
                Ok(Some(said)) => {
                    is_of_any = true;
                    let has_deadline = matches!(deadline, Value::Int(left) if *left >= 0);
                    self.report.deadlines_left_out += u64::from(has_deadline);
                    self.taking.take(*view, key, keys, said)?;
                }
                Err(reason) => {
                    is_of_any = true;
                    self.taking.set_aside(*view, Bad { key, reason, fields: &fields })?;
                }
            }
        }
        self.report.keys_of_others += u64::from(!is_of_any);
        Ok(())
    }
}
