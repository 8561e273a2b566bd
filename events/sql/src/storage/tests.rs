use std::path::PathBuf;

use super::Place;
use crate::error::OpenError;

#[test]
fn addresses() {
    let directory = tempfile::tempdir().unwrap();
    let existing = directory.path().display();
    let sqlite = |path: &str| Place::Sqlite(PathBuf::from(path));
    for (address, place) in [
        ("sqlite:log.db", sqlite("log.db")),
        ("sqlite:/data/log.db", sqlite("/data/log.db")),
        ("sqlite:///data/log.db", sqlite("/data/log.db")),
        ("sqlite:new/", sqlite("new/events.db")),
        (&format!("sqlite:{existing}"), sqlite(&format!("{existing}/events.db"))),
        ("postgres://host/log", Place::Postgres("postgres://host/log".to_owned())),
        ("postgresql://host/log", Place::Postgres("postgresql://host/log".to_owned())),
    ] {
        assert_eq!(Place::parse(address).unwrap(), place, "{address}");
    }
    for bad in ["", "log.db", "sqlite:", "sqlite://", "mysql://host/log"] {
        assert!(matches!(Place::parse(bad), Err(OpenError::BadAddress(_))), "{bad:?}");
    }
}
