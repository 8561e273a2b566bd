use super::*;

#[test]
fn versions_are_compared_as_numbers() {
    for good in ["3.51.3", "3.51.10", "3.52.0", "3.100.0", "4.0.0", "3.51.3.1"] {
        good_enough(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in ["3.51.2", "3.51", "3.9.9", "3.46.0", "2.99.99", "", "new"] {
        let error = good_enough(bad).expect_err(bad);
        assert!(error.to_string().contains("3.51.3"), "{error}");
    }
}

#[tokio::test]
async fn a_database_on_media_that_take_no_files_is_read_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let mut writer = writer_options(&path, SqliteSynchronous::Full).connect().await.unwrap();
    sqlx::query("CREATE TABLE words (word TEXT) STRICT").execute(&mut writer).await.unwrap();
    sqlx::query("INSERT INTO words VALUES ('kept')").execute(&mut writer).await.unwrap();
    assert!(!is_frozen(&path, false), "what stands in its WAL belongs to it");
    assert!(!is_frozen(&path, true));
    sqlx::Connection::close(writer).await.unwrap();
    assert!(is_frozen(&path, false));
    assert!(!is_frozen(&path, true), "a server may begin to write it");

    let mut reader = reader_options(&path).immutable(true).connect().await.unwrap();
    let word: String = sqlx::query_scalar("SELECT word FROM words").fetch_one(&mut reader).await.unwrap();
    assert_eq!(word, "kept");
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["events.db"], "nothing was put beside it");
}

#[test]
fn who_may_make_files_is_asked_of_the_folder() {
    let directory = tempfile::tempdir().unwrap();
    assert!(may_write(&directory.path().join("events.db")));
    assert!(may_write(&directory.path().join("nowhere").join("events.db")), "what cannot be told is left to SQLite");
}
