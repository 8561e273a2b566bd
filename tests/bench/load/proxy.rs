//! The bare proxy: takes a question, asks the model, passes the answer on as it comes, keeps nothing. No server with a
//! memory can be faster.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use super::wire::Connection;

/// Connections to the model that wait for the next question.
type Pool = Rc<RefCell<Vec<Connection>>>;

/// The last bytes of a body in chunks.
const END: &[u8] = b"0\r\n\r\n";

/// Serves until it is killed; prints where.
pub async fn serve(model: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let pool = Pool::default();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let pool = Rc::clone(&pool);
                // A client that hangs up ends its own connection and nothing else.
                tokio::task::spawn_local(async move { converse(stream, model, &pool).await.ok() });
            }
        })
        .await
}

async fn converse(stream: TcpStream, model: SocketAddr, pool: &Pool) -> anyhow::Result<()> {
    let mut client = Connection::over(stream)?;
    while let Some(head) = client.try_head().await? {
        let body = client.body(&head).await?;
        let waiting = pool.borrow_mut().pop();
        let mut upstream = match waiting {
            Some(connection) => connection,
            None => Connection::open(model).await?,
        };
        let length = body.len();
        let mut request = format!(
            "{}\r\nhost: model\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            head.line
        )
        .into_bytes();
        request.extend_from_slice(&body);
        upstream.send(&request).await?;
        // The answer goes on as it is. The model's data holds no line that looks like the end of the body.
        let mut tail: Vec<u8> = Vec::new();
        loop {
            let bytes = upstream.raw().await?.context("the model is gone")?;
            client.send(bytes).await?;
            tail.extend_from_slice(&bytes[bytes.len().saturating_sub(END.len())..]);
            tail.drain(..tail.len().saturating_sub(END.len()));
            if tail == END {
                break;
            }
        }
        pool.borrow_mut().push(upstream);
    }
    Ok(())
}
