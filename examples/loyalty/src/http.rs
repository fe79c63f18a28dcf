//! The routes: accounts, to look at.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use runtime::http::{Access, Json, Problem, Role, Routes};
use runtime::rows::Select;
use sqlx::PgPool;
use utoipa_axum::routes;

use crate::row::Account;

/// The routes.
pub(crate) fn routes() -> Routes<PgPool> {
    let viewers = Access::to(&[Role::Viewer]);
    Routes::new().route(viewers, routes!(list)).route(viewers, routes!(show))
}

/// The three accounts with the most points.
#[utoipa::path(get, path = "/accounts", tag = "accounts", responses(
    (status = 200, description = "Accounts by the customers' ids", body = BTreeMap<String, Account>),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn list(State(pool): State<PgPool>) -> Result<Json<BTreeMap<String, Account>>, Problem> {
    let most = Select::<Account>::filter("true order by pending + spendable desc, customer_id limit 3");
    Ok(Json(most.all(&pool).await?.into_iter().collect()))
}

/// A customer's account.
#[utoipa::path(get, path = "/accounts/{customer_id}", tag = "accounts",
    params(("customer_id" = String, Path, description = "The shop's id of the customer")), responses(
    (status = 200, description = "Its points", body = Account),
    (status = 404, description = "No order of theirs is completed", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn show(State(pool): State<PgPool>, Path(customer_id): Path<String>) -> Result<Json<Account>, Problem> {
    let account = Select::<Account>::filter("customer_id = $1").bind(customer_id).one(&pool).await?;
    account.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "Unknown customer"))
}
