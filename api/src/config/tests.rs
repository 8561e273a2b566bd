use std::path::{Path, PathBuf};

use super::database::without_password;
use super::file::File;
use super::*;
use verbatim_tools::mcp::McpTransport;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A directory with a settings file; removed when dropped.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Folder {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join(FILE_NAME), text).expect("the file is written");
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(FILE_NAME)
    }

    fn flags(&self) -> Flags {
        Flags { config: Some(self.file()), ..Flags::default() }
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::load(&self.flags(), &environment(variables))
    }
}

fn refusal(text: &str) -> (usize, String) {
    match Folder::with(text).load(&[]) {
        Err(ConfigError::File { line, problem, .. }) => (line, problem),
        other => panic!("not refused with a line: {other:?}"),
    }
}

#[test]
fn without_anything_the_demo_model_answers() {
    let flags = Flags { data_dir: Some(PathBuf::from("/nowhere/at-all")), ..Flags::default() };
    let settings = Settings::load(&flags, &Environment::default()).expect("defaults");
    assert_eq!(settings.listen, LISTEN);
    assert_eq!(settings.database, Database::Sqlite(PathBuf::from("/nowhere/at-all/events.db")));
    assert_eq!(settings.default_model, DEMO);
    assert_eq!(settings.models.keys().collect::<Vec<_>>(), [DEMO]);
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.file, None);
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file() {
    let folder =
        Folder::with("listen = \"127.0.0.1:1\"\ndata_dir = \"here\"\n[limits]\nqueue_max = 3\nsteps_max = 4\n");
    let from_file = folder.load(&[]).expect("the file is right");
    assert_eq!(from_file.listen, "127.0.0.1:1");
    assert_eq!(from_file.data_dir, folder.0.path().join("here"));
    assert_eq!(from_file.limits.queue_max, 3);

    let variables = [("VERBATIM_LISTEN", "127.0.0.1:2"), ("VERBATIM_LIMITS__QUEUE_MAX", "5")];
    let from_variables = folder.load(&variables).expect("the variables are right");
    assert_eq!(from_variables.listen, "127.0.0.1:2");
    assert_eq!((from_variables.limits.queue_max, from_variables.limits.steps_max), (5, 4));

    let flags = Flags { listen: Some("127.0.0.1:0".to_owned()), ..folder.flags() };
    let from_flags = Settings::load(&flags, &environment(&variables)).expect("the flag is right");
    assert_eq!(from_flags.listen, "127.0.0.1:0");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let (line, problem) = refusal("listen = \"127.0.0.1:8080\"\n\n[limits]\nqueue_max = 3\nqueue_min = 1\n");
    assert_eq!(line, 5);
    assert!(problem.contains("queue_min"), "{problem}");

    let (line, problem) = refusal("# a comment\nlissten = \"127.0.0.1:8080\"\n");
    assert_eq!(line, 2);
    assert!(problem.contains("lissten"), "{problem}");

    let (line, problem) = refusal("[providers.x]\nkind = \"openai_chat\"\napi_key = \"sk-secret\"\n");
    assert_eq!(line, 3);
    assert!(problem.contains("api_key") && !problem.contains("sk-secret"), "{problem}");
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    for (text, line, word) in [
        ("listen = \n", 1, ""),
        ("listen = \"nowhere\"\n", 1, "ADDRESS:PORT"),
        ("\ndatabase = \"mysql://x\"\n", 2, "sqlite:PATH"),
        ("[limits]\nqueue_max = \"many\"\n", 2, "whole number"),
        ("[limits]\nsteps_max = 1\nmailbox_max = 0\n", 3, "at least 1"),
        ("[limits]\ncompaction_percent = 101\n", 2, "at most 100"),
        ("[providers.a]\nbase_url = \"https://x\"\n", 1, "no kind"),
        ("[providers.a]\nkind = \"grpc\"\n", 2, "grpc"),
        ("[providers.a]\nkind = \"openai_chat\"\nbase_url = \"localhost\"\n", 3, "absolute"),
        ("[models.m]\nprovider = \"none\"\n", 2, "there is no provider"),
        ("[compaction]\nmodel = \"none\"\n", 2, "there is no model"),
        ("[titles]\nmodel = \"none\"\n", 2, "there is no model"),
        ("[titles]\nstatus_labels = true\n", 2, "there is none"),
        ("[models.m]\nmodel = \"x\"\n", 1, "no provider"),
        (
            "[models.a]\nprovider = \"demo\"\ndefault = true\n[models.b]\nprovider = \"demo\"\ndefault = true\n",
            6,
            "default",
        ),
        ("[templates.\"a b\"]\nprovisioner = \"local\"\npath = \"x\"\n", 1, "no template's name"),
        ("[templates.a]\nprovisioner = \"local\"\n", 1, "needs the path"),
        ("[templates.a]\nprovisioner = \"docker\"\n", 2, "docker"),
        ("[templates.a]\npath = \"x\"\n", 1, "provisioner"),
        ("[templates.a]\nprovisioner = \"local\"\npath = \"x\"\ntemplate = \"y\"\n", 4, "only templates"),
        ("[templates.a]\nprovisioner = \"coder\"\n", 2, "needs [coder]"),
        ("[coder]\nurl = \"localhost\"\n", 2, "absolute"),
        ("[workspaces]\nshell = true\n", 2, "unknown field"),
        ("[providers.a]\nkind = \"anthropic\"\nstore = true\n", 3, "keep answers"),
        ("[models.a]\nprovider = \"demo\"\nefforts = [\"low\", \" \"]\n", 3, "efforts"),
        ("[models.a]\nprovider = \"demo\"\nprovider_tools = [\"web_search\"]\n", 3, "no tools"),
        ("[models.a]\nprovider = \"demo\"\naccepts = [\"image/svg\"]\n", 3, "no media type"),
        (
            "[providers.c]\nkind = \"anthropic\"\n[models.a]\nprovider = \"c\"\nprovider_tools = [\"bash\"]\n",
            5,
            "web_search, web_fetch",
        ),
        ("[mcp.files]\nallow = []\n", 1, "neither a command nor a url"),
        ("[mcp.files]\ncommand = \"x\"\nurl = \"http://x\"\n", 3, "not both"),
        ("[mcp.files]\ncommand = \"x\"\nheaders = {}\nurls = 1\n", 4, "urls"),
        ("[mcp.files]\nurl = \"http://x\"\nargs = [\"a\"]\n", 3, "belong to a command"),
        ("[mcp.files]\nurl = \"stdio\"\n", 2, "absolute"),
        ("[mcp.files]\ncommand = \"x\"\ncall_ms = 0\n", 3, "at least 1"),
        ("[mcp.a__b]\ncommand = \"x\"\n", 1, "two _ in a row"),
    ] {
        let (found, problem) = refusal(text);
        assert_eq!(found, line, "{text:?}: {problem}");
        assert!(problem.contains(word), "{text:?}: {problem}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    let folder = Folder::with("");
    for (name, value, word) in [
        ("VERBATIM_LIMITS__QUEUE_MAX", "many", "whole number"),
        ("VERBATIM_LIMITS__NOTHING", "1", "unknown field"),
        ("VERBATIM_LISTEN", "nowhere", "ADDRESS:PORT"),
        ("VERBATIM_LISTEN__X", "1", "invalid type"),
        ("VERBATIM_PROVIDERS__A__BASE_URL", "https://x", "no kind"),
        ("VERBATIM_LIMITS__MAILBOX_MAX", "0", "at least 1"),
    ] {
        match folder.load(&[(name, value)]) {
            Err(ConfigError::Variable { name: named, problem }) => {
                assert_eq!(named, name);
                assert!(problem.contains(word), "{name}: {problem}");
            }
            other => panic!("{name} is not refused: {other:?}"),
        }
    }
}

#[test]
fn variables_make_providers_and_models() {
    let variables = [
        ("VERBATIM_PROVIDERS__LOCAL__KIND", "openai_chat"),
        ("VERBATIM_PROVIDERS__LOCAL__BASE_URL", "http://127.0.0.1:11434/v1"),
        ("VERBATIM_MODELS__small__PROVIDER", "local"),
        ("VERBATIM_MODELS__small__CONTEXT_WINDOW", "8192"),
        ("VERBATIM_MODELS__small__DEFAULT", "true"),
        ("VERBATIM_MODELS__small__MODEL", "7"),
    ];
    let settings = Folder::with("").load(&variables).expect("the variables are right");
    assert_eq!(settings.default_model, "small");
    let model = &settings.models["small"];
    assert_eq!((model.provider.as_str(), model.provider_model.as_str()), ("local", "7"));
    assert_eq!(model.context_window, Some(8192));
    assert_eq!(settings.providers["local"].kind, ProviderKind::OpenAiChat);
}

#[test]
fn a_variable_finds_a_name_with_capitals() {
    let folder = Folder::with("[models.GPT]\nprovider = \"demo\"\n");
    let settings = folder.load(&[("VERBATIM_MODELS__GPT__MODEL", "other")]).expect("the variable is right");
    assert_eq!(settings.models["GPT"].provider_model, "other");
    assert_eq!(settings.models.len(), 2, "GPT and demo");
}

#[test]
fn the_only_model_is_the_default_one() {
    let settings = Folder::with("[models.m]\nprovider = \"demo\"\n").load(&[]).expect("right");
    assert_eq!(settings.default_model, "m");
    let two = "[models.m]\nprovider = \"demo\"\n[models.n]\nprovider = \"demo\"\n";
    assert_eq!(Folder::with(two).load(&[]).expect("right").default_model, DEMO);
}

#[test]
fn a_key_in_the_environment_adds_its_provider() {
    let variables = [("OPENAI_API_KEY", "sk-secret"), ("ANTHROPIC_API_KEY", "sk-ant-secret")];
    let settings = Folder::with("").load(&variables).expect("right");
    for (name, kind, url, variable) in [
        ("openai", ProviderKind::OpenAiResponses, "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("anthropic", ProviderKind::Anthropic, "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    ] {
        let provider = &settings.providers[name];
        assert_eq!((provider.kind, provider.base_url.as_deref()), (kind, Some(url)));
        assert_eq!(provider.api_key_env.as_deref(), Some(variable));
    }
    let own = "[providers.openai]\nkind = \"openai_chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
    let settings = Folder::with(own).load(&[("OPENAI_API_KEY", "sk-secret")]).expect("right");
    assert_eq!(settings.providers["openai"].base_url.as_deref(), Some("http://127.0.0.1:1/v1"));
}

#[test]
fn every_kind_has_an_address_of_its_own_but_the_demo() {
    let file = "[providers.a]\nkind = \"anthropic\"\n[providers.c]\nkind = \"openai_chat\"\n\
                [providers.r]\nkind = \"openai_responses\"\n[providers.d]\nkind = \"demo\"\n";
    let settings = Folder::with(file).load(&[]).expect("right");
    let url = |name: &str| settings.providers[name].base_url.as_deref();
    assert_eq!(url("a"), Some("https://api.anthropic.com"));
    assert_eq!([url("c"), url("r")], [Some("https://api.openai.com/v1"); 2]);
    assert_eq!(url("d"), None);
}

#[test]
fn variables_of_orchestrators_are_only_mentioned() {
    let settings = Folder::with("").load(&[("VERBATIM_PORT", "tcp://10.0.0.1:80")]).expect("not refused");
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].contains("VERBATIM_PORT"));
}

#[test]
fn what_is_shown_holds_no_secret_and_can_be_read_again() {
    let folder = Folder::with(
        "database = \"postgres://ann:hunter2@db/verbatim?sslpassword=hunter3&application_name=v\"\n\
         [providers.p]\nkind = \"openai_chat\"\nbase_url = \"https://u:hunter4@x/v1\"\napi_key_env = \"P_KEY\"\n\
         [providers.r]\nkind = \"openai_responses\"\nstore = true\n\
         [models.m]\nprovider = \"p\"\ndefault = true\n\
         [models.s]\nprovider = \"r\"\nefforts = [\"low\"]\n\
         provider_tools = [\"web_search\", { type = \"file_search\", vector_store_ids = [\"vs_1\"] }]\n",
    );
    let variables = environment(&[("P_KEY", "hunter5"), ("VERBATIM_ADMIN_KEY", "hunter6")]);
    let settings = Settings::load(&folder.flags(), &variables).expect("right");
    let shown = effective(&settings, &variables);
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("postgres://ann:***@db/verbatim?sslpassword=***&application_name=v"), "{shown}");
    assert!(shown.contains("# P_KEY is set"), "{shown}");
    assert!(!format!("{settings:?}").contains("hunter2"), "the database hides its password from Debug");

    let again = Folder::with(&shown).load(&[]).expect("what is shown is a settings file");
    assert_eq!((again.default_model.as_str(), &again.limits), ("m", &settings.limits));
    assert_eq!((&again.models, again.providers["r"].store), (&settings.models, true));
    assert_eq!(settings.models["s"].provider_tools.len(), 2);
}

