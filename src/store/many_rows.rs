//! Rows for tests of searches: more than a block of the index of words, in both directions.

/// Later than all of them, by more than the index waits.
pub(super) const LATE_MS: i64 = 1_000_000_000;

/// Statements of both engines. Outbound rows 1 to 9,000 at times 1,000 to 9,000,000, of 900 contacts in three channels, of which
/// `quiet` has one contact; every thousandth failed, and its words are rare. Events 1 to 9,000 likewise; every thousandth is dead, and
/// of those between every third is a status.
pub(super) const INTO_BLOCKS: &[&str] = &[
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900) \
     INSERT INTO conversations (channel, contact, destination) \
     SELECT CASE WHEN n = 1 THEN 'quiet' WHEN n % 2 = 0 THEN 'support' ELSE 'sales' END, '+34' || (600000000 + n), \
     '34' || (600000000 + n) FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000) \
     INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, done_ms, fault, answered) \
     SELECT 1 + n % 900, substr('00000000000000000000000000000000', 1, 32 - length(CAST(n AS TEXT))) || CAST(n AS TEXT), \
     CASE WHEN n % 1000 = 7 THEN 'failed' ELSE 'sent' END, 'text', '{\"type\":\"text\",\"text\":\"' || \
     CASE WHEN n % 1000 = 7 THEN 'Señor XILÓFONO azul ' ELSE 'Gracias por su mensaje, en breve le atendemos ' END || \
     CAST(n AS TEXT) || '\"}', n * 1000, n * 1000, n * 1000, n * 1000 + 1, CASE WHEN n % 1000 = 7 THEN 'http_400' END, 1 FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000) \
     INSERT INTO events (conversation, m_id, kind, state, event, due_ms, recorded_ms, done_ms, fault) \
     SELECT 1 + n % 900, substr('e0000000000000000000000000000000', 1, 32 - length(CAST(n AS TEXT))) || CAST(n AS TEXT), \
     CASE WHEN n % 1000 <> 7 AND n % 3 = 0 THEN 'message_status' ELSE 'message' END, \
     CASE WHEN n % 1000 = 7 THEN 'dead' ELSE 'done' END, \
     CASE WHEN n % 1000 <> 7 AND n % 3 = 0 \
     THEN '{\"m_id\":\"a\",\"timestamp_ms\":1,\"body\":{\"kind\":\"message_status\",\"value\":\"read\",\"message\":\"xilofono\"}}' \
     ELSE '{\"m_id\":\"a\",\"timestamp_ms\":1,\"body\":{\"kind\":\"message\",\"content\":{\"type\":\"text\",\"text\":\"' || \
     CASE WHEN n % 1000 = 7 THEN 'mi xilófono no suena ' ELSE 'muchas gracias ' END || CAST(n AS TEXT) || '\"}}}' END, \
     n * 1000 + 500, n * 1000 + 500, n * 1000 + 501, CASE WHEN n % 1000 = 7 THEN 'http_400' END FROM n",
];
