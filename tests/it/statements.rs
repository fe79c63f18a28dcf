//! Every statement of the sources is prepared against the migrated schema: one that names what is not there fails here, not at its first use. Of the row
//! kit, these are the statements of each table, the conditions of `Select::filter` and the columns of `Append`.

pub(crate) mod sources;

use quadrille_tests::Database;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use sources::Statement;

/// What stands where a statement names a schema: that of each consumer.
const SCHEMAS: [&str; 7] = ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications", "saga_tracker"];

/// What becomes of a statement that can't be prepared as it stands in the sources.
enum Apart {
    /// Its parameters have no types of their own: who binds them gives these.
    Types(&'static str),
    /// With these for its places.
    With(&'static [(&'static str, &'static str)]),
    /// Code puts it together, and this runs what comes of it.
    RunBy(&'static str),
}

use Apart::{RunBy, Types, With};

/// By file and beginning; `*` is every statement of a file.
const APART: &[(&str, &str, Apart)] = &[
    ("consumers/saga-tracker/src/store/alerts.rs", "insert into saga_tracker.alert", With(&[("{so}", "true")])),
    ("consumers/saga-tracker/src/store/rebuild.rs", "select string_agg", Types("text")),
    (
        "consumers/saga-tracker/src/store/rebuild.rs",
        "insert into saga_tracker_rebuild",
        With(&[("{table}", "level"), ("{columns}", "sku, warehouse")]),
    ),
    ("crates/audit/src/databases.rs", "select order_id from {table}", With(&[("{table}", "orders.\"order\"")])),
    ("crates/audit/src/databases.rs", "select coalesce(json_agg", RunBy("databases.rs: books across two databases")),
    ("crates/audit/src/databases.rs", "with {}", RunBy("databases.rs: books across two databases")),
    ("crates/relay/src/rescue.rs", "select setval", RunBy("relay/rescue.rs: it reads a temporary table")),
    ("crates/relay/src/rotation.rs", "update outbox.rotation", Types("int2")),
    ("crates/relay/src/statements.rs", "*", RunBy("`generated`")),
    (
        "crates/runtime/src/engine/answers.rs",
        "insert into {schema}.answer",
        RunBy("every request: a part of its writes"),
    ),
    ("crates/runtime/src/engine/write_set.rs", "*", RunBy("every batch: the frame of its writes")),
    ("crates/runtime/src/outbox.rs", "*", RunBy("every batch: a part of its writes")),
    (
        "crates/runtime/src/parking/change.rs",
        "insert into {schema}.parked",
        RunBy("parking.rs: a part of a batch's writes"),
    ),
    (
        "crates/runtime/src/parking/operator.rs",
        "insert into {schema}.parked as kept",
        RunBy("operator/one.rs: a retry"),
    ),
    ("crates/runtime/src/parking/queue.rs", "select 1 / (not exists", RunBy("every batch: two statements at once")),
    ("crates/runtime/src/retention/horizon.rs", "delete from {rows}", RunBy("horizon.rs")),
    ("crates/runtime/src/retention/horizon.rs", "select order_id", RunBy("horizon.rs")),
    ("crates/runtime/src/rows/statements.rs", "*", RunBy("`generated`")),
    (
        "crates/stripe-sim/src/api/list.rs",
        "select o.id, coalesce",
        RunBy("every list of the simulator: its filters are added"),
    ),
    ("load/src/limit.rs", "*", RunBy("`quadrille-load limit`: on tables of its own")),
    ("load/src/relay.rs", "insert into outbox.entry", Types("int8, int8, bytea, int8, bytea")),
];

/// Statements that code makes, of which the sources have only parts.
fn generated() -> Vec<String> {
    let of_tables = pipeline::consumers().into_iter().flat_map(|consumer| consumer.statements);
    relay::statements().into_iter().chain(of_tables).collect()
}

/// The conditions of `Select::filter` in one file, each with the selects that it may be of: a condition is of one of its consumer's tables.
fn selects(file: &str, source: &str, tables: &[String]) -> Vec<Vec<String>> {
    let Some(consumer) = sources::consumer_of(file) else { return Vec::new() };
    let table = format!(" from {}.", consumer.replace('-', "_"));
    let selects = tables.iter().filter(|text| text.contains(&table) && !text.contains("for no key update"));
    let selects: Vec<&str> =
        selects.filter_map(|text| text.split_once("true order by")).map(|(select, _)| select).collect();
    let conditions =
        sources::arguments(source, "::filter(", |before| before.ends_with('>') || before.ends_with("Select"));
    conditions.iter().map(|condition| selects.iter().map(|select| format!("{select}{condition}")).collect()).collect()
}

/// The inserts of `Append` in one file, of their tables and columns; their types are those of the values.
fn appends(source: &str) -> Vec<String> {
    let appends = source.split("Append::to(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let insert = |(table, rest): (&str, &str)| {
        let rest = rest.split(".write(").next().unwrap_or_default();
        let columns: Vec<&str> = rest.split(".column(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        format!("insert into {table} ({}) values ({})", columns.join(", "), vec!["null"; columns.len()].join(", "))
    };
    appends.map(insert).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_condition_and_every_append_of_the_row_kit_names_what_is_there() {
    let database = Database::fresh().await;
    let mut db = PgConnection::connect(&database.url).await.unwrap();
    let (tables, mut conditions, mut inserts, mut failed) = (generated(), 0, 0, Vec::new());
    for (file, source) in sources::files() {
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for selects in selects(&file, source, &tables) {
            conditions += 1;
            let mut errors = Vec::new();
            for text in &selects {
                errors.extend(prepare(&mut db, "", text).await.err());
            }
            if errors.len() == selects.len() {
                failed.push(format!("{file}: of none of its tables: {selects:?}: {errors:?}"));
            }
        }
        for text in if sources::consumer_of(&file).is_some() { appends(source) } else { Vec::new() } {
            inserts += 1;
            failed.extend(prepare(&mut db, "", &text).await.err().map(|error| format!("{file}: {error}: {text}")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(conditions > 10 && inserts >= 5, "{conditions} conditions, {inserts} inserts: the search finds too few");
    drop(db);
    database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_of_the_sources_can_be_prepared_against_the_migrated_schema() {
    let database = Database::fresh().await;
    // The simulator's book, whose statements find it by their search path.
    stripe_sim::store::open(&database.url).await.unwrap().close().await;
    let mut db = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("set search_path to public, stripe_sim").execute(&mut db).await.unwrap();
    let statements = sources::statements();
    assert!(statements.len() > 250, "{} statements: the search for them finds too few", statements.len());
    // The tables that a rebuild makes for itself.
    let made =
        "select saga_tracker.rebuild_begin(array['order', 'shipment', 'level', 'letter', 'watermark', 'position'])";
    sqlx::raw_sql(made).execute(&mut db).await.unwrap();
    let (mut failed, mut met, mut prepared) = (Vec::new(), vec![false; APART.len()], 0);
    for Statement { file, line, text } in &statements {
        let beginning = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (mut text, mut types) = (text.clone(), "");
        let is_meant =
            |(of, begins, _): &(&str, &str, Apart)| of == file && (*begins == "*" || beginning.starts_with(begins));
        if let Some(at) = APART.iter().position(is_meant) {
            met[at] = true;
            match APART[at].2 {
                Types(of) => types = of,
                With(places) => {
                    for (place, value) in places {
                        text = text.replace(place, value);
                    }
                }
                RunBy(whom) => {
                    println!("{file}:{line}: run by {whom}");
                    continue;
                }
            }
        }
        for schema in if text.contains("{schema}") { &SCHEMAS[..] } else { &[""] } {
            match prepare(&mut db, types, &text.replace("{schema}", schema)).await {
                Ok(()) => prepared += 1,
                Err(error) => failed.push(format!("{file}:{line}: {error}: {beginning}")),
            }
        }
    }
    for text in generated() {
        match prepare(&mut db, "", &text).await {
            Ok(()) => prepared += 1,
            Err(error) => failed.push(format!("{error}: {text}")),
        }
    }
    for (_, (file, begins, _)) in met.iter().zip(APART).filter(|(is_met, _)| !**is_met) {
        failed.push(format!("{file}: no statement begins with `{begins}`: it is apart no longer"));
    }
    assert!(failed.is_empty(), "{} statements were prepared, these were not:\n{}", prepared, failed.join("\n"));
    drop(db);
    database.drop_it().await;
}

async fn prepare(db: &mut PgConnection, types: &str, text: &str) -> Result<(), String> {
    let types = if types.is_empty() { String::new() } else { format!("({types})") };
    let text = format!("prepare one {types} as {}; deallocate one", text.trim().trim_end_matches(';'));
    sqlx::raw_sql(AssertSqlSafe(text)).execute(db).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_statement_that_names_what_is_not_there_is_found() {
    let source = r##"
        macro_rules! columns { () => { "order_id, nothing" }; }
        macro_rules! select { ($what:literal, $($rest:expr),*) => { concat!("select ", $what, " from orders.\"order\" ", $($rest),*) }; }
        const KEPT: &str = "state";
        fn all() {
            // "select from comments"
            ask(concat!("select ", columns!(), " from orders.\"order\""));
            ask(select!("state", "where order_id = $1", " limit 1"));
            ask(&format!("select {KEPT} from {}.\"order\" where {what}", schema));
            ask(r#"with one as (select 1) select '{}'::jsonb from one"#);
            panic!("with none of them");
        }
        #[cfg(test)]
        mod tests { fn one() { ask("select from tests"); } }
    "##;
    let found: Vec<String> = sources::statements_of("", source).into_iter().map(|found| found.text).collect();
    let expected = [
        "select order_id, nothing from orders.\"order\"",
        "select state from orders.\"order\" where order_id = $1 limit 1",
        "select state from {schema}.\"order\" where {what}",
        "with one as (select 1) select '{}'::jsonb from one",
    ];
    assert_eq!(found, expected);
    let database = Database::fresh().await;
    let mut db = PgConnection::connect(&database.url).await.unwrap();
    let missing = prepare(&mut db, "", &found[0]).await.unwrap_err();
    assert!(missing.contains("column \"nothing\" does not exist"), "{missing}");
    assert_eq!(prepare(&mut db, "", &found[1]).await, Ok(()));
    assert!(prepare(&mut db, "", &found[2].replace("{schema}", "orders")).await.is_err(), "a part of it is not known");
    assert_eq!(prepare(&mut db, "", &found[3]).await, Ok(()));
    drop(db);
    database.drop_it().await;
}
