//! One request of the API: who asks, limits, faults, idempotency, execution, answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde_json::{Map, Value, json};
use sqlx::types::Json;

use super::access::ApiAccess;
use super::execute::{Reply, execute};
use super::operation::ApiOperation;
use crate::effects::DueTask;
use crate::error::ApiError;
use crate::fault::{self, BAD_GATEWAY_PAGE, DrawnFaults, FaultKind, Later, SlowWhen};
use crate::form;
use crate::id;
use crate::parameters;
use crate::simulator::Simulator;
use crate::store::{ApiCaller, BookError, BookTransaction};

/// Marks a response that is not sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub struct CloseConnection;

/// An answer, before it is sent.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
    replayed: bool,
}

impl Answer {
    fn error(error: &ApiError) -> Self {
        Self { status: error.status, body: json!({"error": error.to_json()}), replayed: false }
    }
}

/// Answers a request. It is done to its end, even if the caller has gone.
pub async fn answer(
    simulator: Arc<Simulator>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request_id = id::new("req_");
    let tasks = simulator.requests.clone();
    let shown = request_id.clone();
    let done = tasks.spawn(async move { respond(&simulator, &method, &uri, &headers, &body, &request_id).await });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, request_id = shown, "a request panicked");
        send(&Answer::error(&ApiError::server("The simulator failed: see its log.")), &HeaderMap::new(), &shown)
    })
}

async fn respond(
    simulator: &Simulator,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    request_id: &str,
) -> Response<Body> {
    let mut more = HeaderMap::new();
    let key = headers.get("idempotency-key").filter(|_| method == Method::POST);
    if let Some(key) = key {
        more.insert("idempotency-key", key.clone());
    }
    let request = match ApiRequest::read(method, uri, headers, body, request_id) {
        Ok(request) => request,
        Err(error) => return send(&Answer::error(&error), &more, request_id),
    };
    let faults = match fault::pick(&simulator.pool, request.operation.as_str(), request.key()).await {
        Ok(faults) => faults,
        Err(error) => return failed(&error.into(), request_id),
    };
    pause(&faults, SlowWhen::Before).await;
    if faults.end == Some(FaultKind::ConnectionClosed) {
        return closed();
    }
    if faults.end == Some(FaultKind::BadGateway { committed: false }) {
        return bad_gateway();
    }
    let mut answer = match process(simulator, &request, &faults).await {
        Ok(answer) => answer,
        Err(BookError::Api(error)) => {
            if let Some(reason) = error.limited {
                more.insert("stripe-rate-limited-reason", HeaderValue::from_static(reason.as_str()));
            }
            Answer::error(&error)
        }
        Err(error) => return failed(&error, request_id),
    };
    simulator.wake.notify_waiters();
    pause(&faults, SlowWhen::After).await;
    if faults.end == Some(FaultKind::AnswerDropped) {
        return closed();
    }
    if faults.end == Some(FaultKind::BadGateway { committed: true }) {
        return bad_gateway();
    }
    faults.distort(&mut answer.body);
    send(&answer, &more, request_id)
}

async fn pause(faults: &DrawnFaults, when: SlowWhen) {
    let ms = faults.slow[when as usize];
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// A request, read but not checked against the book.
struct ApiRequest {
    operation: ApiOperation,
    object_id: String,
    access: ApiAccess,
    form: Map<String, Value>,
    request_id: String,
    post: bool,
}

impl ApiRequest {
    fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes, request_id: &str) -> Result<Self, ApiError> {
        let access = ApiAccess::read(headers)?;
        let (operation, object_id) = ApiOperation::route(method.as_str(), uri.path())
            .ok_or_else(|| ApiError::no_such_path(method.as_str(), uri.path()))?;
        let post = method == Method::POST;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if post && !body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
            let message = format!(
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have questions, we can help at \
                 https://support.stripe.com/. Got '{kind}'"
            );
            return Err(ApiError::bad_request(message));
        }
        let mut form = form::parse(uri.query().unwrap_or_default().as_bytes())?;
        if post {
            form.extend(form::parse(body)?);
        }
        Ok(Self { operation, object_id, access, form, request_id: request_id.to_owned(), post })
    }

    fn key(&self) -> Option<&str> {
        self.access.idempotency_key.as_deref().filter(|_| self.post)
    }
}

