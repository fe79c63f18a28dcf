//! Executes an operation on the book, in the caller's transaction.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::expand::{expand, resolve};
use super::list::{list, with_pending_webhooks};
use super::operation::ApiOperation;
use crate::card::{PaymentMethodRecord, TestCard};
use crate::effects::RuleEffects;
use crate::error::ApiError;
use crate::id;
use crate::record::PaymentRecord;
use crate::render;
use crate::rules::{
    CaptureParameters, ConfirmParameters, CreateParameters, DisputeUpdateParameters, RefundParameters, UpdateParameters,
};
use crate::store::{ApiCaller, BookError, BookTransaction};

/// How long a confirmation token can be used, in seconds.
const CONFIRMATION_TOKEN_VALID_FOR: i64 = 12 * 3_600;

/// An answer that changed the book.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// 200, or 402 for a decline.
    pub status: u16,
    /// The object, or the error.
    pub body: Value,
    /// The payment, and the object within it that was made or changed: what a roll back undoes.
    pub changed: Option<(String, String)>,
}

impl Reply {
    fn read(body: Value) -> Self {
        Self { status: 200, body, changed: None }
    }

    fn error(error: &ApiError) -> Self {
        Self { status: error.status, body: json!({"error": error.to_json()}), changed: None }
    }
}

/// Executes an operation: `parameters` are checked, and have their types.
///
/// # Errors
/// What Stripe answers, the book being as it was; or the book's failure.
pub async fn execute(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    operation: ApiOperation,
    object_id: &str,
    parameters: &Value,
) -> Result<Reply, BookError> {
    let scope = caller.scope();
    let mut reply = match operation {
        ApiOperation::PaymentIntentsCreate => create(book, caller, parameters).await?,
        ApiOperation::PaymentIntentsUpdate => update(book, caller, object_id, parameters).await?,
        ApiOperation::PaymentIntentsConfirm => {
            let confirmation: ConfirmParameters = read(parameters)?;
            let mut payment = lock(book, &scope, "payment_intent", object_id, "intent").await?;
            check_client_secret(&payment, parameters)?;
            confirm(book, caller, &mut payment, &confirmation, RuleEffects::default()).await?
        }
        ApiOperation::PaymentIntentsCapture => {
            let capture: CaptureParameters = read(parameters)?;
            change(book, caller, ("payment_intent", object_id), |payment, book, effects| {
                payment.capture(&capture, book.context(), effects)
            })
            .await?
        }
        ApiOperation::PaymentIntentsCancel => {
            let reason = parameters["cancellation_reason"].as_str();
            change(book, caller, ("payment_intent", object_id), |payment, book, effects| {
                payment.cancel(reason, book.context(), effects)
            })
            .await?
        }
        ApiOperation::RefundsCreate => refund(book, caller, parameters).await?,
        ApiOperation::DisputesUpdate => {
            let update: DisputeUpdateParameters = read(parameters)?;
            change(book, caller, ("dispute", object_id), |payment, book, effects| {
                payment.update_dispute(object_id, &update, book.context(), effects)
            })
            .await?
        }
        ApiOperation::DisputesClose => {
            change(book, caller, ("dispute", object_id), |payment, book, effects| {
                payment.close_dispute(object_id, book.context(), effects)
            })
            .await?
        }
        ApiOperation::PaymentMethodsCreate => create_payment_method(book, caller, parameters).await?,
        ApiOperation::PaymentIntentsRetrieve => retrieve(book, &scope, "payment_intent", object_id).await?,
        ApiOperation::RefundsRetrieve => retrieve(book, &scope, "refund", object_id).await?,
        ApiOperation::ChargesRetrieve => retrieve(book, &scope, "charge", object_id).await?,
        ApiOperation::DisputesRetrieve => retrieve(book, &scope, "dispute", object_id).await?,
        ApiOperation::BalanceTransactionsRetrieve => retrieve(book, &scope, "balance_transaction", object_id).await?,
        ApiOperation::EventsRetrieve => {
            let mut reply = retrieve(book, &scope, "event", object_id).await?;
            with_pending_webhooks(book, std::slice::from_mut(&mut reply.body)).await?;
            reply
        }
        ApiOperation::PaymentMethodsRetrieve => retrieve(book, &scope, "payment_method", object_id).await?,
        ApiOperation::EarlyFraudWarningsRetrieve => {
            retrieve(book, &scope, "radar.early_fraud_warning", object_id).await?
        }
        ApiOperation::PaymentIntentsList => {
            Reply::read(list(book, &scope, "payment_intent", "payment_intents", parameters).await?)
        }
        ApiOperation::RefundsList => Reply::read(list(book, &scope, "refund", "refunds", parameters).await?),
        ApiOperation::ChargesList => Reply::read(list(book, &scope, "charge", "charges", parameters).await?),
        ApiOperation::DisputesList => Reply::read(list(book, &scope, "dispute", "disputes", parameters).await?),
        ApiOperation::BalanceTransactionsList => {
            Reply::read(list(book, &scope, "balance_transaction", "balance_transactions", parameters).await?)
        }
        ApiOperation::EventsList => Reply::read(list(book, &scope, "event", "events", parameters).await?),
        ApiOperation::EarlyFraudWarningsList => Reply::read(
            list(book, &scope, "radar.early_fraud_warning", "radar/early_fraud_warnings", parameters).await?,
        ),
        ApiOperation::BalanceRetrieve => Reply::read(balance(book, caller).await?),
    };
    if reply.status == 200 {
        expand(book, &scope, &mut reply.body, &parameters["expand"]).await?;
    }
    Ok(reply)
}

