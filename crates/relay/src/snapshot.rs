//! PostgreSQL's snapshots as values: who had committed when one was taken. The relay publishes what lies between two of them.

use std::fmt;
use std::str::FromStr;

/// A `pg_snapshot`: every transaction below `xmin` had ended, none from `xmax` on had begun to be seen, those in `xip` ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// In progress when it was taken; ascending.
    xip: Vec<u64>,
}

/// A text that is not a snapshot.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a snapshot: expected PostgreSQL's form `xmin:xmax:xip,…`; was the table outbox.relay_cursor edited by hand?"
)]
pub struct NotASnapshot(String);

impl Snapshot {
    /// The snapshot that sees no transaction: 3 is the first id that PostgreSQL gives to one.
    pub fn start() -> Self {
        Self { xmin: 3, xmax: 3, xip: Vec::new() }
    }

    /// The first transaction id that it can't see.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Transactions below [`Snapshot::xmax`] that it can't see either; ascending.
    pub fn in_progress(&self) -> &[u64] {
        &self.xip
    }

    /// The transactions that it can't see, from each first to its last; ascending.
    pub fn unseen(&self) -> impl Iterator<Item = (u64, u64)> {
        let ran = self.xip.chunk_by(|xid, next| xid + 1 == *next);
        let ran = ran.filter_map(|chunk| Some((*chunk.first()?, *chunk.last()?)));
        ran.chain([(self.xmax, u64::MAX)])
    }

    /// Whether what this transaction wrote, if it committed, is visible.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && self.xip.binary_search(&xid).is_err()
    }

    /// Whether everything that `other` sees is visible here as well.
    pub fn covers(&self, other: &Self) -> bool {
        other.xmax <= self.xmax && self.xip.iter().all(|xid| !other.sees(*xid))
    }

    /// The same snapshot, taken while `xid` ran too: a transaction's own id is missing in the snapshot it takes.
    pub fn with_in_progress(mut self, xid: u64) -> Self {
        if self.sees(xid) {
            self.xip.push(xid);
            self.xip.sort_unstable();
            self.xmin = self.xmin.min(xid);
        }
        self
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:", self.xmin, self.xmax)?;
        for (n, xid) in self.xip.iter().enumerate() {
            write!(formatter, "{}{xid}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let refuse = || NotASnapshot(text.to_owned());
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or_else(refuse);
        let number = |text: &str| text.parse::<u64>().map_err(|_| refuse());
        let (xmin, xmax, running) = (number(part()?)?, number(part()?)?, part()?);
        let mut xip = running.split(',').filter(|xid| !xid.is_empty()).map(number).collect::<Result<Vec<_>, _>>()?;
        xip.sort_unstable();
        Ok(Self { xmin, xmax, xip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn the_text_form_comes_back_and_other_texts_are_refused() {
        for text in ["3:3:", "10:20:10,14,19", "18446744073709551610:18446744073709551615:"] {
            assert_eq!(snapshot(text).to_string(), text);
        }
        for text in ["", "1", "1:2", "1:x:", "1:2:3,x"] {
            assert!(text.parse::<Snapshot>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_sees_what_had_ended_and_not_what_ran_or_came_later() {
        let taken = snapshot("10:20:10,14");
        assert!(taken.sees(9) && taken.sees(11) && taken.sees(19));
        assert!(!taken.sees(10) && !taken.sees(14) && !taken.sees(20));
        let unseen: Vec<_> = snapshot("10:20:10,11,14").unseen().collect();
        assert_eq!(unseen, [(10, 11), (14, 14), (20, u64::MAX)]);
        assert!(!Snapshot::start().sees(3));
    }

    #[test]
    fn a_later_snapshot_covers_an_earlier_one_and_not_the_other_way() {
        let (early, late) = (snapshot("10:20:10,14"), snapshot("14:20:14"));
        assert!(late.covers(&early) && !early.covers(&late) && late.covers(&late));
        assert!(early.covers(&Snapshot::start()));
        assert!(snapshot("14:30:14,25").covers(&late), "25 began after the other was taken");
        assert!(!snapshot("15:30:15").covers(&snapshot("16:20:")), "15 is visible in one, running in the other");
    }

    #[test]
    fn ones_own_transaction_is_added_where_it_would_look_ended() {
        assert_eq!(snapshot("10:20:14").with_in_progress(12).to_string(), "10:20:12,14");
        assert_eq!(snapshot("15:20:").with_in_progress(12).to_string(), "12:20:12");
        assert_eq!(snapshot("10:20:").with_in_progress(20).to_string(), "10:20:");
    }
}
