//! The books of consumers that have databases of their own: what is in one database is asked there; what a question needs of others is read there,
//! order by order, and given to it as a table.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use choreography::Choreography;
use runtime::databases::{Identity, identity};
use runtime::settings::Secret;
use runtime::{Settings, databases, sql};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::AuditError;
use crate::books::{AuditScope, BreachLine, CHECKS, CheckRow, Finding, Invariant, answered, ask_those, snapshot};

/// The schemas that questions are asked of, by the consumer whose database they are in.
static BOOKS: LazyLock<Vec<(&str, Vec<String>)>> = LazyLock::new(|| {
    let choreography = Choreography::embedded();
    choreography.consumers.names().map(|consumer| (consumer, choreography.schemas_of(consumer))).collect()
});
/// Orders that a question across databases is asked of at once.
const PAGE: i64 = 20_000;
/// How often a breach across databases is looked at again, which were not read at one moment, and how long after the last look.
const LOOKS: usize = 2;
const BETWEEN: Duration = Duration::from_millis(400);

#[derive(Clone, Debug)]
pub struct Databases(Vec<SchemaPlace>);

#[derive(Clone, Debug)]
struct SchemaPlace {
    pool: PgPool,
    schemas: Vec<&'static str>,
}

fn schemas_of(consumers: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let books = BOOKS.iter().filter(|(consumer, _)| consumers(consumer));
    books.flat_map(|(_, schemas)| schemas).map(String::as_str).collect()
}

impl Databases {
    /// Those that consumers are set to use; of the common one a replica, where one is named.
    pub fn open(settings: &Settings, replica: Option<&Secret>) -> Result<Self, AuditError> {
        let common = &settings.common().database_url;
        let mut all = Vec::new();
        for (url, consumers) in databases::of(settings, BOOKS.iter().map(|(consumer, _)| *consumer))? {
            let address = replica.filter(|_| url == *common).unwrap_or(&url);
            let pool = sql::pool(address.expose(), "quadrille audit", 1)?;
            all.push(SchemaPlace { pool, schemas: schemas_of(|consumer| consumers.contains(&consumer)) });
        }
        Ok(Self(all))
    }

    pub fn single(pool: PgPool) -> Self {
        Self(vec![SchemaPlace { pool, schemas: schemas_of(|_| true) }])
    }

    /// A pool for each database, also of one that is reached by several addresses.
    pub async fn pools(&self) -> Result<Vec<PgPool>, AuditError> {
        Ok(self.places().await?.into_iter().map(|place| place.pool).collect())
    }

    pub fn orders(&self) -> Option<&PgPool> {
        place_of(&self.0, "orders").map(|place| &place.pool)
    }

    async fn places(&self) -> Result<Vec<SchemaPlace>, AuditError> {
        let mut places: BTreeMap<Identity, SchemaPlace> = BTreeMap::new();
        for SchemaPlace { pool, schemas } in &self.0 {
            let found = identity(&mut *pool.acquire().await?).await?;
            let place = places.entry(found).or_insert_with(|| SchemaPlace { pool: pool.clone(), schemas: Vec::new() });
            place.schemas.extend(schemas);
        }
        Ok(places.into_values().collect())
    }
}

fn place_of<'p>(places: &'p [SchemaPlace], schema: &str) -> Option<&'p SchemaPlace> {
    places.iter().find(|place| place.schemas.contains(&schema))
}

/// Asks all that can be asked: what is in one database of one snapshot of it, the rest across databases, where a breach counts only if it is still
/// the same when it is looked at again.
pub async fn ask_all(databases: &Databases, scope: &AuditScope) -> Result<Vec<Finding>, AuditError> {
    let places = databases.places().await?;
    let mut findings = Vec::new();
    for place in &places {
        findings.extend(ask_those(&place.pool, scope, &place.schemas).await?);
    }
    for check in CHECKS.iter().filter(|check| scope.asks(check)) {
        if !places.iter().any(|place| check.is_within(&place.schemas)) {
            findings.push(Finding::new(check, scope, across(check, &places, scope).await?));
        }
    }
    findings.sort_by_key(|finding| CHECKS.iter().position(|check| check.name == finding.name));
    Ok(findings)
}

/// None: it takes too long.
async fn across(check: &Invariant, places: &[SchemaPlace], scope: &AuditScope) -> Result<Option<CheckRow>, AuditError> {
    let joined = Joined::of(check, places).await?;
    let mut sum: Option<CheckRow> = None;
    for page in joined.pages(scope).await? {
        let Some(mut answer) = joined.ask(&page).await? else { return Ok(None) };
        for _ in 0..LOOKS {
            if answer.breaches > 0 {
                tokio::time::sleep(BETWEEN).await; // the other database's part of it may be on its way
                joined.look_again(&page, &mut answer).await?;
            }
        }
        sum = Some(match sum {
            Some(before) => before.and(answer),
            None => answer,
        });
    }
    Ok(Some(sum.unwrap_or_default()))
}

