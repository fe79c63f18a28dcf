//! The database fails over, stands still, is full, refuses the password, changes under prepared statements.

use super::proxy::{Proxy, Way};
use super::*;
use quadrille_tests::{Database, Setup, binary, produce};
use std::process::{Child, Command, Stdio};

/// Reports 07 and 35: a failover as clients see it, and a migration under load; nobody ends, callers hear 503 soon, all orders complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_for_a_while_ends_nobody_and_loses_nothing() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    until_ready(&pipeline, &ALL).await;
    let before = pipeline.place(&tea()).await;
    let name = pipeline.database.name.clone();
    let mut db = superuser().await;
    run(&mut db, &format!("alter database {name} set default_transaction_read_only = on")).await;
    end_sessions(&mut db, &name).await;
    let began = Instant::now();
    told(&pipeline, &ALL, "read-only").await;
    assert!(began.elapsed() < TOLD_WITHIN, "told after {:?}", began.elapsed());
    let asked = Instant::now();
    assert_eq!(post(&pipeline, &tea().body(), Duration::from_secs(20)).await, Some(503));
    assert!(asked.elapsed() < Duration::from_secs(1), "answered after {:?}", asked.elapsed());
    let body = tea().body().to_string();
    let ids = ["failover-1", "failover-2", "failover-3"];
    for id in ids {
        produce(&pipeline.topic("order-placed"), &[(None, body.as_bytes(), &[("ce_id", id)])]);
    }
    run(&mut db, &format!("alter database {name} reset default_transaction_read_only")).await;
    end_sessions(&mut db, &name).await;
    let completed = "select count(*) from orders.\"order\" where state = 'COMPLETED'";
    pipeline.until(|| async { count_or_none(&pipeline, completed).await == Some(4) }, "the end of all four").await;
    until_ready(&pipeline, &ALL).await;
    assert_eq!(pipeline.status(&before).await, "COMPLETED");

    // Another result than statements were prepared with (0A000), under a request and a read.
    let repeated = |key: &'static str| {
        let request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Idempotency-Key", key);
        request.json(&tea().body()).send()
    };
    for _ in 0..3 {
        assert_eq!(repeated("widened").await.unwrap().status(), 202);
    }
    run(&mut own(&pipeline).await, "alter table orders.\"order\" alter column source type varchar(200)").await;
    for _ in 0..3 {
        assert_eq!(repeated("widened").await.unwrap().status(), 202);
    }
    // The same under batches: rows that inventory and payments read.
    for column in ["inventory.stock_level alter column aisle", "payments.payment alter column payment_id"] {
        run(&mut own(&pipeline).await, &format!("alter table {column} type varchar(200)")).await;
    }
    for id in ["failover-1", "failover-4"] {
        produce(&pipeline.topic("order-placed"), &[(None, body.as_bytes(), &[("ce_id", id)])]);
    }
    pipeline
        .until(|| async { count_or_none(&pipeline, completed).await == Some(6) }, "the end of all, and of no other")
        .await;
    pipeline
        .until(
            || async {
                pipeline.ask(reqwest::Method::GET, "orders", &format!("/orders/{before}"), None).await.0 == 200
            },
            "a read",
        )
        .await;
    pipeline.finish().await;
}

async fn own(pipeline: &Pipeline) -> PgConnection {
    PgConnection::connect(&pipeline.database.url).await.unwrap()
}

/// The test's own connections were ended as well.
async fn count_or_none(pipeline: &Pipeline, query: &str) -> Option<i64> {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&pipeline.database.pool).await.ok()
}

