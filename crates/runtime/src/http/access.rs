//! Who may call a route: each route declares it once, and a guard in front of it admits, bounds the body, and puts what is done on record.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use uuid::Uuid;

use super::keys::{self, Key, Keys, LOCAL, Role};
use super::problem::Problem;
use super::record::{self, ActionRecord};
use super::tries::Tries;
use crate::clock::Clock;

/// The header that a key is shown in; `Authorization: Bearer` does as well.
pub const KEY_HEADER: &str = "x-api-key";
/// The largest body that a route takes unless it says otherwise, in bytes.
const LARGEST_BODY: usize = 2_000_000;
/// The most characters of a reason that are put on record.
const LONGEST_WHY: usize = 2_000;

/// Who may call a route, and what is kept of it.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    roles: &'static [Role],
    /// What its callers are known by instead of a key.
    keyless: Option<&'static str>,
    largest_body: usize,
    is_recorded: bool,
}

pub(super) type Accesses = BTreeMap<(String, String), Access>;

impl Access {
    /// For keys of these roles, and of those that cover them. What is not only a read is put on record.
    pub const fn to(roles: &'static [Role]) -> Self {
        Self { roles, keyless: None, largest_body: LARGEST_BODY, is_recorded: true }
    }

    /// For callers that have no key of ours: the handler knows them by what `known_by` names, and refuses everybody else. There is no [`Caller`], and
    /// nothing is put on record here.
    pub const fn keyless(known_by: &'static str) -> Self {
        Self { keyless: Some(known_by), is_recorded: false, ..Self::to(&[]) }
    }

    pub(super) fn known_by(&self) -> Option<&'static str> {
        self.keyless
    }

    /// Takes bodies of up to so many bytes.
    #[must_use]
    pub const fn largest_body(self, bytes: usize) -> Self {
        Self { largest_body: bytes, ..self }
    }

    /// Is not put on record here: what it writes says itself who wrote it.
    #[must_use]
    pub const fn unrecorded(self) -> Self {
        Self { is_recorded: false, ..self }
    }

    /// Whether a key of this role may.
    pub fn admits(&self, role: Role) -> bool {
        self.roles.iter().any(|wanted| role.covers(*wanted))
    }

    pub(super) fn admitted(&self) -> Vec<&'static str> {
        Role::ALL.into_iter().filter(|role| self.admits(*role)).map(Role::as_str).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub SocketAddr);

pub(crate) struct Gate {
    consumer: &'static str,
    keys: Keys,
    tries: Mutex<Tries>,
    /// Where actions are put on record; a program without routes that act needs none.
    pool: Option<PgPool>,
    clock: Clock,
    /// How long a caller may take to send a body.
    patience: Duration,
}

impl Gate {
    pub fn new(consumer: &'static str, keys: Keys, pool: Option<PgPool>, clock: Clock, patience: Duration) -> Self {
        Self { consumer, keys, tries: Mutex::default(), pool, clock, patience }
    }

    fn identify(&self, request: &Request) -> Result<Key, Problem> {
        if self.keys.is_empty() {
            return local(request.headers(), request.uri());
        }
        let address = request.extensions().get().map_or(IpAddr::from([0, 0, 0, 0]), |Peer(peer)| peer.ip());
        let now = Instant::now();
        let refused = |title, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, title).detail(detail);
        let digest = shown(request.headers()).map(keys::digest);
        let found = digest.as_ref().and_then(|digest| self.keys.find(digest)).cloned();
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // Others' guesses don't keep out a key that was right from there before.
        let is_known = found.is_some() && digest.as_ref().is_some_and(|digest| tries.came_before(address, digest));
        if !is_known && let Some(seconds) = tries.wait(address, now) {
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many wrong keys")
                .detail("too many different wrong keys came from your address: wait, then show the right one")
                .retry_after(seconds));
        }
        let none = "expected your key in the header X-Api-Key, or as Authorization: Bearer, got none";
        let digest = digest.ok_or_else(|| refused("No key", none))?;
        if let Some(key) = found {
            tries.right(address, &digest);
            return Ok(key);
        }
        if tries.wrong(address, &digest, now) {
            tracing::warn!(consumer = self.consumer, %address, "a wrong key came");
        }
        Err(refused("Unknown key", "expected a key that is set here, got another one: `quadrille keys new` makes one"))
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = || {
        let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key)
    };
    headers.get(KEY_HEADER).map_or_else(bearer, |key| key.to_str().ok()).map(str::trim).filter(|key| !key.is_empty())
}

