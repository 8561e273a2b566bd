//! A server that plays a script on each connection and keeps what it was asked.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the server does next on a connection.
pub enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until the client has taken this many parts altogether.
    AwaitParts(usize),
    /// From here on time passes by itself whenever nothing else can happen.
    LetTimePass,
    /// Breaks the connection instead of closing it.
    Reset,
    /// Waits until the client goes away.
    AwaitHangUp,
    /// Sends the same bytes until the client goes away.
    SendForEver(Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

pub struct StandIn {
    pub address: SocketAddr,
    /// Tell it of each part that the client took.
    pub taken: mpsc::Sender<()>,
    playing: JoinHandle<Vec<Request>>,
}

impl StandIn {
    /// Listens, and plays one script per connection, one after another.
    pub async fn play(scripts: Vec<Vec<Act>>) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, mut parts) = mpsc::channel(1024);
        let playing = tokio::spawn(async move {
            let mut requests = Vec::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                requests.push(play(stream, script, &mut parts).await);
            }
            requests
        });
        StandIn { address, taken, playing }
    }

    /// The requests, once every script was played.
    pub async fn requests(self) -> Vec<Request> {
        self.playing.await.unwrap()
    }
}

async fn play(mut stream: TcpStream, script: Vec<Act>, parts: &mut mpsc::Receiver<()>) -> Request {
    let request = read_request(&mut stream).await;
    let mut seen = 0;
    for act in script {
        match act {
            Act::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::AwaitParts(count) => {
                while seen < count {
                    parts.recv().await.unwrap();
                    seen += 1;
                }
            }
            Act::LetTimePass => tokio::time::pause(),
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                return request;
            }
            Act::AwaitHangUp => while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {},
            Act::SendForEver(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        }
    }
    request
}

async fn read_request(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap().to_lowercase();
            let length: usize =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let body = &bytes[at + 4..];
            if body.len() == length {
                return Request { head, body: body.to_vec() };
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request ended early");
    }
}

/// A response's head.
pub fn head(status: &str, headers: &[&str]) -> Act {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    Act::Send(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").into_bytes())
}

/// One chunk of a chunked body.
pub fn chunk(text: &str) -> Act {
    Act::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

/// Nothing in these tests should take this long.
pub const PATIENCE: Duration = Duration::from_secs(60);
