//! One deadline for every test: one that hangs, whatever it waits for, ends the run with a failure that says which it was and where it stood.
//!
//! A wait of a test's own has a shorter deadline, and says more. This one is for what nobody thought of: a statement, a client that does not close, a
//! runtime that waits for its threads.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Between two looks of a wait.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// Far more than any test needs that says nothing else; see [`allow`].
const DEADLINE: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Watched {
    test: String,
    ends: Mutex<Instant>,
    at: Mutex<String>,
}

thread_local! {
    /// The test of this thread; gone with the thread, and so after the test's runtime.
    static OWN: RefCell<Option<Arc<Watched>>> = const { RefCell::new(None) };
}

static ALL: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());

/// This thread's test begins to use the parts, or begins anew: its time runs from now on.
pub fn begin() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| drop(std::thread::spawn(watch)));
    let test = std::thread::current().name().unwrap_or("a thread without a name").to_owned();
    let watched = Arc::new(Watched {
        test,
        ends: Mutex::new(Instant::now() + DEADLINE),
        at: Mutex::new("its beginning".to_owned()),
    });
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|watched| watched.strong_count() > 0);
    all.push(Arc::downgrade(&watched));
    OWN.set(Some(watched));
}

/// The test of this thread takes longer than most: it may run for so long from now on.
pub fn allow(time: Duration) {
    OWN.with_borrow(|own| {
        if let Some(own) = own {
            *own.ends.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
        }
    });
}

/// Where this thread's test stands.
pub fn at(place: impl FnOnce() -> String) {
    OWN.with_borrow(|own| {
        if let Some(own) = own {
            *own.at.lock().unwrap_or_else(PoisonError::into_inner) = place();
        }
    });
}

/// The end of one wait, of one loop.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    began: Instant,
    within: Duration,
}

impl Ends {
    /// In so long, from now on.
    pub fn within(within: Duration) -> Self {
        Self { began: Instant::now(), within }
    }

    /// Asks whether there is time.
    ///
    /// # Panics
    /// When it is over; says what was waited for.
    pub fn check(&self, what: impl Fn() -> String) {
        at(&what);
        assert!(self.began.elapsed() < self.within, "{}: not within {:?}", what(), self.within);
    }

    /// Between two looks, while there is time.
    ///
    /// # Panics
    /// As [`Ends::check`].
    pub async fn pause(&self, what: impl Fn() -> String) {
        self.check(what);
        tokio::time::sleep(LOOK).await;
    }
}

/// Tests that should have ended by now, and where each stands.
fn overdue(now: Instant) -> Vec<String> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |watched: Arc<Watched>| {
        let is_late = *watched.ends.lock().unwrap_or_else(PoisonError::into_inner) <= now;
        is_late.then(|| {
            format!("{} stands at: {}", watched.test, watched.at.lock().unwrap_or_else(PoisonError::into_inner))
        })
    };
    all.iter().filter_map(Weak::upgrade).filter_map(told).collect()
}

fn watch() {
    // ends with the process
    loop {
        std::thread::sleep(Duration::from_secs(1)); // between two looks
        let late = overdue(Instant::now());
        if !late.is_empty() {
            // Past the capture of the first test's output, and past what hangs: a test can't be ended from outside.
            let _ = writeln!(std::io::stderr(), "\na test did not end by its deadline: {}\n", late.join("; "));
            std::process::abort();
        }
    }
}
