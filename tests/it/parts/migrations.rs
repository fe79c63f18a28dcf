//! `quadrille migrate` as it is run: by several at once, by a role that may create no schema, on a database of another encoding.

use super::*;
use quadrille_tests::{drop_database, schemas};
use runtime::migrations::{self, MigrationError};

fn url(database: &str) -> String {
    format!("{}/{database}", stack().database_url.rsplit_once('/').unwrap().0)
}

fn name(what: &str) -> String {
    format!("qtest_{}_{what}", std::process::id())
}

async fn create(name: &str, more: &str) {
    let mut db = PgConnection::connect(&stack().database_url).await.unwrap();
    run(&mut db, &format!("create database {name} {more}")).await;
}

async fn drop(name: &str) {
    drop_database(name).await.unwrap();
}

async fn migrate(url: &str) -> Result<usize, MigrationError> {
    let mut all = 0;
    for (schema, migrator) in schemas() {
        all += migrations::run(url, &schema, migrator).await?;
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_that_migrate_a_new_database_at_once_one_does_and_the_others_wait() {
    let name = name("three");
    create(&name, "").await;
    let url = url(&name);
    let (one, two, three) = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    let run = one.unwrap() + two.unwrap() + three.unwrap();
    let all: usize = schemas().iter().map(|(_, migrator)| migrator.iter().count()).sum();
    assert_eq!(run, all, "each migration once");
    drop(&name).await;
}

/// Report 21, and a schema that is missing.
#[tokio::test]
async fn a_role_that_may_create_no_schema_migrates_those_that_are_there() {
    let name = name("no_create");
    create(&name, "").await;
    let mut db = PgConnection::connect(&url(&name)).await.unwrap();
    for (schema, _) in schemas() {
        run(&mut db, &format!("create schema {schema}")).await;
    }
    run(&mut db, &format!("revoke create on database {name} from public, quadrille")).await;
    for (schema, migrator) in schemas() {
        migrations::run(&url(&name), &schema, migrator).await.unwrap();
    }
    // A rebuild makes a schema of its own, and says what it lacks.
    let settings = format!(
        "[common]\nprofile = 'demo'\ndatabase_url = '{}'\nschema_registry_url = '{}'\n[common.kafka]\n'bootstrap.servers' = '{}'\n",
        url(&name),
        stack().registry_url,
        stack().kafka
    );
    let settings = runtime::Settings::from_toml(&settings).unwrap();
    let (stop, from) = (tokio_util::sync::CancellationToken::new(), kafka_admin::replay::Point::Beginning);
    let refused = saga_tracker::rebuild(&settings, from, &stop, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("`grant create on database {name} to quadrille`")), "{refused}");
    run(&mut db, "drop schema fraud cascade").await;
    let missing = migrations::run(&url(&name), "fraud", <fraud::Fraud as runtime::Consumer>::migrations())
        .await
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no schema fraud") && missing.contains("create schema fraud authorization"), "{missing}");
    db.close().await.unwrap();
    drop(&name).await;
}

/// Report 22.
#[tokio::test]
async fn a_database_of_another_encoding_is_refused_with_the_one_that_is_expected() {
    for encoding in ["WIN1252", "LATIN1", "SQL_ASCII"] {
        let name = name(&encoding.to_lowercase());
        create(&name, &format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0")).await;
        let refused = migrate(&url(&name)).await.unwrap_err().to_string();
        assert!(refused.contains(encoding) && refused.contains("UTF8"), "{refused}");
        drop(&name).await;
    }
}

/// Report 36's other side: host and cause once, no password.
#[tokio::test]
async fn an_error_names_host_and_cause_once_and_no_password() {
    let error = migrate("postgres://shop:s3cr3t@127.0.0.1:9/shop").await.unwrap_err();
    let told = runtime::told(&anyhow::Error::from(error));
    assert!(told.contains("127.0.0.1:9/shop") && !told.contains("s3cr3t"), "{told}");
    assert_eq!(told.matches("refused").count(), 1, "{told}");
}

/// What docs/adding-a-consumer.md has a migration call makes every table that the runtime looks for.
#[tokio::test]
async fn a_consumer_that_is_made_by_the_tutorial_has_what_the_others_have() {
    let name = name("tutorial");
    create(&name, "").await;
    migrate(&url(&name)).await.unwrap();
    let mut db = PgConnection::connect(&url(&name)).await.unwrap();
    let mut of = async |schema: &str, but: &str| -> Vec<String> {
        let statement = format!(
            "select concat_ws(' ', table_name, column_name, data_type, is_nullable) as what from information_schema.columns
              where table_schema = '{schema}' and table_name not in ({but})
             union all select replace(indexdef, '{schema}.', '') from pg_indexes where schemaname = '{schema}' and tablename not in ({but})
              order by what"
        );
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut db).await.unwrap()
    };
    let made = of("loyalty", "'migration', 'order_points', 'account'").await;
    let there = of("notifications", "'migration', 'customer', 'message'").await;
    assert!(made.iter().any(|column| column.starts_with("parked ")), "{made:#?}");
    assert_eq!(made, there);
    db.close().await.unwrap();
    drop(&name).await;
}
