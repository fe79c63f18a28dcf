//! The failover drill: on parts of its own, PostgreSQL is read-only, then killed and restarted, Kafka is stopped, the registry is away while unknown
//! schema ids come. All orders end as they should, no program ends, and nobody is thrown out of a group for it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use quadrille_tests::{Setup, binary, deadline, schemas};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use runtime::{Registry, Settings, migrations};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use xtask::ports::Ports;
use xtask::process::{self, Mark};
use xtask::project::Project;
use xtask::stack::Part;
use xtask::{kafka, postgres};

/// How long each part is away, and how many orders come meanwhile.
struct Drill {
    read_only: Duration,
    kafka: Duration,
    registry: Duration,
    orders: usize,
    /// How long all may take.
    deadline: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_end_as_they_should_though_each_part_is_away_for_a_while() {
    let drill = Drill {
        read_only: Duration::from_secs(4),
        kafka: Duration::from_secs(12), // longer than a session of the group
        registry: Duration::from_secs(5),
        orders: 60,
        deadline: Duration::from_secs(240),
    };
    drill.run().await;
}

/// The same for as long as outages last; docs/parts.md has the command, and what it showed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a quarter of an hour"]
async fn the_failover_drill_at_full_length() {
    let drill = Drill {
        read_only: Duration::from_secs(30),
        kafka: Duration::from_secs(60),
        registry: Duration::from_secs(600),
        orders: 2_000,
        deadline: Duration::from_secs(1_500),
    };
    drill.run().await;
}

/// How long after the last outage nothing more may end.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Records come with a schema id that nobody knows while the registry is away: so many, over all that time.
const UNKNOWN: u32 = 10;

/// The key under which an order is placed, and its reference from then on.
fn reference(number: usize) -> String {
    format!("drill-{number}")
}

/// An order that completes, or that fails in one of two ways; of a customer of its own, or the fraud rules would count them.
fn order(number: usize) -> (Order, &'static str) {
    let (sku, token, state) = match number % 10 {
        0 => ("TEA", "tok_declined", "FAILED"),
        1 => ("NONE", "tok_approved", "FAILED"),
        _ => ("TEA", "tok_approved", "COMPLETED"),
    };
    let address = serde_json::json!({"name": "Ada", "line1": format!("{number} Main St"), "city": "London", "postal_code": "N1 1AA", "country": "GB"});
    let order = Order::of(&[(sku, 1, 1_250)]).paid_with(token).by(&format!("c-{number}"));
    (order.with("ship_to", address.clone()).with("bill_to", address), state)
}

/// PostgreSQL and Kafka of the test's own, with its folder.
struct Parts {
    project: Project,
    ports: Ports,
    folder: PathBuf,
}

impl Parts {
    fn start(orders: usize) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = std::env::temp_dir().join(format!("quadrille-drill-{}-{orders}", std::process::id()));
        fs::create_dir_all(folder.join(".quadrille")).unwrap();
        std::os::unix::fs::symlink(repository.join("xtask"), folder.join("xtask")).unwrap();
        if repository.join(".quadrille/lib/kafka/stamp").exists() {
            std::os::unix::fs::symlink(repository.join(".quadrille/lib"), folder.join(".quadrille/lib")).unwrap();
        }
        let project = Project::at(&folder).unwrap();
        let mut ports = Ports::load(&project).unwrap();
        for part in [Part::Postgres, Part::Kafka] {
            ports.choose(&project, part).unwrap();
        }
        let parts = Self { project, ports, folder };
        parts.start_postgres();
        postgres::create_databases(&parts.ports).unwrap();
        parts.start_kafka();
        parts
    }

    fn start_postgres(&self) {
        let pid = postgres::start(&self.project, &self.ports).unwrap();
        let log = self.project.log(Part::Postgres.name());
        process::wait_ready("postgres", pid, postgres::READY_WITHIN, &log, || postgres::is_ready(&self.ports)).unwrap();
    }

    fn start_kafka(&self) {
        let pid = kafka::start(&self.project, &self.ports).unwrap();
        let log = self.project.log(Part::Kafka.name());
        process::wait_ready("kafka", pid, kafka::READY_WITHIN, &log, || kafka::is_ready(&self.ports)).unwrap();
    }

    /// Changes them while orders come.
    async fn change(self: &Arc<Self>, change: impl FnOnce(&Self) + Send + 'static) {
        let parts = Arc::clone(self);
        tokio::task::spawn_blocking(move || change(&parts)).await.unwrap();
    }

    fn kill(&self, part: Part, signal: &str) {
        if let Some(pid) = Mark::new(&self.project, part.name()).find().unwrap() {
            process::stop(pid, signal, Duration::from_secs(30)).unwrap();
        }
    }

