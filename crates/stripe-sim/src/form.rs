//! Form bodies and queries with brackets (`metadata[order_id]=7&expand[]=latest_charge`), read into a tree of maps and texts.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// More levels than any parameter of the API has.
const MAX_DEPTH: usize = 10;

/// Reads a form. Lists are maps from their indexes; what they are, [`crate::parameters`] knows. A name that comes twice has its last value.
///
/// # Errors
/// 400 for brackets that are not closed, nested too deeply, or that use one name for a text and for a map.
pub fn parse(form: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut tree = Map::new();
    for (name, value) in form_urlencoded::parse(form) {
        let path = path_of(&name)?;
        insert(&mut tree, &path, &name, value.into_owned())?;
    }
    Ok(tree)
}

/// `a[b][]` as `a`, `b` and an empty text.
fn path_of(name: &str) -> Result<Vec<&str>, ApiError> {
    let invalid =
        || ApiError::bad_request(format!("Invalid parameter name '{name}': expected a[b][c] with closed brackets"));
    let Some((first, mut rest)) = name.split_once('[').map(|(first, _)| (first, &name[first.len()..])) else {
        return if name.is_empty() { Err(invalid()) } else { Ok(vec![name]) };
    };
    let mut path = vec![first];
    while !rest.is_empty() {
        let (part, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(invalid)?;
        path.push(part);
        rest = after;
    }
    if first.is_empty() || path.len() > MAX_DEPTH { Err(invalid()) } else { Ok(path) }
}

fn insert(tree: &mut Map<String, Value>, path: &[&str], name: &str, value: String) -> Result<(), ApiError> {
    let clash = || ApiError::bad_request(format!("Invalid parameter '{name}': it is given as a text and as a hash"));
    let [key, rest @ ..] = path else { return Ok(()) };
    // `[]` appends; within a list of hashes, `[][a]=1&[][b]=2` stays in the last one until a key comes again.
    let key = if !key.is_empty() {
        (*key).to_owned()
    } else {
        let last = tree.len().checked_sub(1).map(|last| last.to_string());
        let open = last.filter(|last| match (rest.first(), tree.get(last)) {
            (Some(next), Some(Value::Object(last))) => !last.contains_key(*next),
            (_, _) => false,
        });
        open.unwrap_or_else(|| tree.len().to_string())
    };
    if rest.is_empty() {
        let before = tree.insert(key, Value::String(value));
        return if before.is_some_and(|before| before.is_object()) { Err(clash()) } else { Ok(()) };
    }
    let inner = tree.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut().ok_or_else(clash)?;
    insert(inner, rest, name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_make_maps_and_lists() {
        let form = b"amount=1250&metadata[order_id]=a%26b+%C3%A9&expand[]=latest_charge&expand[]=customer&allowed_payment_method_types[0]=card&a[][x]=1&a[][y]=2&a[][x]=3";
        let tree = Value::Object(parse(form).unwrap());
        let expected = json!({
            "amount": "1250", "metadata": {"order_id": "a&b é"}, "expand": {"0": "latest_charge", "1": "customer"},
            "allowed_payment_method_types": {"0": "card"}, "a": {"0": {"x": "1", "y": "2"}, "1": {"x": "3"}},
        });
        assert_eq!(tree, expected);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for form in ["a[b=1", "=1", "[a]=1", "a[b]c=1", "a=1&a[b]=2", "a[b]=2&a=1", "a[a][a][a][a][a][a][a][a][a][a]=1"]
        {
            assert_eq!(parse(form.as_bytes()).map_err(|error| error.status), Err(400), "{form}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
