//! The node's side of a connection, over anything that can be read and written.

use std::io::{self, Read, Write};

use bip324::Role;
use bip324::io::{Payload, Protocol};
use extract::p2p::network::Magic;
use extract::p2p::transport::frame;

/// Types that the extractor sends and v2 has numbers for.
const SHORT_IDS: [(u8, &str); 3] = [(13, "headers"), (18, "ping"), (19, "pong")];

/// A node that has dialled.
pub enum Node<S: Read + Write + Clone> {
    V1 { magic: Magic, stream: S },
    V2(Box<Protocol<S, S>>),
}

/// As a test wants it.
#[derive(Clone, Copy, Debug)]
pub enum Dial {
    V1,
    /// With garbage and packets to be ignored.
    V2,
}

impl<S: Read + Write + Clone> Node<S> {
    /// Dials, and ends the handshake of the transport if it has one.
    pub fn dial(dial: Dial, magic: Magic, stream: S) -> io::Result<Self> {
        match dial {
            Dial::V1 => Ok(Self::V1 { magic, stream }),
            Dial::V2 => {
                let decoys = [&[0; 50][..], &[][..]];
                let (garbage, decoys) = (Some(vec![7; 1000]), Some(decoys.iter().map(|d| d.to_vec()).collect()));
                let protocol = Protocol::new(magic.0, Role::Initiator, garbage, decoys, stream.clone(), stream);
                protocol.map(Box::new).map(Self::V2).map_err(|error| io::Error::other(format!("{error}")))
            }
        }
    }

    /// Says hello, and hears it.
    pub fn greet(&mut self) -> io::Result<()> {
        self.send("version", &payload("version"))?;
        let mut types = Vec::new();
        while types.last().is_none_or(|last| last != "verack") {
            types.push(self.read()?.0);
        }
        assert_eq!(types, ["version", "wtxidrelay", "sendaddrv2", "verack"]);
        for message_type in ["wtxidrelay", "sendaddrv2", "verack"] {
            self.send(message_type, &[])?;
        }
        Ok(())
    }

    pub fn send(&mut self, message_type: &str, payload: &[u8]) -> io::Result<()> {
        match self {
            Self::V1 { magic, stream } => {
                let mut bytes = Vec::new();
                frame(*magic, message_type, payload, &mut bytes);
                stream.write_all(&bytes)
            }
            Self::V2(protocol) => {
                // the long form, which is always allowed
                let mut contents = vec![0; 13];
                contents[1..=message_type.len()].copy_from_slice(message_type.as_bytes());
                contents.extend(payload);
                protocol.write(&Payload::genuine(contents)).map_err(|error| io::Error::other(format!("{error}")))
            }
        }
    }

    /// The next message.
    pub fn read(&mut self) -> io::Result<(String, Vec<u8>)> {
        let text = |name: &[u8]| String::from_utf8(name.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap();
        match self {
            Self::V1 { magic, stream } => {
                let mut header = [0; 24];
                stream.read_exact(&mut header)?;
                assert_eq!(header[..4], magic.0);
                let mut payload = vec![0; u32::from_le_bytes(header[16..20].try_into().unwrap()) as usize];
                stream.read_exact(&mut payload)?;
                let (message_type, mut again) = (text(&header[4..16]), Vec::new());
                frame(*magic, &message_type, &payload, &mut again);
                assert_eq!(again[..24], header);
                Ok((message_type, payload))
            }
            Self::V2(protocol) => {
                let payload = protocol.read().map_err(|error| io::Error::other(format!("{error}")))?;
                let contents = payload.contents();
                match contents[0] {
                    0 => Ok((text(&contents[1..13]), contents[13..].to_vec())),
                    id => {
                        let (_, name) = SHORT_IDS.iter().find(|(known, _)| *known == id).expect("a known type");
                        Ok(((*name).to_owned(), contents[1..].to_vec()))
                    }
                }
            }
        }
    }
}

/// A valid payload of this type.
pub fn payload(message_type: &str) -> Vec<u8> {
    testkit::events::payloads().into_iter().find(|(name, _)| name == message_type).unwrap().1
}
