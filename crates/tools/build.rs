//! Makes tables of the pages in `web/dist` and of what detectors mean (`detectors/*/doc.md`), so that they are inside the program.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Types of content, by the end of a file's name. What is not listed ends the build.
const TYPES: [(&str, &str); 10] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../web/dist").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = vec![];
    walk(&root, &mut files)?;
    files.sort();
    let mut table = format!("/// The pages, by path.\npub static ASSETS: [Asset; {}] = [\n", files.len());
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let path = file.strip_prefix(&root)?.to_str().ok_or("a path that is no text")?;
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        let (_, content_type) =
            TYPES.iter().find(|(known, _)| *known == ending).ok_or_else(|| format!("no type is known for {path}"))?;
        let mut hasher = DefaultHasher::new();
        std::fs::read(&file)?.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        writeln!(
            table,
            "    Asset {{ path: {:?}, content_type: {content_type:?}, tag: {tag:?}, bytes: include_bytes!({:?}) }},",
            format!("/{path}"),
            file.to_str().ok_or("a path that is no text")?,
        )?;
    }
    table.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("assets.rs"), table)?;
    runbooks()
}

/// One page per detector, by its number.
fn runbooks() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../detectors").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut pages = vec![];
    for entry in std::fs::read_dir(root)? {
        let page = entry?.path().join("doc.md");
        if page.is_file() {
            println!("cargo::rerun-if-changed={}", page.display());
            pages.push(page);
        }
    }
    pages.sort();
    let mut table = format!("static PAGES: [(&str, &str); {}] = [\n", pages.len());
    for page in pages {
        let number = page.parent().and_then(Path::file_name).and_then(|name| name.to_str()).ok_or("a path that is no text")?;
        writeln!(table, "    ({number:?}, include_str!({:?})),", page.to_str().ok_or("a path that is no text")?)?;
    }
    table.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("runbooks.rs"), table)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
