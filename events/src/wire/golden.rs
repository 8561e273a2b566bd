//! What every kind of stream's frozen samples are held to: what was once written must be readable for ever, and what is
//! written now must not change its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::table::read;
use super::{EVENT_TYPES, StreamEvent};
use crate::inbox::INBOX_EVENT_TYPES;
use crate::settings::SETTINGS_EVENT_TYPES;

/// A kind of stream's samples.
pub(crate) struct Golden<E> {
    /// The folder of those that are frozen, below this crate. Each file is named by its type, its schema number and its
    /// variant.
    pub(crate) folder: &'static str,
    /// A value of every type, as full as it can be and without a variant, in the table's order; and others by their variants.
    pub(crate) values: Vec<(&'static str, E)>,
}

impl<E: StreamEvent + Debug + PartialEq> Golden<E> {
    /// Every frozen sample by its file's name, without the newline that ends the file.
    fn frozen(&self) -> BTreeMap<String, Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder);
        let files = fs::read_dir(folder).expect("the folder of samples").map(|file| file.expect("a sample's entry"));
        // Other kinds of stream have folders of their own.
        let files = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file())).map(|file| {
            let bytes = fs::read(file.path()).expect("a sample");
            let bytes = bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes);
            (file.file_name().into_string().expect("a sample's name"), bytes)
        });
        files.collect()
    }

    /// The values by their files' names: what the samples of the current schema numbers hold.
    fn current(&self) -> BTreeMap<String, &E> {
        let named = self.values.iter().map(|(variant, event)| {
            let kind = event.stored_type();
            (format!("{}.{}{variant}.json", kind.name, kind.schema), event)
        });
        named.collect()
    }

    pub(crate) fn every_type_has_a_value(&self) {
        let full = self.values.iter().filter(|(variant, _)| variant.is_empty());
        let valued: Vec<_> = full.map(|(_, event)| event.stored_type()).collect();
        assert_eq!(valued, E::TYPES);
    }

    pub(crate) fn every_type_and_schema_number_has_its_sample(&self) {
        let frozen = self.frozen();
        for kind in E::TYPES {
            for schema in 1..=kind.schema {
                let file = format!("{}.{schema}.json", kind.name);
                assert!(frozen.contains_key(&file), "{}/{file} is missing", self.folder);
            }
        }
    }

    pub(crate) fn every_sample_belongs_to_a_declared_type_and_schema_number(&self) {
        let variants: BTreeSet<&str> = self.values.iter().map(|(variant, _)| *variant).collect();
        let declared = E::TYPES.iter().flat_map(|kind| (1..=kind.schema).map(|schema| (kind.name, schema)));
        let declared: BTreeSet<String> = declared
            .flat_map(|(name, schema)| variants.iter().map(move |variant| format!("{name}.{schema}{variant}.json")))
            .collect();
        for file in self.frozen().keys() {
            assert!(declared.contains(file), "{}/{file} belongs to nothing", self.folder);
        }
    }

    pub(crate) fn what_is_written_now_is_what_was_frozen(&self) {
        let frozen = self.frozen();
        for (file, event) in self.current() {
            let (written, folder) = (String::from_utf8(event.encode()).expect("JSON is UTF-8"), self.folder);
            match frozen.get(&file) {
                Some(bytes) => {
                    assert_eq!(String::from_utf8_lossy(bytes), written, "{folder}/{file} differs: raise the schema")
                }
                None => panic!("{folder}/{file} is missing; it would be\n{written}"),
            }
        }
    }

    pub(crate) fn every_sample_is_read(&self) {
        let current = self.current();
        for (file, bytes) in self.frozen() {
            let mut pieces = file.split('.');
            let name = pieces.next().expect("a type");
            let schema = pieces.next().and_then(|number| number.parse().ok()).expect("a schema number");
            let event: E = read(name, schema, &bytes).unwrap_or_else(|problem| panic!("{file}: {problem}"));
            assert_eq!(event.stored_type().name, name, "{file}");
            if event.stored_type().schema == schema {
                assert_eq!(Some(&&event), current.get(&file), "{file}");
                assert_eq!(event.encode(), bytes, "{file} is not written as it was read");
            }
        }
    }

    pub(crate) fn a_field_that_nobody_knows_is_refused(&self) {
        for (file, event) in self.current() {
            let mut value: Value = serde_json::from_slice(&event.encode()).expect("JSON");
            value["smuggled"] = json!(1);
            let kind = event.stored_type();
            let problem = read::<E>(kind.name, kind.schema, value.to_string().as_bytes()).expect_err(&file);
            assert!(problem.contains("smuggled"), "{file}: {problem}");
        }
    }

    pub(crate) fn other_types_and_schema_numbers_are_refused(&self) {
        for (file, event) in self.current() {
            let (kind, bytes) = (event.stored_type(), event.encode());
            for schema in [0, kind.schema + 1] {
                let problem = read::<E>(kind.name, schema, &bytes).expect_err(&file);
                assert!(problem.contains(&format!("schema {schema} is unknown")), "{file}: {problem}");
            }
        }
        let tables = [EVENT_TYPES, SETTINGS_EVENT_TYPES, INBOX_EVENT_TYPES];
        for kind in tables.into_iter().filter(|table| *table != E::TYPES).flatten() {
            assert_eq!(read::<E>(kind.name, 1, b"{}"), Err(E::NO_SUCH_TYPE.to_owned()), "{}", kind.name);
        }
    }

    /// Every old schema number has exactly one step, and no step leads nowhere.
    pub(crate) fn the_steps_fit_the_table(&self) {
        let old = E::TYPES.iter().flat_map(|kind| (1..kind.schema).map(|from| (kind.name, from)));
        let (mut expected, mut present): (Vec<_>, Vec<_>) =
            (old.collect(), E::STEPS.iter().map(|step| (step.event_type, step.from)).collect());
        expected.sort_unstable();
        present.sort_unstable();
        assert_eq!(present, expected);
    }
}

/// The tests of a kind of stream's samples, which `$golden` gives.
macro_rules! golden_tests {
    ($golden:ident: $($check:ident)+) => {
        $(#[test]
        fn $check() {
            $golden().$check();
        })+
    };
    ($golden:ident) => {
        $crate::wire::golden::golden_tests! {
            $golden:
            every_type_has_a_value
            every_type_and_schema_number_has_its_sample
            every_sample_belongs_to_a_declared_type_and_schema_number
            what_is_written_now_is_what_was_frozen
            every_sample_is_read
            a_field_that_nobody_knows_is_refused
            other_types_and_schema_numbers_are_refused
            the_steps_fit_the_table
        }
    };
}
pub(crate) use golden_tests;
