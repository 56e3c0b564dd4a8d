//! `asof serve`: the store's features and keys for other programs, until it is told to stop.

use std::net::SocketAddr;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::Serve;
use super::context::Context;
use super::failure::Failure;
use crate::error::Error;
use crate::server::resp::{RedisServer, ServerOptions};

pub(super) fn run(args: &Serve, context: &mut Context) -> Result<(), Failure> {
    check_loopback(args.redis).map_err(Failure::Usage)?;
    let project = context.project()?;
    let durability = project.definitions.store.durability.unwrap_or_default();
    let store = project.open_and_hold()?;
    // Before anybody can send one.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let options = ServerOptions {
        address: args.redis,
        writes_on_event_loops: !durability.syncs_before_answering(),
        ..ServerOptions::default()
    };
    let server = RedisServer::start(store.keyspace()?, options)?;
    if args.print_address {
        context.say(format!("redis {}", server.address()))?;
        context.out.flush()?;
    } else {
        context.note(format!("serving the Redis protocol on {}; ctrl-c stops it", server.address()));
    }
    let stopper = server.stopper();
    let handle = signals.handle();
    let waiting = std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            stopper.stop();
        }
    });
    server.wait();
    handle.close();
    // It only waited for a signal.
    let _ = waiting.join();
    Ok(store.close()?)
}

/// Until there are keys and TLS, only programs of this machine are served.
fn check_loopback(address: SocketAddr) -> Result<(), Error> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::invalid(format!("{address} can be reached from other machines, and nobody would be asked for a key"))
        .remedy("listen on a loopback address such as 127.0.0.1:6379"))
}
