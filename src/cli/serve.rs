//! `asof serve`: the store's features and keys for other programs, until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::Serve;
use super::context::{Context, DEFINITIONS_FILE};
use super::failure::Failure;
use super::settings::Settings;
use crate::definition::LogFormat;
use crate::server::auth::{Authenticator, KeyRing};
use crate::server::http::{HttpOptions, HttpServer, RunningHttp};
use crate::server::resp::{RedisServer, RunningServer, ServerOptions};
use crate::server::tls::Tls;
use crate::time::{Clock as _, SystemClock};

pub(super) fn run(args: &Serve, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let settings = Settings::new(args, &project).map_err(Failure::Usage)?;
    super::tell(settings.log, settings.log_format);
    let notes = Notes(settings.log_format);
    settings.told.iter().for_each(|line| notes.note(context, line));
    let folder = project.path(Path::new("."));
    let durability = project.definitions.store.durability.unwrap_or_default();
    let tls = match &settings.tls {
        Some((certificate, key)) => Some(Arc::new(Tls::load(certificate, key)?)),
        None => None,
    };
    let has_tls = tls.is_some();
    let store = project.open_and_hold()?;
    // Before anybody can send one.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // Where nothing is to be read again, a terminal that hangs up ends the server.
    let has_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    let keys = Arc::new(KeyRing::new(store.key_records()?));
    let authenticator = Authenticator::Keys(Arc::clone(&keys));
    let redis = match settings.redis {
        Some(address) => Some(RedisServer::start(
            store.keyspace()?,
            ServerOptions {
                address,
                writes_on_event_loops: !durability.syncs_before_answering(),
                authenticator: authenticator.clone(),
                tls: tls.clone(),
                ..ServerOptions::default()
            },
        )?),
        None => None,
    };
    let http = match settings.http {
        Some(address) => {
            let project = project.definitions.project.clone();
            let connections_beside = if redis.is_some() { ServerOptions::default().clients_max } else { 0 };
            let tls = tls.clone();
            let options = HttpOptions {
                address,
                project,
                authenticator,
                tls,
                connections_beside,
                managed_by: Some(DEFINITIONS_FILE.to_owned()),
                connections_max: settings.http_connections,
                requests_per_second: settings.requests_per_second,
                import_folder: Some(settings.import_folder.clone()),
                source_folder: folder,
                ..HttpOptions::default()
            };
            Some(HttpServer::start(store.clone(), options)?)
        }
        None => None,
    };
    announce((args.print_address, has_tls), (context, notes), &keys, (redis.as_ref(), http.as_ref()))?;

    // Whichever ends first, the other ends with it.
    let (redis_stopper, http_stopper) =
        (redis.as_ref().map(RunningServer::stopper), http.as_ref().map(RunningHttp::stopper));
    let stop = move || {
        redis_stopper.iter().for_each(crate::server::resp::Stopper::stop);
        http_stopper.iter().for_each(crate::server::http::HttpStopper::stop);
    };
    let handle = signals.handle();
    let once_more = Arc::new(AtomicBool::new(true));
    let stop_by_signal = stop.clone();
    let waiting = std::thread::spawn(move || {
        for signal in signals.forever() {
            match &tls {
                Some(tls) if signal == SIGHUP => match tls.reload() {
                    Ok(()) => tracing::info!("the certificate was read again"),
                    Err(error) => tracing::warn!(%error, "the certificate of before is kept"),
                },
                None if signal == SIGHUP && !has_terminal => tracing::info!("there is no certificate to be read again"),
                _ => {
                    // Who asks once more does not want to wait.
                    for signal in [SIGINT, SIGTERM] {
                        if let Err(error) =
                            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&once_more))
                        {
                            tracing::warn!(%error, "a second signal will not end the server at once");
                        }
                    }
                    stop_by_signal();
                    return;
                }
            }
        }
    });
    let http = http.map(|server| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            server.wait();
            stop();
        })
    });
    if let Some(server) = redis {
        server.wait();
        stop();
    }
    if let Some(http) = http {
        // It only waited.
        let _ = http.join();
    }
    handle.close();
    // It only waited for a signal.
    let _ = waiting.join();
    Ok(store.close()?)
}

/// What is told beside the log, in the log's form: whoever reads that reads JSON on every line.
#[derive(Clone, Copy)]
struct Notes(LogFormat);

impl Notes {
    fn note(self, context: &Context, text: &str) {
        match self.0 {
            LogFormat::Text => context.note(text),
            LogFormat::Json => {
                let line = json!({ "timestamp": SystemClock.now().to_string(), "level": "INFO", "message": text });
                // Where that cannot be written to it is lost, and nothing else.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }
}

/// Says where it listens, and who gets in.
fn announce(
    (print_address, has_tls): (bool, bool),
    (context, notes): (&mut Context, Notes),
    keys: &KeyRing,
    (redis, http): (Option<&RunningServer>, Option<&RunningHttp>),
) -> Result<(), Failure> {
    let addresses = [
        ("redis", "the Redis protocol", redis.map(RunningServer::address)),
        ("http", "HTTP", http.map(RunningHttp::address)),
    ];
    for (name, protocol, address) in addresses {
        let Some(address) = address else { continue };
        if print_address {
            context.say(format!("{name} {address}"))?;
        } else {
            let how = if has_tls { " in TLS" } else { "" };
            notes.note(context, &format!("serving {protocol}{how} on {address}; ctrl-c stops it"));
        }
    }
    if print_address {
        context.out.flush()?;
    }
    let who = match (keys.is_required(), keys.len()) {
        (false, _) => "the store never had a key: nobody is asked for one, until asof key create makes one".to_owned(),
        (true, 0) => "all keys were revoked: nobody is served until asof key create makes one".to_owned(),
        (true, count) => format!("clients show a key as their password, or as a bearer token; keys in force: {count}"),
    };
    notes.note(context, &who);
    let is_exposed = addresses.iter().any(|(_, _, address)| address.is_some_and(|address| !address.ip().is_loopback()));
    if is_exposed && !has_tls {
        notes.note(
            context,
            "other machines reach this address without TLS: who is on the way reads what is said, keys included",
        );
    } else if is_exposed && !keys.is_required() {
        notes
            .note(context, "other machines reach this address, and whoever does may do everything: make a key as well");
    }
    Ok(())
}
