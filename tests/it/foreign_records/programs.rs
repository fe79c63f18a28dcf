//! The programs as processes of their own: of bounded memory, and in an environment as Kubernetes and shells make it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quadrille_tests::{ALL, Pipeline, binary};
use serde_json::Value;

/// Address space of each program: three times what the largest of them uses, and a tenth of what a bomb of twenty million lines took.
const MEMORY_KB: u64 = 1_500_000;
/// How long starts and stops may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Report 05: what a Service named `kafka` and Java's tools leave in an environment.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("KAFKA_PORT", "tcp://10.96.14.7:9092"),
    ("KAFKA_SERVICE_HOST", "10.96.14.7"),
    ("KAFKA_PORT_9092_TCP_ADDR", "10.96.14.7"),
    ("KAFKA_HEAP_OPTS", "-Xmx1g"),
    ("KAFKA_HOME", "/opt/kafka"),
    ("KAFKA_OPTS", "-Djava.security.auth.login.config=/etc/kafka/jaas.conf"),
    ("KAFKA_TOPIC", "order-placed"),
];

struct Program {
    name: &'static str,
    process: Child,
    log: PathBuf,
}

impl Program {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it listens, once it says so: it takes a free port.
    fn address(&self) -> Option<String> {
        let said = self.said();
        let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let open = lines.find(|line| line["message"] == "doors open")?;
        open["address"].as_str().map(ToOwned::to_owned)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Every program of a pipeline.
pub(super) struct Programs {
    all: Vec<Program>,
    folder: PathBuf,
    http: reqwest::Client,
}

impl Programs {
    pub fn start(pipeline: &Pipeline) -> Self {
        let folder = std::env::temp_dir().join(format!("{}-programs", pipeline.database.name));
        std::fs::create_dir_all(&folder).unwrap();
        let toml = folder.join("quadrille.toml");
        std::fs::write(&toml, pipeline.settings_toml()).unwrap();
        let start = |name: &&'static str| {
            let log = folder.join(name);
            let file = File::create(&log).unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -v {MEMORY_KB} && exec \"$0\"")]);
            command.arg(binary(&format!("quadrille-{name}"))).envs(ENVIRONMENT).env("QUADRILLE_CONFIG", &toml);
            for name in ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"] {
                command.env_remove(name);
            }
            command.stdin(Stdio::null());
            let process = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
            Program { name, process, log }
        };
        let all = ALL.iter().map(start).collect();
        Self { all, folder, http: reqwest::Client::new() }
    }

    /// Waits until all of them are ready; none may end.
    pub async fn until_ready(&mut self) {
        let since = Instant::now();
        for program in &mut self.all {
            loop {
                let ended = program.process.try_wait().unwrap();
                assert!(ended.is_none(), "{} ended: {ended:?}: {}", program.name, program.said());
                if let Some(address) = program.address() {
                    let readyz = self.http.get(format!("http://{address}/readyz")).send().await;
                    if readyz.is_ok_and(|answer| answer.status() == 200) {
                        break;
                    }
                }
                assert!(since.elapsed() < PATIENCE, "{} is not ready: {}", program.name, program.said());
                tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
            }
        }
    }

    /// Places an order at the door of `orders`.
    pub async fn place(&self, order: &Value) {
        let url = format!("http://{}/orders", self.all[0].address().expect("it is ready"));
        let answer = self.http.post(url).json(order).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    }

    /// Stops all of them, as a deploy does.
    pub fn stop(mut self) {
        for program in &self.all {
            let signalled = Command::new("kill").args(["-TERM", &program.process.id().to_string()]).status().unwrap();
            assert!(signalled.success(), "{} is gone: {}", program.name, program.said());
        }
        let since = Instant::now();
        for program in &mut self.all {
            let status = loop {
                if let Some(status) = program.process.try_wait().unwrap() {
                    break status;
                }
                assert!(since.elapsed() < PATIENCE, "{} does not stop: {}", program.name, program.said());
                std::thread::sleep(Duration::from_millis(50)); // between two looks
            };
            assert!(status.success(), "{}: {status}: {}", program.name, program.said());
        }
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