    fn postgres_url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:quadrille@127.0.0.1:{}/{database}", self.ports.of(Part::Postgres).unwrap())
    }

    fn kafka_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.of(Part::Kafka).unwrap())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for part in [Part::Kafka, Part::Postgres] {
            if let Ok(Some(pid)) = Mark::new(&self.project, part.name()).find() {
                let _ = process::stop(pid, "KILL", Duration::from_secs(10));
            }
        }
        let _ = postgres::wipe(&self.project);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// All consumers and the relay in one program; what it logs is kept in the target folder.
struct Program {
    process: Child,
    log: PathBuf,
}

impl Program {
    fn start(toml: &Path, orders: usize) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drill-{}-{orders}.log", std::process::id()));
        let file = File::create(&log).unwrap();
        let mut command = Command::new(binary("quadrille"));
        command.args(["run", "all"]).env("QUADRILLE_CONFIG", toml).stdin(Stdio::null());
        for name in ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"] {
            command.env_remove(name);
        }
        let process = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { process, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often a line of its log holds this.
    fn said_times(&self, what: &str) -> usize {
        self.said().matches(what).count()
    }

    fn lives(&mut self) {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "it ended, {ended:?}: see {}", self.log.display());
    }

    /// Where the doors of a consumer are, by its log; none: they are not open yet.
    fn door(&self, consumer: &str) -> Option<String> {
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "doors open" && line["consumer"] == consumer)
                .then(|| line["address"].as_str().map(ToOwned::to_owned))?
        };
        self.said().lines().find_map(line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A registry that answers like the stack's, unless it is away: then nobody listens to what it says.
async fn registry(away: Arc<AtomicBool>) -> String {
    let real = stack().registry_url.trim_end_matches('/').to_owned();
    let http = reqwest::Client::new();
    let answer = move |request: axum::extract::Request| {
        let (away, http, real) = (Arc::clone(&away), http.clone(), real.clone());
        async move {
            if away.load(Ordering::Acquire) {
                return (axum::http::StatusCode::SERVICE_UNAVAILABLE, String::new());
            }
            let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
            match http.get(format!("{real}{path}")).send().await {
                Ok(response) => (response.status(), response.text().await.unwrap_or_default()),
                Err(_) => (axum::http::StatusCode::BAD_GATEWAY, String::new()),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods)] // ends with the test's runtime
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    format!("http://{address}")
}

/// The drill while it runs.
struct Field {
    program: Program,
    parts: Arc<Parts>,
    pool: PgPool,
    http: reqwest::Client,
    since: Instant,
    deadline: Duration,
    /// Whether the registry is away.
    away: Arc<AtomicBool>,
    /// Whether it has been.
    was_away: AtomicBool,
}

impl Drill {
    async fn run(self) {
        deadline::begin();
        deadline::allow(self.deadline + Duration::from_secs(60));
        let mut field = self.start().await;
        let orders = field.door("orders").await;
        field.until_all_ready().await;
        field.count_tea(&field.door("inventory").await).await;
        let (took, ()) = tokio::join!(self.place(&field, &orders), self.outages(&field, &orders));
        self.ends(&mut field).await;
        println!(
            "drill: {} orders as they should in {:?}; the slowest was taken after {took:?}; circuits opened {} times; {} times a consumer lost \
             partitions, all while Kafka was away",
            self.orders,
            field.since.elapsed(),
            field.program.said_times("circuit open"),
            field.program.said_times("partitions revoked"),
        );
    }

    async fn start(&self) -> Field {
        let (since, orders) = (Instant::now(), self.orders);
        let parts = tokio::task::spawn_blocking(move || Parts::start(orders)).await.unwrap();
        let url = parts.postgres_url("quadrille", "quadrille");
        for (schema, migrator) in schemas() {
            migrations::run(&url, &schema, migrator).await.unwrap();
        }
        let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
        let real = Registry::new(&stack().registry_url, pool.clone()).unwrap();
        for entry in events::catalogue() {
            real.register(&choreography::subject(entry.topic, entry.event_type), entry.schema).await.unwrap();
        }
        let away = Arc::new(AtomicBool::new(false));
        let toml = self.settings(&parts, &url, &registry(Arc::clone(&away)).await).await;
        let file = parts.folder.join("quadrille.toml");
        fs::write(&file, &toml).unwrap();
        let kafka = Settings::from_toml(&toml).unwrap().common().kafka.clone();
        let topics = choreography::Choreography::embedded().topic_settings("local").unwrap();
        let wanted: Vec<_> = topics
            .into_iter()
            .map(|topic| kafka_admin::topics::WantedTopic {
                name: topic.name,
                partitions: 2,
                replicas: 1,
                keyed: true,
                config: topic.config,
            })
            .collect();
        kafka_admin::topics::apply(&kafka, &wanted).await.unwrap();
        kafka_admin::topics::ready(&kafka, &wanted).await.unwrap();
        let program = Program::start(&file, self.orders);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Field {
            program,
            parts: Arc::new(parts),
            pool,
            http,
            since,
            deadline: self.deadline,
            away,
            was_away: AtomicBool::new(false),
        }
    }

    /// The settings of a pipeline of the stack, with these parts instead.
    async fn settings(&self, parts: &Parts, url: &str, registry: &str) -> String {
        let pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
        deadline::allow(self.deadline + Duration::from_secs(60));
        let toml = pipeline
            .settings_toml()
            .replace(&pipeline.database.url, url)
            .replace(&stack().kafka, &parts.kafka_address())
            .replace(&stack().registry_url, registry)
            .replace(&format!("topic_prefix = '{}'", pipeline.prefix), "topic_prefix = ''");
        pipeline.finish_without_audit("it lends its settings alone").await;
        toml
    }

    /// Places orders while the parts come and go, each under one key until it is taken, the last tenth of them while the registry is away; returns how
    /// long the slowest took.
    async fn place(&self, field: &Field, door: &str) -> Duration {
        let pause = (self.read_only + self.kafka + self.registry) / self.orders as u32;
        let mut slowest = Duration::ZERO;
        for number in 0..self.orders {
            while number >= self.orders * 9 / 10 && !field.was_away.load(Ordering::Acquire) {
                field.pause(|| format!("order {number} waits for the registry to be away")).await;
            }
            let (body, since) = (order(number).0.body(), Instant::now());
            loop {
                let request = field.http.post(format!("{door}/orders")).json(&body);
                let answer = request.header("Idempotency-Key", reference(number)).send().await;
                match answer.map(|response| response.status().as_u16()) {
                    Ok(202) => break,
                    Ok(503) | Err(_) => {
                        field.pause(|| format!("order {number} is not taken since {:?}", since.elapsed())).await
                    } // as a shop would
                    Ok(other) => panic!("order {number}: expected 202, or 503 while something is away, got {other}"),
                }
            }
            slowest = slowest.max(since.elapsed());
            tokio::time::sleep(pause).await; // their rate
        }
        slowest
    }

    /// Takes one part away after another.
    async fn outages(&self, field: &Field, orders: &str) {
        let Field { parts, program, away, .. } = field;
        let mut db = PgConnection::connect(&parts.postgres_url("postgres", "quadrille")).await.unwrap();
        run(&mut db, "alter database quadrille set default_transaction_read_only = on").await;
        end_sessions(&mut db, "quadrille").await;
        field.until_told(orders, "database").await;
        tokio::time::sleep(self.read_only).await; // it is read-only so long
        run(&mut db, "alter database quadrille reset default_transaction_read_only").await;
        parts
            .change(|parts| {
                parts.kill(Part::Postgres, "KILL");
                parts.start_postgres();
            })
            .await;
        field.until_all_ready().await;
        field.until_more_end().await;
        assert_eq!(
            program.said_times("partitions revoked"),
            0,
            "no consumer loses partitions for PostgreSQL: {}",
            program.log.display()
        );

        parts.change(|parts| parts.kill(Part::Kafka, "TERM")).await;
        field.until_told(orders, "kafka").await;
        tokio::time::sleep(self.kafka).await; // it is stopped so long
        parts.change(Parts::start_kafka).await;
        field.until_all_ready().await;
        field.until_more_end().await;
        let lost = program.said_times("partitions revoked");

        away.store(true, Ordering::Release);
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", parts.kafka_address()).create().unwrap();
        let before = field.ended().await;
        field.was_away.store(true, Ordering::Release);
        for number in 0..UNKNOWN {
            let record = [&[0][..], &(987_001 + number).to_be_bytes(), b"datum"].concat();
            let key = format!("unknown-{number}");
            let record = BaseRecord::to("order-placed").key(&key).payload(&record);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.flush(Duration::from_secs(20)).unwrap();
            if number == 0 {
                field.until_told(orders, "registry").await;
            }
            tokio::time::sleep(self.registry / UNKNOWN).await; // it is away so long
        }
        while field.ended().await <= before {
            field.pause(|| "no order ends while the registry is away".to_owned()).await;
        }
        away.store(false, Ordering::Release);
        field.until_all_ready().await;
        assert_eq!(
            program.said_times("partitions revoked"),
            lost,
            "no consumer loses partitions for the registry: {}",
            program.log.display()
        );
    }

    /// What has become of all.
    async fn ends(&self, field: &mut Field) {
        let wanted: BTreeMap<String, String> =
            (0..self.orders).map(|number| (reference(number), order(number).1.to_owned())).collect();
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let query = "select reference, state from orders.\"order\"";
            let found: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&field.pool).await.unwrap();
            assert!(found.len() <= self.orders, "{} orders of {}: each is taken once", found.len(), self.orders);
            let found: BTreeMap<String, String> = found.into_iter().collect();
            if found == wanted {
                break;
            }
            let missing: Vec<String> = wanted
                .iter()
                .filter(|(number, state)| found.get(*number) != Some(*state))
                .map(|(number, state)| format!("{number}: expected {state}, is {:?}", found.get(number)))
                .collect();
            if missing.len() != last {
                (last, since) = (missing.len(), Instant::now());
            }
            field.program.lives();
            let some = &missing[..missing.len().min(10)];
            assert!(
                since.elapsed() < STANDSTILL,
                "{} orders missing: {some:#?}; see {}",
                missing.len(),
                field.program.log.display()
            );
            field.pause(|| format!("{} orders missing: {some:#?}", missing.len())).await;
        }
        // The last events may still be on their way to those who only keep the books.
        for invariant in load::invariants::settled(&field.pool, STANDSTILL).await.unwrap() {
            assert!(invariant.holds, "{}: {}", invariant.name, invariant.figures);
        }
        let unknown: Vec<String> = (0..UNKNOWN).map(|number| format!("schema id {}", 987_001 + number)).collect();
        loop {
            let dead = load::invariants::dead_letters(&field.pool).await.unwrap();
            let is_one = |letter: &String| unknown.iter().any(|id| letter.contains(id));
            assert!(dead.iter().all(is_one), "expected dead letters of unknown schemas and no other: {dead:#?}");
            if unknown.iter().all(|id| dead.iter().filter(|letter| letter.contains(id)).count() == 1) {
                break;
            }
            field.pause(|| format!("expected a dead letter for each of {unknown:?}: {dead:#?}")).await;
        }
        field.program.lives();
        let said = field.program.said();
        for thrown_out in ["MAXPOLL", "max.poll.interval", "PollExceeded", "UnknownMemberId", "IllegalGeneration"] {
            assert!(
                !said.contains(thrown_out),
                "thrown out of a group, {thrown_out}: see {}",
                field.program.log.display()
            );
        }
    }
}

