//! What the harness itself promises: no test ends without an audit.

use quadrille_tests::{Pipeline, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "was dropped before its books were audited: end the test by `finish()`")]
async fn a_pipeline_that_is_dropped_without_an_audit_fails_its_test() {
    drop(Pipeline::with(Setup { consumers: Vec::new(), ..Setup::default() }).await);
}

/// `cargo xtask test` does not look for them, as that takes a minute: whoever writes the first takes `--tests` from xtask/src/test.rs.
#[test]
fn no_crate_has_tests_in_its_documentation() {
    for (file, text) in crate::statements::sources::files() {
        let is_test =
            |line: &str| line.trim_start().starts_with("//") && line.contains("```") && !line.contains("```text");
        assert!(!text.lines().any(is_test), "{file}: a block of code in the documentation is a test that nobody runs");
    }
}
