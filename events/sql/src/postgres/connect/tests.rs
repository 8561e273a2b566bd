use super::{address, without_password};
use crate::error::OpenError;

#[test]
fn a_bad_address_is_shown_without_its_password() {
    let error = address("postgres://me:secret@host:port/log").unwrap_err();
    assert!(matches!(error, OpenError::BadAddress(_)), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(without_password("postgres://me:p@ss@host/log"), "postgres://…@host/log");
    assert_eq!(without_password("postgres://host/log"), "postgres://host/log");
}
