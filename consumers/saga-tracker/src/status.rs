//! How far an order got, in one word: the furthest that any event says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an order stands. The order of these is the rank: what undoes it is further than what goes on, and its end is furthest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(i16)]
pub enum Status {
    /// Something was heard of it, but not how it began.
    #[default]
    Placed = 0,
    /// It is valid; stock is being looked for.
    Accepted = 10,
    /// Every unit is reserved; the payment is under way.
    Reserved = 20,
    /// The customer must act before the payment can go on.
    ActionRequired = 25,
    /// The money is held.
    Authorized = 30,
    /// People look at it.
    InReview = 35,
    /// It may go on; warehouses pick.
    Cleared = 40,
    /// What will ship is packed.
    Confirmed = 50,
    /// It is paid.
    Captured = 60,
    /// A parcel has left.
    Shipping = 70,
    /// All of it, or what had not left, is being undone.
    Failing = 80,
    /// The same, and somebody had asked for it.
    Cancelling = 85,
    /// Ended: it was not valid.
    Rejected = 90,
    /// Ended: nothing shipped.
    Failed = 91,
    /// Ended: nothing shipped, as was asked.
    Cancelled = 92,
    /// Ended: something shipped.
    Completed = 93,
}

impl Status {
    /// All of them, by rank, each with its name, as the database, the routes and people have it.
    pub const ALL: [(Self, &'static str); 16] = [
        (Self::Placed, "PLACED"),
        (Self::Accepted, "ACCEPTED"),
        (Self::Reserved, "RESERVED"),
        (Self::ActionRequired, "ACTION_REQUIRED"),
        (Self::Authorized, "AUTHORIZED"),
        (Self::InReview, "IN_REVIEW"),
        (Self::Cleared, "CLEARED"),
        (Self::Confirmed, "CONFIRMED"),
        (Self::Captured, "CAPTURED"),
        (Self::Shipping, "SHIPPING"),
        (Self::Failing, "FAILING"),
        (Self::Cancelling, "CANCELLING"),
        (Self::Rejected, "REJECTED"),
        (Self::Failed, "FAILED"),
        (Self::Cancelled, "CANCELLED"),
        (Self::Completed, "COMPLETED"),
    ];

    pub const fn rank(self) -> i16 {
        self as i16
    }

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }

    pub fn of_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().map(|(status, _)| status).find(|status| status.rank() == rank)
    }

    pub const fn is_end(self) -> bool {
        self.rank() >= Self::Rejected.rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_names_each_rank_as_the_code_does() {
        let migration = include_str!("../../../migrations/saga_tracker/0001_read_models.sql");
        let (status, outcome) = migration.split_once("outcome         text").unwrap();
        for (of, _) in Status::ALL {
            let case = format!("when {} then '{}'", of.rank(), of.as_str());
            assert!(status.contains(&case), "{case}");
            assert_eq!(outcome.contains(&case), of.is_end(), "{case}");
            assert_eq!(Status::of_rank(of.rank()), Some(of));
            assert_eq!(serde_json::to_value(of).unwrap(), of.as_str());
        }
        assert!(Status::ALL.is_sorted());
    }
}
