//! Models by name, keys that nobody reads, and the settings' stream as a node keeps it.

mod catalog;
mod keys;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::config::{Environment, FILE_NAME, Flags, Settings};

/// The settings of a file and an environment.
fn settings(file: &str, environment: &Environment) -> Settings {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, file).expect("the file is written");
    let flags = Flags { config: Some(path), data_dir: Some(PathBuf::from("/nowhere")), ..Flags::default() };
    Settings::load(&flags, environment).expect("the settings are right")
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The catalog of a file's models alone.
fn catalog(file: &str, variables: &[(&str, &str)]) -> Arc<Catalog> {
    verbatim_llm::install_crypto();
    let environment = environment(variables);
    let settings = settings(file, &environment);
    let keys = ProviderKeys::new(environment, None);
    Arc::new(
        Catalog::new(
            &base_of(&settings),
            keys,
            Roles { compaction_model: settings.compaction_model, ..Roles::default() },
        )
        .expect("the providers are right"),
    )
}

const TWO: &str = "\
[providers.local]
kind = \"openai_chat\"
base_url = \"http://127.0.0.1:1/v1\"
[models.small]
provider = \"local\"
model = \"small-1\"
default = true
[models.large]
provider = \"local\"
context_window = 8192
";
