//! `asof serve`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::definition::{Endpoint, LogFormat, LogLevel};

/// Every setting may stand in asof.toml too, as a key of `[serve]` with `_` for `-`. A flag goes before the environment, and that before the file.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to speak the Redis protocol, or off. [default: 127.0.0.1:6379, or off where --http is given]
    #[arg(long, value_name = "ADDR", env = "ASOF_SERVE_REDIS")]
    pub redis: Option<Endpoint>,
    /// Where to speak HTTP, or off. [default: 127.0.0.1:6566, or off where --redis is given]
    #[arg(long, value_name = "ADDR", env = "ASOF_SERVE_HTTP")]
    pub http: Option<Endpoint>,
    /// Over HTTP, sources of views are imported from below this folder alone. [default: the project's]
    #[arg(long, value_name = "DIR", env = "ASOF_SERVE_IMPORT_FOLDER", value_hint = ValueHint::DirPath)]
    pub import_folder: Option<PathBuf>,
    /// Over HTTP, most requests of a key a second; 0 for any number. [default: 10000]
    #[arg(long, value_name = "N", env = "ASOF_SERVE_REQUESTS_PER_SECOND")]
    pub requests_per_second: Option<u32>,
    /// Over HTTP, most connections at a time. [default: 10000]
    #[arg(long, value_name = "N", env = "ASOF_SERVE_HTTP_CONNECTIONS")]
    pub http_connections: Option<u32>,
    /// Print `redis ADDR` and `http ADDR` on standard output when they are ready.
    #[arg(long)]
    pub print_address: bool,
    /// Speak TLS, and nothing else, with this certificate (PEM, with those between it and its root behind it). It is read again on SIGHUP.
    #[arg(long, value_name = "FILE", env = "ASOF_SERVE_TLS_CERT", value_hint = ValueHint::FilePath)]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", env = "ASOF_SERVE_TLS_KEY", value_hint = ValueHint::FilePath)]
    pub tls_key: Option<PathBuf>,
    /// The least that is told on standard error: error, warn, info (every request over HTTP) or debug. [default: warn]
    #[arg(long, value_name = "LEVEL", env = "ASOF_SERVE_LOG")]
    pub log: Option<LogLevel>,
    /// In which form: text, or json, an object a line. [default: text]
    #[arg(long, value_name = "FORM", env = "ASOF_SERVE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The names of those that the environment has.
    #[arg(skip)]
    pub of_environment: BTreeSet<&'static str>,
}

/// Their names, as [`Serve::of_environment`] has them.
pub const SETTINGS: [&str; 9] = [
    "redis",
    "http",
    "import_folder",
    "requests_per_second",
    "http_connections",
    "tls_cert",
    "tls_key",
    "log",
    "log_format",
];
