//! `expand[]`: ids in an answer are replaced by their objects.

use std::pin::Pin;

use serde_json::{Value, json};
use sqlx::types::Json;

use crate::card::PaymentMethodRecord;
use crate::error::ApiError;
use crate::record::{BalanceTransactionRecord, PaymentRecord};
use crate::render;
use crate::store::{BookError, BookTransaction};

/// Stripe's limit.
const MAX_DEPTH: usize = 4;

/// What can be expanded, by object.
const EXPANDABLE: &[(&str, &[&str])] = &[
    ("payment_intent", &["customer", "latest_charge", "payment_method", "application", "on_behalf_of", "review"]),
    (
        "charge",
        &[
            "balance_transaction",
            "customer",
            "payment_intent",
            "failure_balance_transaction",
            "application_fee",
            "review",
            "transfer",
        ],
    ),
    ("refund", &["balance_transaction", "charge", "failure_balance_transaction", "payment_intent"]),
    ("dispute", &["charge", "payment_intent"]),
    ("balance_transaction", &["source"]),
    ("payment_method", &["customer"]),
    ("radar.early_fraud_warning", &["charge", "payment_intent"]),
];

/// Expands an answer by the paths of `expand[]`.
///
/// # Errors
/// 400 for a path that can't be expanded.
pub async fn expand(
    book: &mut BookTransaction,
    scope: &str,
    answer: &mut Value,
    paths: &Value,
) -> Result<(), BookError> {
    for path in paths.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let parts: Vec<&str> = path.split('.').collect();
        if parts.len() > MAX_DEPTH {
            let message = format!("You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}");
            return Err(ApiError::bad_request(message).into());
        }
        expand_path(book, scope, answer, &parts, path).await?;
    }
    Ok(())
}

type Expanding<'e> = Pin<Box<dyn Future<Output = Result<(), BookError>> + Send + 'e>>;

fn expand_path<'e>(
    book: &'e mut BookTransaction,
    scope: &'e str,
    value: &'e mut Value,
    parts: &'e [&'e str],
    path: &'e str,
) -> Expanding<'e> {
    Box::pin(async move {
        let [part, rest @ ..] = parts else { return Ok(()) };
        let object = value["object"].as_str().unwrap_or_default().to_owned();
        if object == "list" && *part == "data" {
            for item in value["data"].as_array_mut().into_iter().flatten() {
                expand_path(book, scope, item, rest, path).await?;
            }
            return Ok(());
        }
        if !EXPANDABLE.iter().any(|(known, fields)| *known == object && fields.contains(part)) {
            let message = format!(
                "This property cannot be expanded ({path}). You may want to try expanding one of these: {}.",
                EXPANDABLE
                    .iter()
                    .find(|(known, _)| *known == object)
                    .map_or_else(|| "none".into(), |(_, fields)| fields.join(", "))
            );
            return Err(ApiError { param: Some("expand".into()), ..ApiError::bad_request(message) }.into());
        }
        let Some(field) = value.get_mut(*part) else { return Ok(()) };
        if let Some(id) = field.as_str().map(str::to_owned)
            && let Some(found) = resolve(book, scope, &id).await?
        {
            *field = found;
        }
        if field.is_object() { expand_path(book, scope, field, rest, path).await } else { Ok(()) }
    })
}

/// Any object of the book, as the API shows it.
///
/// # Errors
/// When the database can't be reached.
pub async fn resolve(book: &mut BookTransaction, scope: &str, id: &str) -> Result<Option<Value>, BookError> {
    if id.starts_with("cus_") {
        // Customers are the shop's word alone.
        return Ok(Some(
            json!({"id": id, "object": "customer", "created": 0, "livemode": scope.ends_with("/live"), "metadata": {}, "email": null}),
        ));
    }
    let row: Option<(String, Json<Value>)> = sqlx::query_as(
        "select o.object, coalesce(p.body, o.body) from objects o left join objects p on p.id = o.payment_id where o.id = $1 and o.scope = $2",
    )
    .bind(id)
    .bind(scope)
    .fetch_optional(&mut *book.sql)
    .await?;
    row.map(|(object, body)| shown(book, &object, id, body.0)).transpose().map(Option::flatten)
}

/// A row of the book as the API shows it: `body` is the payment's, or the object's own.
pub(super) fn shown(book: &BookTransaction, object: &str, id: &str, body: Value) -> Result<Option<Value>, BookError> {
    Ok(match object {
        "event" => Some(body),
        "payment_method" => Some(render::payment_method(&serde_json::from_value::<PaymentMethodRecord>(body)?)),
        "balance_transaction" if body.get("reporting_category").is_some() => {
            Some(render::balance_transaction(&serde_json::from_value::<BalanceTransactionRecord>(body)?, book.now))
        }
        "confirmation_token" => None,
        _ => serde_json::from_value::<PaymentRecord>(body)?.object_json(id, book.now, &book.public_url),
    })
}