async fn process(simulator: &Simulator, request: &ApiRequest, faults: &DrawnFaults) -> Result<Answer, BookError> {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    match process_within(&mut book, simulator, request, faults).await {
        Ok(answer) => {
            book.commit().await?;
            Ok(answer)
        }
        Err(error) => {
            book.rollback().await?;
            Err(error)
        }
    }
}

/// What is written is kept if it gives an answer.
async fn process_within(
    book: &mut BookTransaction,
    simulator: &Simulator,
    request: &ApiRequest,
    faults: &DrawnFaults,
) -> Result<Answer, BookError> {
    let operation = request.operation;
    let caller = caller(book, request).await?;
    let (endpoint_rate, global_rate) = (book.settings.endpoint_rate, book.settings.global_rate);
    simulator.limiter.take(operation, endpoint_rate, global_rate, Instant::now()).map_err(ApiError::rate_limited)?;
    match &faults.end {
        Some(FaultKind::RateLimited) => return Err(ApiError::rate_limited(crate::error::RateLimited::Endpoint).into()),
        Some(FaultKind::LockTimeout) => return Err(ApiError::lock_timeout().into()),
        Some(FaultKind::KeyInUse) => return Err(ApiError::key_in_use(request.key().unwrap_or_default()).into()),
        Some(FaultKind::KeyExpired) => return Err(request.access.expired().into()),
        Some(
            FaultKind::ConnectionClosed
            | FaultKind::AnswerDropped
            | FaultKind::ServerError { .. }
            | FaultKind::BadGateway { .. }
            | FaultKind::Slow { .. }
            | FaultKind::Answer { .. },
        )
        | None => {}
    }
    let parameters = parameters::check(operation.as_str(), request.form.clone())?;
    let Some(key) = request.key() else {
        return run(book, &caller, request, &parameters, faults).await;
    };
    let fingerprint = json!({"id": request.object_id, "parameters": parameters});
    if let Some(answer) = replay(book, &caller, operation, key, &fingerprint).await? {
        return Ok(answer);
    }
    let answer = match run(book, &caller, request, &parameters, faults).await {
        Ok(answer) => answer,
        // Rules refuse before anything is written: the transaction goes on, and keeps the refusal.
        Err(BookError::Api(error)) if error.stored => Answer::error(&error),
        Err(error) => return Err(error),
    };
    // A row that is there has expired, and waits for its pruning.
    sqlx::query(
        "insert into idempotency_keys (scope, key, operation, parameters, status, body, request_id, created_ms) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (scope, key) do update set operation = excluded.operation, parameters = excluded.parameters, status = excluded.status, \
             body = excluded.body, request_id = excluded.request_id, created_ms = excluded.created_ms",
    )
    .bind(caller.scope())
    .bind(key)
    .bind(operation.as_str())
    .bind(fingerprint)
    .bind(i16::try_from(answer.status).unwrap_or(500))
    .bind(&answer.body)
    .bind(&request.request_id)
    .bind(book.now)
    .execute(&mut *book.sql)
    .await?;
    Ok(answer)
}

async fn caller(book: &mut BookTransaction, request: &ApiRequest) -> Result<ApiCaller, BookError> {
    let expired: bool =
        sqlx::query_scalar("select exists (select from expired_keys where fingerprint = $1 and at_ms <= $2)")
            .bind(request.access.fingerprint())
            .bind(book.now)
            .fetch_one(&mut *book.sql)
            .await?;
    Ok(request.access.caller(request.operation.as_str(), expired, &book.settings, &request.request_id)?)
}