#[test]
fn passwords_are_hidden_whatever_they_hold() {
    for (url, shown) in [
        ("postgres://u:p@h/d", "postgres://u:***@h/d"),
        ("postgres://u:a@b/c@h/d", "postgres://u:***@h/d"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgres://h/d?password=x&a=b", "postgres://h/d?password=***&a=b"),
        ("https://h/v1", "https://h/v1"),
    ] {
        assert_eq!(without_password(url), shown);
    }
}

#[test]
fn paths_in_the_file_are_relative_to_it() {
    let folder = Folder::with("database = \"sqlite:log/events.db\"\n");
    let settings = folder.load(&[]).expect("right");
    assert_eq!(settings.database, Database::Sqlite(folder.0.path().join("log/events.db")));
    let flags = Flags { database: Some("sqlite:x.db".to_owned()), ..folder.flags() };
    let settings = Settings::load(&flags, &Environment::default()).expect("right");
    assert_eq!(settings.database, Database::Sqlite(PathBuf::from("x.db")));
}

#[test]
fn the_file_of_the_data_directory_is_found() {
    let folder = Folder::with("node_name = \"attic\"\n");
    let flags = Flags { data_dir: Some(folder.0.path().to_owned()), ..Flags::default() };
    let settings = Settings::load(&flags, &Environment::default()).expect("right");
    assert_eq!(settings.node_name, "attic");
    assert_eq!(settings.file, Some(folder.file()));
}

#[test]
fn a_named_file_must_be_there() {
    let flags = Flags { config: Some(PathBuf::from("/nowhere/verbatim.toml")), ..Flags::default() };
    match Settings::load(&flags, &Environment::default()) {
        Err(ConfigError::Unreadable { path, .. }) => assert_eq!(path, Path::new("/nowhere/verbatim.toml")),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn lines_are_found_by_key() {
    let text = "listen = \"a:1\"\n[models.\"gpt-4.1\"]\nprovider = \"demo\"\n".to_owned();
    let file = File::parse(PathBuf::from(FILE_NAME), text).expect("right");
    assert_eq!(file.line_of(&["models", "gpt-4.1", "provider"]), Some(3));
    assert_eq!(file.line_of(&["models", "gpt-4.1", "model"]), Some(2));
    assert_eq!(file.line_of(&["limits"]), None);
}

#[test]
fn who_may_ask_is_a_setting() {
    let text = "[http]\nallowed_origins = [\"https://chat.example\", \"http://localhost:5173\", \"*\"]\n";
    let settings = Folder::with(text).load(&[("VERBATIM_HTTP__REQUESTS_PER_SECOND_MAX", "5")]).expect("settings");
    assert_eq!((settings.http.allowed_origins.len(), settings.http.requests_per_second_max), (3, 5));
    let spelled = Folder::with("").load(&[("VERBATIM_HTTP__ALLOWED_ORIGINS", "[\"https://a.example\"]")]);
    assert_eq!(spelled.expect("settings").http.allowed_origins, ["https://a.example"]);
    for wrong in ["chat.example", "https://chat.example/", "https://chat.example/page", "https://", "file:///x"] {
        let (line, problem) = refusal(&format!("[http]\nallowed_origins = [\"{wrong}\"]\n"));
        assert!(line == 2 && problem.contains("is no origin"), "{line}: {problem}");
    }
    assert_eq!(refusal("[http]\nrequests_burst_max = 0\n").0, 2);
    assert_eq!(refusal("[http]\ncors = true\n").0, 2);
}

#[test]
fn templates_lie_beside_the_file_that_names_them() {
    let folder = Folder::with(
        "[templates.blank]\nprovisioner = \"local\"\npath = \"templates/blank\"\ndescription = \"Nothing yet\"\n\
         [templates.blank.parameters.cpus]\ntype = \"number\"\ndefault = 2\n\
         [templates.far]\nprovisioner = \"coder\"\ntemplate = \"docker\"\n\
         [coder]\nurl = \"https://ada:secret@coder.example\"\n[workspaces]\nnetwork = true\n",
    );
    let settings = folder.load(&[("CODER_SESSION_TOKEN", "t0ken")]).expect("the file is right");
    let blank = &settings.templates["blank"];
    assert_eq!(blank.path.as_deref(), Some(folder.0.path().join("templates/blank").as_path()));
    assert_eq!(blank.parameters["cpus"].default, Some(serde_json::json!(2)));
    assert!(settings.workspaces.network && !settings.workspaces.allow_unconfined);
    let shown = effective(&settings, &environment(&[("CODER_SESSION_TOKEN", "t0ken")]));
    assert!(shown.contains("# CODER_SESSION_TOKEN is set") && shown.contains("[templates.far]"), "{shown}");
    assert!(!shown.contains("secret") && !shown.contains("t0ken"), "{shown}");
    let off = folder.load(&[("VERBATIM_WORKSPACES__NETWORK", "false")]).expect("a variable wins");
    assert!(!off.workspaces.network);
}

#[test]
fn mcp_servers_are_settings_whose_secrets_are_named_by_variables() {
    let folder = Folder::with(
        "[mcp.files]\ncommand = \"bin/mcp-files\"\nargs = [\"/srv\"]\ncwd = \"here\"\ndeny = [\"write*\"]\n\
         env = { LOG = \"hunter1\", TOKEN = \"${FILES_TOKEN}\" }\n\
         [mcp.far]\nurl = \"https://far/mcp?key=hunter2\"\nheaders = { authorization = \"Bearer ${FAR_TOKEN}\" }\n\
         call_ms = 5000\n",
    );
    let variables = environment(&[("FAR_TOKEN", "hunter3"), ("VERBATIM_MCP__FAR__CONNECT_MS", "7")]);
    let settings = Settings::load(&folder.flags(), &variables).expect("the file is right");
    let far = &settings.mcp["far"];
    assert_eq!((far.connect_ms, far.call_ms, far.skip_ms), (7, 5_000, 30_000));
    let expected = McpTransport::Stdio {
        command: folder.0.path().join("bin/mcp-files").to_string_lossy().into_owned(),
        args: vec!["/srv".to_owned()],
        env: [("LOG", "hunter1"), ("TOKEN", "${FILES_TOKEN}")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        cwd: Some(folder.0.path().join("here")),
    };
    assert_eq!(settings.mcp["files"].transport, expected);
    let warning = "the MCP server files cannot be reached: the variable FILES_TOKEN is not set";
    assert_eq!(settings.warnings, [warning]);

    let shown = effective(&settings, &variables);
    assert!(!shown.contains("hunter") && !format!("{settings:?}").contains("hunter"), "{shown}");
    assert!(shown.contains("# FAR_TOKEN is set") && shown.contains("# FILES_TOKEN is NOT set"), "{shown}");
    assert!(shown.contains("Bearer ${FAR_TOKEN}"), "{shown}");
    let again = Folder::with(&shown).load(&[]).expect("what is shown is a settings file");
    assert_eq!(again.mcp["files"].deny, ["write*"]);
}
