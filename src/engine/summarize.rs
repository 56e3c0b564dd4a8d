//! Counting what a store holds: see [`super::summary`] for what comes out.

use std::path::Path;
use std::sync::Arc;

use super::picture::{Picture, ViewPicture};
use super::reads::{Reads, Sight};
use super::summary::{
    ColumnSummary, EntitySummary, RunSummary, ServiceSummary, SnapshotSummary, StoreSummary, ViewSummary,
};
use super::truncates;
use crate::definition::{Definitions, EventTime};
use crate::disk::OpenMode;
use crate::error::Result;
use crate::history::run_path;
use crate::identity::FORMAT_VERSION;
use crate::latest::TableReader;
use crate::registry::records::{EntityRecord, ServiceRecord, ViewRecord};
use crate::tail::ROWS_HELD;
use crate::time::Timestamp;
use crate::value::DataType;

/// What the tail holds of a view.
#[derive(Default)]
struct InLog {
    rows: u64,
    event: Option<(i64, i64)>,
    newest_seq: Option<u64>,
}

impl Reads {
    /// What is registered now, and the revision of it.
    ///
    /// # Errors
    /// As [`Reads::sight`].
    pub fn definitions(&self) -> Result<(u64, Definitions)> {
        let picture = self.sight()?.picture;
        let now = picture.state.definitions_at(None);
        let entities = now.entities().filter_map(|record| Some((record.name.clone(), record.definition.clone()?)));
        let services = now.services().filter_map(|record| Some((record.name.clone(), record.definition.clone()?)));
        let definitions = Definitions {
            entities: entities.collect(),
            views: now.views().map(|record| record.definition.clone()).collect(),
            services: services.collect(),
            ..Definitions::default()
        };
        Ok((picture.state.meta().definitions_revision, definitions))
    }

    /// The view versions in force, by name and version.
    ///
    /// # Errors
    /// The disk refuses to say how long files are; what reading it takes.
    pub fn views(&self) -> Result<Vec<ViewSummary>> {
        let sight = self.sight()?;
        let definitions = sight.picture.state.definitions_at(None);
        definitions.views().map(|record| self.view_summary(&sight, record)).collect()
    }

    fn view_summary(&self, sight: &Sight, record: &ViewRecord) -> Result<ViewSummary> {
        let picture = &sight.picture;
        let view = picture.view(record.id);
        let definition = &record.definition;
        let in_log = in_log(picture, record.id, sight.seq);
        let runs = || view.runs.iter().map(|run| &run.record);
        let event_min = runs().map(|run| run.event_min_us).chain(in_log.event.map(|(min, _)| min)).min();
        let event_max = runs().map(|run| run.event_max_us).chain(in_log.event.map(|(_, max)| max)).max();
        let newest_seq = runs().map(|run| run.seq_max).chain(in_log.newest_seq).max();
        let newest = match newest_seq {
            Some(seq) => self.provenance(picture, seq)?,
            None => None,
        };
        let rows_in_runs = runs().map(|run| run.rows).sum();
        let columns = |columns: &[(String, DataType)]| columns.iter().map(ColumnSummary::from).collect();
        Ok(ViewSummary {
            view: definition.reference_text(),
            name: definition.name.clone(),
            version: definition.version,
            id: record.id,
            revision: record.revision,
            kind: definition.kind,
            entities: definition.entities.clone(),
            join_keys: columns(&definition.join_keys),
            features: definition.features.clone(),
            event_id: columns(&definition.event_id),
            redis_keys: definition.redis_keys.clone(),
            source: definition.source.clone(),
            event_timestamp: match &definition.source.event_timestamp {
                EventTime::Column(name) => Some(name.clone()),
                EventTime::Constant(_) => None,
            },
            created_timestamp: definition.source.created_timestamp.clone(),
            ttl_us: definition.ttl_us,
            retention_us: definition.retention_us,
            freshness_sla_us: definition.freshness_sla_us,
            owner: definition.owner.clone(),
            description: definition.description.clone(),
            tags: definition.tags.clone(),
            rows: in_log.rows + rows_in_runs,
            rows_in_runs,
            rows_in_log: in_log.rows,
            entity_count: entity_count(view, in_log.rows, truncates::greatest(view, &picture.tail).is_some())?,
            event_min: event_min.map(Timestamp),
            event_max: event_max.map(Timestamp),
            newest_seq,
            newest_ingested_at: newest.map(|newest| newest.ingested_at),
            runs: run_count(view),
            run_files: view.runs.len(),
            history_bytes: runs().map(|run| run.data_bytes + run.index_bytes).sum(),
            latest_bytes: self.file_bytes(&self.dir.join("latest").join(record.dir_name()))?,
        })
    }

    /// The entities in force, by name.
    ///
    /// # Errors
    /// What reading the registry takes.
    pub fn entities(&self) -> Result<Vec<EntitySummary>> {
        let definitions = self.sight()?.picture.state.definitions_at(None);
        let summary = |record: &Arc<EntityRecord>| {
            let definition = record.definition.as_ref()?;
            let views = definitions.views().filter(|view| view.definition.entities.contains(&record.name));
            Some(EntitySummary {
                name: record.name.clone(),
                join_keys: definition.join_keys.iter().map(ColumnSummary::from).collect(),
                revision: record.revision,
                description: definition.description.clone(),
                tags: definition.tags.clone(),
                views: views.map(|view| view.definition.reference_text()).collect(),
            })
        };
        Ok(definitions.entities().filter_map(summary).collect())
    }