/// Parameters that were checked against their shape; what it leaves open (an object or a text) may still be wrong.
fn read<T: DeserializeOwned>(parameters: &Value) -> Result<T, BookError> {
    T::deserialize(parameters).map_err(|error| ApiError::bad_request(format!("Invalid parameters: {error}")).into())
}

async fn lock(
    book: &mut BookTransaction,
    scope: &str,
    object: &str,
    id: &str,
    param: &str,
) -> Result<PaymentRecord, BookError> {
    book.lock_payment(scope, object, id).await?.ok_or_else(|| ApiError::missing(object, id, param).into())
}

async fn change(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    (object, id): (&str, &str),
    rule: impl FnOnce(&mut PaymentRecord, &BookTransaction, &mut RuleEffects) -> Result<(), ApiError>,
) -> Result<Reply, BookError> {
    let param = if object == "payment_intent" { "intent" } else { "id" };
    let mut payment = lock(book, &caller.scope(), object, id, param).await?;
    let mut effects = RuleEffects::default();
    rule(&mut payment, book, &mut effects)?;
    save(book, caller, &payment, effects, id).await
}

/// Writes the payment; the answer is the object of it that `id` names.
async fn save(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    payment: &PaymentRecord,
    effects: RuleEffects,
    id: &str,
) -> Result<Reply, BookError> {
    book.save(caller, payment, effects).await?;
    let body = payment.object_json(id, book.now, &book.public_url).unwrap_or_default();
    Ok(Reply { status: 200, body, changed: Some((payment.id.clone(), id.to_owned())) })
}

async fn retrieve(book: &mut BookTransaction, scope: &str, object: &str, id: &str) -> Result<Reply, BookError> {
    let found = resolve(book, scope, id).await?.filter(|found| found["object"] == object);
    let param = if object == "payment_intent" { "intent" } else { "id" };
    found.map(Reply::read).ok_or_else(|| ApiError::missing(object, id, param).into())
}

/// A client secret, where one is sent, must be the payment's.
fn check_client_secret(payment: &PaymentRecord, parameters: &Value) -> Result<(), ApiError> {
    match parameters["client_secret"].as_str() {
        Some(secret) if secret != payment.client_secret.0 => {
            let message =
                "The client_secret provided does not match the client_secret associated with the PaymentIntent.";
            Err(ApiError::parameter("payment_intent_invalid_parameter", "client_secret", message))
        }
        Some(_) | None => Ok(()),
    }
}

async fn create(book: &mut BookTransaction, caller: &ApiCaller, parameters: &Value) -> Result<Reply, BookError> {
    let new: CreateParameters = read(parameters)?;
    let mut effects = RuleEffects::default();
    let mut payment = PaymentRecord::create(&new, caller.livemode, book.context(), &mut effects)?;
    if new.confirm() {
        return confirm(book, caller, &mut payment, &read(parameters)?, effects).await;
    }
    if let Some(method) = parameters["payment_method"].as_str() {
        let method = payment_method(book, caller, &payment, method).await?;
        payment.attach_method(method);
    }
    let id = payment.id.clone();
    save(book, caller, &payment, effects, &id).await
}

