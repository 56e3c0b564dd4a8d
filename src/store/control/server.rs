//! The side of the process that holds the store: a thread that listens, one for each connection.

use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Uid;

use super::calls::attend;
use super::wire::send_answer;
use super::{SOCKET_NAME, Socket};
use crate::error::{Error, Result};
use crate::store::WeakStore;

/// More connections than this are refused.
const CONNECTIONS_MAX: usize = 32;
/// A client that takes in nothing of its answer for so long has its connection ended.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// After a connection could not be accepted, as where the process has as many files open as it may.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Listens until dropped; calls that are under way are answered first.
#[derive(Debug)]
pub(in crate::store) struct Server {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    /// The one that is listened on.
    listened: UnixListener,
    socket: Socket,
}

#[derive(Debug)]
struct Shared {
    /// Whose commands are served.
    owner: Uid,
    is_over: AtomicBool,
    answer_wait: Duration,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Arc<UnixStream>>,
    threads: Vec<JoinHandle<()>>,
}

impl Shared {
    fn new(answer_wait: Duration) -> Shared {
        let owner = rustix::process::geteuid();
        Shared { owner, is_over: AtomicBool::new(false), answer_wait, connections: Mutex::default() }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens in the store's folder, in place of a socket that a killed process left.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(store: WeakStore, dir: &Path) -> Result<Server> {
        Server::start_patient(store, dir, ANSWER_WAIT)
    }

    fn start_patient(store: WeakStore, dir: &Path, answer_wait: Duration) -> Result<Server> {
        let socket = Socket::of(dir)?;
        let refused = |source| socket.error("listen on", source);
        let path = socket.path();
        if let Err(source) = std::fs::remove_file(&path)
            && source.kind() != std::io::ErrorKind::NotFound
        {
            return Err(refused(source));
        }
        let listened = UnixListener::bind(&path).map_err(refused)?;
        set_permissions(&path, Permissions::from_mode(0o600)).map_err(refused)?;
        let accepted = listened.try_clone().map_err(refused)?;
        let shared = Arc::new(Shared::new(answer_wait));
        let accepting = Arc::clone(&shared);
        let listener = std::thread::Builder::new()
            .name("asof-control".to_owned())
            .spawn(move || listen(|| accepted.accept().map(|(stream, _)| stream), &store, &accepting))
            .map_err(|source| Error::io("start a thread", dir, source))?;
        Ok(Server { shared, listener: Some(listener), listened, socket })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over. A connection of our own would need files, which may be used up.
        let woken = rustix::net::shutdown(&self.listened, rustix::net::Shutdown::Both);
        if let Some(listener) = self.listener.take().filter(|_| woken.is_ok()) {
            let _ = listener.join();
        }
        let threads = {
            let mut connections = self.shared.connections();
            for stream in connections.open.values() {
                // No further call is read; the one under way is answered.
                let _ = stream.shutdown(Shutdown::Read);
            }
            std::mem::take(&mut connections.threads)
        };
        for thread in threads {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(self.socket.path());
    }
}

fn listen(mut accept: impl FnMut() -> std::io::Result<UnixStream>, store: &WeakStore, shared: &Arc<Shared>) {
    let mut failed = false;
    loop {
        let accepted = accept();
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok(stream) => {
                failed = false;
                admit(stream, store, shared);
            }
            Err(error) => {
                if !failed {
                    tracing::warn!(%error, "a connection to control.sock could not be accepted; it is tried again");
                }
                failed = true;
                // It waits in the queue, and would fail again at once.
                std::thread::sleep(ACCEPT_AGAIN);
            }
        }
    }
}

/// Serves a connection of the same user on a thread of its own. Who is not served is told why.
fn admit(stream: UnixStream, store: &WeakStore, shared: &Arc<Shared>) {
    let stream = Arc::new(stream);
    let admitted = check(&stream, shared).and_then(|()| begin_to_serve(&stream, store, shared));
    if let Err(error) = admitted {
        tracing::warn!(%error, "a connection to control.sock was refused");
        let _ = send_answer::<()>(&mut &*stream, Err(error));
    }
}

