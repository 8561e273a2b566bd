//! The port that both logs are used through. Their databases differ, and with them the types of their connections, so this is
//! a macro.

/// Makes a log with a runtime, a queue, readers, a known head and a timeline, beside a module `read`, an `EventLog`.
macro_rules! event_log {
    ($log:ty) => {
        impl EventLog for $log {
            fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
                Box::pin(async move {
                    match &self.queue {
                        Some(queue) => queue.append(append).await,
                        None => Err(AppendError::Failed("the log was opened for reading".to_owned())),
                    }
                })
            }

            fn read_chat(
                &self,
                chat_id: ChatId,
                after: Version,
                limit: usize,
            ) -> BoxFuture<'_, Result<Vec<Stored>, LogError>> {
                let readers = self.readers.clone();
                Box::pin(read_on(&self.runtime, async move { read::chat(&readers, chat_id, after, limit).await }))
            }

            fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>> {
                let (readers, known_head) = (self.readers.clone(), self.known_head.clone());
                Box::pin(read_on(&self.runtime, async move {
                    let page = read::all(&readers, after, limit).await?;
                    known_head.publish(page.head);
                    Ok(page)
                }))
            }

            fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
                let (readers, known_head) = (self.readers.clone(), self.known_head.clone());
                Box::pin(read_on(&self.runtime, async move {
                    let head = read::head(&readers).await?;
                    known_head.publish(head);
                    Ok(head)
                }))
            }

            fn known_head(&self) -> Position {
                self.known_head.get()
            }

            fn wait_beyond(&self, position: Position) -> BoxFuture<'_, ()> {
                Box::pin(self.known_head.wait_beyond(position))
            }

            fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>> {
                let (readers, owner, key) = (self.readers.clone(), owner.to_owned(), key.to_owned());
                Box::pin(read_on(&self.runtime, async move { read::receipt(&readers, &owner, &key).await }))
            }

            fn timeline(&self) -> Uuid {
                self.timeline
            }
        }
    };
}
pub(crate) use event_log;
