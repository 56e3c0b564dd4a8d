//! `asof serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to speak the Redis protocol. Without --redis and --http both are spoken, on 127.0.0.1:6379 and 127.0.0.1:6566.
    #[arg(long, value_name = "ADDR")]
    pub redis: Option<SocketAddr>,
    /// Where to speak HTTP.
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Over HTTP, sources of views are imported from below this folder alone. [default: the project's]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub import_folder: Option<PathBuf>,
    /// Over HTTP, most requests of a key a second; 0 for any number.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub requests_per_second: u32,
    /// Print `redis ADDR` and `http ADDR` on standard output when they are ready.
    #[arg(long)]
    pub print_address: bool,
    /// Speak TLS, and nothing else, with this certificate (PEM, with those between it and its root behind it). It is read again on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub tls_key: Option<PathBuf>,
}
