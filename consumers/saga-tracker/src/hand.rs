//! The operator's hand: what people do about dead letters, one of them or all of a filter. One library, behind the tracker's doors and the command line.
//!
//! What a wish comes to is planned by a pure rule ([`plan`](mod@plan)), so that a dry run says exactly what would be done. Each dead letter is a
//! transaction of its own, with its line in the audit record: whoever is interrupted has done some wholly, the others not at all, and goes on by
//! doing the same again.

mod act;
mod all;
mod doors;
mod edit;
mod filter;
pub(crate) mod jobs;
mod plan;
mod queue;
mod schema;
mod settings;
mod views;

use std::collections::BTreeMap;

use anyhow::Context as _;
use choreography::Choreography;
use events::{OrderId, Timestamp};
use runtime::parking::HeldLetter;
use runtime::{Clock, Codec, Consumer as _, Failure, Registry, Settings, Verdict, sql};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

pub use act::Outcome;
pub use all::{Bulk, Report, Told};
pub use doors::RouteState;
pub use edit::{EditError, with_fields};
pub use filter::Filter;
pub use plan::{Act, Facts, Refusal, Step, What, plan};
pub use schema::Misfit;
pub use settings::HandSettings;
pub use views::{ActionView, BytesView, CanView, GroupView, JobView, LetterView, PlaceView};

use crate::SagaTracker;
use crate::letter::{Kind, LetterStatus};
use crate::store::{self, LetterRow};

/// Bytes of a value that a list shows.
pub(crate) const SHOWN: i32 = 2_048;
/// How often a record may go round unless somebody says otherwise.
pub const MAX_LOOPS: i32 = 5;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// It must not be done, or there is nothing to do: the same again is refused again.
    #[error("{0}")]
    Refused(String),
    /// The new data can't be taken.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody who is needed does not answer: the same again may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The job was stopped, or another instance works on it.
    #[error("the job was stopped, or is worked on by another instance")]
    Lost,
    /// The database refused, or did not answer.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl HandError {
    /// Whether it is about this dead letter alone, so that all others of a filter are gone on with: what it asks is refused, or the database refuses
    /// what it holds.
    fn is_of_one(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Edit(_) => true,
            Self::Failed(failure) => {
                matches!(failure.verdict(), Verdict::DeadLetter | Verdict::Park) && !failure.is_wait()
            }
            Self::Unavailable(_) | Self::Lost => false,
        }
    }
}

impl From<sqlx::Error> for HandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for HandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.0)
    }
}

/// Who has something done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A person's name or account.
    pub who: String,
    /// Their reason; may be empty for a retry.
    pub why: String,
}

/// The hand: the tracker's database, those of the consumers, and the doors of orders and payments.
#[derive(Clone)]
pub struct Hand {
    pub(crate) tracker: PgPool,
    pub(crate) clock: Clock,
    apart: BTreeMap<&'static str, PgPool>,
    doors: RouteState,
    codec: Codec,
}

impl Hand {
    /// A hand by the settings of this process, for a tool: it works on the databases, whether or not the tracker runs.
    ///
    /// # Errors
    /// When a setting can't be read, or a database does not answer or is not at this version.
    pub async fn open(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let doors = RouteState::new(settings, &settings.section(SagaTracker::NAME)?, |_| None)?;
        let url = settings.database_url(SagaTracker::NAME)?;
        let tracker = sql::pool(url.expose(), "quadrille dead-letters", 2).context("DATABASE_URL")?;
        Self::new(settings, clock, tracker, doors).await
    }

    /// A hand on the tracker's own connections.
    ///
    /// # Errors
    /// As [`Hand::open`].
    pub async fn new(settings: &Settings, clock: Clock, tracker: PgPool, doors: RouteState) -> anyhow::Result<Self> {
        for (schema, migrator) in
            runtime::migrations::house().into_iter().chain([("saga_tracker", crate::migrations())])
        {
            runtime::migrations::check(&tracker, schema, &migrator).await?;
        }
        let own = settings.database_url(SagaTracker::NAME)?;
        let mut apart = BTreeMap::new();
        for name in Choreography::embedded().consumers.names() {
            let url = settings.database_url(name)?;
            if url != own {
                apart.insert(
                    name,
                    sql::pool(url.expose(), "quadrille dead-letters", 2).with_context(|| name.to_owned())?,
                );
            }
        }
        let codec = Registry::codec(&tracker).await?;
        Ok(Self { tracker, clock, apart, doors, codec })
    }

