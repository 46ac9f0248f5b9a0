//! Whom a visit may meet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcoin::consensus::encode::serialize;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Address, ServiceFlags};
use bus::Publisher;
use event::p2p::network::{KNOWN, Magic, Networks};
use event::p2p::transport::{Transport, frame};
use event::{Direction, NetVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const MAIN: Magic = KNOWN[0].1;
pub const REGTEST: Magic = KNOWN[4].1;

/// What somebody does who was dialled.
#[derive(Clone, Debug)]
pub enum Character {
    /// A node of a network, by either transport or by v1 alone.
    Node { network: Magic, v1_only: bool },
    /// A node that is watched: it shows on the bus who says hello.
    Watched { network: Magic, stream: Publisher },
    /// Says hello for a network before it is asked.
    Greets(Magic),
    /// Accepts, and says nothing.
    Tarpit,
    /// Says a valid `version`, a byte at a time, for hours.
    Drip(Magic),
    /// Noise, and then hangs up.
    Noise,
    /// A valid `version`, and then messages without end.
    Endless(Magic),
    /// Noise without end.
    EndlessNoise,
    /// The key of a v2 connection, and then nothing.
    KeyAndNothing,
    /// Hangs up at once.
    HangsUp,
    /// Speaks something else.
    Web,
}

/// Somebody who can be dialled, and how often he was.
#[derive(Clone, Debug)]
pub struct Resident {
    pub address: SocketAddr,
    dialled: Arc<AtomicUsize>,
}

impl Resident {
    /// Settles at an address; port 0 is any that is free.
    pub async fn settle(character: Character, ip: IpAddr, port: u16) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialled = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&dialled);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let character = character.clone();
                // the visitor may be gone at any time
                tokio::spawn(async move { drop(serve(character, stream).await) });
            }
        });
        Self { address, dialled }
    }

    pub fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }
}

/// The `version` of whoever lives here.
pub fn version() -> Vec<u8> {
    let nowhere = Address { services: ServiceFlags::NONE, address: [0; 8], port: 0 };
    serialize(&VersionMessage {
        version: 70016,
        services: ServiceFlags::from(0xc09),
        timestamp: 1_750_000_000,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 5,
        user_agent: "/fleet:1/".to_owned(),
        start_height: 900_000,
        relay: true,
    })
}

/// Meets a visitor.
pub async fn serve(character: Character, mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    let mut bytes = Vec::new();
    match character {
        Character::Node { network, v1_only } => return node(network, v1_only, None, stream).await,
        Character::Watched { network, stream: shown } => return node(network, false, Some(shown), stream).await,
        Character::Greets(network) => {
            frame(network, "version", &version(), &mut bytes);
            stream.write_all(&bytes).await?;
        }
        Character::Tarpit => {}
        Character::Drip(network) => {
            frame(network, "version", &version(), &mut bytes);
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Character::Noise => return stream.write_all(&[0x5a; 3000]).await,
        Character::Endless(network) => {
            frame(network, "version", &version(), &mut bytes);
            stream.write_all(&bytes).await?;
            bytes.clear();
            frame(network, "feature", &[0; 500], &mut bytes);
            loop {
                stream.write_all(&bytes).await?;
            }
        }
        Character::EndlessNoise => loop {
            stream.write_all(&[0x5a; 3000]).await?;
        },
        Character::KeyAndNothing => stream.write_all(&[0x5a; 64]).await?,
        Character::HangsUp => return Ok(()),
        Character::Web => {
            // whatever it was
            let _ = stream.read(&mut buffer).await?;
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        }
    }
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn node(network: Magic, v1_only: bool, shown: Option<Publisher>, mut stream: TcpStream) -> std::io::Result<()> {
    let networks = Networks { only: Some(network), learned: None };
    let mut transport = Transport::new(networks, [9; 32], v1_only);
    let (mut buffer, mut out) = (vec![0; 4096], Vec::new());
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        transport.push(&buffer[..length]);
        while let Some(message) = transport.next(4096, &mut out).map_err(std::io::Error::other)? {
            if message.message_type != "version" {
                continue;
            }
            if let Some(stream) = &shown {
                let (hello, _) = bitcoin::consensus::deserialize_partial::<VersionMessage>(&message.payload).unwrap();
                let said = NetVersion { direction: Direction::Inbound.into(), nonce: hello.nonce, ..NetVersion::default() };
                stream.publish(1, None, said);
            }
            for (message_type, payload) in [("version", version()), ("sendaddrv2", vec![]), ("verack", vec![])] {
                transport.send(message_type, &payload, &mut out);
            }
        }
        stream.write_all(&std::mem::take(&mut out)).await?;
    }
}