/// Without keys a program listens on the loopback interface alone: whoever calls it is on this machine. A browser or a proxy that brings somebody
/// else's request is not.
fn local(headers: &HeaderMap, uri: &Uri) -> Result<Key, Problem> {
    let refused = |why: &str| {
        Err(Problem::new(StatusCode::FORBIDDEN, "No keys are set").detail(format!(
            "without keys only programs on this machine are answered, and {why}: set QUADRILLE_KEYS, a line that `quadrille keys new` prints for each caller"
        )))
    };
    let is_here = |host: &str| {
        let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        let name = port.map_or(host, |(name, _)| name);
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    };
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    let origin = text(ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let by_proxy = ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    match () {
        () if host.is_some_and(|host| !is_here(host)) => refused("this request is for another host"),
        () if origin.is_some_and(|origin| !is_here(origin)) => refused("a web page of another host sent this request"),
        () if by_proxy.iter().any(|name| headers.contains_key(*name)) => refused("a proxy brought this request"),
        () => Ok(Key::local()),
    }
}

/// Who calls, for whatever is done in their name. There is one only where the route's guard has admitted somebody.
#[derive(Clone)]
pub struct Caller {
    key: Arc<Key>,
    gate: Arc<Gate>,
    path: Arc<str>,
    /// The path with its query, which says what was looked at.
    asked: Arc<str>,
    why: Arc<OnceLock<String>>,
}

impl Caller {
    /// Whose key it is: the `by` of what is done.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The shop whose orders alone it may place, see and cancel; none: it is no shop.
    pub fn shop(&self) -> Option<&str> {
        (self.key.role == Role::Shop).then_some(self.key.scope.as_str())
    }

    /// The warehouse whose parcels and stock alone it may touch; none: it is no warehouse.
    pub fn warehouse(&self) -> Option<&str> {
        (self.key.role == Role::Warehouse).then_some(self.key.scope.as_str())
    }

    /// Whether this may be done for a warehouse.
    pub fn may_act_for(&self, warehouse: &str) -> Result<(), Problem> {
        match self.warehouse() {
            Some(own) if own != warehouse => Err(Problem::new(StatusCode::FORBIDDEN, "Another warehouse")
                .detail(format!("expected something of the warehouse {own}, whose key came, got another warehouse's"))),
            Some(_) | None => Ok(()),
        }
    }

    /// Says why, for the record of what is done, which keeps the beginning of a long text.
    pub fn says_why(&self, why: &str) {
        let _ = self.why.set(recordable(why));
    }

    /// Whether it may see personal data.
    pub fn may_reveal(&self) -> bool {
        self.key.role.covers(Role::Operator) || self.key.role == Role::Warehouse
    }

    /// Puts on record that personal data is shown to it, before it is.
    ///
    /// # Errors
    /// When its role does not allow it, or it can't be put on record.
    pub async fn reveals(&self, what: &str) -> Result<(), Problem> {
        if !self.may_reveal() {
            return Err(Problem::new(StatusCode::FORBIDDEN, "Not revealed").detail(format!(
                "expected a key of the role operator to see {what}, got one of the role {}: leave `reveal` out",
                self.key.role
            )));
        }
        let Some(pool) = &self.gate.pool else { return Ok(()) };
        let action_id = self.begin(pool, &format!("reveal {what}"), &self.asked).await?;
        record::conclude(pool, action_id, 200, None).await?;
        Ok(())
    }

    async fn begin(&self, pool: &PgPool, what: &str, subject: &str) -> Result<Uuid, sqlx::Error> {
        let Gate { consumer, keys, clock, .. } = &*self.gate;
        let role = if keys.is_empty() { LOCAL } else { self.key.role.as_str() };
        record::begin(pool, clock, &ActionRecord { consumer, who: self.name(), role, what, subject }).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(unguarded)
    }
}

/// A text as its column takes it: PostgreSQL has no NUL, and nobody reads a novel.
fn recordable(text: &str) -> String {
    text.chars().filter(|letter| *letter != '\0').take(LONGEST_WHY).collect()
}

fn unguarded() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Not guarded").detail("nobody guards this route: report this")
}

pub(super) async fn guard(access: Access, request: Request, next: Next) -> Response {
    if access.keyless.is_some() {
        return match bounded(access, request).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    }
    let (caller, request) = match admit(access, request).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(pool) = caller.gate.pool.clone().filter(|_| access.is_recorded && !is_read) else {
        return next.run(request).await;
    };
    let path = request.extensions().get().map_or("", MatchedPath::as_str);
    let what = format!("{} {path}", request.method());
    let action_id = match caller.begin(&pool, &what, &caller.path).await {
        Ok(action_id) => action_id,
        Err(error) => return Problem::from(error).into_response(),
    };
    let response = next.run(request).await;
    let why = caller.why.get().map(String::as_str);
    if let Err(error) = record::conclude(&pool, action_id, response.status().as_u16(), why).await {
        tracing::warn!(consumer = caller.gate.consumer, %action_id, %error, "what was answered is not on record");
    }
    response
}

/// The request with its whole body, which is no longer than the route takes.
async fn bounded(access: Access, mut request: Request) -> Result<Request, Problem> {
    let gate: Arc<Gate> = request.extensions().get().cloned().ok_or_else(unguarded)?;
    let body = read(std::mem::take(request.body_mut()), request.headers(), access.largest_body, gate.patience).await?;
    *request.body_mut() = body;
    Ok(request)
}

