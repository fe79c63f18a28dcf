//! What happens without a request of the shop: by a person at the dashboard, the cardholder, a bank.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Json, Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{ControlError, ControlResult, read_body};
use crate::api::ApiOperation;
use crate::api::execute;
use crate::card::{PaymentMethodRecord, TestCard};
use crate::effects::RuleEffects;
use crate::error::ApiError;
use crate::id;
use crate::record::{PaymentRecord, SimulatedRefundState};
use crate::rules::{ActionOutcome, NewDispute, RefundParameters};
use crate::simulator::Simulator;
use crate::store::{ApiCaller, BookTransaction};

/// A card for a new PaymentMethod.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCard {
    /// `pm_card_visa`, `4242424242424242`.
    card: String,
    /// It is saved for this customer.
    customer: Option<String>,
    /// With 3-D Secure.
    #[serde(default)]
    set_up: bool,
}

async fn new_method(book: &mut BookTransaction, new: NewCard) -> Result<PaymentMethodRecord, ControlError> {
    let card = TestCard::find(&new.card).ok_or_else(|| {
        ControlError::refused(format!(
            "card: expected a test card's token or number (docs/stripe-sim.md), got '{}'",
            new.card
        ))
    })?;
    let method = PaymentMethodRecord {
        id: id::new("pm_"),
        card: card.token.to_owned(),
        livemode: false,
        created: book.context().seconds(),
        customer: new.customer,
        set_up: new.set_up,
        used_by: None,
    };
    let scope = own_scope(book);
    book.put_body(&scope, "payment_method", &method.id, method.created, json!(method)).await?;
    Ok(method)
}

fn own_scope(book: &BookTransaction) -> String {
    format!("{}/test", book.settings.account)
}

pub(super) async fn new_payment_method(State(simulator): State<Arc<Simulator>>, body: Bytes) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let method = new_method(&mut book, read_body(&body)?).await?;
    book.commit().await?;
    Ok(Json(json!({"id": method.id})))
}

pub(super) async fn new_confirmation_token(State(simulator): State<Arc<Simulator>>, body: Bytes) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let method = new_method(&mut book, read_body(&body)?).await?;
    let (token, scope) = (id::new("ctoken_"), own_scope(&book));
    let created = book.context().seconds();
    book.put_body(
        &scope,
        "confirmation_token",
        &token,
        created,
        json!({"payment_method": method.id, "created": created, "used_by": null}),
    )
    .await?;
    book.commit().await?;
    Ok(Json(json!({"id": token})))
}

/// Changes the payment of an object by a rule; gives the object of the id that the rule names.
async fn change(
    simulator: &Simulator,
    object: &str,
    id: &str,
    rule: impl FnOnce(&mut PaymentRecord, &BookTransaction, &mut RuleEffects) -> Result<String, ApiError>,
) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let scope: Option<String> = sqlx::query_scalar("select scope from objects where id = $1 and object = $2")
        .bind(id)
        .bind(object)
        .fetch_optional(&mut *book.sql)
        .await?;
    let Some(scope) = scope else { return Err(ControlError::not_found(object, id)) };
    let Some(mut payment) = book.lock_payment(&scope, object, id).await? else {
        return Err(ControlError::not_found(object, id));
    };
    let mut effects = RuleEffects::default();
    let shown = rule(&mut payment, &book, &mut effects).map_err(|error| ControlError::refused(error.message))?;
    let caller = ApiCaller::of_scope(&scope, &book.settings);
    book.save(&caller, &payment, effects).await?;
    let answer = payment.object_json(&shown, book.now, &book.public_url).unwrap_or_default();
    book.commit().await?;
    simulator.wake.notify_waiters();
    Ok(Json(answer))
}

/// An act's options.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActOptions {
    amount: Option<i64>,
    reason: Option<String>,
    inquiry: Option<bool>,
    outcome: Option<ActionOutcome>,
}

