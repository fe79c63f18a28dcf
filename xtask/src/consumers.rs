//! The pipeline's own programs: built, started as children of xtask with the parts' addresses, watched, and stopped by a signal.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::Read,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    install::{self, Need},
    probe,
    process::{self, Mark},
    programs::{self, PATIENCE, ProgramOfDemo, STRIPE_SIM},
    project::Project,
    stack::{HOST, Part},
    up::{self, Up},
};

pub struct RunningPipeline<'p> {
    project: &'p Project,
    programs: Vec<&'static ProgramOfDemo>,
    /// The parts, and which of them were started for it.
    pub up: Up,
    environment: BTreeMap<String, String>,
    ports: BTreeMap<&'static str, u16>,
    children: Vec<(&'static str, Child)>,
    binaries: PathBuf,
    interrupted: Arc<AtomicBool>,
    /// Programs that are killed and started again while a load runs, and how often that was.
    kills: Vec<&'static str>,
    killed: usize,
    _only_one: File,
}

/// Between two kills: time enough to start, and to get into the middle of something.
const KILL_EVERY: Duration = Duration::from_secs(6);

impl<'p> RunningPipeline<'p> {
    /// Installs, builds, starts the parts, brings tables, topics and schemas up to date, and starts every program, optional ones if they are named `with` it,
    /// with these settings.
    ///
    /// # Errors
    /// When another pipeline of this clone runs, or something can't be installed, built or started; what was started is stopped again.
    fn start(project: &'p Project, build: Build, with: &[String], settings: &[(&str, &str)]) -> Result<Self> {
        let programs = programs::chosen(with)?;
        let interrupted = process::interrupted()?;
        let only_one = only_one(project)?;
        install::ensure(&[Need::Build, Need::Java, Need::Postgres])?;
        let binaries = build.run(project)?;
        programs::stop_leftovers(project)?;
        let up = up::all(project)?;
        let mut environment: BTreeMap<String, String> = up.addresses.clone().into_iter().collect();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (ports, children) = (BTreeMap::new(), Vec::new());
        let mut pipeline = Self {
            project,
            programs,
            up,
            environment,
            ports,
            children,
            binaries,
            interrupted,
            kills: Vec::new(),
            killed: 0,
            _only_one: only_one,
        };
        if let Err(error) = pipeline.set_up() {
            let _ = pipeline.stop(); // the first error is the one that counts
            return Err(error);
        }
        Ok(pipeline)
    }

    /// Starts a pipeline, has something done with it, and stops it, whatever came of that: true is success.
    pub fn with(
        project: &'p Project,
        build: Build,
        with: &[String],
        settings: &[(&str, &str)],
        work: impl FnOnce(&mut Self) -> Result<bool>,
    ) -> Result<ExitCode> {
        let mut pipeline = Self::start(project, build, with, settings)?;
        let result = work(&mut pipeline);
        let stopped = pipeline.stop();
        let right = result?;
        stopped?;
        Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn set_up(&mut self) -> Result<()> {
        let optional: Vec<&str> =
            self.programs.iter().filter(|program| program.optional).map(|program| program.name.as_str()).collect();
        let mut migrate = vec!["migrate"];
        migrate.extend(optional.iter().flat_map(|name| ["--with", name]));
        for arguments in [migrate.as_slice(), &["topics", "apply"]] {
            println!("quadrille {}", arguments.join(" "));
            let mut command = self.program("quadrille");
            let output = command.args(arguments).stdout(Stdio::null()).output().context("cannot run quadrille")?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!("`quadrille {}` failed ({}):\n{}", arguments.join(" "), output.status, said.trim_end());
            }
        }
        for ProgramOfDemo { name, port, .. } in self.programs.iter().copied() {
            let port = free(name, *port)?;
            let setting = format!("QUADRILLE_{}__HTTP", name.to_uppercase().replace('-', "_"));
            self.environment.insert(setting, format!("{HOST}:{port}"));
            self.ports.insert(name, port);
        }
        let (payments, begun) = (self.ports["payments"], Instant::now());
        self.environment.insert("QUADRILLE_PAYMENTS__SANDBOX__PUBLIC_URL".into(), format!("http://{HOST}:{payments}"));
        if self.setting("QUADRILLE_PAYMENTS__GATEWAY") == "stripe" {
            self.start_stripe_sim()?;
        }
        for program in self.programs.clone() {
            self.start_one(&program.name)?;
        }
        for (name, child) in self.children.iter().filter(|(name, _)| *name != STRIPE_SIM) {
            let port = self.ports[name];
            process::wait_ready(name, child.id(), PATIENCE, &self.project.log(name), || probe::http(port, "/readyz"))?;
        }
        println!("{} programs: ready after {:.1} s", self.programs.len(), begun.elapsed().as_secs_f32());
        Ok(())
    }