    /// The dead letter whose id this is, or begins with.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn find(&self, text: &str) -> Result<Uuid, HandError> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let (Ok(least), Ok(greatest), 1..=32) = (whole_of(&digits, '0'), whole_of(&digits, 'f'), digits.len()) else {
            return Err(HandError::Refused(format!("expected a dead letter's id, or how it begins, got {text:?}")));
        };
        match store::letters_between(&self.tracker, least, greatest).await?.as_slice() {
            [one] => Ok(*one),
            [] => Err(HandError::Refused(format!(
                "no dead letter that was heard of has the id {text}; `list` shows them"
            ))),
            _ => Err(HandError::Refused(format!(
                "more than one dead letter has an id that begins with {text}: give more of it"
            ))),
        }
    }

    /// Dead letters, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, filter: &Filter, limit: i64) -> Result<Vec<LetterView>, HandError> {
        let rows = store::letters(&self.tracker, filter, None, SHOWN, limit).await?;
        Ok(rows.into_iter().map(LetterView::from).collect())
    }

    /// Dead letters grouped by cause, those with the most first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn groups(&self, filter: &Filter, limit: i64) -> Result<Vec<GroupView>, HandError> {
        let rows = store::groups(&self.tracker, filter, limit).await?;
        Ok(rows.into_iter().map(GroupView::from).collect())
    }

    /// One dead letter with its whole value, its data as JSON, what was done about it, and what can be done now; none: it was not heard of.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn show(&self, letter_id: Uuid) -> Result<Option<LetterView>, HandError> {
        let Some(row) = store::letter(&self.tracker, letter_id).await? else { return Ok(None) };
        let held = self.held(std::slice::from_ref(&row)).await?;
        let held = held.get(&letter_id);
        let (facts, blocking) = (facts(&row, held), held.map(|held| held.blocking));
        let data = data(&row, &self.codec);
        let filter = store::ActionFilter { letter_id: Some(letter_id), limit: 100, ..store::ActionFilter::default() };
        let actions = store::actions(&self.tracker, &filter).await?;
        let mut view = LetterView::from(row);
        (view.data, view.blocking) = (data, blocking);
        view.can = CanView::of(&facts, MAX_LOOPS);
        view.actions = actions.into_iter().map(ActionView::from).collect();
        Ok(Some(view))
    }

    /// What people had done, the newest first: about one dead letter, or at all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit(&self, letter_id: Option<Uuid>, limit: i64) -> Result<Vec<ActionView>, HandError> {
        let filter = store::ActionFilter { letter_id, limit, ..store::ActionFilter::default() };
        Ok(store::actions(&self.tracker, &filter).await?.into_iter().map(ActionView::from).collect())
    }

    /// The database of a consumer, and whether it is another than the tracker's.
    fn database(&self, consumer: &str) -> (&PgPool, bool) {
        self.apart.get(consumer).map_or((&self.tracker, false), |pool| (pool, true))
    }
}

fn whole_of(digits: &str, fill: char) -> Result<Uuid, uuid::Error> {
    let missing = 32_usize.saturating_sub(digits.len());
    Uuid::parse_str(&format!("{digits}{}", fill.to_string().repeat(missing)))
}

/// What the plan goes by: what its consumer keeps of it, or else what was heard.
fn facts(row: &LetterRow, held: Option<&HeldLetter>) -> Facts {
    let what = match held {
        Some(HeldLetter { record: Some(_), .. }) => What::Record,
        Some(HeldLetter { timer: Some(_), .. }) => What::Timer,
        None if row.original_topic.is_some() => What::Record,
        Some(_) | None => What::Attempt,
    };
    let status = held.map_or(Some(row.status.as_str()), |held| held.resolution.as_deref());
    Facts {
        kind: if row.kind == Kind::Order.as_str() { Kind::Order } else { Kind::Event },
        status: status.and_then(LetterStatus::of).unwrap_or(LetterStatus::Open),
        consumers: row.consumers.clone(),
        what,
        order_id: row.order_id.map(OrderId),
        loops: held.map_or(row.loops, |held| held.loops),
    }
}

/// The record that a dead letter holds.
fn original(row: &LetterRow) -> edit::Original<'_> {
    let content_type = |header: &&crate::letter::Header| header.name.eq_ignore_ascii_case("content-type");
    edit::Original {
        topic: row.original_topic.as_deref().unwrap_or_default(),
        event_type: row.event_type.as_deref(),
        content_type: row.headers.0.iter().rfind(content_type).and_then(|header| header.value.as_deref()),
        key: row.key.as_deref(),
        value: row.value.as_deref(),
    }
}

/// The data of the event that died, as JSON.
fn data(row: &LetterRow, codec: &Codec) -> Option<Value> {
    if row.kind == Kind::Order.as_str() {
        let case: events::OrderStuck = codec.decode(row.value.as_deref()).ok()?;
        return serde_json::to_value(case).ok();
    }
    match row.original_topic {
        Some(_) => edit::data(original(row), codec),
        None => serde_json::from_slice(row.value.as_deref()?).ok(),
    }
}

/// Where a dead letter stands in the order in which all of a filter are gone through.
fn place(row: &LetterRow) -> (Timestamp, Uuid) {
    (row.died_at.0, row.letter_id)
}
