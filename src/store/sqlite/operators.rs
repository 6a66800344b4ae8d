//! What operators alone read, and the audit row of it, from one file.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::SqliteStore;
use super::db::SqliteTx;
use crate::domain::find::Side;
use crate::domain::journey::Operator;
use crate::store::StoreError;
use crate::store::operators::{Activity, AuditEntry, Contacts, FailedGroup, ObservedTraits, Operators, Texts};
use crate::store::ops::audit::Deed;
use crate::store::ops::operators as ops;
use crate::store::tx::at_once;

#[async_trait]
impl Operators for SqliteStore {
    async fn audit(
        &self,
        before: Option<i64>,
        about: Option<String>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |db| at_once(ops::audit(&mut SqliteTx(db), before, about.as_deref(), limit))).await
    }

    async fn note_deed(
        &self,
        by: Operator,
        what: &'static str,
        target: String,
        detail: Option<String>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write("note_deed", move |db| {
            let deed = Deed { by: &by, what, target: &target, detail: detail.as_deref(), once: None };
            at_once(ops::note_deed(&mut SqliteTx(db), &deed, now_ms))
        })
        .await
    }

    async fn activity(&self) -> Result<BTreeMap<String, Activity>, StoreError> {
        self.read(move |db| at_once(ops::activity(&mut SqliteTx(db)))).await
    }

    async fn failed(&self) -> Result<Vec<FailedGroup>, StoreError> {
        self.read(move |db| at_once(ops::failed(&mut SqliteTx(db)))).await
    }

    async fn learned(&self, channel: String) -> Result<ObservedTraits, StoreError> {
        self.read(move |db| at_once(ops::learned(&mut SqliteTx(db), &channel))).await
    }

    async fn texts(&self, side: Side, from: i64) -> Result<Option<Texts>, StoreError> {
        self.read(move |db| at_once(ops::texts(&mut SqliteTx(db), side, from))).await
    }

    async fn contacts(&self, after: i64) -> Result<Option<Contacts>, StoreError> {
        self.read(move |db| at_once(ops::contacts(&mut SqliteTx(db), after))).await
    }

    async fn owners(&self) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        Ok(None)
    }
}
