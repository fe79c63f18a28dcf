//! What a provider tells unasked: by a webhook, or through the customer's bank.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use events::OrderId;
use runtime::http::Problem;
use serde::{Deserialize, Serialize};

use crate::outcome::{Hold, RefundStatus};

/// What came of the customer's action (3-D Secure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "few of them, and not for long")]
pub enum ActionResult {
    /// It was confirmed: the money is held.
    Passed {
        /// What the provider holds; none if it is not said.
        hold: Option<Hold>,
    },
    /// It was not.
    Failed {
        /// For people; no personal data.
        detail: String,
    },
}

/// A notice of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderNotice {
    /// What came of the customer's action.
    Action {
        /// Whose.
        order_id: OrderId,
        /// What.
        result: ActionResult,
    },
    /// How a refund stands, by the provider's own ids.
    Refund {
        /// The notice's id: a repetition is known by it.
        message_id: String,
        /// The refund's id.
        refund_id: String,
        /// How the refund stands.
        status: RefundStatus,
    },
}

/// What came of a notice. A payment's state is named as `GET /payments/{order_id}` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeEffect {
    /// The payment went on, and now stands there.
    Recorded(&'static str),
    /// It came before our own commit: it is kept, and counts when that is here.
    Kept,
    /// It changed nothing: the payment stands there already, went another way, or is not known.
    Nothing(Option<&'static str>),
}

type Recorded = Pin<Box<dyn Future<Output = Result<NoticeEffect, Problem>> + Send>>;

/// Where a provider's routes hand in its notices.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(String, ProviderNotice) -> Recorded + Send + Sync>);

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}

impl Notices {
    /// Notices that `record` takes, each with a key that makes it the same notice when it comes again.
    pub fn new<R>(record: impl Fn(String, ProviderNotice) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<NoticeEffect, Problem>> + Send + 'static,
    {
        Self(Arc::new(move |key, notice| Box::pin(record(key, notice))))
    }

    /// Records a notice; returns when it is committed.
    ///
    /// # Errors
    /// When it contradicts the payment's state, or can't be recorded now.
    pub async fn record(&self, key: String, notice: ProviderNotice) -> Result<NoticeEffect, Problem> {
        (self.0)(key, notice).await
    }
}
