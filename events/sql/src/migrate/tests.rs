use std::collections::BTreeSet;
use std::path::Path;

use super::{POSTGRES, SQLITE, migrator};

/// The files of a dialect, as `number_name`.
fn files(dialect: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/log").join(dialect);
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.strip_suffix(".sql").expect("only .sql files").to_owned()).collect()
}

fn embedded(migrations: &[(i64, &str, &str)]) -> BTreeSet<String> {
    migrations.iter().map(|(number, name, _)| format!("{number:04}_{name}")).collect()
}

#[test]
fn every_file_is_embedded_and_has_its_partner() {
    assert_eq!(files("sqlite"), embedded(SQLITE));
    assert_eq!(files("postgres"), embedded(POSTGRES));
    assert_eq!(embedded(SQLITE), embedded(POSTGRES));
}

#[test]
fn numbers_grow() {
    for migrations in [SQLITE, POSTGRES] {
        assert!(migrations.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(migrator(migrations).iter().count(), migrations.len());
    }
}
