//! What `asof serve` is told, by whom, and what comes of it: a flag, the environment, `[serve]` of asof.toml, a default, in this order.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::args::Serve;
use super::context::{DEFINITIONS_FILE, Project};
use crate::definition::{Endpoint, LogFormat, LogLevel};
use crate::error::{Error, Result};
use crate::server::http::HttpOptions;

/// Where each protocol is spoken when none is asked for by name.
const REDIS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6379);
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6566);

/// What is in force.
#[derive(Debug)]
pub struct Settings {
    pub redis: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub import_folder: PathBuf,
    pub requests_per_second: u32,
    pub http_connections: usize,
    /// Certificate and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub log: LogLevel,
    pub log_format: LogFormat,
    /// A line for each: its name, its value, who said so. None of them is a secret: of the private key the file is named alone.
    pub told: Vec<String>,
}

/// Puts settings together, and keeps who said what.
struct Told<'a> {
    args: &'a Serve,
    lines: Vec<String>,
}

impl Told<'_> {
    /// The setting of this name.
    fn take<T: Display>(&mut self, name: &str, asked: Option<T>, of_file: Option<T>, otherwise: T) -> T {
        let (value, by) = match (asked, of_file) {
            (Some(value), _) if self.args.of_environment.contains(name) => {
                (value, format!("ASOF_SERVE_{}", name.to_ascii_uppercase()))
            }
            (Some(value), _) => (value, format!("--{}", name.replace('_', "-"))),
            (None, Some(value)) => (value, format!("[serve] in {DEFINITIONS_FILE}")),
            (None, None) => (otherwise, "default".to_owned()),
        };
        self.lines.push(format!("{name} = {value} ({by})"));
        value
    }

    fn take_path(
        &mut self,
        name: &str,
        asked: Option<&Path>,
        of_file: Option<PathBuf>,
        otherwise: Option<PathBuf>,
    ) -> Option<PathBuf> {
        let [asked, of_file] = [asked.map(Path::to_path_buf), of_file].map(|path| path.map(|path| Shown(Some(path))));
        self.take(name, asked, of_file, Shown(otherwise)).0
    }
}

/// A path as it is shown, or that there is none.
struct Shown(Option<PathBuf>);

impl Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("none"),
        }
    }
}

