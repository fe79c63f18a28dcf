//! JSON bodies: read within bounds, and refused as a problem that names the field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::json::{self, JsonError};

/// A JSON body, read as [`json::read`] does; its refusal is a problem.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// What a handler answers: a document, or a problem.
pub type JsonResult<T> = Result<Json<T>, Problem>;

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
                .detail("expected a JSON body: send it with `Content-Type: application/json`"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), "Unreadable body").detail(rejection.body_text()))?;
        json::read(&body).map(Self).map_err(Problem::from)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// 400 for what is no JSON, 422 for JSON of another shape, with the field among its `faults`.
impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let status = if error.is_json { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let (detail, code) = (error.to_string(), if error.is_json { "invalid_type" } else { "unreadable" });
        let fault = Fault { field: error.field, code: code.into(), detail: error.detail };
        Self::new(status, "Unreadable body").detail(detail).with("faults", serde_json::json!([fault]))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Count {
        on_hand: i64,
    }

    async fn read(content_type: &str, body: &str) -> Result<i64, u16> {
        let request = Request::builder().header(header::CONTENT_TYPE, content_type).body(Body::from(body.to_owned()));
        let read = Json::<Count>::from_request(request.unwrap(), &()).await;
        read.map(|Json(count)| count.on_hand).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_is_json_of_the_right_shape_or_a_problem_of_its_own_status() {
        for (content_type, body, expected) in [
            ("application/json", r#"{"on_hand": 3.0}"#, Ok(3)),
            ("Application/JSON; charset=utf-8", "\u{feff}{\"on_hand\": 3}", Ok(3)),
            ("application/cloudevents+json", r#"{"on_hand": 3}"#, Ok(3)),
            ("text/plain", r#"{"on_hand": 3}"#, Err(415)),
            ("application/json", "[3]", Err(422)),
            ("application/json", r#"{"on_hand": "3"}"#, Err(422)),
            ("application/json", "{", Err(400)),
        ] {
            assert_eq!(read(content_type, body).await, expected, "{content_type} {body}");
        }
    }
}
