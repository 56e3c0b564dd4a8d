//! `asof serve`: the store's features and keys for other programs, until it is told to stop.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::Serve;
use super::context::Context;
use super::failure::Failure;
use crate::server::auth::KeyRing;
use crate::server::resp::{Authenticator, RedisServer, ServerOptions};
use crate::server::tls::Tls;

pub(super) fn run(args: &Serve, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let durability = project.definitions.store.durability.unwrap_or_default();
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::load(certificate, key)?)),
        _ => None,
    };
    let store = project.open_and_hold()?;
    // Before anybody can send one. Without a certificate to be read again, a terminal that hangs up ends the server, as it would.
    let mut signals = match tls {
        Some(_) => Signals::new([SIGINT, SIGTERM, SIGHUP])?,
        None => Signals::new([SIGINT, SIGTERM])?,
    };
    let keys = Arc::new(KeyRing::new(store.key_records()?));
    let options = ServerOptions {
        address: args.redis,
        writes_on_event_loops: !durability.syncs_before_answering(),
        authenticator: Authenticator::Keys(Arc::clone(&keys)),
        tls: tls.clone(),
        ..ServerOptions::default()
    };
    let server = RedisServer::start(store.keyspace()?, options)?;
    if args.print_address {
        context.say(format!("redis {}", server.address()))?;
        context.out.flush()?;
    } else {
        let how = if tls.is_some() { " in TLS" } else { "" };
        context.note(format!("serving the Redis protocol{how} on {}; ctrl-c stops it", server.address()));
    }
    context.note(match (keys.is_required(), keys.len()) {
        (false, _) => "the store never had a key: nobody is asked for one, until asof key create makes one".to_owned(),
        (true, 0) => "all keys were revoked: nobody is served until asof key create makes one".to_owned(),
        (true, count) => format!("clients show a key as their password; keys in force: {count}"),
    });
    let is_exposed = !server.address().ip().is_loopback();
    if is_exposed && tls.is_none() {
        context
            .note("other machines reach this address without TLS: who is on the way reads what is said, keys included");
    } else if is_exposed && !keys.is_required() {
        context.note("other machines reach this address, and whoever does may do everything: make a key as well");
    }
    let stopper = server.stopper();
    let handle = signals.handle();
    let waiting = std::thread::spawn(move || {
        for signal in signals.forever() {
            match &tls {
                Some(tls) if signal == SIGHUP => match tls.reload() {
                    Ok(()) => tracing::info!("the certificate was read again"),
                    Err(error) => tracing::warn!(%error, "the certificate of before is kept"),
                },
                _ => {
                    stopper.stop();
                    return;
                }
            }
        }
    });
    server.wait();
    handle.close();
    // It only waited for a signal.
    let _ = waiting.join();
    Ok(store.close()?)
}
