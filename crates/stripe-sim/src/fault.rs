//! DrawnFaults by rule: what goes wrong, with which operations, how often.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use sqlx::types::Json;

use crate::id;
use crate::settings::matches;

/// What Stripe does later about a request that it answered 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Later {
    /// Nothing: it stays as it is.
    Nothing,
    /// What was not done is done.
    RollForward,
    /// What was done is undone.
    RollBack,
}

/// When a request is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowWhen {
    /// Before anything is done.
    Before,
    /// While it is done: its key is in use and its payment locked.
    Within,
    /// After it is done, before the answer.
    After,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The connection is closed; nothing was done.
    ConnectionClosed,
    /// The connection is closed; all was done.
    AnswerDropped,
    /// 500, kept under the key.
    ServerError {
        /// Whether it was done.
        #[serde(default)]
        committed: bool,
        /// What follows.
        #[serde(default = "nothing")]
        later: Later,
        /// When it follows, in seconds of the virtual clock.
        #[serde(default)]
        after: i64,
    },
    /// 502 with a page of HTML, as a proxy answers.
    BadGateway {
        /// Whether it was done.
        #[serde(default)]
        committed: bool,
    },
    /// 429 with `Stripe-Rate-Limited-Reason: endpoint-rate`; nothing was done.
    RateLimited,
    /// 429 `lock_timeout`; nothing was done.
    LockTimeout,
    /// 409 `idempotency_key_in_use`; nothing was done.
    KeyInUse,
    /// 401 `api_key_expired`; nothing was done.
    KeyExpired,
    /// Slow.
    Slow {
        /// Milliseconds of the real clock.
        ms: u64,
        /// When.
        #[serde(default = "within")]
        when: SlowWhen,
    },
    /// Another answer than Stripe's: what is kept under the key is not changed.
    Answer {
        /// Fields that are absent (`latest_charge.outcome`, `error.payment_intent`).
        #[serde(default)]
        remove: Vec<String>,
        /// Fields that are added or have other values (`{"status": "new_status"}`).
        #[serde(default)]
        set: Map<String, Value>,
    },
}

fn nothing() -> Later {
    Later::Nothing
}

