//! A real bitcoind on regtest, for the length of a test.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bitcoin::p2p::Magic;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{rpc, wait};

/// Every node of the kit runs on this network.
pub const MAGIC: Magic = Magic::REGTEST;

/// The wallet of a node that has one.
const WALLET: &str = "test";

/// How often another pair of ports is tried when somebody else took the first.
const PORT_ATTEMPTS: usize = 5;

/// Until a node has answered once, its RPC port may be somebody else's, who says nothing.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// RPC error: still starting.
const WARMING_UP: i64 = -28;

/// A running (or stopped) regtest node with a datadir of its own, which goes when the value is dropped.
#[derive(Debug)]
pub struct Node {
    options: Options,
    executable: PathBuf,
    folder: TempDir,
    p2p: SocketAddr,
    rpc: SocketAddr,
    child: Option<Child>,
}

/// How a node is started.
///
/// Whatever is chosen here, a node dials nobody by itself, asks no DNS seed and opens no port on a router.
#[derive(Debug, Clone)]
pub struct Options {
    /// Another program than the one that [`Node::available`] found.
    pub executable: Option<PathBuf>,
    /// The address it accepts peers on (`-bind`); `None` with `-listen=0`.
    pub listen: Option<Ipv4Addr>,
    /// `-v2transport`: BIP324 offered and used.
    pub v2transport: bool,
    /// A wallet is created and loaded.
    pub wallet: bool,
    /// `-capturemessages`: every message also goes to `message_capture/`.
    pub capture_messages: bool,
    /// `-debug=` categories.
    pub debug: Vec<&'static str>,
    /// `-maxconnections`; eleven of them are kept for outbound.
    pub max_connections: Option<u16>,
    /// Any other options, as on the command line. They come last, so they win.
    pub args: Vec<String>,
    /// The user and group that it runs as, and whose its datadir is; takes root.
    pub user: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            executable: None,
            listen: Some(Ipv4Addr::LOCALHOST),
            v2transport: true,
            wallet: false,
            capture_messages: false,
            debug: Vec::new(),
            max_connections: None,
            args: Vec::new(),
            user: None,
        }
    }
}

impl Node {
    /// Whether there is a bitcoind to run: named by `BITCOIND_EXE`, else on PATH.
    ///
    /// A `BITCOIND_EXE` that does not exist counts as available, so that the typo fails a test instead of skipping it.
    pub fn available() -> bool {
        executable().is_some()
    }

    /// Starts a node with an empty datadir and waits until it answers.
    pub fn start(options: Options) -> anyhow::Result<Node> {
        let executable = options.executable.clone().or_else(executable).context("no bitcoind on PATH or in BITCOIND_EXE")?;
        let folder = tempfile::Builder::new().prefix("testkit-node-").tempdir()?;
        std::os::unix::fs::chown(folder.path(), options.user, options.user)?;
        let mut node = Node { options, executable, folder, p2p: unset(), rpc: unset(), child: None };
        for attempt in 1.. {
            let ip = node.options.listen.unwrap_or(Ipv4Addr::LOCALHOST);
            node.p2p = free_port(ip)?;
            node.rpc = free_port(Ipv4Addr::LOCALHOST)?;
            match node.launch() {
                Ok(()) => break,
                Err(_) if attempt < PORT_ATTEMPTS && node.lost_its_port() => {}
                Err(error) => return Err(error),
            }
        }
        if node.options.wallet {
            node.rpc("createwallet", json!([WALLET]))?;
        }
        Ok(node)
    }

