//! What is done with notifications.

use serde_json::Value;
use verbatim_events::inbox::Address;

use super::{Null, done, read};
use crate::error::Problem;

/// `PUT /inbox/{id}/read`: whether the notification is to be read or unread.
pub fn read_mark(body: &[u8]) -> Result<bool, Problem> {
    read(body, Null::IsAbsent, |errors, object| match object.need(errors, "read") {
        Some(Value::Bool(read)) => read,
        Some(_) => {
            errors.add(object.pointer("read"), "must be true or false");
            false
        }
        None => false,
    })
    .and_then(|(read, errors, object)| done(read, errors, object))
}

/// `PUT /inbox/read-all`: the newest notification that is to be read, if the request names one.
pub fn read_through(body: &[u8]) -> Result<Option<Address>, Problem> {
    read(body, Null::IsAbsent, |errors, object| {
        let text = object.string(errors, "through")?;
        let address = text.parse().ok();
        if address.is_none() {
            errors.add(object.pointer("through"), "must be a notification's id");
        }
        address
    })
    .and_then(|(through, errors, object)| done(through, errors, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_strictly() {
        let id = "01980000-0000-7000-8000-000000000001-7";
        assert_eq!(read_mark(br#"{"read": true}"#), Ok(true));
        assert_eq!(read_mark(br#"{"read": false}"#), Ok(false));
        for wrong in ["", "{}", r#"{"read": null}"#, r#"{"read": "yes"}"#, r#"{"read": true, "more": 1}"#, "true"] {
            assert!(read_mark(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(read_through(b""), Ok(None));
        assert_eq!(read_through(b"{}"), Ok(None));
        assert_eq!(read_through(format!(r#"{{"through": "{id}"}}"#).as_bytes()), Ok(id.parse().ok()));
        for wrong in [r#"{"through": "x"}"#, r#"{"through": 7}"#, r#"{"upto": "x"}"#] {
            assert!(read_through(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
