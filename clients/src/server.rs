//! A server in a process of its own: `asof serve`, or a real Redis.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Folder, asof, of_redis};
use crate::wire::Connection;

/// Longest that a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs. Dropped, it is ended.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// It goes when the server has ended.
    _folder: Option<Folder>,
}

impl Server {
    /// `asof serve` over a new project that syncs nothing: what is compared is answers.
    pub fn asof() -> Server {
        let folder = Folder::new();
        let project = folder.path().join("project");
        make_project(&project, "os");
        let mut server = Server::asof_of(&project);
        server._folder = Some(folder);
        server
    }

    /// `asof serve` over a project that is there, and stays.
    pub fn asof_of(project: &Path) -> Server {
        let mut serve = Command::new(asof());
        serve.arg("--project").arg(project).args(["serve", "--redis", "127.0.0.1:0", "--print-address"]);
        let mut child = serve.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("redis ").and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            panic!("asof serve said {line:?} instead of its address");
        };
        Server { child, address, _folder: None }
    }

    /// A real Redis, which keeps nothing on disk.
    pub fn redis() -> Server {
        Server::redis_with(&[])
    }

    /// A real Redis with further options.
    pub fn redis_with(options: &[&str]) -> Server {
        Server::redis_at(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap(), options)
    }

    /// The same at one of the addresses that `free` names.
    pub fn redis_at(mut free: impl FnMut() -> SocketAddr, options: &[&str]) -> Server {
        let folder = Folder::new();
        // Somebody else may take the port between asking for a free one and its use.
        for _ in 0..10 {
            let free = free();
            let mut command = Command::new(of_redis("redis-server"));
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
            command.arg("--port").arg(free.port().to_string()).arg("--dir").arg(folder.path()).args(options);
            let child = command.stdout(Stdio::null()).spawn().unwrap();
            let mut server = Server { child, address: free, _folder: None };
            if server.answers() {
                server._folder = Some(folder);
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// Whether it is this process that answers at the address.
    fn answers(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.child.try_wait().unwrap().is_none() {
            if let Ok(mut connection) = Connection::open(self.address) {
                let said = connection.words("INFO server").text();
                return said.contains(&format!("process_id:{}\r\n", self.child.id()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection to it.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// Ends it as a power cut does for a process: nothing runs on the way out.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A number of `INFO`.
    pub fn info(&self, field: &str) -> i64 {
        let said = self.connect().words("INFO").text();
        let value = said.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {field} in INFO:\n{said}"))
    }

    /// Memory of its process that is resident, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that what it says on its way out is seen; and by force if that takes too long.
        let asked = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(process)) = (self.child.try_wait(), asked) {
            let _ = kill_process(process, Signal::TERM);
        }
        let until = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A new project below `folder`, as `asof init` makes one, with this durability.
pub fn make_project(folder: &Path, durability: &str) {
    run(Command::new(asof()).arg("init").arg(folder));
    let text = std::fs::read_to_string(folder.join("asof.toml")).unwrap();
    let changed = text.replace("durability = \"fsync\"", &format!("durability = \"{durability}\""));
    assert!(
        changed.contains(&format!("durability = \"{durability}\"")),
        "asof init writes another durability:\n{text}"
    );
    define(folder, &changed);
}

/// Applies these definitions to the project in `folder`, which there need not be yet.
pub fn define(folder: &Path, definitions: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("asof.toml"), definitions).unwrap();
    run(Command::new(asof()).arg("--project").arg(folder).arg("apply"));
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
