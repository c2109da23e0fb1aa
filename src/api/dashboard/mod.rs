//! The dashboard: a document, a script and a style sheet. `build.rs` makes them of `page/`, and the program carries them, so that
//! nothing is fetched from elsewhere when the page is shown.
//!
//! The page asks the same routes as everybody else. It holds nothing of the network itself, so it is served without a token, and asks
//! for one where the sensor wants it.

/// One file, as it is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) text: &'static str,
}

/// The document at `/`; a plain list of routes where the program was built without the dashboard.
#[cfg(feature = "dashboard")]
pub(super) const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/dashboard/index.html"));

/// What the document asks for, under [`ASSETS`].
#[cfg(feature = "dashboard")]
pub(super) const FILES: &[Asset] = &[
    Asset {
        name: "dashboard.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!(concat!(env!("OUT_DIR"), "/dashboard/dashboard.js")),
    },
    Asset {
        name: "dashboard.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!(concat!(env!("OUT_DIR"), "/dashboard/dashboard.css")),
    },
    Asset {
        name: "icon.svg",
        content_type: "image/svg+xml",
        text: include_str!(concat!(env!("OUT_DIR"), "/dashboard/icon.svg")),
    },
];

#[cfg(not(feature = "dashboard"))]
pub(super) const DOCUMENT: &str = include_str!("without.html");

#[cfg(not(feature = "dashboard"))]
pub(super) const FILES: &[Asset] = &[];

/// Where the files are.
pub(super) const ASSETS: &str = "/assets/";
