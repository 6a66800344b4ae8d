//! The index of words: filled block by block behind the queue, and forgotten in the transactions that erase texts.

use std::collections::BTreeSet;

use super::find::folded;
use crate::domain::find::Side;
use crate::domain::gram_lists::{BLOCK_ROWS, BlockLists};
use crate::store::tx::{Tx, values};
use crate::store::{INDEX_WITHIN_MS, Indexing, StoreError, sql_find as sql};

/// Rows younger than this are not indexed: a transaction that took an earlier id may not have ended, and it ends within half of
/// this.
const SETTLED_MS: i64 = 20_000;

/// Texts that are read at once.
const TEXTS: i64 = 512;

/// Marks that a block is indexed.
const MARK: i64 = -1;

/// A block that is to be indexed.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct DueBlock {
    side: Side,
    block: i64,
    upto: i64,
    wipes: i64,
    /// Blocks below have no rows any more.
    first: i64,
    /// When the first row after the block was stored; `None` where it was indexed before.
    complete_ms: Option<i64>,
}

impl DueBlock {
    /// Returns what to do in place of indexing it while messages are being stored; `None` where it has waited for too long.
    pub(in crate::store) fn put_off(&self, now_ms: i64) -> Option<Indexing> {
        match self.complete_ms {
            Some(complete_ms) if complete_ms < now_ms - INDEX_WITHIN_MS => None,
            Some(_) => Some(Indexing::Busy),
            None => Some(Indexing::Done),
        }
    }

    /// Returns what became of a turn that has indexed it.
    pub(in crate::store) fn indexed(&self) -> Indexing {
        if self.complete_ms.is_some() { Indexing::More } else { Indexing::Again }
    }
}

/// A block that was read, to be stored by [`store`].
pub(in crate::store) struct ReadBlock {
    due: DueBlock,
    lists: Vec<(i64, String)>,
}

/// Returns the next block that is complete and not indexed; where there is none, the newest of those of which a text was
/// erased.
pub(in crate::store) async fn due(db: &mut impl Tx, now_ms: i64) -> Result<Option<DueBlock>, StoreError> {
    for again in [false, true] {
        for side in Side::BOTH {
            let Some((upto, wipes)) = db.optional(sql::INDEXED, values![side.as_str()]).await? else { continue };
            let (bounds, after_ms) = match side {
                Side::Out => (sql::OUTBOUND_IDS, sql::OUTBOUND_FROM_MS),
                Side::In => (sql::EVENT_IDS, sql::EVENTS_FROM_MS),
            };
            let (least, _): (Option<i64>, Option<i64>) = db.optional(bounds, values![]).await?.unwrap_or_default();
            let Some(first) = least.map(|least| least.div_euclid(BLOCK_ROWS)) else { continue };
            let (block, complete_ms) = if again {
                let indexed = db.ids(sql::INDEXED_BLOCKS, values![side.as_str(), first, upto]).await?;
                let indexed: BTreeSet<i64> = indexed.into_iter().collect();
                let Some(block) = (first..upto).rev().find(|block| !indexed.contains(block)) else { continue };
                (block, None)
            } else {
                let block = first.max(upto);
                let after: Option<(i64,)> = db.optional(after_ms, values![(block + 1) * BLOCK_ROWS]).await?;
                let Some((after_ms,)) = after.filter(|(after_ms,)| *after_ms < now_ms - SETTLED_MS) else { continue };
                (block, Some(after_ms))
            };
            return Ok(Some(DueBlock { side, block, upto, wipes, first, complete_ms }));
        }
    }
    Ok(None)
}

/// Reads the texts of a block.
pub(in crate::store) async fn read(db: &mut impl Tx, due: &DueBlock) -> Result<ReadBlock, StoreError> {
    let lists = lists(db, due.side, due.block).await?;
    Ok(ReadBlock { due: *due, lists })
}

async fn lists(db: &mut impl Tx, side: Side, block: i64) -> Result<Vec<(i64, String)>, StoreError> {
    let statement = if side == Side::Out { sql::OUTBOUND_TEXTS } else { sql::EVENT_TEXTS };
    let (mut from, end) = (block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS);
    let mut lists = BlockLists::empty();
    while from < end {
        let upto = end.min(from + TEXTS);
        for (id, json) in db.rows::<(i64, String)>(statement, values![from, upto]).await? {
            lists.add(id, &folded(side, &json));
        }
        from = upto;
    }
    Ok(lists.parts())
}

/// Stores the lists of a block, unless a text was erased since it was due. Returns whether it did.
pub(in crate::store) async fn store(db: &mut impl Tx, read: &ReadBlock) -> Result<bool, StoreError> {
    let ReadBlock { due: DueBlock { side, block, upto, wipes, first, .. }, lists } = read;
    let (side, next) = (side.as_str(), (*upto).max(block + 1));
    if db.execute(sql::ADVANCE, values![next, side, wipes, upto]).await? == 0 {
        return Ok(false);
    }
    db.execute(sql::DROP_LISTS, values![block, side]).await?;
    db.execute(sql::DROP_LISTS_BELOW, values![first, side]).await?;
    db.execute(sql::ADD_LISTS, values![side, MARK, block, ""]).await?;
    for (part, lists) in lists {
        db.execute(sql::ADD_LISTS, values![side, part, block, lists]).await?;
    }
    Ok(true)
}

/// Forgets what the index has of the blocks of these rows, of which the texts are being erased.
pub(in crate::store) async fn forget(db: &mut impl Tx, side: Side, rows: &[i64]) -> Result<(), StoreError> {
    let blocks: BTreeSet<i64> = rows.iter().map(|id| id.div_euclid(BLOCK_ROWS)).collect();
    if blocks.is_empty() {
        return Ok(());
    }
    db.execute(sql::NOTE_WIPE, values![side.as_str()]).await?;
    for block in blocks {
        db.execute(sql::DROP_LISTS, values![block, side.as_str()]).await?;
    }
    Ok(())
}
