//! The pipeline as a user of Kafka's own tools has it: topics read, groups reset, orders placed, from the shell and from Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quadrille_tests::{Order, Pipeline, Setup, read_all, stack};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Runs a tool as the README says, with these arguments and something to read; its output, whatever it is.
async fn run(program: impl Into<PathBuf>, arguments: &[&str], input: &str) -> Output {
    let (program, input) = (program.into(), input.to_owned());
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let done = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        use std::process::Stdio;
        let mut child = Command::new(&program)
            .args(&arguments)
            .current_dir(root())
            .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
            .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("its end")
    });
    done.await.expect("it ran")
}

/// The same, of a tool that must succeed: what it printed.
async fn printed(program: impl Into<PathBuf>, arguments: &[&str], input: &str) -> String {
    let program = program.into();
    let output = run(&program, arguments, input).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{}\n{}",
        program.display(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The line of the documents that begins like this, without its comment.
fn readme(beginning: &str) -> String {
    let read = |document| std::fs::read_to_string(root().join(document)).expect(document);
    let text = ["README.md", "docs/operations.md", "docs/clients.md"].map(read).concat();
    let line = text.lines().find(|line| line.starts_with(beginning));
    let line = line.unwrap_or_else(|| {
        panic!("no document shows a line `{beginning}…` any more: have this test run what it shows now")
    });
    line.split("   #").next().unwrap_or(line).trim_end().to_owned()
}

/// Runs a line of the README, with each of these texts in it replaced: this test has topics and groups of its own.
async fn shell(beginning: &str, replaced: &[(&str, &str)]) -> Output {
    let line = replaced.iter().fold(readme(beginning), |line, (from, to)| {
        assert!(line.contains(from), "`{line}` of the documents has no `{from}`");
        line.replace(from, to)
    });
    run("sh", &["-c", &line], "").await
}

/// The same, of a line that must succeed: what it printed.
async fn shown(beginning: &str, replaced: &[(&str, &str)]) -> String {
    let output = shell(beginning, replaced).await;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{beginning}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

const RESET: &str = "bin/kafka-consumer-groups --group saga-tracker --reset-offsets --to-earliest";

/// Orders that end in different ways.
async fn place_some(pipeline: &Pipeline) -> Vec<String> {
    for sku in ["TEA", "SHORT-1", "DAMAGED-1"] {
        pipeline.stock(sku, "a", 10).await;
    }
    let mut orders = Vec::new();
    for (sku, token) in [
        ("TEA", "tok_approved"),
        ("TEA", "tok_declined"),
        ("SHORT-1", "tok_approved"),
        ("DAMAGED-1", "tok_approved"),
        ("NONE", "tok_approved"),
    ] {
        orders.push(pipeline.place(&Order::of(&[(sku, 2, 450)]).paid_with(token)).await);
    }
    pipeline.settle().await;
    orders
}

/// What the tracker's tables hold, row by row. `operations` goes on by itself (the relays' watermarks), so it is left out.
pub(crate) async fn read_models(pipeline: &Pipeline) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for table in [
        "event where topic not like '%operations'",
        "\"order\"",
        "shipment",
        "fulfillment",
        "step",
        "level",
        "letter",
        "position where topic not like '%operations'",
    ] {
        let query = format!(
            "select coalesce(array_agg(row::text order by row::text), '{{}}') from (select * from saga_tracker.{table}) row"
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&pipeline.database.pool)
            .await
            .expect("the tracker's tables");
        all.push((table.to_owned(), rows));
    }
    all
}

pub(crate) fn same(now: &[(String, Vec<String>)], before: &[(String, Vec<String>)]) {
    for ((table, now), (_, before)) in now.iter().zip(before) {
        assert_eq!(now, before, "saga_tracker.{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_32_the_trackers_read_models_are_the_same_after_its_group_is_reset_and_after_they_are_lost() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "saga-tracker").collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let mut tracker = pipeline.host(&["saga-tracker"]).await;
    place_some(&pipeline).await;
    let before = read_models(&pipeline).await;
    assert!(before.iter().take(6).all(|(_, rows)| !rows.is_empty()), "there is something to rebuild: {before:#?}");
    let group = format!("--group {}saga-tracker", pipeline.prefix);
    let refused = shell(RESET, &[("--group saga-tracker", &group)]).await;
    let said = format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(said.contains("inactive"), "the tool refuses a group that is active: {said}");
    for lost in [false, true] {
        pipeline.stop(&tracker).await;
        if lost {
            let tables = "truncate saga_tracker.event, saga_tracker.\"order\", saga_tracker.shipment, saga_tracker.level, saga_tracker.letter, saga_tracker.position";
            sqlx::query(tables).execute(&pipeline.database.pool).await.unwrap();
        }
        let done = shown(RESET, &[("--group saga-tracker", &group)]).await;
        assert!(done.contains(&pipeline.topic("orders")), "{done}");
        tracker = pipeline.host(&["saga-tracker"]).await;
        pipeline.settle().await;
        same(&read_models(&pipeline).await, &before);
    }
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafkas_tools_and_kcat_read_the_topics_place_an_order_and_reset_a_group_as_the_readme_says() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "payments").collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let payments = pipeline.host(&["payments"]).await;
    let orders = place_some(&pipeline).await;

    // Where the machine has much else to do, three seconds are not enough to begin; it ends with the last record.
    let topic = format!("--topic {}", pipeline.topic("orders"));
    let patient = format!("--timeout-ms 60000 --max-messages {}", read_all(&pipeline.topic("orders")).len());
    let read = shown(
        "bin/kafka-console-consumer --topic orders",
        &[("--topic orders", &topic), ("--timeout-ms 3000", &patient)],
    )
    .await;
    for order in &orders {
        assert!(read.contains(&format!("ce_subject:{order}")), "{order} is not in {read}");
    }
    assert!(read.contains("ce_type:quadrille.orders.OrderCompleted") && read.contains("ce_causationid:"), "{read}");
    let topic = format!("-t {}", pipeline.topic("payments"));
    let read = shown("kcat -b", &[("127.0.0.1:19092", &stack().kafka), ("-t payments", &topic)]).await;
    let captured =
        |line: &str| line.starts_with(&orders[0]) && line.contains("ce_type=quadrille.payments.PaymentCaptured");
    assert!(read.lines().any(captured), "{read}");

    pipeline.stock("SKU-0001", "a", 10).await;
    let topic = format!("--topic {}", pipeline.topic("order-placed"));
    shown("echo '{\"customer\"", &[("--topic order-placed", &topic)]).await;
    let completed = "select count(*) from orders.\"order\" where source = 'kafka' and state = 'COMPLETED'";
    pipeline.until_count(completed, 1, "the order of the shell").await;
    pipeline.settle().await;

    let group = |name: &str| format!("--group {}{name}", pipeline.prefix);
    let described = shown("bin/kafka-consumer-groups --describe", &[("--group inventory", &group("inventory"))]).await;
    assert!(described.contains(&pipeline.topic("orders")), "{described}");
    let books = "select sum(version)::bigint from payments.payment";
    let calls = "select count(*) from sandbox.operation";
    let before = (pipeline.count(books).await, pipeline.count(calls).await);
    pipeline.stop(&payments).await;
    shown(RESET, &[("--group saga-tracker", &group("payments"))]).await;
    pipeline.host(&["payments"]).await;
    pipeline.settle().await;
    assert_eq!((pipeline.count(books).await, pipeline.count(calls).await), before, "nothing is done twice");
    pipeline.finish().await;
}

async fn python() -> PathBuf {
    venv("venv", "examples/requirements.txt").await.join("bin/python")
}

/// A virtual environment of Python with what this file names; made by whoever comes first, in this process or another.
pub(crate) async fn venv(name: &str, requirements: &str) -> PathBuf {
    let folder = root().join(".quadrille");
    std::fs::create_dir_all(&folder).expect("the folder of the parts");
    let wanted = std::fs::read_to_string(root().join(requirements)).expect("the requirements");
    let lock = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(format!("{name}.lock")))
        .expect("a lock file");
    let lock =
        tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.expect("a thread").expect("a lock");
    let venv = folder.join(name);
    let made = venv.join("made");
    if std::fs::read_to_string(&made).ok().as_ref() != Some(&wanted) {
        printed("python3", &["-m", "venv", &venv.to_string_lossy()], "").await;
        printed(venv.join("bin/pip"), &["install", "--quiet", "--disable-pip-version-check", "-r", requirements], "")
            .await;
        std::fs::write(&made, wanted).expect("a note of what is installed");
    }
    drop(lock);
    venv
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_program_places_an_order_and_reads_every_topic_through_the_registry() {
    let python = python().await;
    let pipeline = Pipeline::start().await;
    place_some(&pipeline).await;
    let said = printed(&python, &["examples/place_order.py", "TEA", "2", &pipeline.prefix], "").await;
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("OrderAccepted ") && lines[1].starts_with("OrderCompleted "),
        "{said}"
    );
    let order = lines[1].trim_start_matches("OrderCompleted ");
    assert_eq!(pipeline.status(order).await, "COMPLETED");
    pipeline.settle().await;

    let read = printed(&python, &["examples/read_topics.py", &pipeline.prefix], "").await;
    let count_of = |event: &str| {
        read.lines()
            .find(|line| line.ends_with(event))
            .and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok())
    };
    for topic in ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications"] {
        let kept: Vec<(String, i64)> =
            sqlx::query_as("select event_type, count(*) from saga_tracker.event where topic = $1 group by 1")
                .bind(topic)
                .fetch_all(&pipeline.database.pool)
                .await
                .unwrap();
        assert!(!kept.is_empty(), "{topic}");
        for (event, count) in kept {
            assert_eq!(count_of(&event), Some(count), "{event} as the tracker counts them: {read}");
        }
    }
    assert!(count_of("quadrille.stock_levels.StockLevelChanged").is_some_and(|count| count > 0), "{read}");
    assert!(count_of("quadrille.operations.RelayAdvanced").is_some_and(|count| count > 0), "{read}");
    pipeline.finish().await;
}
