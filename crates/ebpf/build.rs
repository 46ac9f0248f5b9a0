//! Compiles the C programs in `bpf/` and generates their Rust side.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use libbpf_cargo::SkeletonBuilder;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    if !Command::new(&clang).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err(format!(
            "`{clang}` is needed to build the kernel programs: `apt-get install clang libelf-dev zlib1g-dev pkg-config make`, \
             or build without the default feature `ebpf`"
        ));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not say where to build")?);
    let target = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mut args: Vec<String> =
        ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-sign-compare", "-mcpu=v3"].map(Into::into).into();
    args.extend(include_dirs(&target).into_iter().map(|dir| format!("-I{}", dir.display())));
    for name in ["capture", "floor"] {
        SkeletonBuilder::new()
            .source(format!("bpf/{name}.bpf.c"))
            .clang(&clang)
            .clang_args(&args)
            .build_and_generate(out.join(format!("{name}.skel.rs")))
            .map_err(|error| format!("failed to compile bpf/{name}.bpf.c: {error:#}"))?;
    }
    // The other architecture we support has the same programs. Compiling them here keeps them compiling.
    let other = if target == "aarch64" { None } else { Some("arm64") };
    if let Some(other) = other {
        args.push(format!("-D__TARGET_ARCH_{other}"));
        SkeletonBuilder::new()
            .source("bpf/capture.bpf.c")
            .obj(out.join(format!("capture.{other}.o")))
            .clang(&clang)
            .clang_args(&args)
            .build()
            .map_err(|error| format!("failed to compile bpf/capture.bpf.c for {other}: {error:#}"))?;
    }
    Ok(())
}

/// Where `asm/types.h` and its neighbours are. For a BPF target clang does not look into the machine's own folder of headers,
/// which Debian and Ubuntu have under the machine's triplet; others have it in `/usr/include`, where clang does look.
fn include_dirs(target: &str) -> Vec<PathBuf> {
    let told = Command::new("cc")
        .arg("-print-multiarch")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let guessed = format!("{target}-linux-gnu");
    let mut dirs: Vec<PathBuf> = told
        .into_iter()
        .filter(|triplet| !triplet.is_empty())
        .chain([guessed])
        .map(|triplet| Path::new("/usr/include").join(triplet))
        .filter(|dir| fs::exists(dir.join("asm/types.h")).unwrap_or(false))
        .collect();
    dirs.dedup();
    dirs
}