    /// stripe-sim, whose book is a schema of the same database; payments is told where it is, and both get keys that nobody else has.
    fn start_stripe_sim(&mut self) -> Result<()> {
        let port = free(STRIPE_SIM, programs::STRIPE_SIM_PORT)?;
        self.ports.insert(STRIPE_SIM, port);
        let address = format!("{HOST}:{port}");
        let mut random = [0_u8; 32];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).context("no random numbers")?;
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (api_key, webhook_secret) = secret.split_at(secret.len() / 2);
        let stripe = |setting: &str| format!("QUADRILLE_PAYMENTS__STRIPE__{setting}");
        let orders = self.door("orders");
        self.environment.extend([
            ("STRIPE_SIM_LISTEN".to_owned(), address.clone()),
            ("STRIPE_SIM_WEBHOOK_SECRET".to_owned(), format!("whsec_{webhook_secret}")),
            (stripe("API_KEY"), format!("sk_test_{api_key}")),
            (stripe("ACCOUNT_RATE"), "2000".to_owned()),
            (stripe("BASE_URL"), format!("http://{address}")),
            (stripe("RETURN_URL"), format!("{orders}/docs?order={{order_id}}")),
            (stripe("WEBHOOK_SECRETS"), format!("whsec_{webhook_secret}")),
        ]);
        self.spawn(STRIPE_SIM, STRIPE_SIM)?;
        let (_, child) = self.children.last().context("stripe-sim was started")?;
        process::wait_ready(STRIPE_SIM, child.id(), PATIENCE, &self.project.log(STRIPE_SIM), || {
            probe::http(port, "/_sim/health")
        })
    }

    /// Where stripe-sim is, if it runs.
    pub fn stripe_sim(&self) -> Option<String> {
        self.ports.get(STRIPE_SIM).map(|port| format!("http://{HOST}:{port}"))
    }

    fn start_one(&mut self, name: &'static str) -> Result<()> {
        self.spawn(name, &format!("quadrille-{name}"))
    }

    fn spawn(&mut self, name: &'static str, binary: &str) -> Result<()> {
        let log = match self.killed {
            0 => self.project.new_log(name)?,
            _ => File::options().append(true).open(self.project.log(name)).context("the log of who was killed")?,
        };
        let errors = log.try_clone().context("cannot use the log twice")?;
        let mut command = self.program(binary);
        // A mark to be found by; a group of its own, so that the terminal's Ctrl-C comes to xtask alone, which stops them in order.
        command.arg(Mark::new(self.project, name).parameter()).stdout(log).stderr(errors).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        self.children.push((name, child));
        Ok(())
    }

    /// `quadrille-load`, told which processes to measure: the consumers, and the parts as far as they are ours.
    pub fn load(&self) -> Result<Command> {
        let mut command = self.program("quadrille-load");
        let mut measure = |name: &str, pid: u32| {
            command.arg("--process").arg(format!("{name}={pid}"));
        };
        for (name, child) in &self.children {
            measure(name, child.id());
        }
        for part in Part::ALL {
            if let Some(pid) = Mark::new(self.project, part.name()).find()? {
                measure(part.name(), pid);
            }
        }
        Ok(command)
    }

    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        // A load plays shops, people and admins at once, and has one key to show: without keys all are `local`.
        command.env_remove("QUADRILLE_KEYS").env_remove("QUADRILLE_KEYS_FILE");
        command.envs(&self.environment).stdin(Stdio::null());
        command
    }

    pub fn door(&self, consumer: &str) -> String {
        self.ports.get(consumer).map(|port| format!("http://{HOST}:{port}")).unwrap_or_default()
    }

    pub fn doors(&self) -> Vec<String> {
        self.programs.iter().map(|program| self.door(&program.name)).collect()
    }

    /// What its optional programs answer to what the demo asks them for, by name.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let answer = |program: &&'static ProgramOfDemo| {
            let (port, path) = (*self.ports.get(program.name.as_str())?, program.demo.as_ref()?);
            let (_, answer) = probe::get(port, path).ok()?;
            Some((program.name.as_str(), format!("GET {path}: {answer}")))
        };
        self.programs.iter().filter_map(answer).collect()
    }

    pub fn setting(&self, name: &str) -> &str {
        self.environment.get(name).map_or("", String::as_str)
    }

    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Has these programs killed (`SIGKILL`), in turns, and started again while a load runs.
    ///
    /// # Errors
    /// When one of them is none that runs.
    pub fn kill_while_running(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let running: Vec<&str> = self.children.iter().map(|(name, _)| *name).collect();
            let Some((known, _)) = self.children.iter().find(|(known, _)| known == name) else {
                bail!("--kill: expected one of {}, got {name:?}", running.join(", "));
            };
            self.kills.push(known);
        }
        Ok(())
    }

    /// How often programs were killed.
    pub fn killed(&self) -> usize {
        self.killed
    }

    fn kill_next(&mut self) -> Result<()> {
        let name = self.kills[self.killed % self.kills.len()];
        self.killed += 1;
        let at = self.children.iter().position(|(known, _)| *known == name).context("it runs")?;
        let (_, mut child) = self.children.remove(at);
        child.kill().with_context(|| format!("cannot kill {name}"))?;
        child.wait().with_context(|| format!("cannot wait for {name}"))?;
        let binary = if name == STRIPE_SIM { name.to_owned() } else { format!("quadrille-{name}") };
        self.spawn(name, &binary)
    }

    /// Runs a program to its end, or until we are told to stop; true when it succeeded.
    ///
    /// # Errors
    /// When it can't be run, or a consumer dies meanwhile: the error names it, with the end of its log.
    pub fn run(&mut self, mut command: Command) -> Result<bool> {
        let mut child = command.spawn().context("cannot run quadrille-load")?;
        let mut next_kill = Instant::now() + KILL_EVERY;
        loop {
            if !self.kills.is_empty() && Instant::now() >= next_kill {
                self.kill_next()?;
                next_kill = Instant::now() + KILL_EVERY;
            }
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            let goes_on = if self.is_interrupted() { Ok(false) } else { self.check_alive().map(|()| true) };
            if !matches!(goes_on, Ok(true)) {
                process::stop(child.id(), "TERM", Duration::from_secs(5))?;
                return goes_on;
            }
            std::thread::sleep(Duration::from_millis(50)); // between two looks at the children
        }
    }

    pub fn wait(&mut self) -> Result<()> {
        while !self.is_interrupted() {
            self.check_alive()?;
            std::thread::sleep(Duration::from_millis(100)); // between two looks at the children
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                let log = self.project.log(name);
                bail!("{name} has ended ({status}); the end of its log {}:\n{}", log.display(), process::tail(&log));
            }
        }
        Ok(())
    }

    /// Stops the consumers, each finishing what it has in work.
    pub fn stop_consumers(&mut self) -> Result<()> {
        for (_, child) in &self.children {
            process::signal(child.id(), "TERM")?; // all at once: each then takes its time beside the others
        }
        for (_, mut child) in self.children.drain(..) {
            let waited = process::until(PATIENCE, || child.try_wait().is_ok_and(|ended| ended.is_some()));
            if !waited {
                process::stop(child.id(), "KILL", PATIENCE)?;
                child.wait().context("cannot wait for a consumer")?;
            }
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.stop_consumers()?;
        if !self.up.started.is_empty() {
            up::down(self.project, false)?;
        }
        Ok(())
    }
}

