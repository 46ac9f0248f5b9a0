//! Whether a connection is the node's: what Linux says of the socket at its other end.
//!
//! See `docs/design/` for why not by what is said over it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

/// How sure it is that the other end is the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The socket is one of the node's process.
    Process,
    /// The socket belongs to the user that the node runs as; its process may not be looked into.
    User,
    /// Nothing is known but the address.
    Address,
    /// The socket is somebody else's.
    Stranger,
}

impl Identity {
    /// By what it is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::User => "user",
            Self::Address => "address",
            Self::Stranger => "nothing",
        }
    }
}

/// Who has the socket at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The socket.
    pub inode: u64,
}

/// Whose the connection from `peer` to `here` is. Reads a few files of the process, so it takes a moment.
pub fn identify(pid: u32, peer: SocketAddr, here: SocketAddr) -> Identity {
    let table = |family: &str| fs::read_to_string(format!("/proc/{pid}/net/{family}"));
    let tables = [table("tcp"), table("tcp6")];
    if tables.iter().all(Result::is_err) {
        return Identity::Address;
    }
    let Some(owner) = tables.iter().flatten().find_map(|table| owner(table, peer, here)) else { return Identity::Stranger };
    match has_socket(pid, owner.inode) {
        Ok(true) => Identity::Process,
        Ok(false) => Identity::Stranger,
        Err(_) => match fs::metadata(format!("/proc/{pid}")) {
            Ok(process) if process.uid() == owner.uid => Identity::User,
            _ => Identity::Stranger,
        },
    }
}

/// Finds the socket at `local` that is connected to `remote` in the text of `/proc/net/tcp` or `tcp6` (proc_pid_net(5)).
pub fn owner(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<Owner> {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let ends = (address(fields.nth(1)?)?, address(fields.next()?)?);
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        (ends == (plain(local), plain(remote))).then_some(Owner { uid, inode })
    };
    // an inode of 0 is a socket that its process has closed
    table.lines().filter_map(entry).find(|owner| owner.inode != 0)
}

/// An address as the kernel prints it: words of 32 bits as the machine reads them, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut octets = [0; 16];
            octets.copy_from_slice(words.as_flattened());
            IpAddr::from(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(plain(SocketAddr::new(ip, port)))
}

/// The same address whether it came over a socket for IPv4 or for both, and without a zone.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the process has the socket open.
fn has_socket(pid: u32, inode: u64) -> io::Result<bool> {
    let name = format!("socket:[{inode}]");
    let mut denied = None;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        match entry.and_then(|entry| fs::read_link(entry.path())) {
            Ok(target) if target.as_os_str() == name.as_str() => return Ok(true),
            // listing takes less than looking
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            // another file, or closed by now
            Ok(_) | Err(_) => {}
        }
    }
    denied.map_or(Ok(false), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_of_this_process_is_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let client = TcpStream::connect(here).unwrap();
        let peer = client.local_addr().unwrap();
        let us = std::process::id();
        assert_eq!(identify(us, peer, here), Identity::Process);
        assert_eq!(identify(us, "127.0.0.1:1".parse().unwrap(), here), Identity::Stranger);
        // no such process
        assert_eq!(identify(u32::MAX, peer, here), Identity::Address);
    }

    #[test]
    fn a_connection_over_ipv6_is_found() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return testkit::skipped("no IPv6") };
        let here = listener.local_addr().unwrap();
        let client = TcpStream::connect(here).unwrap();
        assert_eq!(identify(std::process::id(), client.local_addr().unwrap(), here), Identity::Process);
    }

    /// A process of another user, of which files may be listed, but not looked at: then its user counts. In a thread of its own:
    /// capabilities are a thread's.
    #[test]
    #[cfg(feature = "ebpf")]
    fn where_files_are_only_listed_the_user_counts() {
        use ebpf::privileges::{Capability, effective, keep_only};
        use std::os::unix::process::CommandExt as _;
        if !effective().has(Capability::CAP_SETUID) || !effective().has(Capability::CAP_DAC_READ_SEARCH) {
            return testkit::skipped("needs root");
        }
        let nobody = 65_534;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let ours = TcpStream::connect(here).unwrap().local_addr().unwrap();
        let program = format!("exec 3<>/dev/tcp/127.0.0.1/{}; echo; read", here.port());
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &program]).uid(nobody).gid(nobody);
        let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let _ours = listener.accept().unwrap();
        let (_theirs, theirs) = listener.accept().unwrap();
        // it has opened what it opens
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        assert_eq!(identify(pid, theirs, here), Identity::Process);
        let listed = std::thread::spawn(move || {
            keep_only(&[Capability::CAP_DAC_READ_SEARCH]).unwrap();
            assert!(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() > 2);
            (identify(pid, theirs, here), identify(pid, ours, here))
        });
        assert_eq!(listed.join().unwrap(), (Identity::User, Identity::Stranger));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:7303 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 129275 1 0 100 0 0 10 0\n   \
             1: 0100007F:9C42 0100007F:6F1C 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1\n   \
             2: 0100007F:6F1C 0100007F:9C42 01 00000000:00000000 00:00000000 00000000  1001        0 4712 1 0 20 4 30 10 -1\n";
        let find = |local: &str, remote: &str| owner(table, local.parse().unwrap(), remote.parse().unwrap());
        assert_eq!(find("127.0.0.1:40002", "127.0.0.1:28444"), Some(Owner { uid: 1000, inode: 4711 }));
        assert_eq!(find("127.0.0.1:28444", "127.0.0.1:40002"), Some(Owner { uid: 1001, inode: 4712 }));
        assert_eq!(find("127.0.0.1:40002", "127.0.0.1:1"), None);
        assert_eq!(find("[::ffff:127.0.0.1]:40002", "127.0.0.1:28444"), Some(Owner { uid: 1000, inode: 4711 }));
    }

    proptest::proptest! {
        #[test]
        fn no_table_makes_it_panic(table: String, words in proptest::collection::vec("[0-9A-F:é ]{0,40}", 0..12)) {
            let one = "127.0.0.1:1".parse().unwrap();
            let _ = owner(&table, one, one);
            let _ = owner(&words.join(" "), one, one);
        }
    }
}
