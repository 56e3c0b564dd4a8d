//! A random life of a store, from its creation on, cut short again and again, with an image drawn before every
//! operation on its disk.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asof::disk::{Disk, MemDisk, Operation, Random};
use asof::options::{Durability, Sizes};
use asof::time::{ManualClock, Timestamp};
use asof::value::Value;
use asof::{ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, Status, Store, WriteOptions};

use super::examine::{Trouble, batch, entity, examine, key_name};
use super::faults::Older;
use super::image::{Manner, STORE, Scene, check, draw};
use super::model::{Act, Answer, Defined, KEYS, Kind, Loss, Model, Outcome, Row, RowValue, View, pick};

/// Steps of a life, and how far the clock goes with each.
const STEPS: u64 = 36;
const STEP_US: i64 = 1_000;

/// How a campaign is run.
pub struct Campaign {
    /// What stands between the store and its disk.
    pub wrap: Box<dyn Fn(MemDisk) -> Arc<dyn Disk> + Send + Sync>,
    /// Whether files of images are spoilt too.
    pub spoils: bool,
    /// Nobody looks at checksums.
    pub checks_are_off: bool,
    pub images_max: u64,
    /// Images opened so far.
    pub images: AtomicU64,
    pub lives: AtomicU64,
    pub violations: Mutex<Vec<String>>,
}