    /// The feature services in force, by name.
    ///
    /// # Errors
    /// What reading the registry takes.
    pub fn services(&self) -> Result<Vec<ServiceSummary>> {
        let definitions = self.sight()?.picture.state.definitions_at(None);
        let summary = |record: &Arc<ServiceRecord>| {
            let definition = record.definition.as_ref()?;
            Some(ServiceSummary {
                name: record.name.clone(),
                revision: record.revision,
                features: definition.features.clone(),
                description: definition.description.clone(),
                owner: definition.owner.clone(),
                tags: definition.tags.clone(),
            })
        };
        Ok(definitions.services().filter_map(summary).collect())
    }

    /// The files of history runs, by view, then by number.
    ///
    /// # Errors
    /// What reading the registry takes.
    pub fn runs(&self) -> Result<Vec<RunSummary>> {
        let picture = self.sight()?.picture;
        let mut summaries = Vec::new();
        for view in picture.views.values() {
            let folder = Path::new("history").join(view.record.dir_name());
            let of_view = view.runs.iter().map(|run| &run.record).map(|run| RunSummary {
                id: run.id,
                run: run.group,
                view: view.record.definition.reference_text(),
                file: run_path(&folder, run.id),
                level: run.level,
                source: run.source,
                rows: run.rows,
                entities: run.entities,
                event_min: Timestamp(run.event_min_us),
                event_max: Timestamp(run.event_max_us),
                seq_min: run.seq_min,
                seq_max: run.seq_max,
                bytes: run.data_bytes + run.index_bytes,
            });
            summaries.extend(of_view);
        }
        summaries.sort_by(|left, right| (&left.view, left.id).cmp(&(&right.view, right.id)));
        Ok(summaries)
    }

    /// Named snapshots, by name.
    ///
    /// # Errors
    /// What reading the registry takes.
    pub fn snapshots(&self) -> Result<Vec<SnapshotSummary>> {
        let picture = self.sight()?.picture;
        Ok(picture.state.snapshots().map(|snapshot| SnapshotSummary::from(&**snapshot)).collect())
    }

    /// The store as a whole.
    ///
    /// # Errors
    /// The disk refuses to say how long files are; what reading the registry takes.
    pub fn summary(&self) -> Result<StoreSummary> {
        let Sight { seq, picture } = self.sight()?;
        let state = &picture.state;
        let mut log_segments = 0;
        let mut log_bytes = 0;
        for name in self.disk.list(&self.dir.join("log"))? {
            log_segments += 1;
            log_bytes += self.file_bytes(&self.dir.join("log").join(name))?;
        }
        let mut latest_bytes = 0;
        for view in picture.views.values() {
            latest_bytes += self.file_bytes(&self.dir.join("latest").join(view.record.dir_name()))?;
        }
        let rows_in_log: u64 = picture.views.keys().map(|id| in_log(&picture, *id, seq).rows).sum();
        let tail_bytes: usize = picture.tail.iter().map(|tail| tail.bytes()).sum();
        Ok(StoreSummary {
            path: self.dir.clone(),
            uuid: self.identity.uuid_text().to_string(),
            project: state.project().name.clone(),
            format_version: FORMAT_VERSION,
            created_at: Timestamp(state.meta().created_at_us),
            seq,
            generation: state.generation(),
            definitions_revision: state.meta().definitions_revision,
            known_at_floor_seq: state.meta().known_at_floor_seq,
            views: state.definitions_at(None).views().count(),
            rows: rows_in_log + state.runs().map(|run| run.rows).sum::<u64>(),
            rows_in_log,
            log_segments,
            log_bytes,
            tail_memory_bytes: u64::try_from(tail_bytes).unwrap_or(u64::MAX),
            run_files: state.runs().count(),
            history_bytes: state.runs().map(|run| run.data_bytes + run.index_bytes).sum(),
            latest_bytes,
            snapshots: state.snapshots().count(),
            imports: state.imports().count(),
        })
    }

    /// A file's length; 0 when there is none.
    fn file_bytes(&self, path: &Path) -> Result<u64> {
        match self.disk.open(path, OpenMode::Read).and_then(|file| file.len_bytes()) {
            Err(error) if error.is_missing_file() => Ok(0),
            length => length,
        }
    }
}

fn in_log(picture: &Picture, view_id: u32, seq_max: u64) -> InLog {
    let mut found = InLog::default();
    for segment in &picture.tail {
        let mut seq = 0;
        loop {
            let views = segment.read();
            let before = seq;
            let rows = views.get(&view_id).into_iter().flat_map(|rows| rows.rows_after(before, ROWS_HELD));
            for (row, _) in rows.take_while(|(row, _)| row.seq <= seq_max) {
                seq = row.seq;
                found.rows += 1;
                let (min, max) = found.event.unwrap_or((row.event_ts, row.event_ts));
                found.event = Some((min.min(row.event_ts), max.max(row.event_ts)));
                found.newest_seq = found.newest_seq.max(Some(row.seq));
            }
            if seq == before {
                break;
            }
        }
    }
    found
}

fn run_count(view: &ViewPicture) -> usize {
    let mut groups: Vec<u64> = view.runs.iter().map(|run| run.record.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.len()
}

/// An entity is in one file of a run, but may be in several runs; the latest table has each once, and none that a truncate deleted.
fn entity_count(view: &ViewPicture, rows_in_log: u64, is_truncated: bool) -> Result<Option<u64>> {
    if rows_in_log == 0 && run_count(view) <= 1 && !is_truncated {
        return Ok(Some(view.runs.iter().map(|run| run.record.entities).sum()));
    }
    view.table.as_ref().map_or(Ok(None), TableReader::key_count)
}