pub(super) async fn on_payment(
    State(simulator): State<Arc<Simulator>>,
    Path((id, act)): Path<(String, String)>,
    body: Bytes,
) -> ControlResult {
    let options: ActOptions = read_body(&body)?;
    match act.as_str() {
        "capture" => {
            by_dashboard(
                &simulator,
                ApiOperation::PaymentIntentsCapture,
                &id,
                json!({"amount_to_capture": options.amount}),
            )
            .await
        }
        "cancel" => {
            by_dashboard(
                &simulator,
                ApiOperation::PaymentIntentsCancel,
                &id,
                json!({"cancellation_reason": options.reason}),
            )
            .await
        }
        "refund" => {
            let parameters = RefundParameters::of_amount(options.amount);
            change(&simulator, "payment_intent", &id, |payment, book, effects| {
                payment.refund(&parameters, book.context(), effects)
            })
            .await
        }
        "dispute" => {
            let default = NewDispute::default();
            let new = NewDispute {
                reason: options.reason.unwrap_or(default.reason),
                inquiry: options.inquiry.unwrap_or(default.inquiry),
                amount: options.amount,
            };
            change(&simulator, "payment_intent", &id, |payment, book, effects| {
                payment.open_dispute(&new, book.context(), effects)
            })
            .await
        }
        "warn_of_fraud" => {
            change(&simulator, "payment_intent", &id, |payment, book, effects| {
                payment.warn_of_fraud(book.context(), effects);
                Ok(id.clone())
            })
            .await
        }
        "expire" => {
            change(&simulator, "payment_intent", &id, |payment, book, effects| {
                let charge = payment.successful_charge().map(|charge| charge.id.clone()).unwrap_or_default();
                payment.expire_hold(&charge, book.context(), effects);
                if effects.events.is_empty() {
                    Err(ApiError::bad_request("nothing is held: there is nothing to expire"))
                } else {
                    Ok(id.clone())
                }
            })
            .await
        }
        "three_d_secure" => {
            let outcome =
                options.outcome.ok_or_else(|| ControlError::refused("outcome: expected pass, fail or abandon"))?;
            change(&simulator, "payment_intent", &id, |payment, book, effects| {
                payment.act(outcome, book.context(), effects).map(|()| id.clone())
            })
            .await
        }
        other => Err(ControlError::refused(format!(
            "unknown act '{other}': expected capture, cancel, refund, dispute, warn_of_fraud, expire or three_d_secure"
        ))),
    }
}

async fn by_dashboard(simulator: &Simulator, operation: ApiOperation, id: &str, parameters: Value) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let scope: Option<String> =
        sqlx::query_scalar("select scope from objects where id = $1").bind(id).fetch_optional(&mut *book.sql).await?;
    let Some(scope) = scope else { return Err(ControlError::not_found("payment_intent", id)) };
    let caller = ApiCaller::of_scope(&scope, &book.settings);
    let reply = execute(&mut book, &caller, operation, id, &parameters).await?;
    book.commit().await?;
    simulator.wake.notify_waiters();
    Ok(Json(reply.body))
}

/// What becomes of a refund.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundAct {
    status: SimulatedRefundState,
    reason: Option<String>,
}

pub(super) async fn on_refund(
    State(simulator): State<Arc<Simulator>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ControlResult {
    let act: RefundAct = read_body(&body)?;
    change(&simulator, "refund", &id, |payment, book, effects| {
        match act.status {
            SimulatedRefundState::Succeeded => payment.settle_refund(&id, book.context(), effects),
            SimulatedRefundState::Failed | SimulatedRefundState::Canceled => {
                let reason = act.reason.as_deref().unwrap_or("expired_or_canceled_card");
                payment.fail_refund(&id, (act.status, reason), book.context(), effects);
            }
            SimulatedRefundState::Pending => {
                return Err(ApiError::bad_request("status: expected succeeded, failed or canceled"));
            }
        }
        if effects.events.is_empty() {
            Err(ApiError::bad_request("the refund's status does not allow that"))
        } else {
            Ok(id.clone())
        }
    })
    .await
}

/// What becomes of a dispute.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DisputeOutcome {
    Won,
    Lost,
    Escalated,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeAct {
    outcome: DisputeOutcome,
}

pub(super) async fn on_dispute(
    State(simulator): State<Arc<Simulator>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ControlResult {
    let act: DisputeAct = read_body(&body)?;
    change(&simulator, "dispute", &id, |payment, book, effects| {
        match act.outcome {
            DisputeOutcome::Won => payment.decide_dispute(&id, true, book.context(), effects),
            DisputeOutcome::Lost => payment.decide_dispute(&id, false, book.context(), effects),
            DisputeOutcome::Escalated => payment.escalate_dispute(&id, book.context(), effects)?,
        }
        if effects.events.is_empty() {
            Err(ApiError::bad_request("the dispute is decided already"))
        } else {
            Ok(id.clone())
        }
    })
    .await
}
