//! HTTP requests that carry a tool call, with the call's key in a header that servers and what stands before them know by
//! its name: `Idempotency-Key`. It is the call's one address, the same for the same call whenever it is sent.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use reqwest::Client;
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetMeta as _, JsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use rmcp_sse_stream::Sse;

/// The header.
pub(super) const HEADER: &str = "idempotency-key";

/// The key under which a call's parameters say its one address, the same after a crash.
pub(super) const META_CALL: &str = "io.verbatim/call-id";

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<reqwest::Error>;

/// A client that puts the header on what is a call.
#[derive(Clone)]
pub(super) struct KeyedClient(pub Client);

/// The headers of a message: those of its server, and a call's key.
fn with_key(message: &ClientJsonRpcMessage, mut headers: Headers) -> Headers {
    if let JsonRpcMessage::Request(request) = message
        && let ClientRequest::CallToolRequest(_) = &request.request
        && let Some(call) = request.request.get_meta().0.0.get(META_CALL).and_then(serde_json::Value::as_str)
        && let Ok(value) = HeaderValue::from_str(call)
    {
        headers.insert(HeaderName::from_static(HEADER), value);
    }
    headers
}

impl StreamableHttpClient for KeyedClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let headers = with_key(&message, headers);
        self.0.post_message(uri, message, session_id, auth_header, headers).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
        max_bytes: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let headers = with_key(&message, headers);
        let client = &self.0;
        client.post_message_with_max_sse_event_size(uri, message, session_id, auth_header, headers, max_bytes).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.0.delete_session(uri, session_id, auth_header, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failure> {
        self.0.get_stream(uri, session_id, last_event_id, auth_header, headers).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
        max_bytes: usize,
    ) -> Result<Events, Failure> {
        let client = &self.0;
        client.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, headers, max_bytes).await
    }
}
