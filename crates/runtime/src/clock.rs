//! The one clock: every time and every fresh id comes from here, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events::Timestamp;
use tokio::sync::watch;
use uuid::{NoContext, Uuid};

/// The clock of a process: the machine's, moved by as much as a test says.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The time now, in milliseconds.
    #[allow(clippy::disallowed_methods)] // the one place that asks the machine
    pub fn now(&self) -> Timestamp {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Timestamp::from_millis(real + self.ahead_ms.load(Ordering::SeqCst))
    }

    /// Moves the clock forward, for all who share it, and wakes whoever waits for a time.
    pub fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.moved.send_replace(());
    }

    /// Waits until this time by this clock has come, however it comes.
    pub async fn sleep_until(&self, time: Timestamp) {
        let mut moved = self.moved.subscribe();
        loop {
            let Ok(left @ 1..) = u64::try_from(time.as_millis() - self.now().as_millis()) else { return };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// A fresh UUIDv7 of the time now: ids sort by when they were minted.
    pub fn mint(&self) -> Uuid {
        let now = self.now().as_millis().max(0) as u64;
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now / 1000, (now % 1000) as u32 * 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moving_the_clock_wakes_who_waits_for_a_time() {
        let clock = Clock::default();
        let due = clock.now().plus(Duration::from_secs(3_600));
        let wait = clock.sleep_until(due);
        tokio::pin!(wait);
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut wait).await.is_err(), "an hour has not passed");
        clock.advance(Duration::from_secs(3_600));
        wait.await;
        assert!(clock.now() >= due);
    }
}
