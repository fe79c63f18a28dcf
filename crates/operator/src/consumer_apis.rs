//! What the operator's hand asks of other consumers, through their own apis: a cancellation of orders, another try of payments.

use std::time::Duration;

use events::OrderId;
use reqwest::StatusCode;
use runtime::Settings;
use runtime::settings::ConsumerSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::OperatorError;

const PATIENCE: Duration = Duration::from_secs(10);
/// Characters at most of a reason, as orders and payments take them.
const LONGEST_REASON: usize = 500;

/// The settings of the operator's hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OperatorSettings {
    /// Where orders listens, such as `http://orders:8080`; default: as orders' own settings say.
    pub orders_url: Option<String>,
    /// Where payments listens; default: as payments' own settings say.
    pub payments_url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ConsumerApis {
    http: reqwest::Client,
    orders: Option<String>,
    payments: Option<String>,
}

impl ConsumerApis {
    /// The apis as they are set; else those that this process hosts (`hosted` says where); else where they listen by their own settings.
    pub fn new(
        settings: &Settings,
        own: &OperatorSettings,
        hosted: impl Fn(&str) -> Option<std::net::SocketAddr>,
    ) -> anyhow::Result<Self> {
        let common = settings.common();
        let listens = |name: &str| -> anyhow::Result<Option<String>> {
            let set = settings.section::<ConsumerSettings>(name)?.http.or(runtime::default_address(name));
            let address = hosted(name).or(set.filter(|address| address.port() != 0));
            Ok(address.map(|address| runtime::http::url(common, address)))
        };
        let http = runtime::http::client(common)?.timeout(PATIENCE).build()?;
        let [orders, payments] = [(&own.orders_url, "orders"), (&own.payments_url, "payments")].map(|(set, name)| {
            let set = set.as_ref().map(|url| url.trim_end_matches('/').to_owned());
            if set.is_some() { Ok(set) } else { listens(name) }
        });
        Ok(Self { http, orders: orders?, payments: payments? })
    }

    /// Asks for an order's cancellation; returns what orders said. An order that has ended, or that orders never knew, has nothing to be taken back.
    pub(crate) async fn cancel(&self, order_id: OrderId, who: &str, why: &str) -> Result<String, OperatorError> {
        let body = json!({"reason": reason(who, why)});
        let (status, answer) = self.post("orders", &self.orders, &format!("/orders/{order_id}/cancel"), &body).await?;
        match status {
            StatusCode::ACCEPTED => Ok(format!("the cancellation of order {order_id} is asked for")),
            StatusCode::CONFLICT => {
                let state = answer["state"].as_str().unwrap_or("ended");
                Ok(format!("order {order_id} is {state} already: nothing is left to cancel"))
            }
            StatusCode::NOT_FOUND => Ok(format!("orders knows no order {order_id}: nothing is there to cancel")),
            other => Err(unexpected("orders", "202, 404 or 409", other, &answer)),
        }
    }

    /// Has payments try the stuck attempt of an order again; returns what payments said.
    pub(crate) async fn retry_payment(&self, order_id: OrderId, who: &str) -> Result<String, OperatorError> {
        let path = format!("/payments/{order_id}/retry");
        let (status, answer) = self.post("payments", &self.payments, &path, &json!({"why": reason(who, "")})).await?;
        match status {
            StatusCode::ACCEPTED => {
                Ok(format!("payments tries it again as {}", answer["attempt"].as_str().unwrap_or("a new attempt")))
            }
            StatusCode::CONFLICT | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
                let detail = answer["detail"].as_str().unwrap_or("it does not say why");
                Err(OperatorError::Refused(format!("payments refuses: {detail}")))
            }
            other => Err(unexpected("payments", "202, 404 or 409", other, &answer)),
        }
    }

    async fn post(
        &self,
        consumer: &str,
        url: &Option<String>,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), OperatorError> {
        let url = url.as_deref().ok_or_else(|| {
            let set = format!("QUADRILLE_SAGA_TRACKER__{}_URL", consumer.to_uppercase());
            OperatorError::Unavailable(format!(
                "where {consumer} listens is not known: set {set}, such as http://host:port"
            ))
        })?;
        let unreachable = |error: reqwest::Error| {
            OperatorError::Unavailable(format!(
                "{consumer} does not answer at {url}: {error}; nothing was done: start it, then do this again"
            ))
        };
        let response = self.http.post(format!("{url}{path}")).json(body).send().await.map_err(unreachable)?;
        let status = response.status();
        let answer = response.bytes().await.map_err(unreachable)?;
        Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
    }
}

/// Others put on record whose key asks, which is this program's: for whom it asks stands in the reason.
fn reason(who: &str, why: &str) -> String {
    format!("{who}: {why}").chars().filter(|letter| !letter.is_control()).take(LONGEST_REASON).collect()
}

fn unexpected(consumer: &str, expected: &str, came: StatusCode, answer: &Value) -> OperatorError {
    let detail = answer["detail"].as_str().unwrap_or("no detail");
    OperatorError::Unavailable(format!(
        "expected {expected} of {consumer}, got {came}: {detail}; nothing was done: do this again later"
    ))
}