/// What was answered under the key before. The key is locked until the transaction ends, whichever way.
async fn replay(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    operation: ApiOperation,
    key: &str,
    fingerprint: &Value,
) -> Result<Option<Answer>, BookError> {
    let scope = caller.scope();
    let free: bool =
        sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended('stripe_sim ' || $1 || ' ' || $2, 0))")
            .bind(&scope)
            .bind(key)
            .fetch_one(&mut *book.sql)
            .await?;
    if !free {
        return Err(ApiError::key_in_use(key).into());
    }
    let oldest = book.now - book.settings.idempotency_keys_expire_after * 1_000;
    let stored: Option<(String, Json<Value>, i16, Json<Value>)> = sqlx::query_as(
        "select operation, parameters, status, body from idempotency_keys where scope = $1 and key = $2 and created_ms > $3",
    )
    .bind(&scope)
    .bind(key)
    .bind(oldest)
    .fetch_optional(&mut *book.sql)
    .await?;
    match stored {
        None => Ok(None),
        Some((used_for, ..)) if used_for != operation.as_str() => {
            let message = format!(
                "can only be used for the same endpoint they were first used for ({} vs {used_for}).",
                operation.as_str()
            );
            Err(ApiError::idempotency(key, &message).into())
        }
        Some((_, parameters, ..)) if parameters.0 != *fingerprint => {
            Err(ApiError::idempotency(key, "can only be used with the same parameters they were first used with.")
                .into())
        }
        Some((_, _, status, body)) => {
            Ok(Some(Answer { status: u16::try_from(status).unwrap_or(500), body: body.0, replayed: true }))
        }
    }
}

/// Executes, as far as the faults let it.
async fn run(
    book: &mut BookTransaction,
    caller: &ApiCaller,
    request: &ApiRequest,
    parameters: &Value,
    faults: &DrawnFaults,
) -> Result<Answer, BookError> {
    let operation = request.operation;
    pause(faults, SlowWhen::Within).await;
    let failure = || {
        Answer::error(&ApiError::server("An unknown error occurred: it is not known whether the request was executed."))
    };
    match &faults.end {
        Some(FaultKind::ServerError { committed: false, later, after }) => {
            if *later == Later::RollForward && request.post {
                let task = DueTask::RollForward {
                    operation: operation.as_str().to_owned(),
                    id: request.object_id.clone(),
                    parameters: parameters.clone(),
                    scope: caller.scope(),
                };
                let due = book.context().after(*after);
                book.schedule(due, &task).await?;
            }
            Ok(failure())
        }
        Some(FaultKind::ServerError { committed: true, later, after }) => {
            let reply = execute(book, caller, operation, &request.object_id, parameters).await?;
            if let (Later::RollBack, Some((payment, object))) = (later, reply.changed) {
                let task = DueTask::RollBack { operation: operation.as_str().to_owned(), payment, object };
                let due = book.context().after(*after);
                book.schedule(due, &task).await?;
            }
            Ok(failure())
        }
        Some(
            FaultKind::ConnectionClosed
            | FaultKind::AnswerDropped
            | FaultKind::BadGateway { .. }
            | FaultKind::RateLimited
            | FaultKind::LockTimeout
            | FaultKind::KeyInUse
            | FaultKind::KeyExpired
            | FaultKind::Slow { .. }
            | FaultKind::Answer { .. },
        )
        | None => {
            let Reply { status, body, .. } = execute(book, caller, operation, &request.object_id, parameters).await?;
            Ok(Answer { status, body, replayed: false })
        }
    }
}

fn send(answer: &Answer, more: &HeaderMap, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.to_string()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("stripe-version", HeaderValue::from_static(crate::settings::API_VERSION));
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert("request-id", request_id);
    }
    if answer.replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    headers.extend(more.clone());
    response
}

/// The book failed: not Stripe's 500, so it is not kept under the key.
fn failed(error: &BookError, request_id: &str) -> Response<Body> {
    tracing::error!(%error, request_id, "a request failed");
    send(
        &Answer::error(&ApiError::server("The simulator's database failed: see its log.")),
        &HeaderMap::new(),
        request_id,
    )
}

fn closed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CloseConnection);
    response
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(Body::from(BAD_GATEWAY_PAGE));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
