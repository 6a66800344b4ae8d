//! Decisions on many messages, over this engine.

use async_trait::async_trait;

use super::SqliteStore;
use super::db::SqliteTx;
use crate::domain::journey::Operator;
use crate::store::bulk::{BulkFilter, BulkJobs, BulkMatch, Job, NewJob};
use crate::store::tx::at_once;
use crate::store::{DiscardNotices, StoreError, ops};

#[async_trait]
impl BulkJobs for SqliteStore {
    async fn bulk_matches(&self, filter: BulkFilter) -> Result<Vec<BulkMatch>, StoreError> {
        self.read(move |db| at_once(ops::bulk::matches(&mut SqliteTx(db), &filter))).await
    }

    async fn add_job(&self, job: NewJob, now_ms: i64) -> Result<i64, StoreError> {
        self.write("add_job", move |db| at_once(ops::bulk::add(&mut SqliteTx(db), &job, now_ms))).await
    }

    async fn work_job(&self, job: i64, notices: DiscardNotices, now_ms: i64) -> Result<Option<Job>, StoreError> {
        self.write("work_job", move |db| at_once(ops::bulk::work(&mut SqliteTx(db), job, &notices, now_ms))).await
    }

    async fn cancel_job(&self, job: i64, by: Operator, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError> {
        self.write("cancel_job", move |db| at_once(ops::bulk::cancel(&mut SqliteTx(db), job, &by, now_ms))).await
    }

    async fn job(&self, job: i64) -> Result<Option<Job>, StoreError> {
        self.read(move |db| at_once(ops::bulk::read(&mut SqliteTx(db), job))).await
    }

    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read(move |db| at_once(ops::bulk::list(&mut SqliteTx(db), limit))).await
    }
}
