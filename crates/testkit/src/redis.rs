//! A Redis server of the test's own: started on a free port, gone when the test is, even if it was killed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a server may take to answer for the first time.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// Ports tried before giving up: another process may take one between the choice and the start.
const ATTEMPTS: usize = 5;
/// Starts the server and outlives a killed test just long enough to end it: its standard input is a pipe whose
/// other end only the test holds.
const SUPERVISOR: &str = r#"
server_dir=$1; shift
"$@" </dev/null >"$server_dir/redis.log" 2>&1 &
server=$!
read -r _
kill -9 "$server"
wait "$server" 2>/dev/null
"#;

/// A Redis server for one test, or a corner of the server in `TEST_REDIS_URL`.
#[derive(Debug)]
pub struct TestRedis {
    /// Where clients connect.
    pub url: String,
    /// Prefix for every key: no other test uses it.
    pub key_prefix: String,
    own: Option<OwnServer>,
}

/// What a test wants of its own server.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerOptions {
    /// Whether what was written survives [`TestRedis::kill`]: an append-only file, synced at every write.
    pub durable: bool,
    /// Whether it is a cluster of one node that owns every slot; keys of different slots in one command are refused.
    pub cluster: bool,
}

#[derive(Debug)]
struct OwnServer {
    options: ServerOptions,
    address: SocketAddr,
    dir: TempDir,
    supervisor: Option<Child>,
}

/// A server for one test; the server of `TEST_REDIS_URL` when that is set.
///
/// # Panics
/// When `redis-server` is not installed or does not start.
#[expect(clippy::disallowed_methods, reason = "the tests' servers are chosen by environment variables alone")]
pub async fn server() -> TestRedis {
    match std::env::var("TEST_REDIS_URL") {
        Ok(url) => TestRedis { url, key_prefix: unique_prefix(), own: None },
        Err(_) => own_server(ServerOptions::default()).await,
    }
}

/// A server that belongs to this test alone: it may be flushed, killed and started again.
///
/// # Panics
/// When `redis-server` is not installed or does not start.
pub async fn own_server(options: ServerOptions) -> TestRedis {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    for _ in 0..ATTEMPTS {
        let address = free_address();
        let mut supervisor = spawn(&dir, address, options);
        if answers(address, &dir, &mut supervisor).await {
            let own = OwnServer { options, address, dir, supervisor: Some(supervisor) };
            if options.cluster {
                own.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
                own.becomes(|server| server.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")).await;
            }
            let scheme = if options.cluster { "redis-cluster" } else { "redis" };
            return TestRedis {
                url: format!("{scheme}://{address}"),
                key_prefix: unique_prefix(),
                own: Some(own),
            };
        }
        end(supervisor);
    }
    panic!("redis-server has not started on any of {ATTEMPTS} ports; is it installed?");
}

impl TestRedis {
    /// Where the own server listens.
    ///
    /// # Panics
    /// When the server is not the test's own.
    pub fn address(&self) -> SocketAddr {
        self.own().address
    }

    /// Sends one command on a connection of its own and gives the raw answer.
    ///
    /// # Panics
    /// When the server is not the test's own, or does not answer.
    pub fn command(&self, words: &[&str]) -> String {
        self.own().command(words)
    }

    /// Ends the own server as `kill -9` does.
    ///
    /// # Panics
    /// When the server is not the test's own.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("only a server of the test's own can be killed");
        end(own.supervisor.take().expect("the server runs"));
    }

    /// Starts the own server again on the same port and directory, with what had survived there.
    ///
    /// # Panics
    /// When the server is not the test's own, or does not start.
    pub async fn start_again(&mut self) {
        let own = self.own.as_mut().expect("only a server of the test's own can be started again");
        let mut supervisor = spawn(&own.dir, own.address, own.options);
        assert!(answers(own.address, &own.dir, &mut supervisor).await, "redis-server has not started again");
        own.supervisor = Some(supervisor);
    }

    fn own(&self) -> &OwnServer {
        self.own.as_ref().expect("only a server of the test's own takes commands")
    }
}

impl OwnServer {
    fn command(&self, words: &[&str]) -> String {
        command(self.address, words).expect("the test's own server answers")
    }

    async fn becomes(&self, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + START_DEADLINE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "the server has not become what was asked for");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            end(supervisor);
        }
    }
}

/// A prefix for keys that nobody else uses: tests with different prefixes may share a server.
pub fn unique_prefix() -> String {
    format!("test-{}", uuid::Uuid::new_v4().simple())
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address")
}

fn spawn(dir: &TempDir, address: SocketAddr, options: ServerOptions) -> Child {
    let yes_no = |value: bool| if value { "yes" } else { "no" };
    let path = dir.path().to_str().expect("temporary paths are text");
    Command::new("sh")
        .args(["-c", SUPERVISOR, "redis-supervisor", path])
        .args(["redis-server", "--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--dir", path, "--save", "", "--appendonly", yes_no(options.durable)])
        .args(["--appendfsync", "always", "--cluster-enabled", yes_no(options.cluster)])
        .args(["--cluster-announce-ip", "127.0.0.1", "--enable-debug-command", "yes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("there is a shell")
}

/// Ends the server by closing the supervisor's input, and waits until it is gone.
fn end(mut supervisor: Child) {
    drop(supervisor.stdin.take());
    let _ = supervisor.wait();
}

/// Waits until a server answers at `address` and is the one started in `dir`.
async fn answers(address: SocketAddr, dir: &TempDir, supervisor: &mut Child) -> bool {
    let path = dir.path().canonicalize().expect("the directory exists");
    let deadline = Instant::now() + START_DEADLINE;
    while Instant::now() < deadline && matches!(supervisor.try_wait(), Ok(None)) {
        match command(address, &["CONFIG", "GET", "dir"]) {
            Ok(answer) if answer.contains(path.to_str().expect("temporary paths are text")) => return true,
            Ok(answer) if !answer.contains("LOADING") => return false,
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
    false
}

fn command(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = vec![format!("*{}", words.len())];
    for word in words {
        request.extend([format!("${}", word.len()), (*word).to_owned()]);
    }
    // a second command marks where the first one's answer ends
    request.extend(["*2", "$4", "ECHO", "$12", "end-of-reply", ""].map(str::to_owned));
    stream.write_all(request.join("\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.ends_with(b"$12\r\nend-of-reply\r\n") {
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&chunk[..length]),
        }
    }
    answer.truncate(answer.len() - b"$12\r\nend-of-reply\r\n".len());
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_durable_server_keeps_what_was_written_when_it_is_killed() {
        let mut redis = own_server(ServerOptions { durable: true, cluster: false }).await;
        assert_eq!(redis.command(&["SET", "key", "value"]), "+OK\r\n");
        redis.kill();
        assert!(TcpStream::connect(redis.address()).is_err());
        redis.start_again().await;
        assert_eq!(redis.command(&["GET", "key"]), "$5\r\nvalue\r\n");
    }

    #[tokio::test]
    async fn a_cluster_of_one_refuses_keys_of_different_slots() {
        let redis = own_server(ServerOptions { durable: false, cluster: true }).await;
        assert!(redis.command(&["MGET", "a", "b"]).starts_with("-CROSSSLOT"));
    }

    #[tokio::test]
    async fn the_server_is_gone_when_the_test_is() {
        let redis = own_server(ServerOptions::default()).await;
        let address = redis.address();
        drop(redis);
        assert!(TcpStream::connect(address).is_err());
    }
}
