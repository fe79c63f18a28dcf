//! How control requests are read, answered and refused.

use axum::extract::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::store::BookError;

/// Why a control request was refused.
#[derive(Debug)]
pub(crate) struct ControlError {
    status: StatusCode,
    message: String,
}

impl ControlError {
    pub fn refused(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("no {what} '{id}' in the book") }
    }
}

impl From<BookError> for ControlError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Api(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
                Self { status, message: error.message }
            }
            BookError::Database(_) | BookError::Unreadable(_) => {
                tracing::error!(%error, "a control request failed");
                Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    message: "the simulator's database failed: see its log".into(),
                }
            }
        }
    }
}

impl From<sqlx::Error> for ControlError {
    fn from(error: sqlx::Error) -> Self {
        BookError::from(error).into()
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.message}))).into_response()
    }
}

/// What a control request is answered.
pub(crate) type ControlResult = Result<Json<Value>, ControlError>;

/// Reads a body; the message names the field.
pub(crate) fn read_body<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| ControlError::refused(format!("the body is not what was expected: {error}")))
}
