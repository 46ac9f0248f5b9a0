//! The pages, inside the program. They are looked up by their whole path, so no path leads anywhere else.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

/// A file of `web/dist`.
pub struct Asset {
    /// Where it is served.
    pub path: &'static str,
    content_type: &'static str,
    /// Changes with the file.
    tag: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file that is served at a path.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok().map(|at| &ASSETS[at])
}

impl Asset {
    /// The answer to a request with these headers.
    pub fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        // with the program the pages change under the same names: ask each time whether they did
        let known = asked.get_all(IF_NONE_MATCH).iter().any(|tag| tag.as_bytes() == self.tag.as_bytes());
        let mut response = Response::new(if known { Body::empty() } else { Body::from(self.bytes) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(ETAG, HeaderValue::from_static(self.tag));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_and_nothing_else() {
        assert!(find("/").is_some_and(|page| page.path == "/index.html"));
        for asset in &ASSETS {
            assert!(std::ptr::eq(find(asset.path).unwrap(), asset));
        }
        for path in ["", "/..", "/../Cargo.toml", "//index.html", "/index.html/", "/%69ndex.html", "/INDEX.html"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
