//! Pages of real exporters: `testdata/exposition`.

use std::path::{Path, PathBuf};

/// Name and content of each page, sorted by name.
pub(crate) fn pages() -> Vec<(String, String)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here
        .ancestors()
        .map(|dir| dir.join("testdata/exposition"))
        .find(|folder| folder.is_dir())
        .unwrap();
    let files = std::fs::read_dir(&folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let texts: Vec<PathBuf> = files
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    let page = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let mut pages: Vec<_> = texts.into_iter().map(page).collect();
    pages.sort();
    assert!(pages.len() >= 6, "{}", pages.len());
    pages
}