async fn update(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    id: &str,
    parameters: &Value,
) -> Result<Reply, BookError> {
    let changes: UpdateParameters = read(parameters)?;
    let mut payment = lock(book, &caller.scope(), "payment_intent", id, "intent").await?;
    payment.update(&changes)?;
    if let Some(method) = parameters["payment_method"].as_str() {
        let method = payment_method(book, caller, &payment, method).await?;
        payment.attach_method(method);
    }
    save(book, caller, &payment, RuleEffects::default(), id).await
}

async fn confirm(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    payment: &mut PaymentRecord,
    parameters: &ConfirmParameters,
    mut effects: RuleEffects,
) -> Result<Reply, BookError> {
    let mut used_token = None;
    let method = match (&parameters.payment_method, &parameters.confirmation_token) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "You may only specify one of these parameters: payment_method, confirmation_token.",
            )
            .into());
        }
        (Some(method), None) => Some(payment_method(book, caller, payment, method).await?),
        (None, Some(token)) => {
            let (method, body) = confirmation_token(book, caller, payment, token).await?;
            used_token = Some((token, body));
            Some(method)
        }
        (None, None) => None,
    };
    let declined = payment.confirm(parameters, method, book.context(), &mut effects)?;
    if let Some((token, body)) = used_token {
        book.put_body(&caller.scope(), "confirmation_token", token, book.context().seconds(), body).await?;
    }
    if let Some(method) = &payment.method {
        let used = PaymentMethodRecord { used_by: Some(payment.id.clone()), ..method.clone() };
        book.put_body(&caller.scope(), "payment_method", &used.id, used.created, json!(used)).await?;
    }
    let id = payment.id.clone();
    let reply = save(book, caller, payment, effects, &id).await?;
    Ok(declined.map_or(reply.clone(), |error| Reply { changed: reply.changed, ..Reply::error(&error) }))
}

/// The card that a parameter names: a test card's token makes a new PaymentMethod, as Stripe does.
async fn payment_method(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    payment: &PaymentRecord,
    name: &str,
) -> Result<PaymentMethodRecord, BookError> {
    if let Some(card) = TestCard::find(name).filter(|card| card.token == name) {
        return Ok(new_payment_method(book, caller, card, payment.customer.clone()));
    }
    let scope = caller.scope();
    let found: Option<PaymentMethodRecord> = book.body(&scope, "payment_method", name).await?;
    let Some(method) = found else { return Err(ApiError::missing("PaymentMethod", name, "payment_method").into()) };
    if method.customer.is_some() && method.customer != payment.customer {
        let message =
            "The provided PaymentMethod is attached to another Customer: send its customer with the PaymentIntent.";
        return Err(ApiError { param: Some("payment_method".into()), ..ApiError::bad_request(message) }.into());
    }
    if method.customer.is_none() && method.used_by.as_ref().is_some_and(|used_by| *used_by != payment.id) {
        let message = "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a connected account \
                       without Customer attachment, or was detached from a Customer. It may not be used again. To use a PaymentMethod multiple times, you \
                       must attach it to a Customer first.";
        return Err(
            ApiError { param: Some("payment_method".into()), stored: true, ..ApiError::bad_request(message) }.into()
        );
    }
    Ok(method)
}

fn new_payment_method(
    book: &BookTransaction,
    caller: &ApiCaller,
    card: &TestCard,
    customer: Option<String>,
) -> PaymentMethodRecord {
    PaymentMethodRecord {
        id: id::new("pm_"),
        card: card.token.to_owned(),
        livemode: caller.livemode,
        created: book.context().seconds(),
        customer,
        set_up: false,
        used_by: None,
    }
}

