//! Decisions on many messages, over this engine.

use async_trait::async_trait;

use super::SqliteStore;
use super::db::SqliteTx;
use crate::domain::journey::Operator;
use crate::store::bulk::{BulkFilter, BulkJobs, BulkPage, Job, JobParts, NewJob, Place};
use crate::store::tx::at_once;
use crate::store::{DiscardNotices, StoreError, ops};

#[async_trait]
impl BulkJobs for SqliteStore {
    async fn bulk_page(&self, filter: BulkFilter, after: Option<Place>, limit: u32) -> Result<BulkPage, StoreError> {
        self.read(move |db| at_once(ops::bulk::page(&mut SqliteTx(db), &filter, after, limit))).await
    }

    async fn add_job(&self, job: NewJob, now_ms: i64) -> Result<i64, StoreError> {
        self.write("add_job", move |db| at_once(ops::bulk::add(&mut SqliteTx(db), &job, now_ms))).await
    }

    async fn fill_job(&self, job: i64, parts: JobParts, now_ms: i64) -> Result<(), StoreError> {
        self.write("fill_job", move |db| at_once(ops::bulk::fill(&mut SqliteTx(db), job, &parts, now_ms))).await
    }

    async fn job_and_work(&self, job: i64, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError> {
        self.read(move |db| at_once(ops::bulk::look(&mut SqliteTx(db), job, now_ms))).await
    }

    async fn work_job(&self, job: i64, notices: DiscardNotices, now_ms: i64) -> Result<Option<Job>, StoreError> {
        self.write("work_job", move |db| at_once(ops::bulk::work(&mut SqliteTx(db), job, &notices, now_ms))).await
    }

    async fn stop_job(&self, job: i64, why: String, now_ms: i64) -> Result<(), StoreError> {
        self.write("stop_job", move |db| at_once(ops::bulk::stop(&mut SqliteTx(db), job, &why, now_ms))).await
    }

    async fn resume_job(&self, job: i64, now_ms: i64) -> Result<(), StoreError> {
        self.write("resume_job", move |db| at_once(ops::bulk::resume(&mut SqliteTx(db), job, now_ms))).await
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
