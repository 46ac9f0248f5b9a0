//! Python packages that tests compare with: what is there is used, what is not is installed from PyPI, beside what cargo builds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that has these packages, given as the module to import and the requirement to install; `None`, said visibly, where there is
/// none and none can be had.
///
/// `folder` is where they are installed (`CARGO_TARGET_TMPDIR`): once, by whoever comes first.
pub fn with(packages: &[(&str, &str)], folder: &Path) -> Option<PathBuf> {
    let imports = packages.iter().map(|(module, _)| format!("import {module};")).collect::<String>();
    let has = |python: &Path| quiet(Command::new(python).args(["-c", &imports]));
    let system = PathBuf::from("python3");
    if has(&system) {
        return Some(system);
    }
    let name: Vec<&str> = packages.iter().map(|(module, _)| *module).collect();
    let home = folder.join(format!("python-{}", name.join("-")));
    let python = home.join("bin/python3");
    let install = || -> std::io::Result<bool> {
        fs::create_dir_all(folder)?;
        // tests run at once, in one process and in several
        let lock = File::create(home.with_extension("lock"))?;
        lock.lock()?;
        if has(&python) {
            return Ok(true);
        }
        let made = quiet(Command::new(&system).args(["-m", "venv"]).arg(&home));
        let requirements = packages.iter().map(|(_, requirement)| *requirement);
        Ok(made && quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(requirements)) && has(&python))
    };
    if install().unwrap_or(false) {
        return Some(python);
    }
    crate::skipped(&format!("no Python with {}, and it cannot be installed from PyPI", name.join(" and ")));
    None
}

fn quiet(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
