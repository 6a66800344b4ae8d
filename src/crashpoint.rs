//! Named points at which a test may end the process as `kill -9` would, in builds with the feature `crashpoints` alone.
//! `BRIDGE_CRASHPOINT="NAME, WHEN"` names one, as `"settle, before its commit"`; `:3` behind it means the third time.

/// Ends the process here where the environment names this point.
#[cfg(not(feature = "crashpoints"))]
pub(crate) fn hit(_name: &str, _when: &str) {}

/// Ends the process here where the environment names this point.
#[cfg(feature = "crashpoints")]
pub(crate) fn hit(name: &str, when: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ORDER: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static HITS: AtomicU32 = AtomicU32::new(0);
    let order = ORDER.get_or_init(|| {
        let order = std::env::var("BRIDGE_CRASHPOINT").ok()?;
        let (point, nth) = order.rsplit_once(':').unwrap_or((&order, "1"));
        Some((point.to_owned(), nth.parse().ok()?))
    });
    let Some((point, nth)) = order else { return };
    if point.strip_prefix(name).and_then(|rest| rest.strip_prefix(", ")) == Some(when)
        && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        tracing::error!(point, "crash point reached: the process ends here");
        std::process::abort();
    }
}
