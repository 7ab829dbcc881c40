//! A PostgreSQL server of one's own, and a fresh database in it for each test.
//!
//! The server is the installed one (`PATH` or `/usr/lib/postgresql/*/bin`, the newest), with its data in a temporary
//! directory and without `fsync`. It belongs to the process that started it: a watching shell reads from a pipe
//! that the kernel closes when that process ends, however it ends, then stops the server and removes the
//! directory. `TEST_DATABASE_URL` (a superuser's URL) names a server that runs already; nothing is started then.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use uuid::Uuid;

/// Ports tried before giving up: another process may take a free port before the server does.
const PORTS_TRIED: usize = 5;

/// Reads port numbers from stdin, tries to start the server on each, and cleans up when stdin ends.
const WATCHDOG: &str = r#"
bin=$1 dir=$2
"$bin/initdb" -D "$dir/data" -U munadi -A password --pwfile="$dir/password" -E UTF8 --locale=C --no-sync \
    >"$dir/initdb.log" 2>&1 </dev/null || { echo failed; rm -rf "$dir"; exit 1; }
while read -r port; do
    if "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/server.log" start -o "-p $port -k $dir \
        -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
        -c max_connections=500 -c shared_buffers=64MB -c max_wal_size=256MB" >"$dir/start.log" 2>&1 </dev/null
    then echo ready; else echo failed; fi
done
"$bin/pg_ctl" -D "$dir/data" -w -m immediate stop >/dev/null 2>&1 </dev/null
rm -rf "$dir"
"#;

/// A database that nobody else uses. It lives as long as its server.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// `postgres://user:password@127.0.0.1:port/name`, of a superuser.
    pub url: String,
}

/// A running server. It stops when this is dropped or the process ends.
#[derive(Debug)]
pub struct Server {
    url: String,
    watchdog: Child,
}

/// A fresh, empty database in the shared server of this process, which is started at the first call.
///
/// # Panics
/// When PostgreSQL is not installed or does not start: the message says what to install.
pub async fn database() -> TestDatabase {
    tokio::task::spawn_blocking(|| {
        let name = format!("test_{}", Uuid::new_v4().simple());
        create(shared_server_url(), &name).expect("a database can be created for the test")
    })
    .await
    .expect("creating a database does not panic")
}

impl Server {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start: with the end of its log.
    pub fn start() -> anyhow::Result<Self> {
        let bin = binaries()?;
        let password = Uuid::new_v4().simple().to_string();
        let dir = tempfile::Builder::new().prefix("munadi-postgres-").tempdir()?;
        std::fs::write(dir.path().join("password"), &password)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "munadi-postgres"]).arg(&bin).arg(dir.path());
        if let Some((uid, gid)) = other_user()? {
            // PostgreSQL refuses to run as root
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
            chown(dir.path().join("password"), Some(uid), Some(gid))?;
            chown(dir.path(), Some(uid), Some(gid))?;
            command.uid(uid).gid(gid);
        }
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watchdog = command.spawn().context("cannot start /bin/sh")?;
        let dir = dir.keep(); // from here the watchdog removes it
        let port = start_on_free_port(&mut watchdog, &dir)?;
        Ok(Self { url: format!("postgres://munadi:{password}@127.0.0.1:{port}/postgres"), watchdog })
    }

    /// The superuser's URL of the database `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test runner hands its server over in the environment")]
fn shared_server_url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    static SERVER: OnceLock<Server> = OnceLock::new();
    URL.get_or_init(|| {
        std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| {
            let server = SERVER.get_or_init(|| Server::start().expect("PostgreSQL starts"));
            server.url().to_owned()
        })
    })
}

fn start_on_free_port(watchdog: &mut Child, dir: &Path) -> anyhow::Result<u16> {
    let stdin = watchdog.stdin.as_mut().context("the watchdog reads from a pipe")?;
    let mut answers =
        BufReader::new(watchdog.stdout.take().context("the watchdog writes to a pipe")?).lines();
    for _ in 0..PORTS_TRIED {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        writeln!(stdin, "{port}").context("initdb failed")?;
        if answers.next().transpose()?.as_deref() == Some("ready") {
            return Ok(port);
        }
    }
    let log = std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
    anyhow::bail!("PostgreSQL does not start; its log ends with: {}", log.lines().last().unwrap_or("nothing"))
}

fn create(server_url: &str, name: &str) -> anyhow::Result<TestDatabase> {
    let output = Command::new(binaries()?.join("createdb"))
        .arg(format!("--maintenance-db={server_url}"))
        .args(["--template=template0", name])
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "createdb: {}", String::from_utf8_lossy(&output.stderr));
    let (server, _) = server_url.rsplit_once('/').context("TEST_DATABASE_URL ends with /database")?;
    Ok(TestDatabase { url: format!("{server}/{name}") })
}

/// The directory with `initdb`, `pg_ctl`, `postgres` and `createdb`: the newest version that is installed.
#[expect(clippy::disallowed_methods, reason = "programs are looked up where a shell would")]
fn binaries() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    installed.sort();
    let path = std::env::var("PATH").unwrap_or_default();
    let candidates = installed.into_iter().rev().map(|(_, bin)| bin);
    candidates
        .chain(std::env::split_paths(&path))
        .find(|bin| ["initdb", "pg_ctl", "createdb"].iter().all(|name| bin.join(name).is_file()))
        .context("PostgreSQL is not installed (Debian: apt-get install postgresql)")
}

/// The user that the server runs as when we are root: `postgres` or `nobody`.
fn other_user() -> anyhow::Result<Option<(u32, u32)>> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|user| Some((id(&["-u", user]).ok()?, id(&["-g", user]).ok()?)))
        .map(Some)
        .context("neither a user postgres nor a user nobody exists")
}

fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
