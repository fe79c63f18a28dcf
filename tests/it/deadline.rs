//! A test that hangs ends the run, and says which it is and where it stands.

use std::process::Command;
use std::time::Duration;

use quadrille_tests::deadline;

/// Set for the test binary that is started to hang.
const HANGS: &str = "QUADRILLE_TEST_HANGS";

#[test]
fn a_test_that_hangs_ends_the_run_with_its_name_and_where_it_stood() {
    let mut hangs = Command::new(std::env::current_exe().unwrap());
    let output = hangs.args(["--exact", "--ignored", "deadline::hangs"]).env(HANGS, "yes").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("deadline::hangs stands at: the well"),
        "{}: {told}",
        output.status
    );
}

#[test]
#[ignore = "hangs, for the test above"]
#[allow(clippy::disallowed_methods)] // a test has no settings of its own
fn hangs() {
    if std::env::var_os(HANGS).is_some() {
        deadline::begin();
        deadline::allow(Duration::from_millis(500));
        deadline::at(|| "the well".to_owned());
        std::thread::sleep(Duration::from_secs(60)); // as if for ever
    }
}
