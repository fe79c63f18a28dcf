//! Errors as problem details (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::{DatabaseFault, Failure, cause};
use crate::postgres::sql;
use crate::vocabulary::RequestError;

/// In how many seconds it is worth asking again what something is away for.
const ASK_AGAIN: u32 = 5;
const AWAY: &str = "the database does not answer: ask again";

/// An error as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was expected, what came, what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What else there is to say, by name.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
    /// In how many seconds it is worth asking again: the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem of this status; its type is made of the title.
    pub fn new(status: StatusCode, title: &str) -> Self {
        let kind = format!("/problems/{}", title.to_lowercase().replace(' ', "-"));
        let (title, status, more) = (title.to_owned(), status.as_u16(), serde_json::Map::new());
        Self { kind, title, status, detail: None, more, retry_after: None }
    }

    /// Adds what was expected, what came, what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds in how many seconds it is worth asking again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], axum::Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<RequestError> for Problem {
    fn from(refused: RequestError) -> Self {
        match refused {
            RequestError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "Conflict").detail(detail),
            RequestError::Broken(detail) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Not decided").detail(detail),
            RequestError::Unavailable(detail) => Self::unavailable(&detail),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(error = cause(&error), "a read failed");
        match DatabaseFault::of(&error) {
            DatabaseFault::Stored => return Self::unreadable(),
            DatabaseFault::Connection => sql::renew_connections(),
            DatabaseFault::Parts | DatabaseFault::Wait | DatabaseFault::Data | DatabaseFault::Program => {}
        }
        Self::unavailable(AWAY)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        if let Failure::Database(error) = failure {
            return error.into();
        }
        tracing::warn!(%failure, "a read failed");
        match failure {
            Failure::Stored { .. } | Failure::Panicked(_) | Failure::Unsendable(_) => Self::unreadable(),
            Failure::Database(_) | Failure::LostRace { .. } | Failure::Silent(_) | Failure::CallerGone => {
                Self::unavailable(AWAY)
            }
        }
    }
}

impl Problem {
    /// For what passes by itself.
    fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(detail).retry_after(ASK_AGAIN)
    }

    /// For stored data: asked again it is as unreadable.
    fn unreadable() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Unreadable data")
            .detail("what is stored can't be read by this version: the log says why; asking again does not help")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored and can't be read is as unreadable when it is asked for again: nobody is told to come back.
    #[test]
    fn what_passes_is_503_and_what_is_stored_unreadable_is_500() {
        let decode =
            |source: &'static str| sqlx::Error::ColumnDecode { index: "details".into(), source: source.into() };
        let json = || serde_json::from_str::<u8>("{}").map(drop).unwrap_err();
        let broken = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for (failure, status) in [
            (Failure::Stored { what: "orders.order, column details".into(), source: json() }, 500),
            (Failure::Database(decode("unexpected null")), 500),
            (Failure::Database(sqlx::Error::Decode("no time that there is".into())), 500),
            (Failure::Panicked("index out of bounds".into()), 500),
            (Failure::Database(broken()), 503),
            (Failure::Database(sqlx::Error::PoolTimedOut), 503),
            (Failure::LostRace { table: "orders", saved: 0, decided: 1 }, 503),
            (Failure::CallerGone, 503),
        ] {
            let said = format!("{failure:?}");
            let problem = Problem::from(failure);
            assert_eq!((problem.status, problem.retry_after.is_some()), (status, status == 503), "{said}");
        }
    }
}
