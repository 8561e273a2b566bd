//! Server-sent events without I/O: bytes in, events out, whatever the cuts between the bytes.
//!
//! Two things differ from a browser's reader, on purpose. A last event without its blank line counts, since some servers
//! end that way; and both one event and the whole body are bounded, since a server may never send a line's end.

#[cfg(test)]
mod tests;

use std::mem;

/// How much a stream may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseLimits {
    /// Bytes of one event, field names included.
    pub event_bytes_max: usize,
    /// Bytes of the whole body.
    pub body_bytes_max: usize,
}

impl Default for SseLimits {
    fn default() -> SseLimits {
        SseLimits { event_bytes_max: 8 * 1024 * 1024, body_bytes_max: 128 * 1024 * 1024 }
    }
}

/// One event that carries data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its data lines, joined by line feeds.
    pub data: String,
}

/// The stream sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseOverflow {
    /// One event is longer than this many bytes.
    Event(usize),
    /// The body is longer than this many bytes.
    Body(usize),
}

/// Takes a stream's bytes and gives its events. Bytes that are not UTF-8 become replacement characters.
#[derive(Debug)]
pub struct SseDecoder {
    limits: SseLimits,
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    at_start: bool,
    after_carriage_return: bool,
    event_bytes: usize,
    body_bytes: usize,
    overflow: Option<SseOverflow>,
}

impl SseDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limits: SseLimits) -> SseDecoder {
        SseDecoder {
            limits,
            line: Vec::new(),
            name: String::new(),
            data: String::new(),
            has_data: false,
            at_start: true,
            after_carriage_return: false,
            event_bytes: 0,
            body_bytes: 0,
            overflow: None,
        }
    }

    /// Takes the next bytes and appends the events that they complete. After an overflow nothing is taken any more.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseOverflow> {
        if let Some(overflow) = self.overflow {
            return Err(overflow);
        }
        let room = self.limits.body_bytes_max - self.body_bytes;
        let mut rest = &bytes[..bytes.len().min(room)];
        self.body_bytes += rest.len();
        while !rest.is_empty() {
            if mem::take(&mut self.after_carriage_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            self.event_bytes += piece.len();
            if self.event_bytes > self.limits.event_bytes_max {
                return self.overflowed(SseOverflow::Event(self.limits.event_bytes_max));
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_carriage_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line(events);
        }
        if bytes.len() > room { self.overflowed(SseOverflow::Body(self.limits.body_bytes_max)) } else { Ok(()) }
    }

    /// The stream is over: gives the event that lacks its blank line, if there is one.
    pub fn finish(&mut self) -> Option<SseEvent> {
        if self.overflow.is_some() {
            return None;
        }
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events);
        }
        self.dispatch(&mut events);
        events.pop()
    }

    fn overflowed(&mut self, overflow: SseOverflow) -> Result<(), SseOverflow> {
        self.overflow = Some(overflow);
        self.line = Vec::new();
        self.data = String::new();
        Err(overflow)
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) {
        let mut line = mem::take(&mut self.line);
        let from = if mem::take(&mut self.at_start) && line.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        self.take_line(&line[from..], events);
        line.clear();
        self.line = line;
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) {
        if line.is_empty() {
            return self.dispatch(events);
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(&String::from_utf8_lossy(value));
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            // A comment has an empty field name; `id`, `retry` and unknown fields mean nothing here.
            _ => {}
        }
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        self.event_bytes = 0;
        let name = mem::take(&mut self.name);
        let data = mem::take(&mut self.data);
        if mem::take(&mut self.has_data) {
            events.push(SseEvent { name, data });
        }
    }
}
