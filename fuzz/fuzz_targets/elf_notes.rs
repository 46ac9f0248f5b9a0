//! A program file that a node may run: its tracepoints, or a refusal.
#![no_main]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static FILE: File = File::options().read(true).write(true).create(true).truncate(true)
        .open(std::env::temp_dir().join(format!("fuzz-elf-{}", std::process::id()))).expect("a temporary file");
}

fuzz_target!(|input: &[u8]| {
    FILE.with(|file| {
        let mut writer = file;
        writer.rewind().and_then(|()| writer.write_all(input)).and_then(|()| file.set_len(input.len() as u64)).expect("it is written");
        let _ = ebpf::notes::read_file(file.try_clone().expect("it is open"), Path::new("fuzzed"));
    });
});
