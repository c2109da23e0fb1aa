//! A private PostgreSQL cluster: made afresh under /tmp, reached through a socket in its own folder, gone when the tests are,
//! however they end.
//!
//! Tests share [`Cluster::shared`] and take a database each from it; those that freeze or kill the server, or want it set up
//! otherwise, start one of their own.

#![cfg(test)]

pub(crate) mod proxy;

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running server. Dropped, it is stopped and its folder removed; the same happens when the process of the test dies.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    tcp: bool,
    user: Option<&'static str>,
    /// Stops the server and removes the folder as soon as its standard input, which nobody writes to, is closed.
    watcher: Child,
    closed_at_death: Option<ChildStdin>,
}

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Whether it listens on 127.0.0.1, on a free port; with passwords (see [`PASSWORD`]).
    pub(crate) tcp: bool,
    /// Lines for `postgresql.conf`. The server's own defaults stand where they say nothing: `fsync` is on.
    pub(crate) conf: Vec<String>,
    /// Lines for `pg_hba.conf`, before those for everybody.
    pub(crate) hba: Vec<String>,
    /// Lines for `pg_ident.conf`.
    pub(crate) ident: Vec<String>,
    /// Files that are laid into the folder of data, owned by the server and read by nobody else: name, content.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

/// The superuser of every cluster; it needs no password through the socket.
pub(crate) const SUPERUSER: &str = "postgres";

/// The superuser's password on 127.0.0.1.
pub(crate) const PASSWORD: &str = "beside the point 100%";

/// [`PASSWORD`] as a URL has it.
const PASSWORD_IN_URL: &str = "beside%20the%20point%20100%25";

impl Cluster {
    /// The server that all tests of this program share: socket and 127.0.0.1, as honest as PostgreSQL's defaults.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&Settings { tcp: true, ..Settings::default() }))
    }

    /// A server of one's own.
    pub(crate) fn start(settings: &Settings) -> Self {
        let user = server_user();
        let folder = folder_of(user);
        let mut watcher = watcher(&folder);
        let closed_at_death = watcher.stdin.take();
        let mut cluster = Self {
            programs: programs(),
            port: 5432,
            tcp: settings.tcp,
            user,
            watcher,
            closed_at_death,
            folder,
        };
        cluster.initialize(settings);
        // Another program may take the free port before the server does.
        let mut tries = 0;
        loop {
            if settings.tcp {
                cluster.port = free_port();
            }
            match cluster.try_start() {
                Ok(()) => return cluster,
                Err(_) if settings.tcp && tries < 5 => tries += 1,
                Err(log) => panic!("the server did not start:\n{log}"),
            }
        }
    }

    /// A database of one's own, empty. Its name begins with `name`.
    pub(crate) fn database(&self, name: &str) -> Database<'_> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        Database { cluster: self, name }
    }

    /// Where the socket lies.
    pub(crate) fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// On 127.0.0.1, and of the socket's name.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again after [`Self::stop`] or [`Self::kill`], on the same port.
    pub(crate) fn start_again(&self) {
        if let Err(log) = self.try_start() {
            panic!("the server did not start again:\n{log}");
        }
    }

    /// Shuts the server down in a `mode` of `pg_ctl`: `smart`, `fast` or `immediate`.
    pub(crate) fn stop(&self, mode: &str) {
        let output =
            run(self.program("pg_ctl").args(["stop", "-w", "-m", mode, "-D"]).arg(self.data()));
        assert!(output.status.success(), "pg_ctl stop: {}", text(&output.stderr));
    }

    /// Kills the postmaster as the kernel would; its children find out by themselves.
    pub(crate) fn kill(&self) {
        let processes = self.processes();
        signal("KILL", &processes[..1]);
        // The next start would refuse as long as one of them holds the shared memory.
        while processes.iter().any(|process| Path::new("/proc").join(process).exists()) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Stops every process of the server where it stands (SIGSTOP): connections stay open, and nothing answers.
    pub(crate) fn freeze(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs a statement with psql as the superuser through the socket, and returns what it printed: a line for each row,
    /// columns parted by `|`.
    pub(crate) fn psql(&self, database: &str, statement: &str) -> String {
        let output = run(Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement]));
        assert!(output.status.success(), "{statement}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// Runs commands with psql, one in each line, in one session.
    pub(crate) fn psql_script(&self, database: &str, commands: &str) {
        let script = self.folder.join("script");
        std::fs::write(&script, commands).expect("the cluster's folder can be written");
        let output = run(Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-d", database, "-f"])
            .arg(&script));
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// The postmaster and its children, by number.
    fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let postmaster = file.lines().next().expect("the file begins with it").trim().to_owned();
        let children =
            std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
                .expect("the postmaster runs");
        let children = children.split_whitespace().map(str::to_owned);
        std::iter::once(postmaster).chain(children).collect()
    }

    fn initialize(&self, settings: &Settings) {
        let password = self.folder.join("password");
        self.lay(&password, PASSWORD.as_bytes());
        let output = run(self
            .program("initdb")
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth-local=trust"])
            .args(["--auth-host=scram-sha-256", "-U", SUPERUSER, "-D"])
            .arg(self.data())
            .arg("--pwfile")
            .arg(&password));
        assert!(output.status.success(), "initdb: {}", text(&output.stderr));
        for (name, content) in &settings.files {
            self.lay(&self.data().join(name), content);
        }
        let conf = format!("unix_socket_directories = '{}'\n", self.folder.display());
        append(&self.data().join("postgresql.conf"), &[&[conf], &*settings.conf].concat());
        append(&self.data().join("pg_ident.conf"), &settings.ident);
        let hba = self.data().join("pg_hba.conf");
        let everybody = std::fs::read_to_string(&hba).expect("initdb has written it");
        std::fs::write(&hba, format!("{}\n{everybody}", settings.hba.join("\n")))
            .expect("the folder of data can be written");
    }

    /// Writes a file that the server owns and nobody else can read.
    fn lay(&self, path: &Path, content: &[u8]) {
        std::fs::write(path, content).expect("the cluster's folder can be written");
        let output = run(Command::new("chmod").arg("600").arg(path));
        assert!(output.status.success(), "chmod: {}", text(&output.stderr));
        if let Some(user) = self.user {
            give(path, user);
        }
    }

    /// On failure, what the server has logged.
    fn try_start(&self) -> Result<(), String> {
        let listen = if self.tcp { "127.0.0.1" } else { "" };
        let options = format!("-p {} -c listen_addresses='{listen}'", self.port);
        let output = run(self
            .program("pg_ctl")
            .args(["start", "-w", "-t", "300", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(self.folder.join("log"))
            .args(["-o", &options])
            // The server would inherit them, and this process wait for their end.
            .stdout(Stdio::null())
            .stderr(Stdio::null()));
        if output.status.success() { Ok(()) } else { Err(self.log()) }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of the server's programs, run as a user that it accepts: it refuses to be root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).args(["--clear-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.closed_at_death.take());
        drop(self.watcher.wait());
    }
}

/// A database of a [`Cluster`].
#[derive(Clone, Debug)]
pub(crate) struct Database<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: String,
}

impl Database<'_> {
    /// Where it is, as `--store` takes it, through the socket.
    pub(crate) fn url(&self) -> String {
        let Self { cluster, name } = self;
        let folder = cluster.folder.display();
        format!("postgres://{SUPERUSER}@/{name}?host={folder}&port={}", cluster.port)
    }

    /// Where it is through 127.0.0.1 and `port`: the server's own, or that of something in between.
    pub(crate) fn tcp_url(&self, port: u16) -> String {
        let name = &self.name;
        format!("postgres://{SUPERUSER}:{PASSWORD_IN_URL}@127.0.0.1:{port}/{name}?sslmode=disable")
    }

    /// Runs a statement with psql: a line for each row, columns parted by `|`.
    pub(crate) fn psql(&self, statement: &str) -> String {
        self.cluster.psql(&self.name, statement)
    }
}

/// The folder of the newest server's programs.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .max();
    let folders = newest.into_iter().map(|(_version, folder)| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .expect("no PostgreSQL server under /usr/lib/postgresql or on PATH: `make needs` installs it (Debian: apt-get install postgresql)")
}

/// Whom the server runs as, if this process is root.
fn server_user() -> Option<&'static str> {
    let root = rustix::process::geteuid().is_root();
    let known = |user: &&str| {
        Command::new("id")
            .arg(user)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    root.then(|| ["postgres", "nobody"].into_iter().find(known).expect("there is a user nobody"))
}

/// A fresh folder of the user's. Under /tmp: the name of a socket must be short, and the way to it open.
fn folder_of(user: Option<&str>) -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("phantomnet-postgres-")
        .tempdir_in("/tmp")
        .expect("/tmp can be written")
        .keep();
    if let Some(user) = user {
        give(&folder, user);
    }
    folder
}

