//! What operators alone read, and the audit row of it, from a database that several processes may share.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::db::Db;
use super::{PostgresStore, leases};
use crate::domain::find::Side;
use crate::domain::journey::Operator;
use crate::store::StoreError;
use crate::store::operators::{Activity, AuditEntry, Contacts, FailedGroup, ObservedTraits, Operators, Texts};
use crate::store::ops::audit::Deed;
use crate::store::ops::operators as ops;

#[async_trait]
impl Operators for PostgresStore {
    async fn audit(
        &self,
        before: Option<i64>,
        about: Option<String>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(about, move |db, about| Box::pin(ops::audit(db, before, about.as_deref(), limit))).await
    }

    async fn note_deed(
        &self,
        by: Operator,
        what: &'static str,
        target: String,
        detail: Option<String>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write("note_deed", (by, target, detail), move |db, (by, target, detail)| {
            let deed = Deed { by, what, target, detail: detail.as_deref(), once: None };
            Box::pin(async move { ops::note_deed(db, &deed, now_ms).await })
        })
        .await
    }

    async fn activity(&self) -> Result<BTreeMap<String, Activity>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::activity(db))).await
    }

    async fn failed(&self) -> Result<Vec<FailedGroup>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::failed(db))).await
    }

    async fn learned(&self, channel: String) -> Result<ObservedTraits, StoreError> {
        self.read(channel, |db, channel| Box::pin(ops::learned(db, channel))).await
    }

    async fn texts(&self, side: Side, from: i64) -> Result<Option<Texts>, StoreError> {
        self.read((), move |db, ()| Box::pin(ops::texts(db, side, from))).await
    }

    async fn contacts(&self, after: i64) -> Result<Option<Contacts>, StoreError> {
        self.read((), move |db, ()| Box::pin(ops::contacts(db, after))).await
    }

    async fn owners(&self) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        self.read((), |db: &mut Db, ()| Box::pin(leases::owners(db))).await.map(Some)
    }
}