fn check(stream: &UnixStream, shared: &Shared) -> Result<()> {
    let unset = |source| Error::io("set a time limit on", Path::new(SOCKET_NAME), source);
    stream.set_write_timeout(Some(shared.answer_wait)).map_err(unset)?;
    let peer = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|source| Error::io("ask who connects to", Path::new(SOCKET_NAME), source.into()))?;
    if peer.uid != shared.owner {
        let (peer, owner) = (peer.uid.as_raw(), shared.owner.as_raw());
        return Err(Error::refused(format!("the store is held by user {owner}, who takes no commands of user {peer}"))
            .remedy("run the command as the user who holds the store"));
    }
    Ok(())
}

fn begin_to_serve(stream: &Arc<UnixStream>, store: &WeakStore, shared: &Arc<Shared>) -> Result<()> {
    let mut connections = shared.connections();
    if connections.open.len() >= CONNECTIONS_MAX {
        return Err(Error::refused("too many commands are sent to the store at once").remedy("try again"));
    }
    let number = connections.next;
    connections.next += 1;
    connections.threads.retain(|thread| !thread.is_finished());
    let (served, store, serving) = (Arc::clone(stream), store.clone(), Arc::clone(shared));
    let thread = std::thread::Builder::new().name("asof-control-call".to_owned()).spawn(move || {
        attend(&served, &store);
        serving.connections().open.remove(&number);
    });
    let thread = thread.map_err(|source| Error::io("start a thread for", Path::new(SOCKET_NAME), source))?;
    connections.open.insert(number, Arc::clone(stream));
    connections.threads.push(thread);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Weak;
    use std::sync::atomic::AtomicUsize;
    use std::time::Instant;

    use super::super::wire::{receive_answer, send_call};
    use super::super::{Call, Client, Hello};
    use super::*;
    use crate::ErrorKind;
    use crate::definition::{Definitions, FeatureView};
    use crate::disk::{FaultyDisk, MemDisk, Operation, Verdict};
    use crate::store::Store;
    use crate::time::SystemClock;
    use crate::value::DataType;

    fn nobody() -> WeakStore {
        WeakStore { engine: Weak::new(), has_upkeep: false, clock: Arc::new(SystemClock), max_future_skew_us: 0 }
    }

    #[test]
    fn a_process_that_has_no_file_left_waits_before_it_accepts_again() {
        let shared = Arc::new(Shared::new(ANSWER_WAIT));
        let tries = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let accept = || {
                    tries.fetch_add(1, Ordering::SeqCst);
                    Err(rustix::io::Errno::MFILE.into())
                };
                listen(accept, &nobody(), &shared);
            });
            std::thread::sleep(3 * ACCEPT_AGAIN);
            shared.is_over.store(true, Ordering::SeqCst);
        });
        let tries = tries.load(Ordering::SeqCst);
        assert!((1..=5).contains(&tries), "{tries} tries");
    }

    #[test]
    fn who_is_not_served_is_told_why() {
        // Nothing came of a connection of another user, not one word.
        let another = Uid::from_raw(rustix::process::geteuid().as_raw() + 1);
        let shared = Arc::new(Shared { owner: another, ..Shared::new(ANSWER_WAIT) });
        let (mut client, accepted) = UnixStream::pair().unwrap();
        admit(accepted, &nobody(), &shared);
        let error = receive_answer::<Hello>(&mut client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(&format!("held by user {}", another.as_raw())), "{error}");
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the connection is ended");
    }

    fn weak(store: &Store) -> WeakStore {
        WeakStore {
            engine: Arc::downgrade(store.engine().unwrap()),
            has_upkeep: false,
            clock: Arc::new(SystemClock),
            max_future_skew_us: 0,
        }
    }

    #[test]
    fn a_call_that_panics_is_answered_and_leaves_its_place_to_others() {
        // The client waited for ever once, and so did one of the few places.
        let store = Store::builder().background(false);
        let store = store.disk(Arc::new(FaultyDisk::new(Arc::new(MemDisk::volatile()), |operation, path: &Path| {
            if operation == Operation::CreateDir && path.ends_with("1-v@1") {
                // A panic, without the words that a test runner would print.
                std::panic::resume_unwind(Box::new("the hand of a test"));
            }
            Verdict::Proceed
        })));
        let store = store.open("/panics").unwrap();
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("control").entity("thing", [("id", DataType::Int64)]).view(view);
        let folder = Store::temporary().unwrap();
        let _server = Server::start(weak(&store), &folder.path()).unwrap();
        let client = Client::connect(&folder.path()).unwrap().unwrap();
        client.apply(&definitions, false).unwrap();
        client.delete("v", 1_i64.to_le_bytes().to_vec(), &Default::default()).unwrap();
        for _ in 0..=CONNECTIONS_MAX {
            let error = client.compact().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert!(error.to_string().contains("panicked over the call: the hand of a test"), "{error}");
            assert!(error.to_string().contains("may have been done, or not"), "{error}");
        }
        client.snapshot("afterwards").unwrap();
    }

    #[test]
    fn what_cannot_be_understood_is_answered_and_ends_the_connection() {
        let store = Store::temporary().unwrap();
        let server = Server::start(weak(&store), &store.path()).unwrap();
        let say = |message: &serde_json::Value, is_greeted: bool| {
            let mut client = UnixStream::connect(server.socket.path()).unwrap();
            assert_eq!(receive_answer::<Hello>(&mut client).unwrap(), Hello::ours());
            if is_greeted {
                send_call(&mut client, &Hello::ours()).unwrap();
            }
            send_call(&mut client, message).unwrap();
            let error = receive_answer::<()>(&mut client).unwrap_err();
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "the connection is ended");
            error
        };
        for (message, expected) in [
            (serde_json::json!({"Erase": {"key": 1}}), "unknown variant `Erase`"),
            (serde_json::json!({"Snapshot": {"name": "a", "until": 7}}), "unknown field `until`"),
            (serde_json::json!({"Snapshot": {}}), "missing field `name`"),
        ] {
            let error = say(&message, true);
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(store.snapshots().unwrap().is_empty(), "half of a call is not done");
        // Another release may say more of itself.
        let error = say(&serde_json::json!({"protocol": 999, "release": "9.9.9", "more": []}), false);
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("the call is of asof 9.9.9 (version 999)"), "{error}");
        let mut client = UnixStream::connect(server.socket.path()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        receive_answer::<Hello>(&mut client).unwrap();
        let error = receive_answer::<()>(&mut client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }

    #[test]
    fn a_holder_of_another_version_is_asked_for_nothing() {
        let folder = Store::temporary().unwrap();
        let socket = Socket::of(&folder.path()).unwrap();
        let listener = UnixListener::bind(socket.path()).unwrap();
        let holder = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            send_answer(&mut stream, Ok(Hello { protocol: 999, release: "9.9.9".to_owned() })).unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            // One that ends before it says anything.
            drop(listener.accept().unwrap());
            said
        });
        let error = Client::connect(&folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("held by asof 9.9.9 (version 999)"), "{error}");
        assert!(error.way_out().unwrap().contains("one release of asof"), "{error}");
        assert!(Client::connect(&folder.path()).unwrap().is_none());
        assert!(holder.join().unwrap().is_empty());
    }

    #[test]
    fn a_client_that_takes_in_none_of_its_answers_keeps_no_thread() {
        let store = crate::Store::temporary().unwrap();
        let server = Server::start_patient(weak(&store), &store.path(), Duration::from_millis(50)).unwrap();
        let mut client = UnixStream::connect(server.socket.path()).unwrap();
        send_call(&mut client, &Hello::ours()).unwrap();
        // Each is refused in an answer; sooner or later nothing more goes either way.
        client.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let began = Instant::now();
        let ended = loop {
            if let Err(error) = send_call(&mut client, &Call::QuarantineFile) {
                break error;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "calls are taken in, and no answer is");
        };
        assert!(began.elapsed() < Duration::from_secs(10), "{ended}");
        // The store is closed without waiting for anybody.
        drop(server);
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(client.write_all(b"more").is_err());
    }
}
