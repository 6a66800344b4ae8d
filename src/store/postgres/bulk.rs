//! Decisions on many messages, over this engine.

use async_trait::async_trait;

use super::PostgresStore;
use crate::domain::journey::Operator;
use crate::store::bulk::{BulkFilter, BulkJobs, BulkPage, Job, JobParts, NewJob, Place};
use crate::store::{DiscardNotices, StoreError, ops};

#[async_trait]
impl BulkJobs for PostgresStore {
    async fn bulk_page(&self, filter: BulkFilter, after: Option<Place>, limit: u32) -> Result<BulkPage, StoreError> {
        self.read(filter, move |db, filter| Box::pin(ops::bulk::page(db, filter, after, limit))).await
    }

    async fn add_job(&self, job: NewJob, now_ms: i64) -> Result<i64, StoreError> {
        self.write("add_job", job, move |db, job| Box::pin(ops::bulk::add(db, job, now_ms))).await
    }

    async fn fill_job(&self, job: i64, parts: JobParts, now_ms: i64) -> Result<(), StoreError> {
        self.write("fill_job", parts, move |db, parts| Box::pin(ops::bulk::fill(db, job, parts, now_ms))).await
    }

    async fn job_and_work(&self, job: i64, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError> {
        self.read((), move |db, ()| Box::pin(ops::bulk::look(db, job, now_ms))).await
    }

    async fn work_job(&self, job: i64, notices: DiscardNotices, now_ms: i64) -> Result<Option<Job>, StoreError> {
        self.write("work_job", notices, move |db, notices| Box::pin(ops::bulk::work(db, job, notices, now_ms))).await
    }

    async fn stop_job(&self, job: i64, why: String, now_ms: i64) -> Result<(), StoreError> {
        self.write("stop_job", why, move |db, why| Box::pin(ops::bulk::stop(db, job, why, now_ms))).await
    }

    async fn resume_job(&self, job: i64, now_ms: i64) -> Result<(), StoreError> {
        self.write("resume_job", (), move |db, ()| Box::pin(ops::bulk::resume(db, job, now_ms))).await
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