impl Field {
    /// Between two looks, or two tries; panics past the deadline of the drill, with what it waits for.
    async fn pause(&self, what: impl Fn() -> String) {
        deadline::at(&what);
        assert!(self.since.elapsed() < self.deadline, "{}; see {}", what(), self.program.log.display());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    async fn door(&self, consumer: &str) -> String {
        loop {
            match self.program.door(consumer) {
                Some(address) => return format!("http://{address}"),
                None => self.pause(|| format!("{consumer} does not open its doors")).await,
            }
        }
    }

    /// What `/readyz` says when it is not ready; none when it is.
    async fn not_ready(&self, door: &str) -> Option<String> {
        match self.http.get(format!("{door}/readyz")).send().await {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.text().await.unwrap_or_default()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Waits until every consumer and the relay are ready.
    async fn until_all_ready(&self) {
        for name in ALL.iter() {
            let door = self.door(name).await;
            while let Some(why) = self.not_ready(&door).await {
                self.pause(|| format!("{name} is not ready: {why}")).await;
            }
        }
    }

    /// Waits until `/readyz` says that this is away, and says how long it took.
    async fn until_told(&self, door: &str, what: &str) {
        let since = Instant::now();
        loop {
            let why = self.not_ready(door).await.unwrap_or_default();
            if why.contains(&format!("waits for its {what}")) {
                println!("drill: {what} away, told after {:?}", since.elapsed());
                return;
            }
            self.pause(|| format!("`/readyz` does not tell that the {what} is away: {why}")).await;
        }
    }

    /// Orders that have ended; none is known while the database is away.
    async fn ended(&self) -> i64 {
        let query = "select count(*) from orders.\"order\" where ended_at is not null";
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap_or_default()
    }

    /// Waits until orders end again.
    async fn until_more_end(&self) {
        let (before, since) = (self.ended().await, Instant::now());
        while self.ended().await <= before {
            self.pause(|| format!("no order ends, {before} have")).await;
        }
        println!("drill: orders end again after {:?}", since.elapsed());
    }

    async fn count_tea(&self, door: &str) {
        let put = |method, path: &str, body| self.http.request(method, format!("{door}{path}")).json(&body).send();
        let warehouse = serde_json::json!({"name": "a", "priority": 1, "country": "IE"});
        let stock = serde_json::json!({"sku": "TEA", "warehouse": "a", "on_hand": 100_000});
        for asked in [
            put(reqwest::Method::PUT, "/warehouses/a", warehouse).await,
            put(reqwest::Method::POST, "/stock/counted", stock).await,
        ] {
            let answer = asked.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
        }
    }
}
