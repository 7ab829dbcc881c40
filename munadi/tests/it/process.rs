//! `munadi` processes in a directory of their own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A place for processes: no variable from outside reaches them, and any free port will do.
pub(crate) struct Place {
    dir: TempDir,
    variables: Vec<(String, String)>,
    /// How many files a process may open.
    files: Option<String>,
}

/// A running `munadi serve`. It is killed when dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) public: String,
    pub(crate) told: String,
    admin: String,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new(), files: None };
        place.with("HTTP__LISTEN", "['127.0.0.1:0']").with("ADMIN__LISTEN", "['127.0.0.1:0']")
    }

    /// Sets a variable, here without its `MUNADI__`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((format!("MUNADI__{name}"), value.to_owned()));
        self
    }

    /// Has processes begin with these limits of open files.
    pub(crate) fn limited(mut self, soft: u32, hard: u32) -> Self {
        self.files = Some(format!("--nofile={soft}:{hard}"));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        timeout(DEADLINE, self.command(arguments).output()).await.expect("the command ends").unwrap()
    }

    /// Runs a command at a terminal where `answers` are typed; gives what the terminal shows.
    pub(crate) async fn type_into(&self, arguments: &str, answers: &str) -> String {
        let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_munadi"));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--echo", "never", "--command", &line, "/dev/null"]);
        command.current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut terminal = child.stdin.take().unwrap();
        let mut shown = child.stdout.take().unwrap();
        let mut said = Vec::new();
        for answer in answers.split_inclusive('\n') {
            // the prompt first: what is typed before it would be shown by the terminal
            let asked = said.len();
            while !said[asked..].ends_with(b": ") {
                let read = timeout(DEADLINE, shown.read_buf(&mut said)).await.expect("it asks").unwrap();
                assert!(read > 0, "it ends without asking: {}", String::from_utf8_lossy(&said));
            }
            terminal.write_all(answer.as_bytes()).await.unwrap();
        }
        timeout(DEADLINE, shown.read_to_end(&mut said)).await.expect("it ends").unwrap();
        String::from_utf8(said).unwrap()
    }

    /// Starts `munadi serve` and waits until it says that it is ready.
    pub(crate) async fn serve(&self, arguments: &[&str]) -> Serving {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = self.command(&[&["serve"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = String::new();
        while let Some(line) = timeout(DEADLINE, stdout.next_line()).await.expect("it starts").unwrap() {
            if line.is_empty() && !told.is_empty() {
                break;
            }
            told = told + &line + "\n";
        }
        assert!(told.contains("ready"), "munadi has not become ready: {told} {}", self.log());
        let address = |name: &str| {
            let url = told.lines().find(|line| line.trim_start().starts_with(name))?.split("//").nth(1)?;
            url.split('/').next().map(str::to_owned)
        };
        let public = address("API").or_else(|| address("Sockets")).unwrap_or_default();
        let admin = address("Operators").expect("it tells the admin port");
        Serving { child, public, told, admin, stdout }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let munadi = env!("CARGO_BIN_EXE_munadi");
        let mut command = match &self.files {
            None => Command::new(munadi),
            Some(limit) => {
                let mut command = Command::new("/usr/bin/prlimit");
                command.args([limit, munadi]);
                command
            }
        };
        command.args(arguments).current_dir(self.dir.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Serving {
    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// The exit code once it has ended.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        timeout(DEADLINE, self.child.wait()).await.expect("it ends").unwrap().code()
    }

    /// Status and body of a GET on the admin port.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        get(&format!("http://{}{path}", self.admin)).await
    }

    /// What else it said on stdout until it ended.
    pub(crate) async fn rest(mut self) -> String {
        let mut rest = String::new();
        while let Ok(Some(line)) = self.stdout.next_line().await {
            rest.push_str(&line);
        }
        rest
    }
}

/// Status and body of a GET.
pub(crate) async fn get(url: &str) -> (u16, String) {
    let client = service::http_client::build(&service::http_client::Config::default()).unwrap();
    let response = client.get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Waits until the file at `path` contains `wanted`.
pub(crate) async fn file_says(path: &Path, wanted: &str) {
    let found = async {
        while !std::fs::read_to_string(path).unwrap_or_default().contains(wanted) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("{} never says {wanted}", path.display()));
}

/// What a process wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
