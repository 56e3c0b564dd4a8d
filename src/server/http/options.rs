//! How the HTTP server is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::server::auth::Authenticator;
use crate::server::tls::Tls;

/// What the HTTP server is started with.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What the project is called, for errors in Feast's words.
    pub project: String,
    /// Who may connect.
    pub authenticator: Authenticator,
    /// The certificate of a server that speaks TLS, and nothing else.
    pub tls: Option<Arc<Tls>>,
    /// Most connections at a time; one more is answered 503 and closed.
    pub connections_max: usize,
    /// Connections of another server of this process, which takes its descriptors from the same limit.
    pub connections_beside: usize,
    /// Most requests of a key a second, on an average; one that was idle makes those of a second at once. 0 for any number. Where no key is
    /// asked for nobody is limited.
    pub requests_per_second: u32,
    /// A connection is closed whose TLS greeting, or whose request up to the end of its headers, takes longer, or that asks nothing for
    /// so long.
    pub head_time: Duration,
    /// A request is answered 408 whose body takes longer, or of whose body, where it goes through a file, nothing comes for so long.
    pub body_time: Duration,
    /// A connection that takes nothing of what it was answered is closed after that.
    pub stall_time: Duration,
    /// The file that has the store's definitions: then a request registers none.
    pub managed_by: Option<String>,
    /// What paths of views' sources are relative to.
    pub source_folder: PathBuf,
    /// The folder below which a source lies that a request has imported; none is without it.
    pub import_folder: Option<PathBuf>,
    /// Most bytes of a body that is held in memory, as JSON is; one that is longer is answered 413.
    pub body_bytes_max: usize,
    /// Most bytes of all bodies that are held in memory at a time; one more is answered 503. What is read out of JSON takes many times as much.
    pub bodies_bytes_max: usize,
    /// Most bytes of a body that goes through a file: a spine as Parquet, Arrow, CSV or JSON Lines.
    pub stream_bytes_max: u64,
    /// A request is answered 408 whose body of that kind takes longer in all; an answer out of a file that its peer takes longer for is cut off.
    pub stream_time: Duration,
    /// Most bytes of an answer that is put together in memory: of entities.
    pub held_bytes_max: usize,
    /// Most bytes of an answer that goes through a file, as they are in memory.
    pub answer_bytes_max: u64,
    /// So many requests keep such files at a time; one more is answered 503.
    pub spools_max: usize,
    /// Where such files, and long answers, lie until the request is done.
    pub spool_folder: PathBuf,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6566)),
            project: String::new(),
            authenticator: Authenticator::None,
            tls: None,
            connections_max: 10_000,
            head_time: Duration::from_secs(30),
            body_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(30),
            managed_by: None,
            source_folder: PathBuf::new(),
            import_folder: None,
            body_bytes_max: 16 << 20,
            bodies_bytes_max: 64 << 20,
            stream_bytes_max: 4 << 30,
            // Of as many values as there may be it has half, unless they are long.
            held_bytes_max: 512 << 20,
            answer_bytes_max: 8 << 30,
            stream_time: Duration::from_secs(600),
            spools_max: 64,
            connections_beside: 0,
            requests_per_second: 10_000,
            spool_folder: std::env::temp_dir(),
        }
    }
}
