//! Behind PgBouncer: all works where it pools sessions; where it pools transactions, who needs a session says so at start.

use super::*;
use ::relay::{self, RelayError, RelaySettings};
use quadrille_tests::{Setup, schemas};
use runtime::{Clock, Health, migrations};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A PgBouncer of the test's own.
struct Bouncer {
    process: Child,
    port: u16,
    folder: std::path::PathBuf,
}

impl Bouncer {
    async fn start(mode: &str) -> Self {
        let place = stack().database_url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let (host, server_port) = place.split_once(':').unwrap();
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let folder = std::env::temp_dir().join(format!("qtest-bouncer-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ini = folder.join("pgbouncer.ini");
        let users = folder.join("users.txt");
        std::fs::write(&users, "\"quadrille\" \"quadrille\"\n").unwrap();
        std::fs::write(
            &ini,
            format!(
                "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {}\npool_mode = {mode}\nmax_client_conn = 500\ndefault_pool_size = 80\n",
                users.display()
            ),
        )
        .unwrap();
        // It refuses to be root's; as nobody it reads what is written here.
        let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let mut command = Command::new("pgbouncer");
        if is_root {
            command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "pgbouncer"]);
        }
        #[allow(clippy::disallowed_methods)] // a test has no settings of its own
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.arg(&ini).env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().expect("pgbouncer: `cargo xtask test` installs it with apt");
        let bouncer = Self { process, port, folder };
        let since = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let log = || std::fs::read_to_string(bouncer.folder.join("log")).unwrap_or_default();
            assert!(since.elapsed() < Duration::from_secs(20), "pgbouncer does not listen: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
        }
        bouncer
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://quadrille:quadrille@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Report 06.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_of_sessions_all_works() {
    let bouncer = Bouncer::start("session").await;
    let mut pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
    let url = bouncer.url(&pipeline.database.name);
    for (schema, migrator) in schemas() {
        assert_eq!(migrations::run(&url, &schema, migrator).await.unwrap(), 0, "{schema} is up to date");
    }
    pipeline.database.url = url;
    pipeline.host(&ALL).await;
    pipeline.stock("TEA", "a", 10).await;
    let order = pipeline.place(&tea()).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    pipeline.finish().await;
}

/// Of report 06's kind: a pooler that gives each statement another session, and so knows no transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_of_statements_nothing_begins() {
    let bouncer = Bouncer::start("statement").await;
    let pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
    let url = bouncer.url(&pipeline.database.name);
    let migrated = migrations::run(&url, "orders", <orders::Orders as runtime::Consumer>::migrations())
        .await
        .unwrap_err()
        .to_string();
    assert!(migrated.contains("pooler"), "{migrated}");
    let settings =
        runtime::Settings::from_toml(&pipeline.settings_toml().replace(&pipeline.database.url, &url)).unwrap();
    let host = Arc::new(runtime::Host::new(settings, Clock::default()));
    let refused = format!("{:#}", orders::start(&host).await.unwrap_err());
    assert!(refused.contains("forgets prepared statements"), "{refused}");
    host.stop().await.unwrap();
    pipeline.finish_without_audit("nothing runs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_of_transactions_who_needs_a_session_says_so_at_start() {
    let bouncer = Bouncer::start("transaction").await;
    let pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
    let url = bouncer.url(&pipeline.database.name);
    let migrated = migrations::run(&url, "orders", <orders::Orders as runtime::Consumer>::migrations())
        .await
        .unwrap_err()
        .to_string();
    assert!(migrated.contains("gives each transaction another session"), "{migrated}");
    let settings = RelaySettings {
        database_urls: vec![url.clone().into()],
        kafka: [("bootstrap.servers".to_owned(), stack().kafka.clone())].into(),
        topic_prefix: pipeline.prefix.clone(),
        ..RelaySettings::default()
    };
    let health = Arc::new(Health::of("outbox-relay"));
    let relayed = relay::run(settings, Clock::default(), health, CancellationToken::new());
    let refused = tokio::time::timeout(Duration::from_secs(20), relayed).await.unwrap().unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(RelayError::Pooled(_))), "{refused:#}");
    let settings =
        runtime::Settings::from_toml(&pipeline.settings_toml().replace(&pipeline.database.url, &url)).unwrap();
    let (from, stop) = (kafka_admin::replay::Point::Beginning, CancellationToken::new());
    let rebuilt = saga_tracker::rebuild(&settings, from, &stop, |_| ()).await.unwrap_err().to_string();
    assert!(rebuilt.contains("a rebuild of the read models needs one of its own"), "{rebuilt}");
    let host = Arc::new(runtime::Host::new(settings, Clock::default()));
    // PgBouncer 1.21 and later can keep prepared statements; before, and where that is not set, consumers refuse it.
    let begun = orders::start(&host).await;
    if let Err(refused) = &begun {
        let refused = refused.to_string();
        assert!(
            refused.contains("forgets prepared statements") && refused.contains("max_prepared_statements"),
            "{refused}"
        );
    }
    host.stop().await.unwrap();
    pipeline.finish_without_audit("nothing runs").await;
}