impl Campaign {
    pub fn new(images_max: u64) -> Campaign {
        Campaign {
            wrap: Box::new(|disk| Arc::new(disk)),
            spoils: true,
            checks_are_off: false,
            images_max,
            images: AtomicU64::new(0),
            lives: AtomicU64::new(0),
            violations: Mutex::default(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.images.load(Ordering::Relaxed) >= self.images_max || !lock(&self.violations).is_empty()
    }

    /// Lives from `seeds` until there were images enough or something is wrong.
    pub fn run(self: &Arc<Self>, seeds: impl Iterator<Item = u64>) {
        for seed in seeds {
            if self.is_over() {
                break;
            }
            Life::run(self, seed);
            self.lives.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the drawing of images shares with the life that they are drawn of.
struct Shared {
    campaign: Arc<Campaign>,
    seed: u64,
    manner: Manner,
    model: Mutex<Model>,
    older: Mutex<Older>,
    /// While the store is opened after a power failure: what the failure could take is not there for certain.
    is_shaken: AtomicBool,
}

impl Shared {
    fn violated(&self, what: String) {
        let durability = self.manner.durability;
        lock(&self.campaign.violations).push(format!("life {}, {durability}: {what}", self.seed));
    }
}

pub struct Life {
    shared: Arc<Shared>,
    pub dice: Random,
    clock: Arc<ManualClock>,
    pub disk: MemDisk,
    is_watched: bool,
    /// Whether the store's own thread seals and merges beside the life's steps.
    pub has_thread: bool,
    /// Whether a thread of its own syncs the log while a commit goes on.
    pub syncs_beside: bool,
    has_created: bool,
    used: HashSet<(usize, usize, i64)>,
    names: u64,
    crowd: usize,
    pub values: i64,
}

/// A life goes on, or ends because its disk does.
pub type Went = Result<(), asof::Error>;

impl Life {
    /// A life with this seed, from birth to its end.
    fn run(campaign: &Arc<Campaign>, seed: u64) {
        let mut life = Life::new(campaign, seed);
        life.is_watched = true;
        if let Err(trouble) = life.live() {
            life.shared.violated(format!("{trouble:?}"));
        }
        life.disk.on_operation(|_| {});
    }

    /// A life that has not begun, and of which no images are drawn.
    pub fn new(campaign: &Arc<Campaign>, seed: u64) -> Life {
        let mut dice = Random::new(seed);
        let durability = match dice.below(8) {
            0..=4 => Durability::Fsync,
            5 | 6 => Durability::Os,
            _ => Durability::Interval(Duration::from_millis(100)),
        };
        let sizes = Sizes {
            segment_bytes: 2048 << dice.below(3),
            run_file_bytes: 1024 << dice.below(3),
            merge_fanout: 2,
            import_bytes_max: Some(1 << (9 + dice.below(8))),
            table_reserve_bytes: 32 << 20,
            checkpoint_bytes_min: 64,
            ..Sizes::default()
        };
        let shared = Arc::new(Shared {
            campaign: Arc::clone(campaign),
            seed,
            manner: Manner { durability, sizes },
            model: Mutex::default(),
            older: Mutex::default(),
            is_shaken: AtomicBool::new(false),
        });
        Life {
            shared,
            clock: Arc::new(ManualClock::new(Timestamp(0))),
            disk: MemDisk::new(),
            is_watched: false,
            has_thread: dice.below(4) == 0,
            has_created: dice.below(2) == 0,
            syncs_beside: dice.below(4) == 0,
            dice,
            used: HashSet::new(),
            names: 0,
            crowd: 0,
            values: 0,
        }
    }

    fn live(&mut self) -> Result<(), Trouble> {
        let mut store = self.open(Loss::Process)?;
        for _ in 0..STEPS {
            if self.shared.campaign.is_over() {
                break;
            }
            let is_cut_short = self.dice.below(8) == 0;
            if is_cut_short {
                self.disk.fail_after(self.disk.operations() + self.dice.below(25));
            }
            let went = self.step(&mut store);
            match went {
                Ok(()) if !is_cut_short => {}
                Err(error) if !is_cut_short => return Err(error.into()),
                // Cut short, or it would have been a little later: between two steps.
                _ => store = self.crash(store)?,
            }
        }
        if let Some(store) = store {
            store.close()?;
            self.model().synced();
        }
        Ok(())
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.shared.model)
    }

    /// Draws and checks an image before every operation on this disk from now on.
    fn watch(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut dice = Random::new(self.dice.bits());
        let mut just_synced = true;
        self.disk.on_operation(move |info| {
            if shared.campaign.is_over() {
                return;
            }
            // Before the image is drawn: what is acknowledged by then is in it, and what another thread is told meanwhile need not be.
            let model = lock(&shared.model);
            let (image, mut loss, mode) = draw(info.disk, &mut dice, just_synced);
            let is_killed = loss == Loss::Process;
            if shared.is_shaken.load(Ordering::SeqCst) {
                loss = Loss::Power;
            }
            just_synced = matches!(info.operation, Operation::Sync | Operation::SyncDir | Operation::SyncMap);
            let older = shared.campaign.spoils.then_some(&shared.older);
            let scene = Scene {
                manner: &shared.manner,
                model: &model,
                loss,
                older,
                is_killed,
                is_spoilt: false,
                is_earlier_day: false,
                checks_are_off: shared.campaign.checks_are_off,
            };
            let checked = check(&image, &scene, &mut dice);
            shared.campaign.images.fetch_add(*checked.as_ref().unwrap_or(&1), Ordering::Relaxed);
            if let Err(what) = checked {
                let (number, operation, path) = (info.number, info.operation, info.path.display());
                shared.violated(format!("before operation {number}, {operation:?} of {path}, {mode}: {what}"));
            }
        });
    }

    /// Opens the store, with images drawn, and finds out what it has.
    pub fn open(&mut self, loss: Loss) -> Result<Option<Store>, Trouble> {
        if self.is_watched {
            self.watch();
        }
        self.shared.is_shaken.store(loss == Loss::Power, Ordering::SeqCst);
        let store = {
            let disk = (self.shared.campaign.wrap)(self.disk.clone());
            let builder = self.shared.manner.builder(disk, &self.clock).background(self.has_thread);
            let builder = if self.syncs_beside { builder.sync_beside(1) } else { builder };
            builder.open(STORE)?
        };
        // Not under its lock: what the store does by itself waits for that, and what is asked here may wait for the store.
        let model = self.model().clone();
        let presence = examine(&store, &model, loss, &mut self.dice)?;
        self.model().settle(&presence);
        self.shared.is_shaken.store(false, Ordering::SeqCst);
        Ok(Some(store))
    }

    /// The process or the machine dies; life goes on with what is left.
    fn crash(&mut self, store: Option<Store>) -> Result<Option<Store>, Trouble> {
        self.disk.on_operation(|_| {});
        self.disk.fail_after(0);
        drop(store);
        let (image, loss, _) = draw(&self.disk, &mut self.dice, true);
        self.disk = image;
        self.open(loss)
    }

    /// Asks the store for one more thing.
    pub fn step(&mut self, store: &mut Option<Store>) -> Went {
        self.clock.set(Timestamp(self.model().now_us + STEP_US));
        self.model().now_us += STEP_US;
        let opened = store.as_ref().expect("a life has a store between its steps");
        let Some(defined) = self.defined() else { return self.apply(opened) };
        match self.dice.below(47) {
            0..=11 => self.write(opened, &defined),
            12..=14 => self.write_together(opened, &defined),
            15..=18 => self.import(opened, &defined),
            19..=23 => self.delete(opened, &defined),
            24 | 25 => self.apply(opened),
            26 | 27 => self.snapshot(opened),
            28..=32 => opened.seal().map(|_| self.model().synced()),
            33 | 34 => opened.compact().map(|()| self.model().synced()),
            35 => self.checkpoint(opened),
            36 => self.write_refused(opened, &defined),
            37 => self.import_abandoned(opened, &defined),
            38 => self.crowd(opened, &defined),
            39..=44 => self.write_group(opened, &defined),
            _ => {
                opened.close()?;
                self.model().synced();
                drop(store.take());
                match self.open(Loss::Process) {
                    Ok(reopened) => *store = reopened,
                    Err(Trouble::Refused(error)) => return Err(error),
                    Err(Trouble::Wrong(wrong)) => self.shared.violated(format!("reopened: {wrong}")),
                }
                Ok(())
            }
        }
    }

    /// All keys of the keyspace written down, which syncs the log where there is one.
    fn checkpoint(&self, store: &Store) -> Went {
        store.keyspace()?.checkpoint()
    }

    fn defined(&self) -> Option<Defined> {
        let model = self.model();
        let presence: Vec<bool> = model.acts.iter().map(|act| act.outcome != Outcome::Open).collect();
        model.defined(&presence, model.acts.len())
    }

    fn is_fsync(&self) -> bool {
        self.shared.manner.durability == Durability::Fsync
    }

    /// Notes what is about to be asked for; its place among the acts.
    pub fn begin(&self, kind: Kind, rows: Vec<Row>, is_concurrent: bool) -> usize {
        let mut model = self.model();
        let clock_us = model.now_us;
        let outcome = Outcome::Open;
        model.acts.push(Act { kind, rows, keys: Vec::new(), clock_us, outcome, is_concurrent, is_durable: false });
        model.acts.len() - 1
    }

    /// Notes that it was answered.
    fn answered(shared: &Shared, index: usize, seq: Option<u64>, is_durable: bool) {
        let mut model = lock(&shared.model);
        model.shown = model.shown.max(seq.unwrap_or(0));
        let act = &mut model.acts[index];
        act.outcome = seq.map_or(Outcome::Found, |seq| Outcome::Done { seq });
        act.is_durable |= is_durable;
    }

    /// As [`Life::answered`], of rows and keys that went through the log.
    pub fn was_answered(&self, index: usize, seq: u64) {
        Life::answered(&self.shared, index, Some(seq), self.is_fsync());
    }

    pub fn view(&mut self, defined: &Defined) -> View {
        match self.dice.below(4) {
            0 if defined.has_second => View::Second,
            0 | 1 => View::Events,
            _ => View::First,
        }
    }

    /// A row that nobody has written yet at its key and time, or one that corrects what may be there.
    pub fn row(&mut self, view: View, defined: &Defined, is_unique: bool) -> Row {
        let now = self.model().now_us;
        let key = self.dice.below(KEYS as u64) as usize;
        let mut event_ts;
        loop {
            let reach = if self.dice.below(3) == 0 { now + 600 } else { 30 * STEP_US };
            event_ts = now + 600 - self.dice.below(reach.unsigned_abs()).cast_signed();
            if self.used.insert((view as usize, key, event_ts)) {
                break;
            }
        }
        if !is_unique && self.dice.below(2) == 0 {
            let known = self.model().acts.iter().flat_map(|act| &act.rows).map(|row| row.event_ts).next_back();
            event_ts = known.unwrap_or(event_ts);
        }
        let created = match self.dice.below(4) {
            0 => None,
            _ => Some(self.dice.below(now.unsigned_abs() + 1).cast_signed()),
        };
        self.values += 1;
        let number = (is_unique || self.dice.below(5) > 0).then_some(self.values);
        let text = (view == View::First && defined.has_text && self.dice.below(3) > 0).then(|| {
            let length = [3, 12, 13, 60][self.dice.below(4) as usize];
            format!("{:x>length$}", self.values)
        });
        let created = created.filter(|_| defined.has_created);
        Row { view, key, event_ts, created, value: RowValue::Values { number, text } }
    }

    fn rows(&mut self, view: View, defined: &Defined, count: u64) -> Vec<Row> {
        // The first is found by its own time, whatever the others correct.
        (0..=count).map(|index| self.row(view, defined, index == 0)).collect()
    }

    fn write(&mut self, store: &Store, defined: &Defined) -> Went {
        let view = self.view(defined);
        let count = if self.dice.below(6) == 0 { 12 } else { self.dice.below(4) };
        let rows = self.rows(view, defined, count);
        let batch = batch(&rows, defined);
        let last = rows.len() as u64 - 1;
        let index = self.begin(Kind::Write, rows, false);
        self.names += 1;
        // A source seen for the first time is registered before.
        let source = (self.dice.below(8) == 0).then(|| format!("source {}", self.names));
        let options = WriteOptions { allow_future: true, source, ..WriteOptions::default() };
        let report = store.write_with(view.reference(), &batch, &options)?;
        Life::answered(&self.shared, index, Some(report.first_seq + last), self.is_fsync());
        Ok(())
    }

    /// Three writers at once, so that their batches share a group, or a sync.
    fn write_together(&mut self, store: &Store, defined: &Defined) -> Went {
        let mut writers = Vec::new();
        for _ in 0..3 {
            let view = self.view(defined);
            let rows: Vec<Row> = (0..=self.dice.below(3)).map(|_| self.row(view, defined, true)).collect();
            let batch = batch(&rows, defined);
            let last = rows.len() as u64 - 1;
            writers.push((view, batch, last, self.begin(Kind::Write, rows, true)));
        }
        let first = writers[0].3;
        let is_fsync = self.is_fsync();
        let shared = &self.shared;
        let went = std::thread::scope(|scope| {
            let running: Vec<_> = writers
                .into_iter()
                .map(|(view, batch, last, index)| {
                    scope.spawn(move || -> Went {
                        let options = WriteOptions { allow_future: true, ..WriteOptions::default() };
                        let report = store.write_with(view.reference(), &batch, &options)?;
                        Life::answered(shared, index, Some(report.first_seq + last), is_fsync);
                        Ok(())
                    })
                })
                .collect();
            let ended: Vec<Went> =
                running.into_iter().map(|writer| writer.join().expect("a writer panicked")).collect();
            // What went wrong, before what went wrong because of it.
            let is_cause = |went: &Went| !matches!(went, Err(error) if error.kind() == ErrorKind::Poisoned);
            let (causes, others): (Vec<Went>, Vec<Went>) = ended.into_iter().partition(is_cause);
            causes.into_iter().chain(others).collect::<Went>()
        });
        let mut model = self.model();
        let together = &mut model.acts[first..];
        // Where those that were not answered stand among the others is never known.
        if went.is_ok() {
            together.sort_by_key(|act| if let Outcome::Done { seq } = act.outcome { seq } else { u64::MAX });
            together.iter_mut().for_each(|act| act.is_concurrent = false);
        }
        drop(model);
        went
    }

    fn import(&mut self, store: &Store, defined: &Defined) -> Went {
        let view = self.view(defined);
        let mut rows = Vec::new();
        let mut batches = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let count = self.dice.below(8);
            let piece = self.rows(view, defined, count);
            batches.push(batch(&piece, defined));
            rows.extend(piece);
        }
        let index = self.begin(Kind::Import, rows, false);
        // A row equal to a stored one would be left out, though it corrects what came between.
        let options = BulkOptions { allow_future: true, append: true, ..BulkOptions::default() };
        let mut bulk = store.bulk_writer(view.reference(), options)?;
        for batch in &batches {
            bulk.write(batch)?;
        }
        let report = bulk.commit()?;
        self.model().synced();
        Life::answered(&self.shared, index, report.seq.map(|(_, last)| last), true);
        Ok(())
    }

    /// Many keys at once: the latest table grows.
    fn crowd(&mut self, store: &Store, defined: &Defined) -> Went {
        let view = self.view(defined);
        let mut rows = self.rows(view, defined, 40 + self.dice.clone().below(40));
        for row in &mut rows[1..] {
            self.crowd += 1;
            row.key = KEYS + self.crowd;
        }
        let batch = batch(&rows, defined);
        let last = rows.len() as u64 - 1;
        if self.dice.below(2) == 0 {
            let index = self.begin(Kind::Write, rows, false);
            let options = WriteOptions { allow_future: true, ..WriteOptions::default() };
            let report = store.write_with(view.reference(), &batch, &options)?;
            Life::answered(&self.shared, index, Some(report.first_seq + last), self.is_fsync());
        } else {
            let index = self.begin(Kind::Import, rows, false);
            let options = BulkOptions { allow_future: true, ..BulkOptions::default() };
            let mut bulk = store.bulk_writer(view.reference(), options)?;
            bulk.write(&batch)?;
            let report = bulk.commit()?;
            self.model().synced();
            Life::answered(&self.shared, index, report.seq.map(|(_, last)| last), true);
        }
        Ok(())
    }

    /// An import that is given up leaves nothing.
    fn import_abandoned(&mut self, store: &Store, defined: &Defined) -> Went {
        let rows = self.rows(View::Events, defined, 5);
        let options = BulkOptions { allow_future: true, ..BulkOptions::default() };
        let mut bulk = store.bulk_writer(View::Events.reference(), options)?;
        bulk.write(&batch(&rows, defined)).map(drop)
    }

    /// A batch with a row that lies too far ahead is refused whole.
    fn write_refused(&mut self, store: &Store, defined: &Defined) -> Went {
        let mut rows = self.rows(View::First, defined, 2);
        rows[1].event_ts += 1_000_000_000;
        match store.write(View::First.reference(), &batch(&rows, defined)) {
            Ok(_) => self.shared.violated("a row far in the future was taken".to_owned()),
            Err(error) if error.kind() == ErrorKind::Invalid => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Deletes a key at a time at which it has a value, so that the delete can be told from its absence.
    fn delete(&mut self, store: &Store, defined: &Defined) -> Went {
        let view = self.view(defined);
        let key = self.dice.below(KEYS as u64) as usize;
        let model = self.model().clone();
        let presence = vec![true; model.acts.len()];
        let rows = model.rows(&presence, model.acts.len());
        let rows = rows.of(view, key);
        let mut times: Vec<i64> = rows.iter().map(|row| row.event_ts).collect();
        times.push(model.now_us);
        let at = times[self.dice.below(times.len() as u64) as usize];
        let (status, answer) = pick(rows, at, defined.ttl_us, "number");
        let newest = rows.iter().filter(|row| row.event_ts == at).filter_map(|row| row.created).max();
        let created = defined.has_created.then(|| newest.unwrap_or(i64::MIN).max(model.now_us));
        if status != Status::Present || answer == Answer::Null {
            return self.write(store, defined);
        }
        let row = Row { view, key, event_ts: at, created, value: RowValue::Delete };
        let index = self.begin(Kind::Write, vec![row], false);
        let options = DeleteOptions { at: Some(Timestamp(at)), allow_future: true, ..DeleteOptions::default() };
        let names: [(&str, Value); 1] = match view {
            View::Events => [("name", Value::String(key_name(key)))],
            _ => [entity(key)[0].clone()],
        };
        let report = store.delete(view.reference(), &names, &options)?;
        if report.created.map(|created| created.0) != created {
            self.shared.violated(format!("a delete was created at {:?}, expected {created:?}", report.created));
        }
        Life::answered(&self.shared, index, Some(report.seq), self.is_fsync());
        Ok(())
    }

    fn apply(&mut self, store: &Store) -> Went {
        let next = match self.defined() {
            None => Defined {
                ttl_us: 0,
                has_text: self.dice.below(2) == 0,
                has_second: false,
                has_service: false,
                has_created: self.has_created,
            },
            Some(now) => match self.dice.below(4) {
                0 if !now.has_text => Defined { has_text: true, ..now },
                1 if !now.has_second => Defined { has_second: true, ..now },
                2 => Defined { has_service: !now.has_service, ..now },
                _ => Defined { ttl_us: (now.ttl_us + 7 * STEP_US) % (21 * STEP_US), ..now },
            },
        };
        let index = self.begin(Kind::Apply(next), Vec::new(), false);
        store.apply(&next.definitions(), ApplyOptions { prune: true })?;
        self.model().synced();
        Life::answered(&self.shared, index, None, true);
        Ok(())
    }

    fn snapshot(&mut self, store: &Store) -> Went {
        self.names += 1;
        let name = format!("s{}", self.names);
        let index = self.begin(Kind::Snapshot(name.clone()), Vec::new(), false);
        let record = store.snapshot(&name)?;
        self.model().synced();
        Life::answered(&self.shared, index, Some(record.seq), true);
        Ok(())
    }
}
