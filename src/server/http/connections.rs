//! Connections: how many, how long each may take for what, and their end when the server stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::shared::Shared;

/// What is answered where there are too many connections.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 34\r\nconnection: close\r\nretry-after: 1\r\n\r\n{\"detail\":\"too many connections\"}\n";
/// Most headers of a request, and most bytes of its head.
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// After an error of the system, as when it has no descriptors left, nobody is taken for so long.
const REST: Duration = Duration::from_millis(50);
/// So long requests that are under way have to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Takes connections until `stopped` says otherwise, and then waits for their requests to end.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(shared.options.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tokio::spawn(refuse(socket));
            continue;
        };
        let (shared, router, watcher) = (Arc::clone(&shared), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            let _ = socket.set_nodelay(true);
            match &shared.options.tls {
                None => connection(socket, &shared, router, watcher).await,
                Some(tls) => {
                    let greeting = TlsAcceptor::from(tls.config()).accept(socket);
                    if let Ok(Ok(socket)) = tokio::time::timeout(shared.options.head_time, greeting).await {
                        connection(socket, &shared, router, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    // Who is idle is closed at once, who asks is answered first.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

async fn connection(
    socket: impl AsyncRead + AsyncWrite + Send + 'static,
    shared: &Shared,
    router: Router,
    watcher: Watcher,
) {
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(shared.options.stall_time));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.head_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(Box::pin(socket)), TowerToHyperService::new(router));
    // What ends a connection early is its peer's affair.
    let _ = watcher.watch(serving).await;
}

async fn refuse(mut socket: TcpStream) {
    let _ = socket.write_all(FULL).await;
}
