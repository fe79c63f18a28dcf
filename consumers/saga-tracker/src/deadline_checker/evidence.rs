//! Gathers the evidence: asks Kafka how far consumers are, and PostgreSQL how far relays have published, as heard here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events::Timestamp;
use kafka_admin::groups::Groups;
use runtime::{Clock, Failure};
use sqlx::PgPool;

use crate::store;
use crate::tracker::NAME;
use deadlines::{Evidence, RULES, Sample, Sightings};

const THIN_EVERY: Duration = Duration::from_secs(600);

pub(super) struct Watcher {
    groups: Groups,
    evidence: Arc<Evidence>,
    sightings: Sightings,
    sampled: Option<(Instant, Timestamp)>,
    thinned: Option<Instant>,
}

impl Watcher {
    pub async fn load(
        pool: &PgPool,
        groups: Groups,
        databases: HashMap<&'static str, String>,
    ) -> Result<Self, Failure> {
        let (pace, outages) = store::pace::load(pool).await?;
        let evidence = Arc::new(Evidence { pace, outages, folded: HashMap::new(), databases });
        Ok(Self { groups, evidence, sightings: Sightings::default(), sampled: None, thinned: None })
    }

    /// Sees how far each consumer is, unless that was seen just now. The clock of tests may have moved on since.
    pub async fn sample(&mut self, pool: &PgPool, clock: &Clock, every: Duration) -> anyhow::Result<()> {
        let is_fresh = |(at, time): (Instant, Timestamp)| at.elapsed() < every && clock.now().since(time) < every;
        if self.sampled.is_some_and(is_fresh) {
            return Ok(());
        }
        let asked = RULES.subscribes_to.iter().map(|(consumer, topics)| self.groups.standing(consumer, topics.clone()));
        let standings = futures_util::future::try_join_all(asked).await?;
        let at = clock.now();
        let mut fresh = Vec::new();
        let evidence = Arc::make_mut(&mut self.evidence);
        for ((consumer, _), standing) in RULES.subscribes_to.iter().zip(standings) {
            for (spot, committed) in standing.committed {
                let sample = Sample { at, committed };
                if evidence.pace.see(consumer, spot, sample) {
                    fresh.push((*consumer, spot, sample));
                }
            }
            if let Some(outage) = evidence.outages.see(consumer, !standing.has_members, at) {
                store::pace::keep_outage(pool, consumer, outage).await?;
            }
        }
        store::pace::keep(pool, &fresh).await?;
        if self.thinned.is_none_or(|at| at.elapsed() >= THIN_EVERY) {
            store::pace::thin(pool, at).await?;
            self.thinned = Some(Instant::now());
        }
        self.sampled = Some((Instant::now(), at));
        Ok(())
    }

    /// What is known now; none: the tracker is behind, and nothing can be said.
    pub async fn evidence(&mut self, pool: &PgPool) -> anyhow::Result<Option<Arc<Evidence>>> {
        // In this order: what the watermarks speak of stands before the ends, and what was read was read after both.
        let published = store::published(pool).await?;
        let ends = self.groups.ends(NAME, RULES.topics.clone()).await?;
        let own = self.groups.standing(NAME, RULES.topics.clone()).await?;
        let Some(folded) = self.sightings.take(published, ends, &own.committed) else {
            return Ok(None);
        };
        Arc::make_mut(&mut self.evidence).folded = folded;
        Ok(Some(Arc::clone(&self.evidence)))
    }
}
