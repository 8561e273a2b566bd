//! HTTP/1.1 as bare as it gets, for the driver, the scripted model and the proxy alike: what stands beside the server
//! under test must cost next to nothing, or it would measure itself.

use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is asked of the system for one read.
const READ_BYTES: usize = 64 * 1024;

/// The largest head that is taken.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The beginning of a request or an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line: method and path, or the status.
    pub line: String,
    /// The length of the body where it was said.
    pub length: Option<usize>,
    /// The body comes in chunks.
    pub chunked: bool,
}

impl Head {
    fn parse(text: &str) -> anyhow::Result<Head> {
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let mut head = Head { line, length: None, chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Some(value.trim().parse().context("a length that is no number")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Ok(head)
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// The path of a request.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// One end of a connection, kept alive between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the part of `buffer` begins that nobody has taken yet.
    start: usize,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        Connection::over(TcpStream::connect(address).await?)
    }

    /// Speaks over a connection that was accepted.
    pub fn over(stream: TcpStream) -> anyhow::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new(), start: 0 })
    }

    /// Sends these bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next head; none when the other end is gone between two of them.
    pub async fn try_head(&mut self) -> anyhow::Result<Option<Head>> {
        let end = loop {
            if let Some(end) = memmem::find(&self.buffer[self.start..], b"\r\n\r\n") {
                break self.start + end;
            }
            ensure!(self.buffer.len() - self.start < HEAD_BYTES_MAX, "a head without an end");
            if !self.fill().await? {
                ensure!(self.buffer.len() == self.start, "the other end is gone inside a head");
                return Ok(None);
            }
        };
        let head = Head::parse(std::str::from_utf8(&self.buffer[self.start..end])?)?;
        self.start = end + 4;
        Ok(Some(head))
    }

    /// The next head.
    pub async fn head(&mut self) -> anyhow::Result<Head> {
        self.try_head().await?.context("the other end is gone")
    }

    /// The whole body after this head.
    pub async fn body(&mut self, head: &Head) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        if head.chunked {
            while let Some(chunk) = self.chunk().await? {
                body.extend_from_slice(chunk);
            }
        } else {
            let range = self.need(head.length.unwrap_or(0)).await?;
            body.extend_from_slice(&self.buffer[range]);
        }
        Ok(body)
    }

    /// The next chunk of a body; none at its end. Servers of events put whole frames into a chunk.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let range = self.chunk_range().await?;
        Ok(range.map(|range| &self.buffer[range]))
    }

    async fn chunk_range(&mut self) -> anyhow::Result<Option<Range<usize>>> {
        let size = loop {
            if let Some(end) = memmem::find(&self.buffer[self.start..], b"\r\n") {
                let digits = std::str::from_utf8(&self.buffer[self.start..self.start + end])?;
                let size = usize::from_str_radix(digits.trim(), 16).context("a chunk without a size")?;
                self.start += end + 2;
                break size;
            }
            ensure!(self.fill().await?, "the other end is gone inside a body");
        };
        let Range { start, end } = self.need(size + 2).await?;
        ensure!(&self.buffer[end - 2..end] == b"\r\n", "a chunk without an end");
        Ok((size > 0).then_some(start..end - 2))
    }

    /// Sends a request and reads the whole answer, which must have this status.
    pub async fn ask(&mut self, request: &[u8], status: u16) -> anyhow::Result<Vec<u8>> {
        self.send(request).await?;
        let head = self.head().await?;
        let body = self.body(&head).await?;
        if head.status() != status {
            bail!("asked for {status}, answered {}: {}", head.line, String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Sends a request whose answer is a stream of chunks.
    pub async fn stream(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.send(request).await?;
        let head = self.head().await?;
        if head.status() == 200 && head.chunked {
            return Ok(());
        }
        let body = self.body(&head).await?;
        bail!("no stream: {}: {}", head.line, String::from_utf8_lossy(&body))
    }

    /// What has been read and not been taken, or else what comes next, as it is; none when the other end is gone.
    pub async fn raw(&mut self) -> anyhow::Result<Option<&[u8]>> {
        if self.start == self.buffer.len() && !self.fill().await? {
            return Ok(None);
        }
        let start = std::mem::replace(&mut self.start, self.buffer.len());
        Ok(Some(&self.buffer[start..]))
    }

    /// Takes so many bytes.
    async fn need(&mut self, count: usize) -> anyhow::Result<Range<usize>> {
        while self.buffer.len() - self.start < count {
            ensure!(self.fill().await?, "the other end is gone inside a body");
        }
        let range = self.start..self.start + count;
        self.start = range.end;
        Ok(range)
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> anyhow::Result<bool> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

/// A request without a body.
pub fn get(path: &str, key: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n").into_bytes()
}

/// A request with JSON.
pub fn post(path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A chunk of a body.
pub fn chunk(payload: &str) -> String {
    format!("{:x}\r\n{payload}\r\n", payload.len())
}
