//! Reading an export into an empty log: line by line beside it, then audited, then all at once.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::{Encoding, NewEvent, chain_hash};
use verbatim_events::ids::ChatId;
use verbatim_events::vault::{Sealer, Vault as _, associated_data};
use verbatim_events_sql::seal::MasterKey;
use verbatim_events_sql::{ChatVault, LogOptions, Sealing, Staging, key_of, master_key_mark};

use super::check::{Checked, Checker, Way, malformed};
use super::line::{FORMAT, Form, Header, Trailer};
use super::lines::{Lines, Next};
use super::{ImportError, LINE_BYTES_MAX, Step};
use crate::config::Environment;
use crate::models::ProviderKeys;
use crate::verify::audit_log;

/// Events that are written at once, at most.
const BATCH_EVENTS: usize = 500;

/// Bytes of events that are written at once, about; a larger event is written alone.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Chats whose keys are kept in memory. Those forgotten are looked up again.
const SEALERS_MAX: usize = 10_000;

/// The last line is shorter than this, and an event's line longer.
const TRAILER_BYTES_MAX: usize = 320;

/// Where an export is read into.
#[derive(Clone, Debug)]
pub struct Target {
    /// The log's address. Nobody may serve from it.
    pub address: String,
    /// The master key that wraps its keys, or will.
    pub master: Arc<MasterKey>,
    /// Where databases are talked to.
    pub runtime: Handle,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// The new log's timeline.
    pub timeline: Uuid,
    /// Events.
    pub events: u64,
    /// Chats.
    pub chats: u64,
    /// Chats that were sealed anew, so that their hashes are others than in the log that they are from.
    pub sealed_anew: u64,
    /// Providers whose keys were sealed by another server, and must be set anew.
    pub provider_keys: Vec<String>,
}

/// Reads an export into an empty log. After an error the log is as empty as before.
pub async fn import(input: impl BufRead, target: &Target, mut tell: impl FnMut(Step)) -> Result<Imported, ImportError> {
    let mut lines = Lines::new(input);
    let header = header(&mut lines)?;
    if let Some(span) = header.filters.span() {
        return Err(ImportError::Excerpt { span });
    }
    let (address, runtime) = (&target.address, &target.runtime);
    if header.form == Form::Sealed
        && header.master_key.is_some()
        && master_key_mark(address, runtime.clone()).await?.is_none()
    {
        return Err(ImportError::NoKeys);
    }
    // What is sealed stays sealed, whatever holds for new chats: that it can be erased was promised.
    let sealing = Some(Sealing { master: Arc::clone(&target.master), new_chats: true });
    let options = LogOptions { sealing, ..LogOptions::default() };
    let staging = Staging::begin(address, options, runtime.clone()).await?;
    let mut filler = Filler::new(staging, &header);
    let filled = match filler.fill(&mut lines, &mut tell).await {
        Ok(()) => filler.audit(&mut tell).await,
        Err(error) => Err(error),
    };
    let Filler { staging, checker, made_keys, .. } = filler;
    if let Err(error) = filled {
        staging.discard(made_keys).await;
        return Err(error);
    }
    let provider_keys = foreign_keys(&checker, &staging.vault());
    let timeline = staging.publish().await?;
    let (_, chats) = checker.streams();
    Ok(Imported { timeline, events: checker.events(), chats, sealed_anew: checker.sealed_anew(), provider_keys })
}

fn header(lines: &mut Lines<impl BufRead>) -> Result<Header, ImportError> {
    let refuse = |problem: String| Err(ImportError::Line { line: 1, problem });
    match lines.next()? {
        Next::End => return refuse("there is nothing; an export of `verbatim audit export` is needed".to_owned()),
        Next::TooLong => return refuse("this is no export of `verbatim audit export`".to_owned()),
        Next::Line => {}
    }
    // The number first: the fields of another format may be others.
    let value: serde_json::Value = match serde_json::from_slice(lines.line()) {
        Ok(value) => value,
        Err(_) => return refuse("this is no export of `verbatim audit export`".to_owned()),
    };
    match value.get("verbatim_export").map(|number| number.as_u64()) {
        Some(Some(number)) if number == u64::from(FORMAT) => {}
        Some(Some(number)) => {
            return refuse(format!(
                "its format is {number}; this program reads {FORMAT}, so take the one that wrote it"
            ));
        }
        _ => return refuse("this is no export of `verbatim audit export`".to_owned()),
    }
    serde_json::from_value(value).or_else(|error| refuse(format!("this is no first line of an export: {error}")))
}

/// Whether a line is the last one, by what every number of the format has in it.
fn is_trailer(line: &[u8]) -> bool {
    let name = b"\"verbatim_export_end\"";
    line.len() < TRAILER_BYTES_MAX && line.windows(name.len()).any(|part| part == name)
}

