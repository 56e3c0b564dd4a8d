//! All of it in the text that Prometheus reads: OpenMetrics.

use std::fmt;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::api_key::Scope;
use crate::engine::summary::{StoreSummary, ViewSummary};
use crate::error::Result;
use crate::histogram::Counts;
use crate::server::auth::Grant;
use crate::server::http::answer::on_disk;
use crate::server::http::guard;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::time::Timestamp;

/// What OpenMetrics is called.
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is measured.
pub(in crate::server::http) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
) -> Result<Response, Problem> {
    guard::check_all(&grant, Scope::Read)?;
    on_disk(move || {
        let scrape = Scrape::new(shared)?;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        encode(&mut text, &registry)
            .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}")))?;
        Ok(([(header::CONTENT_TYPE, MEDIA)], text).into_response())
    })
    .await
}

/// What there is at the time of a scrape.
#[derive(Debug)]
struct Scrape {
    shared: Arc<Shared>,
    now: Timestamp,
    store: StoreSummary,
    views: Vec<ViewSummary>,
    commits: Counts,
    is_writable: bool,
}

impl Scrape {
    fn new(shared: Arc<Shared>) -> Result<Scrape> {
        Ok(Scrape {
            now: shared.store.now(),
            store: shared.store.summary()?,
            views: shared.store.views()?,
            commits: shared.store.commit_times().unwrap_or_default(),
            is_writable: shared.store.check_writable().is_ok(),
            shared,
        })
    }

    /// How far the newest event of a view lies behind the clock, in seconds; 0 where it lies ahead.
    fn freshness(&self, view: &ViewSummary) -> Option<f64> {
        let newest = view.event_max?;
        Some(self.now.0.saturating_sub(newest.0).max(0) as f64 / 1e6)
    }
}

type Done = Result<(), fmt::Error>;

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Done {
        let mut out = Exposition(encoder);
        out.requests(&self.shared)?;
        out.views(self)?;
        out.store(self)
    }
}

/// Metrics, one after the other.
struct Exposition<'a>(DescriptorEncoder<'a>);

impl Exposition<'_> {
    fn requests(&mut self, shared: &Shared) -> Done {
        let routes = shared.requests.all();
        let mut metric = self.metric("asof_http_requests", "Requests, by path and status.", MetricType::Counter)?;
        for route in &routes {
            for (status, count) in route.statuses() {
                let labels = [("path", route.path.to_owned()), ("status", status.to_string())];
                counter(&mut metric, &labels, count)?;
            }
        }
        let help = "How long requests took until the head of their answer, by path.";
        let mut metric = self.metric("asof_http_request_duration_seconds", help, MetricType::Histogram)?;
        for route in &routes {
            let times = route.times();
            if times.count() > 0 {
                histogram(&mut metric.encode_family(&[("path", route.path)])?, &times)?;
            }
        }
        self.gauge("asof_http_connections", "Connections that are open.", shared.connections() as f64)?;
        let served = shared.served.all();
        let mut metric = self.metric(
            "asof_feature_values",
            "Feature values that were asked for as of now, by view.",
            MetricType::Counter,
        )?;
        for (view, asked, _) in &served {
            counter(&mut metric, &[("view", view.as_str())], *asked)?;
        }
        let help = "Those of them that were not there: never written, deleted, or older than the view's TTL.";
        let mut metric = self.metric("asof_feature_values_missing", help, MetricType::Counter)?;
        for (view, _, missing) in &served {
            counter(&mut metric, &[("view", view.as_str())], *missing)?;
        }
        let help = "The share of feature values that were not there since the server began, by view.";
        let mut metric = self.metric("feature_missing_rate", help, MetricType::Gauge)?;
        for (view, asked, missing) in served.iter().filter(|(_, asked, _)| *asked > 0) {
            metric.encode_family(&[("view", view.as_str())])?.encode_gauge(&(*missing as f64 / *asked as f64))?;
        }
        Ok(())
    }

    fn views(&mut self, scrape: &Scrape) -> Done {
        let help = "Seconds since the newest event of a view was true.";
        self.of_views("feature_freshness", help, scrape, |view| scrape.freshness(view))?;
        let help = "Seconds since a row of a view came.";
        self.of_views("asof_view_ingested_seconds", help, scrape, |view| {
            let came = view.newest_ingested_at?;
            Some(scrape.now.0.saturating_sub(came.0).max(0) as f64 / 1e6)
        })?;
        let help = "The age at which the newest event is too old, as the definition says; absent where it says none.";
        self.of_views("feature_freshness_sla", help, scrape, |view| {
            (view.freshness_sla_us > 0).then_some(view.freshness_sla_us as f64 / 1e6)
        })?;
        self.of_views("asof_view_rows", "Rows of a view.", scrape, |view| Some(view.rows as f64))?;
        let help = "Entities of a view, where that is known without reading everything.";
        self.of_views("asof_view_entities", help, scrape, |view| view.entity_count.map(|count| count as f64))?;
        self.of_views("asof_view_runs", "History runs of a view.", scrape, |view| Some(view.runs as f64))?;
        let help = "Bytes of the history runs of a view.";
        self.of_views("asof_view_history_bytes", help, scrape, |view| Some(view.history_bytes as f64))?;
        let help = "Bytes of the table of latest values of a view.";
        self.of_views("asof_view_latest_bytes", help, scrape, |view| Some(view.latest_bytes as f64))
    }

    fn store(&mut self, scrape: &Scrape) -> Done {
        let store = &scrape.store;
        self.gauge("asof_seq", "The number of the newest row.", store.seq as f64)?;
        self.gauge("asof_rows", "Rows of all views.", store.rows as f64)?;
        self.gauge("asof_log_rows", "Rows that lie in the log.", store.rows_in_log as f64)?;
        self.gauge("asof_log_bytes", "Bytes of the log.", store.log_bytes as f64)?;
        self.gauge("asof_history_bytes", "Bytes of history runs.", store.history_bytes as f64)?;
        self.gauge("asof_latest_bytes", "Bytes of tables of latest values.", store.latest_bytes as f64)?;
        self.gauge("asof_writable", "1 while the log takes writes.", f64::from(u8::from(scrape.is_writable)))?;
        let help = "How long commits took, a group of them counted once: into the log, and its sync where an answer waits for it.";
        let mut metric = self.metric("asof_commit_duration_seconds", help, MetricType::Histogram)?;
        histogram(&mut metric, &scrape.commits)
    }

    fn metric<'s>(&'s mut self, name: &'s str, help: &str, kind: MetricType) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Done {
        self.metric(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A gauge of each view, by its name and version.
    fn of_views(
        &mut self,
        name: &str,
        help: &str,
        scrape: &Scrape,
        value: impl Fn(&ViewSummary) -> Option<f64>,
    ) -> Done {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        for view in &scrape.views {
            if let Some(value) = value(view) {
                metric.encode_family(&[("view", view.view.as_str())])?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

fn counter(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, count: u64) -> Done {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn histogram(metric: &mut MetricEncoder<'_>, counts: &Counts) -> Done {
    let buckets: Vec<(f64, u64)> =
        counts.counts.iter().enumerate().map(|(at, count)| (Counts::bound_seconds(at), *count)).collect();
    metric.encode_histogram::<NoLabelSet>(counts.sum_ns as f64 / 1e9, counts.count(), &buckets, None)
}