    /// Starts a stopped node again: same datadir, same addresses, another cookie.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the node is running");
        self.launch()?;
        if self.options.wallet {
            self.rpc("loadwallet", json!([WALLET]))?;
        }
        Ok(())
    }

    /// Asks the node to shut down and waits until its process is gone.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            self.rpc("stop", json!([]))?;
            wait::until("bitcoind to end", wait::LONG, || Ok(self.child()?.try_wait()?))?;
            self.child = None;
        }
        Ok(())
    }

    /// Ends the process at once, as a crash would: pid file and cookie stay behind.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// [`Node::stop`] and [`Node::start_again`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Calls an RPC method: `node.rpc("getpeerinfo", json!([]))`.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, rpc::Error> {
        self.rpc_client().call(method, params)
    }

    /// A client that can be moved to another thread.
    pub fn rpc_client(&self) -> rpc::Client {
        rpc::Client::new(self.rpc, &self.cookie())
    }

    /// The process, absent while the node is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What `-datadir` was.
    pub fn datadir(&self) -> &Path {
        self.folder.path()
    }

    /// The network's part of the datadir, where cookie, pid file and `debug.log` are.
    pub fn network_datadir(&self) -> PathBuf {
        self.folder.path().join("regtest")
    }

    /// Where it accepts peers, if it does.
    pub fn p2p_address(&self) -> SocketAddr {
        self.p2p
    }

    /// Where RPC listens.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc
    }

    /// The file with the RPC secret of this start.
    pub fn cookie(&self) -> PathBuf {
        self.network_datadir().join(".cookie")
    }

    /// All of `debug.log` so far.
    pub fn log(&self) -> anyhow::Result<String> {
        let file = self.network_datadir().join("debug.log");
        let bytes = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until a line of `debug.log` contains `text`, and gives the first such line.
    pub fn wait_for_log(&self, text: &str) -> anyhow::Result<String> {
        wait::until(format!("`{text}` in debug.log"), wait::LONG, || {
            Ok(self.log()?.lines().find(|line| line.contains(text)).map(str::to_owned))
        })
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let stderr = self.stderr_file();
        let mut command = Command::new(&self.executable);
        if let Some(user) = self.options.user {
            command.uid(user).gid(user);
        }
        let child = command
            .args(self.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("failed to run {}", self.executable.display()))?;
        self.child = Some(child);
        let client = self.rpc_client().with_patience(FIRST_ANSWER);
        let ready = wait::until("bitcoind to answer", wait::LONG, || {
            if let Some(status) = self.child()?.try_wait()? {
                self.child = None;
                bail!("bitcoind ended with {status}: {}", fs::read_to_string(&stderr)?.trim_end());
            }
            match client.call("getnetworkinfo", json!([])) {
                Ok(_) => Ok(Some(())),
                Err(rpc::Error::NoAnswer { .. }) => Ok(None),
                Err(error) if error.code() == Some(WARMING_UP) => Ok(None),
                // somebody else's server on the port that was free a moment ago, or a stale cookie
                Err(rpc::Error::Http { status: 401, .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        if ready.is_err() {
            self.kill()?;
        }
        ready
    }

    fn arguments(&self) -> Vec<OsString> {
        let Options { executable: _, listen, v2transport, wallet, capture_messages, debug, max_connections, args, user: _ } =
            &self.options;
        let flag = |name: &str, on: bool| format!("-{name}={}", u8::from(on));
        let mut datadir = OsString::from("-datadir=");
        datadir.push(self.datadir());
        let mut all = vec![
            "-regtest".to_owned(),
            // stay at home: no dialling, seeds, Tor, router or address discovery
            "-connect=0".to_owned(),
            "-dnsseed=0".to_owned(),
            "-fixedseeds=0".to_owned(),
            "-discover=0".to_owned(),
            "-listenonion=0".to_owned(),
            "-natpmp=0".to_owned(),
            format!("-rpcport={}", self.rpc.port()),
            format!("-rpcbind={}", self.rpc),
            format!("-rpcallowip={}", self.rpc.ip()),
            "-printtoconsole=0".to_owned(),
            // a wallet of a thousand keys takes seconds to make, and regtest has no fees to estimate from
            "-keypool=10".to_owned(),
            "-fallbackfee=0.0001".to_owned(),
            flag("v2transport", *v2transport),
            flag("disablewallet", !wallet),
            flag("capturemessages", *capture_messages),
            flag("listen", listen.is_some()),
        ];
        all.extend(listen.map(|_| format!("-bind={}", self.p2p)));
        all.extend(debug.iter().map(|category| format!("-debug={category}")));
        all.extend(max_connections.map(|n| format!("-maxconnections={n}")));
        all.extend(args.iter().cloned());
        std::iter::once(datadir).chain(all.into_iter().map(OsString::from)).collect()
    }

    fn child(&mut self) -> anyhow::Result<&mut Child> {
        self.child.as_mut().context("bitcoind is not running")
    }

    fn stderr_file(&self) -> PathBuf {
        self.folder.path().join("stderr.txt")
    }

    /// Whether the last start failed because a port was taken between choosing and binding it.
    fn lost_its_port(&self) -> bool {
        fs::read_to_string(self.stderr_file())
            .is_ok_and(|text| text.contains("Unable to bind") || text.contains("Unable to start HTTP server"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // the folder goes right after; a failure here has nobody left to tell
        let _ = self.kill();
    }
}

/// Where bitcoind is: named by `BITCOIND_EXE`, else on PATH.
pub fn executable() -> Option<PathBuf> {
    std::env::var_os("BITCOIND_EXE").map(PathBuf::from).or_else(|| crate::executable("bitcoind", &[]))
}

/// Where a `bitcoin-node` is, which is a bitcoind with an IPC socket: named by `BITCOIN_NODE_EXE`, else on PATH.
pub fn with_ipc() -> Option<PathBuf> {
    std::env::var_os("BITCOIN_NODE_EXE").map(PathBuf::from).or_else(|| crate::executable("bitcoin-node", &[]))
}

fn unset() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// An address that nobody listens on now.
///
/// Below 32768, where Linux takes the ports of outgoing connections from: the peers of a lively test would otherwise
/// sit on the port of a node that is just restarting.
pub(crate) fn free_port(ip: Ipv4Addr) -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    // tests run in several processes at once: each starts looking elsewhere
    let start = (std::process::id() as u16).wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((ip, FIRST + start.wrapping_add(step) % COUNT));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port on {ip}")
}

/// Waits until all nodes have the same best block, and gives its hash.
pub fn wait_for_same_tip(nodes: &[&Node]) -> anyhow::Result<String> {
    wait::until("the nodes to agree on a tip", wait::LONG, || {
        let mut tips = Vec::new();
        for node in nodes {
            tips.push(node.rpc("getbestblockhash", json!([]))?);
        }
        tips.dedup();
        Ok(if tips.len() == 1 { tips[0].as_str().map(str::to_owned) } else { None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_taken_meanwhile_is_noticed() {
        crate::need_node!();
        let mut node = Node::start(Options::default()).unwrap();
        for rpc in [false, true] {
            node.stop().unwrap();
            let port = if rpc { node.rpc } else { node.p2p };
            let _taken = TcpListener::bind(port).unwrap();
            assert!(node.start_again().is_err());
            assert!(node.lost_its_port());
        }
    }

    #[test]
    fn ports_are_not_handed_out_twice() {
        let ports: std::collections::BTreeSet<_> = (0..50).map(|_| free_port(Ipv4Addr::LOCALHOST).unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