/// Fills a log.
struct Filler {
    staging: Staging,
    vault: ChatVault,
    checker: Checker,
    batch: Vec<NewEvent>,
    batch_bytes: usize,
    sealers: HashMap<ChatId, Arc<dyn Sealer>>,
    /// The keys that were made for chats.
    made_keys: Vec<Uuid>,
}

impl Filler {
    fn new(staging: Staging, header: &Header) -> Filler {
        let vault = staging.vault();
        let (batch, sealers, made_keys) = (Vec::new(), HashMap::new(), Vec::new());
        Filler { staging, vault, checker: Checker::new(header), batch, batch_bytes: 0, sealers, made_keys }
    }

    async fn fill(&mut self, lines: &mut Lines<impl BufRead>, tell: &mut impl FnMut(Step)) -> Result<(), ImportError> {
        loop {
            let next = lines.next()?;
            let line = lines.number();
            let wrong = |problem: String| ImportError::Line { line, problem };
            match next {
                Next::End => return Err(ImportError::Cut { line }),
                Next::TooLong => return Err(wrong(format!("it is longer than {LINE_BYTES_MAX} bytes"))),
                Next::Line if is_trailer(lines.line()) => {
                    let trailer: Trailer =
                        serde_json::from_slice(lines.line()).map_err(|error| wrong(malformed(&error)))?;
                    self.checker.end(&trailer, lines.digest_before()).map_err(wrong)?;
                    return match lines.next()? {
                        Next::End => self.flush().await,
                        Next::Line | Next::TooLong => {
                            let problem = "the export ended before this line".to_owned();
                            Err(ImportError::Line { line: line + 1, problem })
                        }
                    };
                }
                Next::Line => {}
            }
            let checked = self.checker.event(lines.line()).map_err(wrong)?;
            self.take(checked, line).await?;
            if self.batch.len() >= BATCH_EVENTS || self.batch_bytes >= BATCH_BYTES {
                self.flush().await?;
                tell(Step::Events { done: self.checker.events() });
            }
        }
    }

    /// Takes an event into the batch, sealed anew if need be.
    async fn take(&mut self, checked: Checked, line: u64) -> Result<(), ImportError> {
        let Checked { mut event, way, new_previous } = checked;
        if way == Way::Anew {
            if event.encoding == Encoding::Sealed {
                let sealer = self.sealer(&event, line).await?;
                let sealed = sealer.seal(&associated_data(&event), &event.data);
                event.data = sealed.map_err(|error| ImportError::Line { line, problem: error.to_string() })?;
                if event.version == 1 {
                    self.made_keys.extend(key_of(&event));
                }
            }
            event.hash = chain_hash(&new_previous, &event);
        }
        self.checker.hashed(event.chat_id, event.hash);
        self.batch_bytes += event.data.len();
        self.batch.push(event);
        Ok(())
    }

    async fn sealer(&mut self, event: &NewEvent, line: u64) -> Result<Arc<dyn Sealer>, ImportError> {
        if let Some(sealer) = self.sealers.get(&event.chat_id) {
            return Ok(Arc::clone(sealer));
        }
        if self.sealers.len() >= SEALERS_MAX {
            // The vault finds a chat's key again by its first event, so that must be written.
            self.flush().await?;
            self.sealers.clear();
        }
        let sealer = self.vault.sealer(event.chat_id, event.version == 1).await?;
        let none = || ImportError::Line { line, problem: "there is no key to seal it with".to_owned() };
        let sealer = sealer.ok_or_else(none)?;
        self.sealers.insert(event.chat_id, Arc::clone(&sealer));
        Ok(sealer)
    }

    async fn flush(&mut self) -> Result<(), ImportError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        Ok(self.staging.add(std::mem::take(&mut self.batch)).await?)
    }

    /// Checks what was written as every audit would.
    async fn audit(&mut self, tell: &mut impl FnMut(Step)) -> Result<(), ImportError> {
        let total = 2 * self.checker.events();
        let audit = audit_log(self.staging.log().as_ref(), |done| tell(Step::Check { done, total })).await?;
        match audit.finding {
            None => Ok(()),
            // The first line is no event.
            Some(finding) => {
                let chat = finding.chat_id.map_or_else(String::new, |chat_id| format!("chat {chat_id}: "));
                Err(ImportError::Line { line: finding.position + 1, problem: format!("{chat}{}", finding.problem) })
            }
        }
    }
}

/// Providers whose sealed keys this log's own key for secrets does not open.
fn foreign_keys(checker: &Checker, vault: &ChatVault) -> Vec<String> {
    let keys = ProviderKeys::new(Environment::default(), vault.secrets());
    let providers = checker.providers().iter();
    let foreign = providers.filter(|(name, provider)| keys.of(name, provider).is_err());
    foreign.map(|(name, _)| name.clone()).collect()
}