async fn admit(access: Access, request: Request) -> Result<(Caller, Request), Problem> {
    let gate: Arc<Gate> = request.extensions().get().cloned().ok_or_else(unguarded)?;
    let key = gate.identify(&request)?;
    if !gate.keys.is_empty() && !access.admits(key.role) {
        let (roles, Key { name, role, .. }) = (access.admitted().join(" or "), &key);
        return Err(Problem::new(StatusCode::FORBIDDEN, "Not for this key")
            .detail(format!("expected a key of the role {roles}, got {name}'s of the role {role}")));
    }
    let short = |text: &str| text.chars().take(500).collect::<String>().into();
    let path = short(request.uri().path());
    let asked = short(request.uri().path_and_query().map_or("", axum::http::uri::PathAndQuery::as_str));
    let caller = Caller { key: Arc::new(key), gate, path, asked, why: Arc::default() };
    let mut request = bounded(access, request).await?;
    request.extensions_mut().insert(caller.clone());
    Ok((caller, request))
}

/// The whole body: its length is checked before it is read, and it does not come for ever.
async fn read(body: Body, headers: &HeaderMap, largest: usize, patience: Duration) -> Result<Body, Problem> {
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large")
            .detail(format!("expected a body of at most {largest} bytes, got a larger one: send it in parts"))
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > largest as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(patience, axum::body::to_bytes(body, largest)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length(&error) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "Unreadable body")
            .detail("expected the whole body, got a connection that ended before it")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow")
            .detail(format!("expected the whole body within {patience:?}, got a part of it"))),
    }
}

fn is_length(error: &axum::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.any(|error| error.is::<http_body_util::LengthLimitError>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &str)]) -> Result<Key, Problem> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        local(&headers, &"/orders".parse().unwrap())
    }

    #[test]
    fn without_keys_only_this_machine_itself_is_answered() {
        for host in ["127.0.0.1:8080", "localhost", "LocalHost:8080", "[::1]:8080", "127.3.2.1"] {
            assert!(asked(&[("host", host)]).is_ok(), "{host}");
        }
        assert!(asked(&[]).is_ok() && asked(&[("host", "localhost"), ("origin", "http://localhost:8086")]).is_ok());
        for foreign in [
            [("host", "shop.example"), ("accept", "*/*")],
            [("host", "localhost.evil.example:8080"), ("accept", "*/*")],
            [("host", "127.0.0.1:8080"), ("origin", "https://evil.example")],
            [("host", "127.0.0.1:8080"), ("origin", "null")],
            [("host", "127.0.0.1:8080"), ("x-forwarded-for", "192.0.2.7")],
            [("host", "127.0.0.1:8080"), ("forwarded", "for=192.0.2.7")],
            [("host", "127.0.0.1:8080"), ("x-real-ip", "192.0.2.7")],
            [("host", "127.0.0.1:8080"), ("via", "1.1 proxy")],
        ] {
            assert_eq!(asked(&foreign).unwrap_err().status, 403, "{foreign:?}");
        }
    }

    #[test]
    fn guesses_from_an_address_do_not_keep_out_a_key_that_was_right_there() {
        let keys = Keys::parse("web shop aaaaaaaaaaaaaaaaaaaa; eve operator bbbbbbbbbbbbbbbbbbbb").unwrap();
        let gate = Gate::new("orders", keys, None, Clock::default(), Duration::from_secs(1));
        let shows = |key: &str| {
            let request = Request::builder().header(KEY_HEADER, key).body(Body::empty()).unwrap();
            gate.identify(&request).map_or_else(|problem| problem.status, |_| 200)
        };
        assert_eq!(shows("aaaaaaaaaaaaaaaaaaaa"), 200);
        let guesses: Vec<u16> = (0..11).map(|guess| shows(&format!("guess {guess}"))).collect();
        assert_eq!((guesses[..10].iter().all(|status| *status == 401), guesses[10]), (true, 429));
        assert_eq!((shows("aaaaaaaaaaaaaaaaaaaa"), shows("bbbbbbbbbbbbbbbbbbbb")), (200, 429));
    }

    #[test]
    fn a_reason_is_kept_as_the_record_takes_it() {
        let kept = recordable(&format!("why\0{}", "y".repeat(3_000)));
        assert_eq!((kept.len(), kept.starts_with("whyy")), (2_000, true));
    }

    #[test]
    fn a_key_is_shown_in_either_header() {
        let shown_in = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            shown(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(shown_in("x-api-key", "k").as_deref(), Some("k"));
        assert_eq!(shown_in("authorization", "Bearer k").as_deref(), Some("k"));
        assert_eq!(shown_in("authorization", "bearer  k").as_deref(), Some("k"));
        for none in ["Basic k", "Bearer", "k", "Bearer "] {
            assert_eq!(shown_in("authorization", none), None, "{none}");
        }
    }
}