impl Settings {
    /// What the arguments and the project say.
    ///
    /// # Errors
    /// A certificate without its key, or a key without its certificate; nothing is spoken.
    pub fn new(args: &Serve, project: &Project) -> Result<Settings> {
        let file = &project.definitions.serve;
        let mut told = Told { args, lines: Vec::new() };
        let is_named = |endpoint: Option<Endpoint>| matches!(endpoint, Some(Endpoint::At(_)));
        let (asked_redis, asked_http) = (args.redis.or(file.redis), args.http.or(file.http));
        // Who asks for one by name gets that one.
        let unless = |other: Option<Endpoint>, address: SocketAddr| match is_named(other) {
            true => Endpoint::Off,
            false => Endpoint::At(address),
        };
        let redis = told.take("redis", args.redis, file.redis, unless(asked_http, REDIS));
        let http = told.take("http", args.http, file.http, unless(asked_redis, HTTP));
        let [redis, http] = [redis, http].map(|endpoint| match endpoint {
            Endpoint::Off => None,
            Endpoint::At(address) => Some(address),
        });
        if redis.is_none() && http.is_none() {
            return Err(Error::invalid("both redis and http are off: nothing is left to serve"));
        }
        let of_project = |path: &Option<PathBuf>| path.as_deref().map(|path| project.path(path));
        let folder = match project.folder() {
            unsaid if unsaid.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        let import_folder = told.take_path(
            "import_folder",
            args.import_folder.as_deref(),
            of_project(&file.import_folder),
            Some(folder.to_path_buf()),
        );
        let defaults = HttpOptions::default();
        let requests_per_second = told.take(
            "requests_per_second",
            args.requests_per_second,
            file.requests_per_second,
            defaults.requests_per_second,
        );
        let connections_max = u32::try_from(defaults.connections_max).unwrap_or(u32::MAX);
        let http_connections =
            told.take("http_connections", args.http_connections, file.http_connections, connections_max);
        let tls_cert = told.take_path("tls_cert", args.tls_cert.as_deref(), of_project(&file.tls_cert), None);
        let tls_key = told.take_path("tls_key", args.tls_key.as_deref(), of_project(&file.tls_key), None);
        let tls = match (tls_cert, tls_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (certificate, _) => {
                let (given, missing) =
                    if certificate.is_some() { ("tls_cert", "tls_key") } else { ("tls_key", "tls_cert") };
                return Err(Error::invalid(format!("{given} is given, and {missing} is not"))
                    .remedy("give both: --tls-cert and --tls-key, or tls_cert and tls_key in [serve]"));
            }
        };
        let log = told.take("log", args.log, file.log, LogLevel::default());
        let log_format = told.take("log_format", args.log_format, file.log_format, LogFormat::default());
        Ok(Settings {
            redis,
            http,
            import_folder: import_folder.unwrap_or_default(),
            requests_per_second,
            http_connections: http_connections as usize,
            tls,
            log,
            log_format,
            told: told.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn settings(args: &[&str], serve: &str, of_environment: &[&'static str]) -> Result<Settings> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("asof-settings-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(DEFINITIONS_FILE), format!("[project]\nname = \"p\"\n[serve]\n{serve}")).unwrap();
        let project = Project::load(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let cli = <Cli as clap::Parser>::try_parse_from([&["asof", "serve"], args].concat()).unwrap();
        let Command::Serve(mut serve) = cli.command else { panic!("not serve") };
        serve.of_environment.extend(of_environment);
        Settings::new(&serve, &project?)
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_that_before_the_file() {
        let file = "http = \"127.0.0.1:1\"\nrequests_per_second = 5\nimport_folder = \"data\"\nlog_format = \"json\"";
        let found = settings(&["--http", "127.0.0.1:2", "--log", "info"], file, &["log"]).unwrap();
        assert_eq!(found.http.unwrap().port(), 2);
        assert_eq!((found.redis, found.requests_per_second, found.log_format), (None, 5, LogFormat::Json));
        assert!(found.import_folder.ends_with("data"));
        for line in [
            "redis = off (default)",
            "http = 127.0.0.1:2 (--http)",
            "requests_per_second = 5 ([serve] in asof.toml)",
            "http_connections = 10000 (default)",
            "tls_key = none (default)",
            "log = info (ASOF_SERVE_LOG)",
        ] {
            assert!(found.told.iter().any(|told| told == line), "{line}: {:?}", found.told);
        }
    }

    #[test]
    fn who_asks_for_one_protocol_gets_that_one() {
        let spoken = |args: &[&str], file: &str| {
            let found = settings(args, file, &[]).unwrap();
            (found.redis.map(|at| at.port()), found.http.map(|at| at.port()))
        };
        assert_eq!(spoken(&[], ""), (Some(6379), Some(6566)));
        assert_eq!(spoken(&["--redis", "off"], ""), (None, Some(6566)));
        assert_eq!(spoken(&[], "redis = \"127.0.0.1:1\""), (Some(1), None));
        assert_eq!(spoken(&["--http", "127.0.0.1:2"], "redis = \"127.0.0.1:1\""), (Some(1), Some(2)));
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        for (args, file, says) in [
            (&["--redis", "off", "--http", "off"][..], "", "nothing is left"),
            (&["--tls-cert", "a.pem"], "", "tls_key is not"),
            (&[], "tls_key = \"a.key\"", "tls_cert is not"),
            (&[], "http = \"localhost\"", "'localhost' is no address"),
            (&[], "requests_per_second = -1", "a number from 0"),
            (&[], "log = \"loud\"", "error, warn, info, debug"),
            (&[], "htpp = \"off\"", "http"),
        ] {
            let error = settings(args, file, &[]).unwrap_err().to_string();
            assert!(error.contains(says), "{args:?} {file}: {error}");
        }
    }
}
