//! `POST /materialize` and `POST /materialize-incremental`: what the views' sources have gained since they were last imported.
//!
//! What is written is served at once, so there is nothing to move from one store to another: both import the files that views name as their
//! source. Of a file that is there already only what is new is added, whatever span of time the caller names; that is looked at, and no more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::refusal::Refusal;
use super::request::{MaterializeRequest, incremental_request, materialize_request};
use crate::api_key::Scope;
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::exchange::{ImportOptions, files_below};
use crate::server::auth::Grant;
use crate::server::http::answer::aside;
use crate::server::http::guard;
use crate::server::http::options::HttpOptions;
use crate::server::http::params::Params;
use crate::server::http::problem::Problem;
use crate::server::http::registered::InForce;
use crate::server::http::shared::{Shared, Turns};
use crate::time::Timestamp;

/// Whether the caller waits.
#[derive(Debug, Deserialize)]
pub(in crate::server::http) struct MaterializeQuery {
    #[serde(default, rename = "async")]
    in_background: bool,
}

/// Imports the sources of views, over a span of time.
pub(in crate::server::http) async fn materialize(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(query): Params<MaterializeQuery>,
    body: Body,
) -> Result<Response, Refusal> {
    let request = materialize_request(&shared.receive(&grant, body).await?)?;
    if !request.disable_event_timestamp.0 {
        let (Some(start), Some(end)) = (&request.start_ts, &request.end_ts) else {
            let why = "start_ts and end_ts are required when disable_event_timestamp is False";
            return Err(Refusal::mistake(why));
        };
        let [start, end] = [instant(start)?, instant(end)?];
        if start >= end {
            let [start, end] = [start, end].map(as_python);
            return Err(Refusal::mistake(format!("start_ts ({start}) must be before end_ts ({end})")));
        }
    }
    import_sources(shared, &grant, request, query).await
}

/// Imports the sources of views, up to a moment.
pub(in crate::server::http) async fn materialize_incremental(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(query): Params<MaterializeQuery>,
    body: Body,
) -> Result<Response, Refusal> {
    let request = incremental_request(&shared.receive(&grant, body).await?)?;
    if let Some(end) = &request.end_ts {
        instant(end)?;
    }
    import_sources(shared, &grant, request, query).await
}

fn instant(text: &str) -> Result<Timestamp, Refusal> {
    text.parse().map_err(|_| Refusal::mistake(format!("Invalid isoformat string: '{text}'")))
}

/// As Python prints it.
fn as_python(instant: Timestamp) -> String {
    instant.to_string().replace('T', " ").replace('Z', "+00:00")
}

async fn import_sources(
    shared: Arc<Shared>,
    grant: &Arc<Grant>,
    request: MaterializeRequest,
    query: MaterializeQuery,
) -> Result<Response, Refusal> {
    let in_force = shared.definitions()?;
    let views = views_of(&request, &in_force, grant, &shared.options.project)?;
    let of_view = |view: &&FeatureView| -> Option<Result<(String, Vec<PathBuf>)>> {
        let path = view.source.path.as_deref()?;
        Some(beneath(&shared.options, path).map(|files| (view.reference().to_string(), files)))
    };
    // It looks at folders.
    let sources: Vec<_> = aside(true, || views.iter().filter_map(of_view).collect::<Result<_>>())?;
    let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
    let work = Arc::clone(&shared);
    let import = move |_turn| {
        for (view, files) in sources {
            if work.is_stopping() {
                return Err(Problem::stopping());
            }
            let imported = work.store.import_files(&view, &files, &ImportOptions::default());
            imported.map_err(|error| error.at(format!("view {view}")))?;
        }
        Ok(())
    };
    if !query.in_background {
        shared.in_turn(Turns::Imports, Arc::clone(grant), import).await?;
        return Ok(([(header::CONTENT_TYPE, "application/json")], "null").into_response());
    }
    let Ok(place) = Arc::clone(&shared.imports_waiting).try_acquire_owned() else {
        let why = "as many imports wait as may; ask again";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into());
    };
    let accepted = json!({ "status": "accepted", "feature_views": names }).to_string();
    let (shared, grant) = (Arc::clone(&shared), Arc::clone(grant));
    tokio::spawn(async move {
        let _place = place;
        if let Err(problem) = shared.in_turn(Turns::Imports, grant, import).await {
            tracing::warn!(why = problem.detail, "an import that nobody waits for failed");
        }
    });
    Ok((StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], accepted).into_response())
}

