//! The files of the pages: named by their content, so that a browser keeps each for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

/// A file and its name.
pub(super) struct Asset {
    name: String,
    kind: &'static str,
    bytes: &'static [u8],
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_bytes!("ops.css")));
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", "text/javascript; charset=utf-8", include_bytes!("ops.js")));
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("svg", "image/svg+xml", include_bytes!("ops.svg")));

impl Asset {
    fn new(ending: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let mut name = "ops.".to_owned();
        for byte in Sha256::digest(bytes).iter().take(8) {
            let _ = write!(name, "{byte:02x}");
        }
        Self { name: format!("{name}.{ending}"), kind, bytes }
    }

    /// Returns its file name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Returns the routes of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let files: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    files.into_iter().fold(Router::new(), |router, asset| {
        let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)), (header::CACHE_CONTROL, kept)];
        router.route(
            &format!("/{}", asset.name),
            get(move || {
                let headers = headers.clone();
                async move { (headers, asset.bytes) }
            }),
        )
    })
}
