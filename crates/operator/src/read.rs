//! What is known of dead letters: lists, groups, one of them, and what people had done.

use events::Timestamp;
use uuid::Uuid;

use crate::dead_letter::LetterCase;
use crate::error::OperatorError;
use crate::filter::Filter;
use crate::operator::Operator;
use crate::plan::MAX_LOOPS;
use crate::store::{self, ActionFilter, ActionView, GroupView, JobView};
use crate::views::{CanView, LetterView};

/// Bytes of a value that a list shows.
const SHOWN: i32 = 2_048;

impl Operator {
    /// The dead letter whose id this is, or begins with; an error if there is none, or more than one.
    pub async fn find(&self, text: &str) -> Result<Uuid, OperatorError> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let (Ok(least), Ok(greatest), 1..=32) = (whole_of(&digits, '0'), whole_of(&digits, 'f'), digits.len()) else {
            return Err(OperatorError::Refused(format!("expected a dead letter's id, or how it begins, got {text:?}")));
        };
        let refused = match store::letters_between(&self.tracker, least, greatest).await?.as_slice() {
            [one] => return Ok(*one),
            [] => format!("no dead letter that was heard of has the id {text}; `list` shows them"),
            _ => format!("more than one dead letter has an id that begins with {text}: give more of it"),
        };
        Err(OperatorError::Refused(refused))
    }

    pub async fn list(&self, filter: &Filter, limit: i64) -> Result<Vec<LetterView>, OperatorError> {
        Ok(self.page(filter, None, limit).await?.into_iter().map(|(_, letter)| letter).collect())
    }

    /// Dead letters behind one of them, the newest first, each with what it is ordered by.
    pub async fn page(
        &self,
        filter: &Filter,
        behind: Option<(Timestamp, Uuid)>,
        limit: i64,
    ) -> Result<Vec<((Timestamp, Uuid), LetterView)>, OperatorError> {
        let rows = store::letters(&self.tracker, filter, behind, SHOWN, limit).await?;
        Ok(rows.into_iter().map(|row| ((row.died_at.0, row.letter_id), LetterView::from(row))).collect())
    }

    pub async fn groups(&self, filter: &Filter, limit: i64) -> Result<Vec<GroupView>, OperatorError> {
        Ok(store::groups(&self.tracker, filter, limit).await?)
    }

    /// One dead letter with its whole value, its data as JSON, what was done about it, and what can be done now; none: it was not heard of.
    pub async fn show(&self, letter_id: Uuid) -> Result<Option<LetterView>, OperatorError> {
        let Some(row) = store::letter(&self.tracker, letter_id).await? else { return Ok(None) };
        let held = self.held(std::slice::from_ref(&row)).await?;
        let letter = LetterCase { row: &row, held: held.get(&letter_id) };
        let data = letter.data(&self.codec);
        let blocking = letter.held.map(|held| held.blocking);
        let can = CanView::of(&letter.facts(), MAX_LOOPS);
        let actions = self.audit(Some(letter_id), 100).await?;
        Ok(Some(LetterView { data, blocking, can, actions, ..row.into() }))
    }

    pub async fn audit(&self, letter_id: Option<Uuid>, limit: i64) -> Result<Vec<ActionView>, OperatorError> {
        self.actions(&ActionFilter { letter_id, limit, ..ActionFilter::default() }).await
    }

    pub async fn actions(&self, filter: &ActionFilter) -> Result<Vec<ActionView>, OperatorError> {
        Ok(store::actions(&self.tracker, filter).await?)
    }

    pub async fn jobs(&self, limit: i64) -> Result<Vec<JobView>, OperatorError> {
        Ok(store::jobs(&self.tracker, limit).await?)
    }

    pub async fn job(&self, job_id: Uuid) -> Result<Option<JobView>, OperatorError> {
        Ok(store::job(&self.tracker, job_id).await?)
    }
}

fn whole_of(digits: &str, fill: char) -> Result<Uuid, uuid::Error> {
    let missing = 32_usize.saturating_sub(digits.len());
    Uuid::parse_str(&format!("{digits}{}", fill.to_string().repeat(missing)))
}