/// The views that are named, or all.
fn views_of<'a>(
    request: &MaterializeRequest,
    in_force: &'a InForce,
    grant: &Grant,
    project: &str,
) -> Result<Vec<&'a FeatureView>, Refusal> {
    let Some(names) = &request.feature_views else {
        let mut views: Vec<&FeatureView> = in_force.newest().collect();
        views.sort_unstable_by_key(|view| &view.name);
        if views.iter().any(|view| !grant.access.may(Scope::Write, Some(&view.name))) {
            return Err(guard::not_permitted(grant, Scope::Write, "of all views").into());
        }
        return Ok(views);
    };
    let mut views: Vec<&FeatureView> = Vec::new();
    for name in names {
        let unknown = || {
            let message = format!("Feature view {name} does not exist in project {project}");
            Refusal::exception(StatusCode::NOT_FOUND, "FeatureViewNotFoundException", &message)
        };
        let wanted = name.parse::<crate::definition::ViewRef>().map_err(|_| unknown())?;
        guard::check(grant, Scope::Write, &wanted.name)?;
        let view = in_force.view(&wanted).ok_or_else(unknown)?;
        // There are no more of them than there are views.
        if views.iter().all(|known| known.reference() != view.reference()) {
            views.push(view);
        }
    }
    Ok(views)
}

/// The files of a source, which lie nowhere but in the folder that files are imported from, as they are really called.
///
/// # Errors
/// No such folder was given; it is not there; the path, or a link below it, leads out of it.
fn beneath(options: &HttpOptions, path: &Path) -> Result<Vec<PathBuf>> {
    let folder = options.import_folder.as_deref().ok_or_else(|| {
        Error::refused("this server imports no files of its own machine").remedy("import them there: asof import --all")
    })?;
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found("there is no such file").at(path.display()),
            _ => Error::io("find", path, error),
        })
    };
    let (folder, found) = (real(folder)?, real(&options.source_folder.join(path))?);
    let check = |found: &Path| match found.starts_with(&folder) {
        true => Ok(()),
        false => Err(Error::refused("a source lies outside of the folder that files are imported from")
            .at(path.display())
            .remedy("asof serve --import-folder names another one")),
    };
    check(&found)?;
    if !found.is_dir() {
        return Ok(vec![found]);
    }
    let files = files_below(&found)?.iter().map(|file| real(file)).collect::<Result<Vec<_>>>()?;
    files.iter().try_for_each(|file| check(file))?;
    // The import says that there is none.
    Ok(if files.is_empty() { vec![found] } else { files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_lies_beneath_the_import_folder_however_it_is_written() {
        let folder = std::env::temp_dir().join(format!("asof-beneath-{}", std::process::id()));
        let inner = folder.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("a.csv"), "").unwrap();
        std::fs::write(folder.join("b.csv"), "").unwrap();
        std::os::unix::fs::symlink("../b.csv", inner.join("link.csv")).unwrap();
        let options = |import_folder: Option<&Path>| HttpOptions {
            source_folder: inner.clone(),
            import_folder: import_folder.map(Path::to_path_buf),
            ..HttpOptions::default()
        };
        for (folder_below, target) in [("in", "../a.csv"), ("out", "../../b.csv")] {
            std::fs::create_dir(inner.join(folder_below)).unwrap();
            std::os::unix::fs::symlink(target, inner.join(folder_below).join("link.csv")).unwrap();
        }
        let may = |path: &str| beneath(&options(Some(&inner)), Path::new(path)).is_ok();
        let folders = ["in", "out"].map(may);
        let answers = ["a.csv", "../inner/a.csv", "../b.csv", "link.csv", "/etc/passwd", "none.csv"].map(may);
        let absolute = may(&inner.join("a.csv").to_string_lossy());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(answers, [true, true, false, false, false, false]);
        assert_eq!(folders, [true, false], "a link in a folder leads out of it");
        assert!(absolute && beneath(&options(None), Path::new("a.csv")).is_err());
    }

    #[test]
    fn instants_are_printed_as_python_does() {
        assert_eq!(as_python("2026-11-21T02:24:43Z".parse().unwrap()), "2026-11-21 02:24:43+00:00");
        assert_eq!(as_python("2026-11-21T02:24:43.1234567Z".parse().unwrap()), "2026-11-21 02:24:43.123456+00:00");
    }
}