/// A table of another database than that in which the question is asked.
struct ForeignTable<'p> {
    pool: &'p PgPool,
    name: String,
    /// Those of its columns that the question names, with their types.
    columns: Vec<(String, String)>,
}

struct Joined<'p> {
    check: &'p Invariant,
    home: &'p PgPool,
    tables: Vec<ForeignTable<'p>>,
    /// The question, with its foreign tables as parameters.
    sql: String,
    /// The table whose orders make its pages.
    paged: Option<(&'p PgPool, &'static str)>,
}

impl<'p> Joined<'p> {
    async fn of(check: &'p Invariant, places: &'p [SchemaPlace]) -> Result<Self, AuditError> {
        let missing = || sqlx::Error::Configuration(format!("no database has all of {:?}", check.schemas).into());
        let home = place_of(places, check.schemas[0]).ok_or_else(missing)?;
        let mut tables = Vec::new();
        for schema in check.schemas.iter().filter(|schema| !home.schemas.contains(*schema)) {
            let place = place_of(places, schema).ok_or_else(missing)?;
            for name in tables_of(schema, check.sql) {
                let columns = columns(&place.pool, &name, check.sql).await?;
                tables.push(ForeignTable { pool: &place.pool, name, columns });
            }
        }
        let sql = rewritten(check, &tables);
        let of_orders = check.schemas.contains(&"orders");
        let (schema, table) = if of_orders { ("orders", "orders.\"order\"") } else { ("payments", "payments.payment") };
        let paged = place_of(places, schema).filter(|_| check.by_order).map(|place| (&place.pool, table));
        Ok(Self { check, home: &home.pool, tables, sql, paged })
    }

    /// The scope, cut into ranges of so many orders; the orders that it names besides are of the first.
    async fn pages(&self, scope: &AuditScope) -> Result<Vec<AuditScope>, AuditError> {
        let mut pages = vec![scope.clone()];
        let Some((pool, table)) = self.paged else { return Ok(pages) };
        let statement = format!(
            "select order_id from {table} where order_id >= $1 and order_id < $2 order by order_id offset $3 limit 1"
        );
        let mut first = scope.first;
        loop {
            let next: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(statement.clone()))
                .bind(first)
                .bind(scope.last)
                .bind(PAGE)
                .fetch_optional(pool)
                .await?;
            let Some(next) = next else { return Ok(pages) };
            if let Some(last) = pages.last_mut() {
                last.last = next;
            }
            pages.push(AuditScope { first: next, again: Vec::new(), ..scope.clone() });
            first = next;
        }
    }

    /// Reads the other databases, then asks; none: it takes too long.
    async fn ask(&self, scope: &AuditScope) -> Result<Option<CheckRow>, AuditError> {
        let mut read = Vec::new();
        for table in &self.tables {
            read.push(table.read(scope).await?);
        }
        let mut db = snapshot(self.home, scope).await?;
        let answer = answered(&mut db, self.check, &self.sql, scope, &read).await?;
        db.rollback().await?;
        Ok(answer)
    }

    /// Keeps the breaches that are there in the same words when they are looked at again. More than are named can't be looked at one by one.
    async fn look_again(&self, scope: &AuditScope, answer: &mut CheckRow) -> Result<(), AuditError> {
        let subjects = answer.lines.iter().filter_map(|line| line.subject.parse().ok()).collect();
        let narrowed = match self.check.by_order {
            true => AuditScope { first: Uuid::max(), last: Uuid::max(), again: subjects, ..scope.clone() },
            false => scope.clone(),
        };
        let Some(again) = self.ask(&narrowed).await? else { return Ok(()) };
        let before = answer.lines.len();
        answer.lines.retain(|line: &BreachLine| again.lines.contains(line));
        answer.breaches -= (before - answer.lines.len()) as i64;
        Ok(())
    }
}

impl ForeignTable<'_> {
    /// Its rows of these orders, or all where it has none, as a JSON text.
    async fn read(&self, scope: &AuditScope) -> Result<String, AuditError> {
        let Self { pool, name, columns } = self;
        let list: Vec<String> = columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let by_order = columns.iter().any(|(column, _)| column == "order_id");
        let range = match by_order {
            true => "order_id >= $1 and order_id < $2 or order_id = any($3)",
            false => "$1::uuid is distinct from $2::uuid or $3::uuid[] is not null", // all of it
        };
        let statement = format!(
            "select coalesce(json_agg(found), '[]')::text from (select {} from {name} where {range}) found",
            list.join(", ")
        );
        let mut db = snapshot(pool, scope).await?;
        let rows = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(scope.first)
            .bind(scope.last)
            .bind(&scope.again)
            .fetch_one(&mut *db)
            .await?;
        db.rollback().await?;
        Ok(rows)
    }
}

