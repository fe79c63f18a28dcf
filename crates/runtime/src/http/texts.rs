//! Texts in bodies that are kept and told: why somebody does something. Problems of status 422.

use axum::http::StatusCode;

use super::Problem;

/// Characters at most.
const LONGEST: usize = 500;

/// A text that may be left out, for the record: at most 500 characters, none of them NUL.
///
/// # Errors
/// A problem that says what was expected of the field.
pub fn remark(field: &str, text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if length > LONGEST || text.contains('\0') {
        return Err(unfit(format!("`{field}`: expected at most {LONGEST} characters of text, got {length}")));
    }
    Ok(())
}

/// A reason that must be given, and that events tell: 1 to 500 printable characters.
///
/// # Errors
/// A problem that says what was expected of the field.
pub fn reason(field: &str, text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > LONGEST || text.contains(char::is_control) {
        return Err(unfit(format!("`{field}`: expected 1 to {LONGEST} printable characters, got {length}")));
    }
    Ok(())
}

fn unfit(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unfit text").detail(detail)
}
