//! The real `decide` functions of all consumers together, in memory, through random interleavings, re-deliveries, crashes, late timers and a
//! hostile gateway and warehouse, of one order and of several that share stock; what docs/protocol.md, section 5, says is checked whenever all is quiet.

mod gateway;
mod node;
mod world;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// A small generator whose runs can be repeated by their seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    /// True in so many of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// `MODEL_RUNS` and `MODEL_SEED` ask for more runs, or for one again.
#[allow(clippy::disallowed_methods)] // tests have no settings of their own
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn explore(runs: u64, orders: std::ops::RangeInclusive<usize>, salt: u64) {
    let first = setting("MODEL_SEED", salt);
    let (runs, began) = (setting("MODEL_RUNS", runs), Instant::now());
    let mut steps = 0;
    // Made once: to parse all schemas takes longer than a run.
    let codec = runtime::Codec::of_catalogue().expect("our own schemas");
    let mut seen = std::collections::BTreeMap::new();
    for seed in first..first + runs {
        let mut random = Random::new(seed);
        let count = orders.start() + random.below(orders.end() - orders.start() + 1);
        let mut world = world::World::new(count, random, &codec);
        match catch_unwind(AssertUnwindSafe(|| world.run())) {
            Ok(()) => {}
            Err(panic) => {
                eprintln!("seed {seed}: MODEL_SEED={seed} MODEL_RUNS=1 runs it again\n{}", world.log());
                std::panic::resume_unwind(panic);
            }
        }
        steps += world.steps();
        for name in world.said_types() {
            *seen.entry(name).or_insert(0_u64) += 1;
        }
    }
    // Past the capture of a test's output: a run that passes says what it tried.
    let _ = writeln!(
        std::io::stdout(),
        "{runs} runs of {orders:?} orders, seeds {first}..{}, {steps} steps, {:.1} s",
        first + runs,
        began.elapsed().as_secs_f64()
    );
    // A property that is never put to the test proves nothing: every event that can be said was said.
    for name in world::EXPECTED {
        assert!(runs < 1_000 || seen.contains_key(name), "{name} was never said in {runs} runs: {seen:?}");
    }
}

#[test]
fn one_order_ends_as_the_protocol_says_in_every_run() {
    explore(7_000, 1..=1, 1);
}

#[test]
fn orders_that_share_stock_end_as_the_protocol_says_in_every_run() {
    explore(3_000, 2..=5, 1_000_000);
}
