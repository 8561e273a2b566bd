-- Receipts of a chat are found by how their outcome begins, which names the chat: with a chat's content they go, too.
CREATE INDEX receipts_by_outcome ON receipts (substr(outcome, 1, 49));
