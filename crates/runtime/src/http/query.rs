//! Filters, pages and cursors, alike on all routes. What can't be read is a problem of status 400 that says what was expected.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, StatusCode};
use events::{OrderId, Timestamp};

use super::Problem;
use crate::sql::in_range;

/// Entries on a page unless the caller says how many, and at most.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 500;
/// Characters at most of an idempotency key.
const LONGEST_KEY: usize = 255;

/// What was asked for in a query.
pub type QueryResult<T> = Result<Query<T>, QueryRejection>;

/// The query, or why it can't be read.
pub fn asked<T>(query: QueryResult<T>) -> Result<T, Problem> {
    query.map(|Query(asked)| asked).map_err(|rejection| unreadable(rejection.body_text()))
}

fn unreadable(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Unreadable filter").detail(detail)
}

/// The order that a path names.
///
/// # Errors
/// A problem of status 404: no order has an id of another form.
pub fn order_in_path(text: &str) -> Result<OrderId, Problem> {
    let detail = || format!("expected an order's id, a UUID, in the path, got {text:?}");
    text.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail()))
}

/// The header `Idempotency-Key`: what a request is known by. `else_what` says what the same request would be without it.
///
/// # Errors
/// A problem of status 400 where it is missing, given twice, empty or too long.
pub fn idempotency_key<'h>(headers: &'h HeaderMap, else_what: &str) -> Result<&'h str, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let key = given.next().and_then(|key| key.to_str().ok()).filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    key.filter(|_| given.next().is_none()).ok_or_else(|| {
        let detail = format!(
            "expected the header Idempotency-Key once, with 1 to {LONGEST_KEY} visible ASCII characters: without it a repeated \
             request would be {else_what}"
        );
        Problem::new(StatusCode::BAD_REQUEST, "Idempotency-Key needed").detail(detail)
    })
}

/// How many entries the caller wants.
pub fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=LARGEST_PAGE => Ok(limit),
        other => Err(unreadable(format!("`limit`: expected 1 to {LARGEST_PAGE}, got {other}"))),
    }
}

/// A time that was asked for.
pub fn time(name: &str, asked: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = |text: &str| text.parse().map(in_range).map_err(|error| unreadable(format!("`{name}`: {error}")));
    asked.map(read).transpose()
}

/// A filter's text, which PostgreSQL must be able to hold.
pub fn text(name: &str, asked: Option<String>) -> Result<Option<String>, Problem> {
    match asked {
        Some(text) if text.contains('\0') => {
            Err(unreadable(format!("`{name}`: expected text without NUL, got {text:?}")))
        }
        other => Ok(other),
    }
}

/// One of some names.
pub fn one_of<T: Copy>(
    name: &str,
    asked: Option<&str>,
    known: impl Iterator<Item = (&'static str, T)>,
) -> Result<Option<T>, Problem> {
    let Some(asked) = asked else { return Ok(None) };
    let known: Vec<_> = known.collect();
    let found = known.iter().find(|(name, _)| *name == asked).map(|(_, found)| Some(*found));
    found.ok_or_else(|| {
        let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        unreadable(format!("`{name}`: expected one of {names}; got {asked:?}"))
    })
}

/// A page of at most `limit` entries, and the cursor behind which the next one begins, if there is more: one entry more than `limit` was read.
/// `known_by` is what an entry is found again by.
pub fn page<T>(mut rows: Vec<T>, limit: i64, known_by: impl FnOnce(&T) -> Vec<String>) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| cursor(&known_by(last)));
    (rows, next)
}

/// Between the parts of a cursor: no name has it.
const BETWEEN: char = '\u{1f}';

fn cursor(parts: &[String]) -> String {
    hex(parts.join(&BETWEEN.to_string()).as_bytes())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| Some(char::from(letter).to_digit(16)? as u8);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

/// The parts of a cursor, as `read` takes them.
pub fn behind<T>(after: Option<&str>, read: impl FnOnce(&[&str]) -> Option<T>) -> Result<Option<T>, Problem> {
    let Some(after) = after else { return Ok(None) };
    let text = from_hex(after).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    let parts = text.as_deref().map(|text| text.split(BETWEEN).collect::<Vec<_>>());
    match parts.and_then(|parts| read(&parts)) {
        Some(behind) => Ok(Some(behind)),
        None => Err(Problem::new(StatusCode::BAD_REQUEST, "Unreadable cursor")
            .detail(format!("`after`: expected `next` of another page, got {after:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_anything_else_is_refused() {
        let two = |parts: &[&str]| Some(((*parts.first()?).to_owned(), (*parts.get(1)?).to_owned()));
        let cursor = cursor(&["SKU/ü".into(), "w 1".into()]);
        assert_eq!(behind(Some(&cursor), two).unwrap(), Some(("SKU/ü".to_owned(), "w 1".to_owned())));
        assert_eq!(behind(None, two).unwrap(), None);
        for nonsense in ["", "x", "zz", "c3", "00", "äö", "+1"] {
            assert_eq!(behind(Some(nonsense), two).unwrap_err().status, 400, "{nonsense:?}");
        }
    }

    #[test]
    fn filters_say_what_they_expect() {
        assert_eq!(limit(None).unwrap(), PAGE);
        assert!(limit(Some(0)).unwrap_err().detail.unwrap().contains("1 to 500"));
        assert!(time("placed_after", Some("yesterday")).unwrap_err().detail.unwrap().contains("RFC 3339"));
        let problem = one_of("kind", Some("x"), [("a", 1), ("b", 2)].into_iter()).unwrap_err();
        assert_eq!(problem.detail.unwrap(), "`kind`: expected one of a, b; got \"x\"");
        assert!(text("sku", Some("a\0".into())).is_err());
    }

    #[test]
    fn a_page_is_cut_and_says_whether_there_is_more() {
        let page = |limit| page(vec![1, 2, 3], limit, |last| vec![last.to_string()]);
        assert_eq!(page(2), (vec![1, 2], Some(cursor(&["2".into()]))));
        assert_eq!(page(3), (vec![1, 2, 3], None));
    }
}
