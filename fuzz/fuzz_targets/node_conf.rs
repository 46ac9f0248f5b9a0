//! Any text as a node's command line and configuration. No panic; the command line wins; it does not matter how lines end.
//!
//! Input: the words of the command line, a line each; bitcoin.conf; a file that it may include. A zero byte stands between them.
#![no_main]

use std::io;
use std::path::Path;

use extract::rpc::{Owner, Place, Settings};
use libfuzzer_sys::fuzz_target;

fn settings(command: &str, more: &[&str], files: [&str; 2]) -> Settings {
    let command = ["bitcoind"].into_iter().chain(command.lines()).chain(more.iter().copied());
    let datadir = "/nonexistent/of a node";
    let place = Place { datadir: Some(datadir.into()), command: command.map(str::to_owned).collect(), ..Place::default() };
    let read = |path: &Path, _: &Owner| {
        let included = !path.ends_with("bitcoin.conf");
        // one that is not there is passed over
        if path.as_os_str().len() % 7 == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(files[usize::from(included)].to_owned()) }
    };
    place.settings_of(read)
}

fuzz_target!(|input: &str| {
    let mut parts = input.splitn(3, '\0');
    let [command, conf, included] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let said = settings(command, &[], [conf, included]);
    assert!(said.folder.starts_with(&said.datadir));
    assert_eq!(said.unread, None);
    for key in ["rpcport", "rpccookiefile", "debug", "uacomment", "ipcbind"] {
        let _ = (said.anywhere(key), said.of_network(key), said.every(key), said.is_on(key, true));
    }
    let _ = (said.rpc_port(), said.log(), said.file("pid", "bitcoind.pid"));
    let [crlf, included_crlf] = [conf, included].map(|text| text.replace('\n', "\r\n"));
    assert_eq!(settings(command, &[], [&crlf, &included_crlf]), said);
    let told = settings(command, &["-rpcport=5", "-rpccookiefile=c", "-debug=net"], [conf, included]);
    assert_eq!((told.rpc_port(), told.anywhere("rpccookiefile"), told.folder.clone()), (5, Some("c"), said.folder));
    assert_eq!(told.every("debug").last(), Some(&"net"));
});
