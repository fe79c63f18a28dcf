//! What the harness itself promises: no test ends without an audit.

use quadrille_tests::{Pipeline, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "was dropped before its books were audited: end the test by `finish()`")]
async fn a_pipeline_that_is_dropped_without_an_audit_fails_its_test() {
    drop(Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await);
}
