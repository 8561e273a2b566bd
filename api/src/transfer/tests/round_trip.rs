//! What goes out comes in the same: states, words, ids, times, order; and of erased chats nothing but what is left.

use verbatim_events::chat::Chat;
use verbatim_events::envelope::Encoding;

use super::*;
use crate::verify::{audit_chat, audit_log};

/// What an event is beside its bytes and hashes, and what it says.
fn told(stored: &Stored) -> (NewEvent, Option<Vec<u8>>) {
    let event = NewEvent { data: Vec::new(), hash: Digest::ZERO, ..stored.event.clone() };
    (event, stored.json().map(<[u8]>::to_vec))
}

fn folded(events: &[Stored]) -> Option<Chat> {
    events.iter().fold(None, |chat, stored| {
        let recorded = verbatim_events::wire::decode(stored).expect("readable");
        // Hashes aside, which sealing anew changes.
        let recorded = verbatim_events::envelope::Recorded { hash: Digest::ZERO, ..recorded };
        Some(verbatim_events::chat::evolve(chat, &recorded).expect("legal"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_out_comes_in_the_same() {
    let mut random = Random::new(Random::seed());
    for _ in 0..4 {
        let seed = random.number();
        let grown = Grown::new(seed).await;
        let before = everything(grown.storage.log().as_ref()).await;
        let (opened, summary) = grown.export(Form::Opened, Filters::default()).await;
        let (sealed, sealed_summary) = grown.export(Form::Sealed, Filters::default()).await;
        assert_eq!((summary.events, summary.heads), (before.len() as u64, sealed_summary.heads), "seed {seed}");

        let other = Place::new();
        let imported = other.import(&opened).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((imported.events, imported.chats), (summary.events, summary.chats), "seed {seed}");
        assert_eq!(imported.provider_keys, ["acme"]);
        assert_eq!(imported.sealed_anew, grown.sealed.len() as u64);
        let storage = other.open().await;
        let log = storage.log();
        assert_eq!(log.timeline(), imported.timeline);
        let after = everything(log.as_ref()).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(told(before), told(after), "seed {seed}");
            assert_eq!(before.position, after.position);
            let is_anew = grown.sealed.contains(&before.event.chat_id);
            assert_eq!(before.event.hash != after.event.hash, is_anew, "{before:?}");
            assert_eq!(
                before.event.data != after.event.data,
                is_anew,
                "what is sealed anew is sealed with another key"
            );
            assert_eq!(before.is_erased(), after.is_erased());
        }
        assert_eq!(before.len(), after.len());
        assert_eq!(audit_log(log.as_ref(), |_| {}).await.expect("read").finding, None);
        for chat_id in grown.sealed.iter().chain(&grown.plain) {
            let (mine, theirs) = (
                read_chat(log.as_ref(), *chat_id).await.unwrap(),
                read_chat(grown.storage.log().as_ref(), *chat_id).await.unwrap(),
            );
            assert_eq!(folded(&mine), folded(&theirs), "the same state");
            assert!(audit_chat(&mine).is_clean());
        }
        assert!(read_chat(log.as_ref(), grown.erased).await.unwrap().iter().any(Stored::is_erased));
        storage.close().await;

        // The sealed form where the keys are: the very same bytes.
        let same = Place { master: Arc::clone(&grown.place.master), ..Place::new() };
        grown.storage.close().await;
        std::fs::copy(grown.place.home.path().join("keys.db"), same.home.path().join("keys.db")).expect("copied");
        let imported = same.import(&sealed).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(imported.sealed_anew, 0);
        let storage = same.open().await;
        assert_eq!(everything(storage.log().as_ref()).await, before, "seed {seed}");
        let (again, _) = exported(storage.log().as_ref(), Form::Sealed, Filters::default()).await;
        assert_eq!(lines(&again)[1..lines(&again).len() - 1], lines(&sealed)[1..lines(&sealed).len() - 1]);
        storage.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_go_on_in_the_log_that_they_came_to() {
    let grown = Grown::new(7).await;
    let (opened, _) = grown.export(Form::Opened, Filters::default()).await;
    let other = Place::new();
    other.import(&opened).await.expect("imported");
    let storage = other.open().await;
    for (chat_id, is_sealed) in [(grown.plain[0], false), (grown.sealed[0], true)] {
        let sealer = storage.vault().unwrap().sealer(chat_id, false).await.expect("read");
        assert_eq!(sealer.is_some(), is_sealed);
        let last = read_chat(storage.log().as_ref(), chat_id).await.unwrap().pop().unwrap().event;
        let event = verbatim_events::event::Event::ChatArchived(verbatim_events::event::ChatArchived {});
        let (sealer, id, at) = (sealer.as_deref(), chat_id, now());
        let sealed = verbatim_events::wire::seal_with(
            sealer,
            id,
            last.version,
            last.hash,
            vec![event],
            &cause(),
            at,
            &mut Uuid::now_v7,
        );
        let events = sealed.unwrap().into_iter().map(|(event, _)| event).collect();
        let stream = StreamAppend { chat_id, expected_version: last.version, expected_hash: last.hash, events };
        storage.log().append(Append { streams: vec![stream], receipt: None }).await.expect("it goes on");
        let last = read_chat(storage.log().as_ref(), chat_id).await.unwrap().pop().unwrap();
        assert_eq!((last.event.encoding == Encoding::Sealed, last.json()), (is_sealed, Some(&b"{}"[..])));
    }
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_an_owner_and_a_time_are_chosen() {
    let grown = Grown::new(11).await;
    let log = grown.storage.log();
    let chosen = vec![grown.plain[0], grown.erased];
    let (bytes, summary) = grown.export(Form::Opened, Filters { chats: chosen.clone(), ..Filters::default() }).await;
    let expected: Vec<Stored> =
        everything(log.as_ref()).await.into_iter().filter(|stored| chosen.contains(&stored.event.chat_id)).collect();
    assert_eq!((summary.chats, summary.events), (2, expected.len() as u64));
    let other = Place::new();
    other.import(&bytes).await.expect("whole chats can be imported");
    let storage = other.open().await;
    let found: Vec<_> = everything(storage.log().as_ref()).await.iter().map(told).collect();
    assert_eq!(found, expected.iter().map(told).collect::<Vec<_>>(), "in the same order");
    storage.close().await;

    for (owner, chats) in [("ann", 1 + grown.sealed.len() + grown.plain.len()), ("bob", 0)] {
        let filters = Filters { owner: Some(owner.to_owned()), ..Filters::default() };
        let (bytes, summary) = grown.export(Form::Opened, filters).await;
        assert_eq!(summary.chats, chats as u64, "{owner}");
        let inboxes = u64::from(owner == "ann");
        assert_eq!(summary.streams, summary.chats + inboxes, "the settings are nobody's");
        Place::new().import(&bytes).await.expect("imported");
    }

    let times: Vec<_> = expected.iter().map(|stored| stored.event.recorded_at).collect();
    let since = Some(times[times.len() / 2]);
    let filters =
        Filters { since, until: Some(now() + TimeDelta::days(1)), chats: vec![grown.plain[0]], ..Filters::default() };
    let (bytes, _) = grown.export(Form::Opened, filters.clone()).await;
    let entries = lines(&bytes);
    let first: serde_json::Value = serde_json::from_str(&entries[1]).expect("JSON");
    let version = first["version"].as_u64().expect("a version");
    assert!(version > 1, "{first}");
    let before = log.read_chat(grown.plain[0], version - 2, 1).await.expect("read").remove(0);
    assert_eq!(first["previous_hash"], before.event.hash.to_string(), "so that the excerpt can be checked alone");
    assert_eq!(ends(&bytes).0.filters, filters);
    let refused = Place::new().import(&bytes).await.expect_err("an excerpt is no log");
    assert!(refused.to_string().contains("--since"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_words_of_an_erased_chat_go_out() {
    let mut grown = Grown::new(13).await;
    // The erasure is in the log, but the key is still there.
    let chat_id = grown.sealed[0];
    let log = grown.storage.log();
    let first = log.read_chat(chat_id, 0, 1).await.unwrap().remove(0);
    let key = key_of(&first.event).unwrap();
    let options = ExportOptions { form: Form::Opened, filters: Filters::default(), now: now(), master_key: None };
    grown.saga(chat_id).command(log.as_ref(), Command::Erase { by: "ann".to_owned(), reason: None }).await;
    let refused = export(log.as_ref(), &options, &mut Vec::new(), |_| {}).await.expect_err("words of an erased chat");
    assert!(matches!(refused, crate::transfer::ExportError::ErasedMeanwhile(id) if id == chat_id), "{refused}");
    grown.storage.vault().unwrap().destroy(vec![key]).await.expect("gone");
    let (bytes, _) = grown.export(Form::Opened, Filters::default()).await;
    Place::new().import(&bytes).await.expect("imported");
    // A key that is gone without any erasure.
    if let Some(lost) = grown.sealed.get(1) {
        let first = log.read_chat(*lost, 0, 1).await.unwrap().remove(0);
        grown.storage.vault().unwrap().destroy(vec![key_of(&first.event).unwrap()]).await.expect("gone");
        let refused = export(log.as_ref(), &options, &mut Vec::new(), |_| {}).await.expect_err("words are missing");
        assert!(matches!(refused, crate::transfer::ExportError::KeyGone(id) if id == *lost), "{refused}");
    }
}
