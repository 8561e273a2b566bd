-- How an erasure was asked for: the request that began it, so that whoever finishes it after a crash answers that request,
-- too. Absent where no request began it, as with a chat's children.
ALTER TABLE chat_vault.erasures ADD COLUMN request text;
