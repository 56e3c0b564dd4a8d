//! How the store is served: the `[serve]` table.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The `[serve]` table: about `asof serve`, not about the data. What it leaves out is for the command line, the environment and the defaults
/// to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeSettings {
    /// Where the Redis protocol is spoken.
    pub redis: Option<Endpoint>,
    /// Where HTTP is spoken.
    pub http: Option<Endpoint>,
    /// The folder that sources are imported from over HTTP, relative to the definitions file.
    pub import_folder: Option<PathBuf>,
    /// Most requests of a key a second over HTTP; 0 for any number.
    pub requests_per_second: Option<u32>,
    /// Most connections over HTTP at a time.
    pub http_connections: Option<u32>,
    /// The certificate, relative to the definitions file.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, relative to the definitions file.
    pub tls_key: Option<PathBuf>,
    /// The least that is told on standard error.
    pub log: Option<LogLevel>,
    /// In which form.
    pub log_format: Option<LogFormat>,
}

/// Where a protocol is spoken, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Nowhere.
    Off,
    /// At this address; port 0 takes a free one.
    At(SocketAddr),
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint> {
        if text == "off" {
            return Ok(Endpoint::Off);
        }
        text.parse().map(Endpoint::At).map_err(|_| {
            Error::invalid(format!("'{text}' is no address"))
                .remedy("write address and port, as in 127.0.0.1:6566 or [::1]:6566, or off")
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Off => f.write_str("off"),
            Endpoint::At(address) => write!(f, "{address}"),
        }
    }
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What went wrong in the server.
    Error,
    /// And what may become so.
    #[default]
    Warn,
    /// And every request over HTTP.
    Info,
    /// And what the engine decides.
    Debug,
}

/// In which form it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// By the names they go by.
const LOG_LEVELS: [(&str, LogLevel); 4] =
    [("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

fn by_name<T: Copy>(names: &[(&'static str, T)], what: &str, text: &str) -> Result<T> {
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        Error::invalid(format!("'{text}' is no {what}")).remedy(format!("write one of {}", all.join(", ")))
    })
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

impl FromStr for LogLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogLevel> {
        by_name(&LOG_LEVELS, "log level", text)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&LOG_LEVELS, self))
    }
}

impl FromStr for LogFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogFormat> {
        by_name(&LOG_FORMATS, "log format", text)
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&LOG_FORMATS, self))
    }
}
