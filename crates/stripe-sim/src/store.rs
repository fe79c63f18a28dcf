//! The book in PostgreSQL: one transaction a request, one row lock a payment.

use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, Transaction};

use crate::effects::{DueTask, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::id;
use crate::record::PaymentRecord;
use crate::settings::SimSettings;
use crate::webhook::WebhookEndpoint;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The schema that the book is in.
pub const SCHEMA: &str = "stripe_sim";

/// Connections at once. A slow request holds one.
const CONNECTIONS: u32 = 32;

/// Opens the book: its schema is made and migrated.
///
/// # Errors
/// When PostgreSQL can't be reached, or the schema can't be made.
pub async fn open(database_url: &str) -> anyhow::Result<PgPool> {
    // The URL has a password: it is in no error.
    let options: PgConnectOptions = database_url
        .parse()
        .map_err(|_| anyhow::anyhow!("DATABASE_URL: expected postgres://user:password@host:port/database"))?;
    let options = options.options([("search_path", SCHEMA)]);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
        .context("PostgreSQL can't be reached: is DATABASE_URL right, and is it up?")?;
    sqlx::query("create schema if not exists stripe_sim")
        .execute(&pool)
        .await
        .context("the schema stripe_sim can't be made")?;
    MIGRATIONS.run(&pool).await.context("the schema stripe_sim can't be migrated")?;
    Ok(pool)
}

/// Why a request could not be answered from the book.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// As the API answers it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The database.
    #[error("the book: {0}")]
    Database(sqlx::Error),
    /// The book holds what this version does not understand.
    #[error("the book holds what can't be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl From<sqlx::Error> for BookError {
    /// Another transaction held the row for longer than `lock_timeout_ms`: that is Stripe's `lock_timeout`.
    fn from(error: sqlx::Error) -> Self {
        if error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03")) {
            Self::Api(ApiError::lock_timeout())
        } else {
            Self::Database(error)
        }
    }
}

/// Whose objects a request sees, and what asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCaller {
    /// `acct_…`.
    pub account: String,
    /// Whether the account is a connected one.
    pub connected: bool,
    /// Of live mode.
    pub livemode: bool,
    /// `req_…`; none for what the clock or the dashboard does.
    pub request_id: Option<String>,
    /// The request's idempotency key.
    pub idempotency_key: Option<String>,
}

impl ApiCaller {
    /// The clock, or the dashboard, on objects of this scope.
    #[must_use]
    pub fn of_scope(scope: &str, settings: &SimSettings) -> Self {
        let (account, mode) = scope.split_once('/').unwrap_or((scope, "test"));
        let connected = account != settings.account;
        Self {
            account: account.to_owned(),
            connected,
            livemode: mode == "live",
            request_id: None,
            idempotency_key: None,
        }
    }

    /// As the columns have it: objects of test and of live mode don't see each other.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/{}", self.account, if self.livemode { "live" } else { "test" })
    }
}

/// A transaction on the book.
pub struct BookTransaction {
    /// The transaction.
    pub sql: Transaction<'static, Postgres>,
    /// Milliseconds of the virtual clock.
    pub now: i64,
    /// The settings.
    pub settings: SimSettings,
    /// Where the simulator's pages are.
    pub public_url: String,
}