fn within() -> SlowWhen {
    SlowWhen::Within
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Operations (`payment_intents.confirm`), or their beginnings with a `*`.
    #[serde(default = "all")]
    pub operations: Vec<String>,
    /// Requests with this idempotency key, or with one that begins so, with a `*`; none: any request.
    #[serde(default)]
    pub key: Option<String>,
    /// Of the requests that fit.
    #[serde(default = "always")]
    pub share: f64,
    /// How often at most; none: for ever.
    #[serde(default)]
    pub times: Option<i64>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: FaultKind,
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// A text that names the field, what was expected and what came.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.share) {
            return Err(format!("share: expected 0 to 1, got {}", self.share));
        }
        if self.times.is_some_and(|times| times < 1) {
            return Err("times: expected at least 1, or none for ever".into());
        }
        match &self.fault {
            FaultKind::ServerError { committed: true, later: Later::RollForward, .. } => {
                Err("later: what is committed can only be rolled back; for roll_forward set committed to false".into())
            }
            FaultKind::ServerError { committed: false, later: Later::RollBack, .. } => {
                Err("later: what is not committed can only be rolled forward; for roll_back set committed to true"
                    .into())
            }
            FaultKind::ServerError { after, .. } if *after < 0 => {
                Err(format!("after: expected no negative number, got {after}"))
            }
            FaultKind::ServerError { .. }
            | FaultKind::ConnectionClosed
            | FaultKind::AnswerDropped
            | FaultKind::BadGateway { .. }
            | FaultKind::RateLimited
            | FaultKind::LockTimeout
            | FaultKind::KeyInUse
            | FaultKind::KeyExpired
            | FaultKind::Slow { .. }
            | FaultKind::Answer { .. } => Ok(()),
        }
    }

    fn fits(&self, operation: &str, key: Option<&str>) -> bool {
        let of_key = self.key.as_ref().is_none_or(|pattern| key.is_some_and(|key| matches(pattern, key)));
        of_key && self.operations.iter().any(|pattern| matches(pattern, operation))
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnFaults {
    /// The first fault that says how the request ends.
    pub end: Option<FaultKind>,
    /// Milliseconds of slowness: before, within, after.
    pub slow: [u64; 3],
    /// Answers that are changed.
    pub answers: Vec<(Vec<String>, Map<String, Value>)>,
}

impl DrawnFaults {
    fn add(&mut self, fault: FaultKind) {
        match fault {
            FaultKind::Slow { ms, when } => self.slow[when as usize] += ms,
            FaultKind::Answer { remove, set } => self.answers.push((remove, set)),
            end @ (FaultKind::ConnectionClosed
            | FaultKind::AnswerDropped
            | FaultKind::ServerError { .. }
            | FaultKind::BadGateway { .. }
            | FaultKind::RateLimited
            | FaultKind::LockTimeout
            | FaultKind::KeyInUse
            | FaultKind::KeyExpired) => {
                self.end.get_or_insert(end);
            }
        }
    }

    /// Changes an answer.
    pub fn distort(&self, body: &mut Value) {
        for (remove, set) in &self.answers {
            for path in remove {
                if let (Some(Value::Object(parent)), name) = find_parent(body, path) {
                    parent.remove(name);
                }
            }
            for (path, value) in set {
                if let (Some(Value::Object(parent)), name) = find_parent(body, path) {
                    parent.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
}

fn find_parent<'b, 'p>(body: &'b mut Value, path: &'p str) -> (Option<&'b mut Value>, &'p str) {
    match path.rsplit_once('.') {
        None => (Some(body), path),
        Some((parents, name)) => (body.pointer_mut(&format!("/{}", parents.replace('.', "/"))), name),
    }
}

/// Draws which rules hit a request, and counts them. They are counted whatever becomes of the request.
///
/// # Errors
/// When the database can't be reached.
pub async fn pick(pool: &PgPool, operation: &str, key: Option<&str>) -> Result<DrawnFaults, sqlx::Error> {
    let rules: Vec<(i64, Json<FaultRule>)> =
        sqlx::query_as("select id, rule from fault_rules where remaining is null or remaining > 0 order by id")
            .fetch_all(pool)
            .await?;
    let mut faults = DrawnFaults::default();
    for (rule_id, rule) in rules {
        if !rule.fits(operation, key) || (rule.share < 1.0 && id::draw() >= rule.share) {
            continue;
        }
        let counted = sqlx::query(
            "update fault_rules set hits = hits + 1, remaining = remaining - 1 where id = $1 and (remaining is null or remaining > 0)",
        )
        .bind(rule_id)
        .execute(pool)
        .await?;
        if counted.rows_affected() > 0 {
            faults.add(rule.0.fault);
        }
    }
    Ok(faults)
}

/// The page of a proxy that got no answer.
pub const BAD_GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// A rule as it is shown, with how often it hit.
#[must_use]
pub fn rule_json(rule_id: i64, rule: &FaultRule, remaining: Option<i64>, hits: i64) -> Value {
    let mut shown = json!(rule);
    shown["id"] = json!(rule_id);
    shown["remaining"] = json!(remaining);
    shown["hits"] = json!(hits);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(fields: Value) -> Result<FaultRule, String> {
        let rule: FaultRule = serde_json::from_value(fields).map_err(|error| error.to_string())?;
        rule.check().map(|()| rule)
    }

    #[test]
    fn rules_fit_operations_and_keys() {
        let of_key =
            rule(json!({"fault": "answer_dropped", "operations": ["payment_intents.*"], "key": "order:*"})).unwrap();
        assert!(of_key.fits("payment_intents.confirm", Some("order:7:authorize")));
        assert!(!of_key.fits("payment_intents.confirm", None) && !of_key.fits("refunds.create", Some("order:7")));
        assert!(rule(json!({"fault": "lock_timeout"})).unwrap().fits("refunds.create", None));
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        assert!(rule(json!({"fault": "unknown"})).is_err());
        assert!(rule(json!({"fault": "lock_timeout", "share": 2})).is_err());
        assert!(rule(json!({"fault": "lock_timeout", "times": 0})).is_err());
        assert!(rule(json!({"fault": "server_error", "committed": true, "later": "roll_forward"})).is_err());
        assert!(rule(json!({"fault": "server_error", "later": "roll_back"})).is_err());
        assert!(rule(json!({"fault": "server_error", "committed": true, "later": "roll_back", "after": 60})).is_ok());
    }

    #[test]
    fn answers_lose_and_gain_fields() {
        let mut faults = DrawnFaults::default();
        faults.add(
            rule(json!({"fault": "answer", "remove": ["a.b", "x.y"], "set": {"status": "new", "a.c": 1}}))
                .unwrap()
                .fault,
        );
        let mut body = json!({"a": {"b": 1}, "status": "succeeded"});
        faults.distort(&mut body);
        assert_eq!(body, json!({"a": {"c": 1}, "status": "new"}));
    }

    #[test]
    fn slowness_adds_up_and_the_first_end_counts() {
        let mut faults = DrawnFaults::default();
        for fields in [
            json!({"fault": "slow", "ms": 5}),
            json!({"fault": "slow", "ms": 7}),
            json!({"fault": "slow", "ms": 1, "when": "after"}),
            json!({"fault": "lock_timeout"}),
            json!({"fault": "rate_limited"}),
        ] {
            faults.add(rule(fields).unwrap().fault);
        }
        assert_eq!((faults.slow, faults.end), ([0, 12, 1], Some(FaultKind::LockTimeout)));
    }
}