fn give(path: &Path, user: &str) {
    let output = run(Command::new("chown").arg(user).arg(path));
    assert!(output.status.success(), "chown: {}", text(&output.stderr));
}

/// Waits for the end of its input: the test is done, or dead. In a group of its own, so that Ctrl-C does not reach it.
fn watcher(folder: &Path) -> Child {
    const STOP: &str = r#"
        read -r nothing
        postmaster=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
        # A number may have been given to another program since.
        if [ -n "$postmaster" ] && grep -aqF "$1/data" "/proc/$postmaster/cmdline" 2>/dev/null; then
            children=$(cat "/proc/$postmaster/task/$postmaster/children")
            kill -CONT $postmaster $children
            kill -QUIT $postmaster
            tries=100
            while kill -0 $postmaster && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
            [ $tries -gt 0 ] || kill -KILL $postmaster $children
        fi 2>/dev/null
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", STOP, "watcher"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .expect("there is a shell")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 can be listened on");
    listener.local_addr().expect("it is bound").port()
}

fn signal(name: &str, processes: &[String]) {
    // One of the children may be gone by now.
    run(Command::new("sh").args(["-c", "kill -s \"$0\" \"$@\"", name]).args(processes));
}

fn append(path: &Path, lines: &[String]) {
    let before = std::fs::read_to_string(path).expect("initdb has written it");
    std::fs::write(path, format!("{before}\n{}\n", lines.join("\n")))
        .expect("the folder of data can be written");
}

/// Runs to the end, without what the environment says of another server.
fn run(command: &mut Command) -> Output {
    let names: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("PG")).then_some(name))
        .collect();
    for name in names {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
