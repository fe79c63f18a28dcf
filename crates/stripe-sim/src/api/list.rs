//! Lists: newest first, by pages, with the filters of each.

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};

use super::expand::shown;
use crate::error::ApiError;
use crate::store::{BookError, BookTransaction};

/// Parameters of all lists.
#[derive(Debug, Deserialize)]
struct ListParameters {
    limit: Option<i64>,
    starting_after: Option<String>,
    ending_before: Option<String>,
    created: Option<Created>,
    customer: Option<String>,
    payment_intent: Option<String>,
    charge: Option<String>,
    currency: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    types: Option<Vec<String>>,
    delivery_success: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Created {
    At(i64),
    Within { gt: Option<i64>, gte: Option<i64>, lt: Option<i64>, lte: Option<i64> },
}

/// Lists objects of a kind (`refund`).
///
/// # Errors
/// 400 for a limit outside 1 to 100, and for a cursor that names nothing.
pub async fn list(
    book: &mut BookTransaction,
    scope: &str,
    object: &str,
    path: &str,
    parameters: &Value,
) -> Result<Value, BookError> {
    let parameters: ListParameters = serde_json::from_value(parameters.clone())?;
    let limit = parameters.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        let message = format!("This value must be between 1 and 100, got {limit}.");
        return Err(ApiError::parameter("parameter_invalid_integer", "limit", message).into());
    }
    if parameters.starting_after.is_some() && parameters.ending_before.is_some() {
        return Err(ApiError::bad_request(
            "You may only specify one of these parameters: starting_after, ending_before.",
        )
        .into());
    }
    let after = cursor(book, scope, object, "starting_after", parameters.starting_after.as_deref()).await?;
    let before = cursor(book, scope, object, "ending_before", parameters.ending_before.as_deref()).await?;
    let mut query = QueryBuilder::<Postgres>::new(
        "select o.id, coalesce(o.body, p.body) from objects o left join objects p on p.id = o.payment_id where o.scope = ",
    );
    query.push_bind(scope).push(" and o.object = ").push_bind(object);
    filter(&mut query, object, &parameters, book.now - book.settings.events_expire_after * 1_000);
    if let Some(seq) = after {
        query.push(" and o.seq < ").push_bind(seq);
    }
    if let Some(seq) = before {
        query.push(" and o.seq > ").push_bind(seq);
    }
    query
        .push(if before.is_some() { " order by o.seq limit " } else { " order by o.seq desc limit " })
        .push_bind(limit + 1);
    let mut rows: Vec<(String, Json<Value>)> = query.build_query_as().fetch_all(&mut *book.sql).await?;
    let wanted = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    if before.is_some() {
        rows.reverse();
    }
    let mut data = Vec::new();
    for (id, body) in rows {
        data.extend(shown(book, object, &id, body.0)?);
    }
    if object == "event" {
        with_pending_webhooks(book, &mut data).await?;
    }
    Ok(json!({"object": "list", "data": data, "has_more": has_more, "url": format!("/v1/{path}")}))
}

async fn cursor(
    book: &mut BookTransaction,
    scope: &str,
    object: &str,
    param: &str,
    id: Option<&str>,
) -> Result<Option<i64>, BookError> {
    let Some(id) = id else { return Ok(None) };
    let seq: Option<i64> = sqlx::query_scalar("select seq from objects where id = $1 and scope = $2 and object = $3")
        .bind(id)
        .bind(scope)
        .bind(object)
        .fetch_optional(&mut *book.sql)
        .await?;
    seq.map(Some).ok_or_else(|| ApiError::missing(object, id, param).into())
}

fn filter(query: &mut QueryBuilder<Postgres>, object: &str, parameters: &ListParameters, events_since_ms: i64) {
    let (at, gt, gte, lt, lte) = match parameters.created {
        None => (None, None, None, None, None),
        Some(Created::At(at)) => (Some(at), None, None, None, None),
        Some(Created::Within { gt, gte, lt, lte }) => (None, gt, gte, lt, lte),
    };
    for (compare, bound) in [(" = ", at), (" > ", gt), (" >= ", gte), (" < ", lt), (" <= ", lte)] {
        if let Some(bound) = bound {
            query.push(" and o.created").push(compare).push_bind(bound);
        }
    }
    if object == "event" {
        query.push(" and o.created >= ").push_bind(events_since_ms.div_euclid(1_000));
    }
    for (column, value) in [
        (" and o.payment_id = ", &parameters.payment_intent),
        (" and o.charge_id = ", &parameters.charge),
        (" and coalesce(p.body, o.body) ->> 'customer' = ", &parameters.customer),
        (" and o.body ->> 'currency' = ", &parameters.currency),
        (" and o.body ->> 'source' = ", &parameters.source),
    ] {
        if let Some(value) = value {
            query.push(column).push_bind(value.clone());
        }
    }
    let types: Vec<&String> = parameters.types.iter().flatten().chain(&parameters.r#type).collect();
    if !types.is_empty() {
        let patterns: Vec<String> = types.iter().map(|kind| like(kind)).collect();
        query.push(" and o.body ->> 'type' like any(").push_bind(patterns).push(")");
    }
    if let Some(delivered) = parameters.delivery_success {
        query.push(if delivered { " and not exists" } else { " and exists" });
        query.push(" (select from deliveries d where d.event_id = o.id and d.state <> 'succeeded')");
    }
}

/// `charge.*` as `like` has it.
fn like(kind: &str) -> String {
    let escaped = kind.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    escaped.strip_suffix('*').map_or(escaped.clone(), |beginning| format!("{beginning}%"))
}

/// Events say how many deliveries are open.
///
/// # Errors
/// When the database can't be reached.
pub async fn with_pending_webhooks(book: &mut BookTransaction, events: &mut [Value]) -> Result<(), BookError> {
    let ids: Vec<String> = events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)).collect();
    let open: Vec<(String, i64)> = sqlx::query_as(
        "select event_id, count(*) from deliveries where event_id = any($1) and state <> 'succeeded' group by event_id",
    )
    .bind(&ids)
    .fetch_all(&mut *book.sql)
    .await?;
    for event in events {
        let count = open.iter().find(|(id, _)| event["id"] == json!(id)).map_or(0, |(_, count)| *count);
        event["pending_webhooks"] = json!(count);
    }
    Ok(())
}
