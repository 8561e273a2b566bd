//! A collector of OpenTelemetry traces in the test's own process: it takes what is posted to it and reads the spans out of
//! the protobuf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Spans that a test waits for come within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A span as it was delivered. Ids are in hexadecimal; a span without a parent has an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace_id: String,
    /// Its id.
    pub span_id: String,
    /// The span it is below.
    pub parent_span_id: String,
    /// Its name.
    pub name: String,
    /// Its kind: 1 internal, 2 server, 3 client.
    pub kind: u64,
    /// 2 for an error.
    pub status: u64,
    /// Texts and whole numbers, as text.
    pub attributes: BTreeMap<String, String>,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

impl Span {
    /// An attribute; empty if it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// What was delivered.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// The spans.
    pub spans: Vec<Span>,
    /// The attributes of whoever sent them.
    pub resource: BTreeMap<String, String>,
    /// All bodies, one after the other.
    pub bytes: Vec<u8>,
    /// How often something was refused.
    pub refused: u64,
}

/// The collector. It lives as long as the test's runtime.
#[derive(Clone, Debug)]
pub struct Collector {
    delivered: watch::Sender<Delivered>,
    port: u16,
    refusals: Arc<AtomicU64>,
}

impl Collector {
    /// Starts a collector.
    pub async fn start() -> anyhow::Result<Collector> {
        Collector::start_refusing(0).await
    }

    /// Starts a collector that refuses what is posted first, so many times.
    pub async fn start_refusing(refusals: u64) -> anyhow::Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (delivered, refusals) = (watch::Sender::new(Delivered::default()), Arc::new(AtomicU64::new(refusals)));
        let collector = Collector { delivered, port, refusals };
        let accepting = collector.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let collector = accepting.clone();
                // A client that hangs up ends its own connection and nothing else.
                tokio::spawn(async move { collector.serve(connection).await.ok() });
            }
        });
        Ok(collector)
    }

    /// The variables that send a server's traces here, soon.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// Waits until what was delivered fits, and returns it.
    pub async fn until(&self, fits: impl FnMut(&Delivered) -> bool) -> anyhow::Result<Delivered> {
        let mut delivered = self.delivered.subscribe();
        let seen = tokio::time::timeout(PATIENCE, delivered.wait_for(fits)).await;
        let names = || self.delivered.borrow().spans.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
        Ok(seen.with_context(|| format!("the spans did not come; there are {:?}", names()))??.clone())
    }

    async fn serve(&self, connection: TcpStream) -> anyhow::Result<()> {
        let mut connection = BufReader::new(connection);
        loop {
            let mut line = String::new();
            ensure!(connection.read_line(&mut line).await? > 0, "the client is gone");
            let mut length = 0;
            loop {
                let mut header = String::new();
                ensure!(connection.read_line(&mut header).await? > 0, "a request ended early");
                let Some((name, value)) = header.split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse()?;
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).await?;
            let found = line.starts_with("POST /v1/traces ");
            let one_less = |left: u64| left.checked_sub(1);
            let refused = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
            if found && !refused {
                self.delivered.send_modify(|delivered| take(&body, delivered));
            } else if refused {
                self.delivered.send_modify(|delivered| delivered.refused += 1);
            }
            let status = match (found, refused) {
                (true, false) => "200 OK",
                (true, true) => "400 Bad Request",
                (false, _) => "404 Not Found",
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(head.as_bytes()).await?;
        }
    }
}

/// A field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            Field::Number(_) => &[],
        }
    }

    fn number(&self) -> u64 {
        match self {
            Field::Number(number) => *number,
            Field::Bytes(_) => 0,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn hexadecimal(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((first, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

/// The fields of a message: number and value. What is no protobuf ends the list.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let size = match tag & 7 {
            0 => {
                found.push((tag >> 3, Field::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap_or(usize::MAX),
            5 => 4,
            _ => break,
        };
        let Some((value, rest)) = bytes.split_at_checked(size) else { break };
        bytes = rest;
        let fixed = <[u8; 8]>::try_from(value).map(u64::from_le_bytes);
        let field = if tag & 7 == 1 { Field::Number(fixed.unwrap_or(0)) } else { Field::Bytes(value) };
        found.push((tag >> 3, field));
    }
    found
}

fn inner(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |(found, _)| *found == number).map(|(_, field)| field.bytes())
}

/// A `KeyValue`.
fn attribute(message: &[u8]) -> (String, String) {
    let mut pair = (String::new(), String::new());
    for (number, field) in fields(message) {
        match number {
            1 => pair.0 = field.text(),
            _ => {
                for (kind, value) in fields(field.bytes()) {
                    pair.1 = if kind == 1 { value.text() } else { value.number().to_string() };
                }
            }
        }
    }
    pair
}

fn span(message: &[u8]) -> Span {
    let mut span = Span::default();
    let (mut began, mut ended) = (0, 0);
    for (number, field) in fields(message) {
        match number {
            1 => span.trace_id = field.hexadecimal(),
            2 => span.span_id = field.hexadecimal(),
            4 => span.parent_span_id = field.hexadecimal(),
            5 => span.name = field.text(),
            6 => span.kind = field.number(),
            7 => began = field.number(),
            8 => ended = field.number(),
            9 => span.attributes.extend([attribute(field.bytes())]),
            15 => {
                span.status =
                    fields(field.bytes()).iter().find(|(number, _)| *number == 3).map_or(0, |(_, code)| code.number())
            }
            _ => {}
        }
    }
    span.duration_ns = ended - began;
    span
}

/// An `ExportTraceServiceRequest`.
fn take(body: &[u8], delivered: &mut Delivered) {
    delivered.bytes.extend_from_slice(body);
    for resource_spans in inner(body, 1) {
        for resource in inner(resource_spans, 1) {
            delivered.resource.extend(inner(resource, 1).map(attribute));
        }
        for scope_spans in inner(resource_spans, 2) {
            delivered.spans.extend(inner(scope_spans, 2).map(span));
        }
    }
}