/// The lock of the one pipeline that a clone may run: two would share their groups' partitions, under different settings.
fn only_one(project: &Project) -> Result<File> {
    let path = project.folder().join("pipeline.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another `cargo xtask demo` or `bench` of this clone runs: end it first (Ctrl-C)");
    }
    Ok(file)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Release,
    Dev,
}

impl Build {
    fn run(self, project: &Project) -> Result<PathBuf> {
        let mut command = project.cargo();
        command.args(["build", "--workspace", "--bins", "--exclude", "xtask"]);
        let folder = match self {
            Self::Release => {
                println!("building for release: a quarter of an hour on two cores the first time, seconds later");
                command.arg("--release");
                "release"
            }
            Self::Dev => "debug",
        };
        if !command.status().context("cannot run cargo")?.success() {
            bail!("the build failed: cargo's error stands above");
        }
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.root().join("target"), PathBuf::from);
        Ok(target.join(folder))
    }
}

/// This port, or a free one if something else listens there.
fn free(name: &str, port: u16) -> Result<u16> {
    if TcpListener::bind((HOST, port)).is_ok() {
        return Ok(port);
    }
    let other = TcpListener::bind((HOST, 0)).context("no free port")?.local_addr()?.port();
    println!("{name}: port {port} is taken by another program; taking {other}");
    Ok(other)
}