/// Reports 25 and 25b: frozen, and cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_callers_hear_503_soon_and_nothing_is_left_of_those_who_have_gone() {
    let proxy = Proxy::start().await;
    let mut pipeline = Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await;
    pipeline.database.url = proxy.url(&pipeline.database.url);
    pipeline.host(&["orders", "outbox-relay"]).await;
    until_ready(&pipeline, &["orders"]).await;
    let body = tea().body();
    let post = |patience: Duration| post(&pipeline, &body, patience);
    let readyz = || async { ready(&pipeline, "orders").await.0 };
    assert_eq!(post(Duration::from_secs(20)).await, Some(202), "a first order");
    for way in [Way::Frozen, Way::Cut] {
        proxy.set(way);
        let since = Instant::now();
        let early = post(Duration::from_millis(700)).await;
        assert!(early.is_none() || early == Some(503), "{way:?}: {early:?}");
        let patient = post(Duration::from_secs(30)).await;
        assert_eq!(patient, Some(503), "{way:?}");
        assert!(
            since.elapsed() < TOLD_WITHIN + Duration::from_secs(1),
            "{way:?}: answered after {:?}",
            since.elapsed()
        );
        assert_eq!(readyz().await, 503, "{way:?}");
        let read = pipeline
            .http
            .get(pipeline.door("orders", "/orders/0192a0f0-0000-7000-8000-000000000000"))
            .send()
            .await
            .unwrap();
        assert_eq!(read.status().as_u16(), 503);
        assert!(read.headers().contains_key("retry-after"));
        proxy.set(Way::Open);
        until_ready(&pipeline, &["orders"]).await;
    }
    assert_eq!(post(Duration::from_secs(20)).await, Some(202), "a last order");
    let orders = pipeline.count("select count(*) from orders.\"order\"").await;
    assert_eq!(orders, 2, "none of callers who had left, or heard 503");
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Of report 07's kind: a database that is closed for maintenance, one that a restore renames, rights that are taken and given back. Nobody ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_closed_renamed_or_without_its_rights_for_a_while_ends_nobody() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay"], ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    let both = ["orders", "outbox-relay"];
    until_ready(&pipeline, &both).await;
    let name = pipeline.database.name.clone();
    let mut db = superuser().await;
    let server = superuser_url();
    let (server, _) = server.rsplit_once('/').unwrap();
    let mut inside = PgConnection::connect(&format!("{server}/{name}")).await.unwrap();
    let placed = "select count(*) from orders.\"order\"";
    // 42501, under work: a watcher that only asks whether it may write does not see it.
    run(&mut inside, "alter schema orders owner to postgres").await;
    let body = tea().body().to_string();
    let place = |id: &str| {
        produce(&pipeline.topic("order-placed"), &[(None, body.as_bytes(), &[("ce_id", id)])]);
    };
    place("rights");
    told(&pipeline, &["orders"], "permission denied").await;
    assert_eq!(post(&pipeline, &tea().body(), Duration::from_secs(20)).await, Some(503));
    run(&mut inside, "alter schema orders owner to quadrille").await;
    pipeline.until_count(placed, 1, "the order that waited").await;
    inside.close().await.unwrap();
    for (taken, given, publishes, state) in [
        // 55000
        ("allow_connections false", "allow_connections true", "not currently accepting connections", "closed"),
        // 3D000
        ("rename to away_NAME", "rename to NAME", "does not exist", "renamed"),
    ] {
        let before = Instant::now();
        if state == "closed" {
            run(&mut db, &format!("alter database {name} {taken}")).await;
        }
        // A name can be changed while nobody is connected.
        let renamed = taken.replace("NAME", &name);
        loop {
            end_sessions(&mut db, &name).await;
            let statement = format!("alter database {name} {renamed}");
            if state == "closed" || sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut db).await.is_ok() {
                break;
            }
            assert!(before.elapsed() < Duration::from_secs(30), "{name} can't be renamed");
        }
        let since = Instant::now();
        told(&pipeline, &both, publishes).await;
        assert!(since.elapsed() < TOLD_WITHIN, "{state}: told after {:?}", since.elapsed());
        assert_eq!(post(&pipeline, &tea().body(), Duration::from_secs(20)).await, Some(503), "{state}");
        place(state);
        let now = if state == "closed" { name.clone() } else { format!("away_{name}") };
        run(&mut db, &format!("alter database {now} {}", given.replace("NAME", &name))).await;
        until_ready(&pipeline, &both).await;
    }
    pipeline.until(|| async { count_or_none(&pipeline, placed).await == Some(3) }, "all three orders").await;
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// A server that has no connection left says so, and whoever needs one is not ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_a_connection_to_spare_is_told_by_that_reason() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay"], ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    until_ready(&pipeline, &["orders"]).await;
    let name = pipeline.database.name.clone();
    let mut db = superuser().await;
    run(&mut db, &format!("alter database {name} connection limit 0")).await;
    end_sessions(&mut db, &name).await;
    told(&pipeline, &["orders"], "too many connections").await;
    assert_eq!(post(&pipeline, &tea().body(), Duration::from_secs(20)).await, Some(503));
    run(&mut db, &format!("alter database {name} connection limit -1")).await;
    until_ready(&pipeline, &["orders"]).await;
    assert_eq!(post(&pipeline, &tea().body(), Duration::from_secs(20)).await, Some(202));
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Isolation is ours, whatever the database's default is.
#[tokio::test]
async fn our_transactions_state_their_isolation() {
    let database = Database::fresh().await;
    let mut db = superuser().await;
    run(&mut db, &format!("alter database {} set default_transaction_isolation = 'serializable'", database.name)).await;
    let pool = runtime::sql::pool(&database.url, "quadrille test", 1).unwrap();
    let isolation: String = sqlx::query_scalar("show transaction_isolation").fetch_one(&pool).await.unwrap();
    assert_eq!(isolation, "read committed");
    pool.close().await;
    database.drop_it().await;
}