/// A confirmation token is for one confirmation, within twelve hours. Gives its card, and its body as used.
async fn confirmation_token(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    payment: &PaymentRecord,
    token: &str,
) -> Result<(PaymentMethodRecord, Value), BookError> {
    let scope = caller.scope();
    let found: Option<Value> = book.body(&scope, "confirmation_token", token).await?;
    let Some(mut body) = found else {
        return Err(ApiError::missing("ConfirmationToken", token, "confirmation_token").into());
    };
    let expired = body["created"]
        .as_i64()
        .is_none_or(|created| book.context().seconds() - created > CONFIRMATION_TOKEN_VALID_FOR);
    if expired || body["used_by"].as_str().is_some() {
        let message =
            "The provided ConfirmationToken was used before, or is older than 12 hours. It may not be used again.";
        return Err(ApiError {
            param: Some("confirmation_token".into()),
            stored: true,
            ..ApiError::bad_request(message)
        }
        .into());
    }
    let method = payment_method(book, caller, payment, body["payment_method"].as_str().unwrap_or_default()).await?;
    body["used_by"] = json!(payment.id);
    Ok((method, body))
}

async fn refund(book: &mut BookTransaction, caller: &ApiCaller, parameters: &Value) -> Result<Reply, BookError> {
    let new: RefundParameters = read(parameters)?;
    let scope = caller.scope();
    let mut payment = match (&new.payment_intent, &new.charge) {
        (Some(intent), _) => lock(book, &scope, "payment_intent", intent, "payment_intent").await?,
        (None, Some(charge)) => lock(book, &scope, "charge", charge, "charge").await?,
        (None, None) => {
            return Err(ApiError::bad_request(
                "One of the following params should be provided for this request: payment_intent or charge.",
            )
            .into());
        }
    };
    if new.charge.as_ref().is_some_and(|charge| !payment.charges.iter().any(|known| known.id == *charge)) {
        let message = format!("The charge is none of {}", payment.id);
        return Err(ApiError { param: Some("charge".into()), ..ApiError::bad_request(message) }.into());
    }
    let mut effects = RuleEffects::default();
    let refund_id = payment.refund(&new, book.context(), &mut effects)?;
    save(book, caller, &payment, effects, &refund_id).await
}

#[derive(Debug, Default, Deserialize)]
struct NewPaymentMethod {
    #[serde(default)]
    r#type: String,
    card: Option<Value>,
    customer: Option<String>,
}

async fn create_payment_method(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    parameters: &Value,
) -> Result<Reply, BookError> {
    let new: NewPaymentMethod = read(parameters)?;
    let card = new.card.unwrap_or_default();
    let name = card["number"].as_str().or(card["token"].as_str()).unwrap_or_default().replace(' ', "");
    if new.r#type != "card" {
        return Err(ApiError::parameter(
            "parameter_missing",
            "type",
            "The simulator knows cards alone: expected type=card.",
        )
        .into());
    }
    let Some(card) = TestCard::find(&name) else {
        // The number is in no answer.
        let message = "The card number or token is none of Stripe's test cards: see docs/stripe-sim.md.";
        return Err(ApiError {
            param: Some("card[number]".into()),
            ..ApiError::card("incorrect_number", None, message)
        }
        .into());
    };
    let method = new_payment_method(book, caller, card, new.customer);
    book.put_body(&caller.scope(), "payment_method", &method.id, method.created, json!(method)).await?;
    Ok(Reply::read(render::payment_method(&method)))
}

async fn balance(book: &mut BookTransaction, caller: &ApiCaller) -> Result<Value, BookError> {
    let sums: Vec<(String, i64, i64)> = sqlx::query_as(
        "select body ->> 'currency', \
                coalesce(sum(net) filter (where available_on <= $2), 0)::bigint, coalesce(sum(net) filter (where available_on > $2), 0)::bigint \
         from (select body, (body ->> 'amount')::bigint - (body ->> 'fee')::bigint as net, (body ->> 'available_on')::bigint as available_on \
               from objects where scope = $1 and object = 'balance_transaction') as moved \
         group by 1 order by 1",
    )
    .bind(caller.scope())
    .bind(book.context().seconds())
    .fetch_all(&mut *book.sql)
    .await?;
    let part = |pick: fn(&(String, i64, i64)) -> i64| -> Vec<Value> {
        sums.iter()
            .map(|sum| json!({"amount": pick(sum), "currency": sum.0, "source_types": {"card": pick(sum)}}))
            .collect()
    };
    Ok(
        json!({"object": "balance", "available": part(|sum| sum.1), "livemode": caller.livemode, "pending": part(|sum| sum.2)}),
    )
}
