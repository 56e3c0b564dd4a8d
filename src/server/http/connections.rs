//! Connections: how many, how long each may take for what, and their end when the server stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::front::Front;
use super::shared::{IMPORTS_WAITING_MAX, Shared};

/// What is answered where there are too many connections.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 34\r\nconnection: close\r\nretry-after: 1\r\n\r\n{\"detail\":\"too many connections\"}\n";
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// After an error of the system, as when it has no descriptors left, nobody is taken for so long.
const REST: Duration = Duration::from_millis(50);
/// So much of what is refused is read, and for so long.
const REFUSED_BYTES_MAX: u64 = 64 << 10;
const REFUSED_TIME: Duration = Duration::from_secs(1);
/// So long requests that are under way have to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Takes connections until `stopped` says otherwise, and then waits for their requests to end.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
) {
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
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            // In TLS nothing can be said to whoever has not been greeted.
            if shared.options.tls.is_none()
                && let Ok(place) = Arc::clone(&shared.refusals).try_acquire_owned()
            {
                tokio::spawn(async move {
                    let _place = place;
                    refuse(socket).await;
                });
            }
            continue;
        };
        let (shared, front, watcher) = (Arc::clone(&shared), Arc::clone(&front), graceful.watcher());
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let _place = place;
            let _ = socket.set_nodelay(true);
            match &shared.options.tls {
                None => connection(socket, &shared, front, watcher).await,
                Some(tls) => {
                    let greeting = TlsAcceptor::from(tls.config()).accept(socket);
                    let greeting = tokio::time::timeout(shared.options.head_time, greeting);
                    let greeted = tokio::select! {
                        greeted = greeting => greeted,
                        _ = stopped.wait_for(|stopped| *stopped) => return,
                    };
                    if let Ok(Ok(socket)) = greeted {
                        connection(socket, &shared, front, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    shared.stop();
    // Who is idle is closed at once, who asks is answered first; imports that nobody waits for end, too.
    let imports = shared.imports_waiting.acquire_many(IMPORTS_WAITING_MAX);
    let _ = tokio::time::timeout(FAREWELL, async { tokio::join!(graceful.shutdown(), imports) }).await;
    shared.give_up();
}

async fn connection(
    socket: impl AsyncRead + AsyncWrite + Send + 'static,
    shared: &Shared,
    front: Arc<Front>,
    watcher: Watcher,
) {
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(shared.options.stall_time));
    // Each request takes one: counted for the connection, it is not counted by all threads at once.
    let front = Arc::new(front);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.head_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(socket)), answer);
    // What ends a connection early is its peer's affair.
    let _ = watcher.watch(serving).await;
}

/// Says why, and reads a little of what was asked: closed with that unread, the connection might end before the answer is there.
async fn refuse(mut socket: TcpStream) {
    let saying = async {
        socket.write_all(FULL).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(REFUSED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(REFUSED_TIME, saying).await;
}
