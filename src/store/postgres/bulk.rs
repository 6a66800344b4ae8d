//! Decisions on many messages, over this engine.

use async_trait::async_trait;

use super::PostgresStore;
use crate::domain::journey::Operator;
use crate::store::bulk::{BulkFilter, BulkJobs, BulkMatch, Job, NewJob};
use crate::store::{DiscardNotices, StoreError, ops};

#[async_trait]
impl BulkJobs for PostgresStore {
    async fn bulk_matches(&self, filter: BulkFilter) -> Result<Vec<BulkMatch>, StoreError> {
        self.read(filter, |db, filter| Box::pin(ops::bulk::matches(db, filter))).await
    }

    async fn add_job(&self, job: NewJob, now_ms: i64) -> Result<i64, StoreError> {
        self.write("add_job", job, move |db, job| Box::pin(ops::bulk::add(db, job, now_ms))).await
    }

    async fn work_job(&self, job: i64, notices: DiscardNotices, now_ms: i64) -> Result<Option<Job>, StoreError> {
        self.write("work_job", notices, move |db, notices| Box::pin(ops::bulk::work(db, job, notices, now_ms))).await
    }

    async fn cancel_job(&self, job: i64, by: Operator, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError> {
        self.write("cancel_job", by, move |db, by| Box::pin(ops::bulk::cancel(db, job, by, now_ms))).await
    }

    async fn job(&self, job: i64) -> Result<Option<Job>, StoreError> {
        self.read((), move |db, ()| Box::pin(ops::bulk::read(db, job))).await
    }

    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read((), move |db, ()| Box::pin(ops::bulk::list(db, limit))).await
    }
}
