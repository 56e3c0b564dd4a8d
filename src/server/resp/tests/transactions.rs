use super::*;

#[test]
fn a_transaction_is_done_at_once_and_answered_as_one() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("MULTI|SET a 1|INCR a|GET a|EXEC|", "+OK|+QUEUED|+QUEUED|+QUEUED|*3|+OK|:2|$1|2|");
    peer.ask("MULTI|GET a|PING|EXEC|", "+OK|+QUEUED|+QUEUED|*2|$1|2|+PONG|");
    peer.ask("MULTI|EXEC|", "+OK|*0|");
    peer.ask("MULTI|SET a 9|DISCARD|GET a|", "+OK|+QUEUED|+OK|$1|2|");
}

#[test]
fn an_error_before_exec_discards_the_transaction_and_one_within_does_not() {
    let server = start();
    let mut peer = Peer::new(&server);
    let aborted = "-EXECABORT Transaction discarded because of previous errors.|";
    let arity = "-ERR wrong number of arguments for 'get' command|";
    peer.ask("MULTI|GET|SET a 1|EXEC|GET a|", &format!("+OK|{arity}+QUEUED|{aborted}$-1|"));
    let not_integer = "-ERR value is not an integer or out of range|";
    peer.ask("MULTI|SET a x|INCR a|GET a|EXEC|", &format!("+OK|+QUEUED|+QUEUED|+QUEUED|*3|+OK|{not_integer}$1|x|"));
    peer.ask("EXEC|DISCARD|", "-ERR EXEC without MULTI|-ERR DISCARD without MULTI|");
    peer.ask(
        "MULTI|MULTI|WATCH a|EXEC|",
        "+OK|-ERR MULTI calls can not be nested|-ERR WATCH inside MULTI is not allowed|*0|",
    );
    peer.ask("MULTI|SHUTDOWN|EXEC|", &format!("+OK|-ERR Command not allowed inside a transaction|{aborted}"));
}

#[test]
fn a_watched_key_that_anybody_changes_undoes_the_transaction() {
    let server = start();
    let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
    peer.ask("WATCH a|GET a|", "+OK|$-1|");
    other.ask("SET a 1|", "+OK|");
    peer.ask("MULTI|SET a 2|EXEC|GET a|", "+OK|+QUEUED|*-1|$1|1|");
    // Changed and changed back is changed.
    peer.ask("WATCH a|", "+OK|");
    other.ask("SET a 2|SET a 1|", "+OK|+OK|");
    peer.ask("MULTI|GET a|EXEC|", "+OK|+QUEUED|*-1|");
    // Another database's key of the same name is another key.
    peer.ask("WATCH a|", "+OK|");
    other.ask("SELECT 1|SET a 2|SELECT 0|", "+OK|+OK|+OK|");
    peer.ask("MULTI|GET a|EXEC|", "+OK|+QUEUED|*1|$1|1|");
    peer.ask("SELECT 1|WATCH a|SELECT 0|SET a 5|MULTI|GET a|EXEC|", "+OK|+OK|+OK|+OK|+OK|+QUEUED|*1|$1|5|");
    peer.ask("WATCH a|SET a 6|UNWATCH|MULTI|GET a|EXEC|", "+OK|+OK|+OK|+OK|+QUEUED|*1|$1|6|");
    peer.ask("HELLO 3|", &greeting(&server));
    peer.ask("WATCH a|SET a 7|MULTI|GET a|EXEC|", "+OK|+OK|+OK|+QUEUED|_|");
}

fn greeting(server: &RunningServer) -> String {
    let id = server.shared().clients.all().first().unwrap().id;
    format!(
        "%7|$6|server|$5|redis|$7|version|$5|7.2.4|$5|proto|:3|$2|id|:{id}|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|"
    )
}

#[test]
fn a_watched_key_that_goes_with_its_deadline_undoes_the_transaction() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("SET a 1|PEXPIRE a 30|WATCH a|", "+OK|:1|+OK|");
    std::thread::sleep(Duration::from_millis(200));
    peer.ask("MULTI|PING|EXEC|", "+OK|+QUEUED|*-1|");
    peer.ask("SET a 1|PEXPIRE a 1|", "+OK|:1|");
    std::thread::sleep(Duration::from_millis(5));
    peer.ask("WATCH a|", "+OK|");
    std::thread::sleep(Duration::from_millis(200));
    peer.ask("MULTI|PING|EXEC|", "+OK|+QUEUED|*1|+PONG|");
}

#[test]
fn a_flush_touches_watched_keys_that_are_there_alone() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("WATCH a|FLUSHALL|MULTI|PING|EXEC|", "+OK|+OK|+OK|+QUEUED|*1|+PONG|");
    peer.ask("SET a 1|WATCH a|FLUSHALL|MULTI|PING|EXEC|", "+OK|+OK|+OK|+OK|+QUEUED|*-1|");
}

#[test]
fn transactions_of_many_take_turns_under_watch() {
    let server = start();
    let address = server.address();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut peer = Peer(TcpStream::connect(address).unwrap());
                peer.0.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut done = 0;
                while done < 50 {
                    // Adds one by hand: only where nobody else did meanwhile is it counted.
                    peer.ask("WATCH n|", "+OK|");
                    peer.send("GET n|");
                    let n = peer.bulk().map_or(0, |text| text.parse::<u64>().unwrap());
                    let sum = n + 1;
                    peer.ask(&format!("MULTI|SET n {sum}|"), "+OK|+QUEUED|");
                    peer.send("EXEC|");
                    if peer.line() == "*1" {
                        peer.expect("+OK|");
                        done += 1;
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    Peer::new(&server).ask("GET n|", "$3|200|");
}

impl Peer {
    fn bulk(&mut self) -> Option<String> {
        (self.line() != "$-1").then(|| self.line())
    }
}

#[test]
fn a_transaction_is_refused_where_the_server_changed_meanwhile() {
    let server = start();
    let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
    peer.ask("SET a 1|MULTI|INCR a|", "+OK|+OK|+QUEUED|");
    other.ask("CONFIG SET min-replicas-to-write 1|SET a 5|", "+OK|-NOREPLICAS Not enough good replicas to write.|");
    let refused = "-EXECABORT Transaction discarded because of: ";
    peer.ask("EXEC|GET a|", &format!("{refused}NOREPLICAS Not enough good replicas to write.|$1|1|"));
    other.ask("CONFIG SET min-replicas-to-write 0|", "+OK|");
    peer.ask("MULTI|INCR a|", "+OK|+QUEUED|");
    other.ask("CONFIG SET maxmemory 1|MULTI|GET a|EXEC|", "+OK|+OK|+QUEUED|*1|$1|1|");
    peer.ask("EXEC|", &format!("{refused}OOM command not allowed when used memory > 'maxmemory'.|"));
}
