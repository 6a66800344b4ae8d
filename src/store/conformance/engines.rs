//! What the tests of every engine run over.

use std::sync::Arc;

use crate::store::Store;
use crate::store::open::{PostgresStore, SqliteStore};

/// What a test runs over. A test is an `async fn name(engine: Engine)` that is named in [`on_each_engine`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// Defines for each function a module of its name with a test for each engine.
macro_rules! on_each_engine {
    ($($name:ident)+) => {
        $(mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::store::conformance::engines::Engine::Sqlite).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(engine) = $crate::store::conformance::engines::Engine::postgres() {
                    super::$name(engine).await;
                }
            }
        })+
    };
}
pub(super) use on_each_engine;

/// A store of its own.
pub(super) struct FreshStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) folder: Home,
}

/// Where a store is, and what tests do to it directly.
pub(super) enum Home {
    Sqlite(tempfile::TempDir),
    Postgres(String),
}

impl Engine {
    /// PostgreSQL, if there is one; otherwise logs that the test is skipped.
    pub(super) fn postgres() -> Option<Self> {
        crate::testkit::postgres::available().then_some(Self::Postgres)
    }

    pub(super) async fn fresh(self) -> FreshStore {
        let folder = match self {
            Self::Sqlite => Home::Sqlite(tempfile::tempdir().unwrap()),
            Self::Postgres => Home::Postgres(crate::testkit::postgres::fresh_schema().await.unwrap()),
        };
        FreshStore { store: folder.open().await, folder }
    }
}

impl Home {
    pub(super) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(folder) => Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap()),
            Self::Postgres(url) => Arc::new(PostgresStore::open(url).await.unwrap()),
        }
    }

    /// Returns the first row of a statement, as texts; empty if it has none.
    pub(super) async fn ask(&self, statement: &str) -> Vec<Option<String>> {
        match self {
            Self::Sqlite(folder) => {
                let db = rusqlite::Connection::open(folder.path().join("bridge.db")).unwrap();
                let mut statement = db.prepare(statement).unwrap();
                let columns = statement.column_count();
                let mut rows = statement.query([]).unwrap();
                let Some(row) = rows.next().unwrap() else { return Vec::new() };
                let text = |at| match row.get(at).unwrap() {
                    rusqlite::types::Value::Null => None,
                    rusqlite::types::Value::Integer(n) => Some(n.to_string()),
                    rusqlite::types::Value::Text(text) => Some(text),
                    other => panic!("{other:?}"),
                };
                (0..columns).map(text).collect()
            }
            Self::Postgres(url) => {
                use sqlx::{Connection as _, Executor as _, Row as _};
                let mut link = sqlx::PgConnection::connect(url).await.unwrap();
                // As a simple query, which returns texts.
                let row = link.fetch_optional(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))).await.unwrap();
                let Some(row) = row else { return Vec::new() };
                (0..row.len()).map(|at| row.try_get_unchecked(at).unwrap()).collect()
            }
        }
    }
}

impl FreshStore {
    /// SQLite alone, for tests of that engine.
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        Self { store, folder: Home::Sqlite(folder) }
    }

    /// Drops the engine without closing it, and opens it again.
    pub(super) async fn again(self) -> Self {
        self.store.close().await;
        drop(self.store);
        Self { store: self.folder.open().await, folder: self.folder }
    }
}