/// A program under settings in a file, ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rotated password ends nobody, is told, and the new one is read from where the settings have it; passwords hold any letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_rotated_is_read_again() {
    let setup = Setup { consumers: Vec::new(), ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    let (name, role) = (pipeline.database.name.clone(), format!("{}_role", pipeline.database.name));
    let mut db = superuser().await;
    run(&mut db, &format!("create role {role} login password 'p#1@/%' in role quadrille")).await;
    let place = stack().database_url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let address = |password: &str| format!("postgres://{role}:{password}@{place}/{name}");
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door = probe.local_addr().unwrap();
    drop(probe);
    let file = std::env::temp_dir().join(format!("{name}.toml"));
    let write = |password: &str| {
        let toml = pipeline.settings_toml().replace(&pipeline.database.url, &address(password));
        let orders = toml.find("[orders]\n").unwrap() + "[orders]\n".len();
        let (head, tail) = toml.split_at(orders);
        let tail = tail.replacen("http = '127.0.0.1:0'", &format!("http = '{door}'"), 1);
        std::fs::write(&file, format!("{head}{tail}")).unwrap();
    };
    write("p%231%40%2F%25");
    let log = std::fs::File::create(file.with_extension("log")).unwrap();
    let mut command = Command::new(binary("quadrille-orders"));
    command.env("QUADRILLE_CONFIG", &file).env_remove("DATABASE_URL").env_remove("KAFKA_BOOTSTRAP_SERVERS");
    let mut program =
        Program(command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap());
    let http = reqwest::Client::new();
    let ready = async |program: &mut Program| {
        assert!(
            program.0.try_wait().unwrap().is_none(),
            "it ended: {}",
            std::fs::read_to_string(file.with_extension("log")).unwrap()
        );
        match http.get(format!("http://{door}/readyz")).send().await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    };
    let since = Instant::now();
    while ready(&mut program).await.0 != 200 {
        assert!(since.elapsed() < Duration::from_secs(60), "not ready");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
    }
    run(&mut db, &format!("alter role {role} password 'new'")).await;
    end_sessions(&mut db, &name).await;
    let since = Instant::now();
    loop {
        let (status, why) = ready(&mut program).await;
        if status == 503 && why.contains(&format!("refuses the user {role}")) {
            break;
        }
        assert!(since.elapsed() < TOLD_WITHIN, "{status}: {why}");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
    }
    write("new");
    let since = Instant::now();
    while ready(&mut program).await.0 != 200 {
        assert!(since.elapsed() < Duration::from_secs(30), "not ready with the new password");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
    }
    let placed = http.post(format!("http://{door}/orders")).json(&tea().body()).send().await.unwrap();
    assert_eq!(placed.status().as_u16(), 202);
    drop(program);
    for path in [file.clone(), file.with_extension("log")] {
        std::fs::remove_file(path).unwrap();
    }
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
    run(&mut db, &format!("drop role {role}")).await;
}