impl BookTransaction {
    /// Begins one.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn begin(pool: &PgPool, public_url: &str) -> Result<Self, BookError> {
        let mut sql = pool.begin().await?;
        let (now, settings, _): (i64, Json<SimSettings>, String) = sqlx::query_as(
            "select (extract(epoch from clock_timestamp()) * 1000)::bigint + clock_offset_ms, settings, \
                    set_config('lock_timeout', coalesce(settings ->> 'lock_timeout_ms', '2000') || 'ms', true) from book",
        )
        .fetch_one(&mut *sql)
        .await?;
        Ok(Self { sql, now, settings: settings.0, public_url: public_url.to_owned() })
    }

    /// What rules go by.
    #[must_use]
    pub fn context(&self) -> RuleContext<'_> {
        RuleContext { now: self.now, settings: &self.settings, public_url: &self.public_url }
    }

    /// A body of the book that is a row of its own: an event, a PaymentMethod.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn body<T: DeserializeOwned>(
        &mut self,
        scope: &str,
        object: &str,
        id: &str,
    ) -> Result<Option<T>, BookError> {
        let body: Option<Json<Value>> =
            sqlx::query_scalar("select body from objects where id = $1 and scope = $2 and object = $3 for update")
                .bind(id)
                .bind(scope)
                .bind(object)
                .fetch_optional(&mut *self.sql)
                .await?;
        Ok(body.map(|body| serde_json::from_value(body.0)).transpose()?)
    }

    /// Writes a body that is a row of its own.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn put_body(
        &mut self,
        scope: &str,
        object: &str,
        id: &str,
        created: i64,
        body: Value,
    ) -> Result<(), BookError> {
        sqlx::query(
            "insert into objects (id, scope, object, created, body) values ($1, $2, $3, $4, $5) on conflict (id) do update set body = excluded.body",
        )
        .bind(id)
        .bind(scope)
        .bind(object)
        .bind(created)
        .bind(body)
        .execute(&mut *self.sql)
        .await?;
        Ok(())
    }

    /// The payment of an object (its own id, its charge's, refund's, …), locked.
    ///
    /// # Errors
    /// `lock_timeout` when another transaction keeps it.
    pub async fn lock_payment(
        &mut self,
        scope: &str,
        object: &str,
        id: &str,
    ) -> Result<Option<PaymentRecord>, BookError> {
        let body: Option<Json<Value>> = sqlx::query_scalar(
            "select body from objects where id = (select coalesce(payment_id, id) from objects where id = $1 and scope = $2 and object = $3) for update",
        )
        .bind(id)
        .bind(scope)
        .bind(object)
        .fetch_optional(&mut *self.sql)
        .await?;
        Ok(body.map(|body| serde_json::from_value(body.0)).transpose()?)
    }

    /// Writes a payment, and what came of the rule that changed it.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn save(
        &mut self,
        caller: &ApiCaller,
        payment: &PaymentRecord,
        effects: RuleEffects,
    ) -> Result<(), BookError> {
        let scope = caller.scope();
        self.put_body(&scope, "payment_intent", &payment.id, payment.created, json!(payment)).await?;
        let RuleEffects { events, ledger, objects, transactions, tasks } = effects;
        if !objects.is_empty() {
            let ids: Vec<&str> = objects.iter().map(|new| new.id.as_str()).collect();
            let kinds: Vec<&str> = objects.iter().map(|new| new.object).collect();
            let charges: Vec<Option<&str>> = objects.iter().map(|new| new.charge.as_deref()).collect();
            let bodies: Vec<Option<Value>> = objects
                .iter()
                .map(|new| transactions.iter().find(|moved| moved.id == new.id).map(|moved| json!(moved)))
                .collect();
            sqlx::query(
                "insert into objects (id, object, charge_id, body, scope, created, payment_id) \
                 select new.id, new.object, new.charge_id, new.body, $5, $6, $7 \
                 from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) with ordinality as new (id, object, charge_id, body, nth) order by nth",
            )
            .bind(ids)
            .bind(kinds)
            .bind(charges)
            .bind(bodies)
            .bind(&scope)
            .bind(self.now.div_euclid(1_000))
            .bind(&payment.id)
            .execute(&mut *self.sql)
            .await?;
        }
        for (entry, object_id, amount) in ledger {
            sqlx::query("insert into ledger (payment_id, entry, object_id, amount, currency, at_ms) values ($1, $2, $3, $4, $5, $6)")
                .bind(&payment.id)
                .bind(entry.as_str())
                .bind(object_id)
                .bind(amount)
                .bind(&payment.currency)
                .bind(self.now)
                .execute(&mut *self.sql)
                .await?;
        }
        for (due, task) in tasks {
            self.schedule(due, &task).await?;
        }
        self.publish(caller, events).await
    }

    /// Has something happen later.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn schedule(&mut self, due_ms: i64, task: &DueTask) -> Result<(), BookError> {
        sqlx::query("insert into tasks (due_ms, body) values ($1, $2)")
            .bind(due_ms)
            .bind(json!(task))
            .execute(&mut *self.sql)
            .await?;
        Ok(())
    }

    /// Writes events, and when they go to which endpoint.
    async fn publish(&mut self, caller: &ApiCaller, events: Vec<(&'static str, Value)>) -> Result<(), BookError> {
        if events.is_empty() {
            return Ok(());
        }
        let endpoints = self.endpoints().await?;
        let scope = caller.scope();
        let created = self.now.div_euclid(1_000);
        let (mut ids, mut bodies) = (Vec::new(), Vec::new());
        let (mut sent, mut to, mut due, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (kind, object) in events {
            let event_id = id::new("evt_");
            let mut event = json!({
                "id": event_id, "object": "event", "api_version": crate::settings::API_VERSION, "created": created, "data": {"object": object},
                "livemode": caller.livemode, "request": {"id": caller.request_id, "idempotency_key": caller.idempotency_key}, "type": kind,
            });
            if caller.connected {
                event["account"] = json!(caller.account);
            }
            for (endpoint_id, endpoint) in &endpoints {
                for late in if endpoint.takes(kind, caller.connected) { endpoint.plan() } else { Vec::new() } {
                    sent.push(event_id.clone());
                    to.push(endpoint_id.as_str());
                    due.push(self.now + late.unwrap_or_default());
                    states.push(if late.is_some() { "pending" } else { "dropped" });
                }
            }
            ids.push(event_id);
            bodies.push(event);
        }
        sqlx::query(
            "insert into objects (id, body, scope, object, created) \
             select new.id, new.body, $3, 'event', $4 from unnest($1::text[], $2::jsonb[]) with ordinality as new (id, body, nth) order by nth",
        )
        .bind(&ids)
        .bind(&bodies)
        .bind(&scope)
        .bind(created)
        .execute(&mut *self.sql)
        .await?;
        if !sent.is_empty() {
            sqlx::query(
                "insert into deliveries (event_id, endpoint_id, due_ms, state) \
                 select new.event_id, new.endpoint_id, new.due_ms, new.state \
                 from unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) with ordinality as new (event_id, endpoint_id, due_ms, state, nth) \
                 order by nth",
            )
            .bind(&sent)
            .bind(&to)
            .bind(&due)
            .bind(&states)
            .execute(&mut *self.sql)
            .await?;
        }
        Ok(())
    }

    /// All webhook endpoints, the oldest first.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn endpoints(&mut self) -> Result<Vec<(String, WebhookEndpoint)>, BookError> {
        let rows: Vec<(String, Json<WebhookEndpoint>)> =
            sqlx::query_as("select id, body from webhook_endpoints order by seq").fetch_all(&mut *self.sql).await?;
        Ok(rows.into_iter().map(|(id, body)| (id, body.0)).collect())
    }

    /// Writes nothing of it. What it locked is free once this returns; dropped, it would be a moment later.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn rollback(self) -> Result<(), BookError> {
        Ok(self.sql.rollback().await?)
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn commit(self) -> Result<(), BookError> {
        Ok(self.sql.commit().await?)
    }
}