fn is_word(of: char) -> bool {
    of.is_ascii_alphanumeric() || of == '_'
}

/// The tables of a schema that a question names, as it writes them.
fn tables_of(schema: &str, text: &str) -> Vec<String> {
    let prefix = format!("{schema}.");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&prefix) {
        if text[..at].ends_with(is_word) {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let end = match rest.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => rest.find(|of| !is_word(of)),
        };
        let name = format!("{prefix}{}", &rest[..end.unwrap_or(rest.len())]);
        if name != prefix && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The columns of a table that a question may mean: those whose name is a word of it.
async fn columns(pool: &PgPool, table: &str, text: &str) -> Result<Vec<(String, String)>, AuditError> {
    let all: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
          where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(table)
    .fetch_all(pool)
    .await?;
    let words: Vec<&str> = text.split(|of| !is_word(of)).collect();
    Ok(all.into_iter().filter(|(column, _)| words.contains(&column.as_str())).collect())
}

/// The question with its foreign tables as `with` parts, each of a parameter that follows its own.
fn rewritten(check: &Invariant, tables: &[ForeignTable<'_>]) -> String {
    let lines = check.sql.lines().skip_while(|line| line.trim_start().starts_with("--"));
    let mut text: String = lines.collect::<Vec<_>>().join("\n");
    let mut parts = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let name = table.name.replace('.', "__").replace('"', "");
        text = renamed(&text, &table.name, &name);
        let columns: Vec<String> = table.columns.iter().map(|(column, of)| format!("\"{column}\" {of}")).collect();
        let parameter = check.parameters() + at + 1;
        parts.push(format!(
            "{name} as materialized (select * from json_to_recordset(${parameter}::text::json) as found ({}))",
            columns.join(", ")
        ));
    }
    match text.strip_prefix("with ") {
        Some(rest) => format!("with {}, {rest}", parts.join(", ")),
        None => format!("with {} {text}", parts.join(", ")),
    }
}

/// A text with a table's name replaced, where it is not the beginning of a longer one.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_another = done.ends_with(is_word) || part.starts_with(is_word);
        done.push_str(if is_another { from } else { to });
        done.push_str(part);
    }
    done
}

impl CheckRow {
    fn and(mut self, next: Self) -> Self {
        self.breaches += next.breaches;
        self.figures = summed(&self.figures, &next.figures);
        self.lines.extend(next.lines);
        self.lines.truncate(200);
        self
    }
}

fn is_digit(of: char) -> bool {
    of.is_ascii_digit()
}

/// Figures of two pages: number by number where their words are the same, else one after the other.
fn summed(one: &str, other: &str) -> String {
    let words = |text: &str| text.split(is_digit).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("0");
    let numbers =
        |text: &str| text.split(|of| !is_digit(of)).filter_map(|number| number.parse().ok()).collect::<Vec<i128>>();
    let (ones, others) = (numbers(one), numbers(other));
    if words(one) != words(other) || ones.len() != others.len() {
        return format!("{one}; {other}");
    }
    let mut sums = ones.iter().zip(&others).map(|(one, other)| one + other);
    let (mut text, mut in_number) = (String::new(), false);
    for of in one.chars() {
        if !is_digit(of) {
            text.push(of);
        } else if !in_number && let Some(sum) = sums.next() {
            text.push_str(&sum.to_string());
        }
        in_number = is_digit(of);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_schema_are_found_in_a_question_by_their_names() {
        let text = "select from orders.\"order\" o join payments.payment p, my_payments.payment, payments.timer where payments.payment.x = 1";
        assert_eq!(tables_of("payments", text), ["payments.payment", "payments.timer"]);
        assert_eq!(tables_of("orders", text), ["orders.\"order\""]);
        assert!(tables_of("fraud", text).is_empty());
        assert_eq!(renamed("a.b, a.bc, xa.b", "a.b", "a__b"), "a__b, a.bc, xa.b");
    }

    #[test]
    fn figures_of_pages_add_up_where_their_words_are_the_same() {
        assert_eq!(summed("12 captured − 3 refunded", "8 captured − 17 refunded"), "20 captured − 20 refunded");
        assert_eq!(
            summed("2 orders = 2 failed", "1 orders = 1 completed"),
            "2 orders = 2 failed; 1 orders = 1 completed"
        );
    }

    #[test]
    fn every_question_of_several_schemas_can_be_asked_with_any_of_them_elsewhere() {
        for check in CHECKS.iter().filter(|check| check.schemas.len() > 1) {
            for schema in &check.schemas[1..] {
                assert!(!tables_of(schema, check.sql).is_empty(), "{} names no table of {schema}", check.name);
            }
            let text = check.sql.lines().find(|line| !line.trim_start().starts_with("--")).unwrap_or_default();
            assert!(text.starts_with("with ") || text.starts_with("select"), "{}: {text}", check.name);
        }
    }
}
