//! The v2 transport (BIP 324), on either side. The cryptography is in the crate `bip324`.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bip324::{CipherSession, FillBytes, GarbageResult, Initialized, OutboundCipher, PacketType, Role, SentVersion, VersionResult};
use bitcoin::secp256k1::{Secp256k1, SignOnly};
use bytes::{Buf as _, BytesMut};

use super::{Fault, Magic, Message, TYPE, name, text};

const KEY: usize = 64;
/// The encrypted length before each packet.
const LENGTH: usize = 3;
/// Header byte and tag around the contents.
const AROUND: usize = 1 + 16;
/// The bit of the header byte that says to ignore the packet.
const IGNORE: u8 = 0x80;
/// No message of a handshake is larger, nor any packet that only hides how large the others are.
const HANDSHAKE_PACKET: usize = 4096;

/// Message types with a number of their own in v2: BIP 324, and 37 by BIP 434.
const SHORT_IDS: [(u8, &str); 29] = [
    (1, "addr"),
    (2, "block"),
    (3, "blocktxn"),
    (4, "cmpctblock"),
    (5, "feefilter"),
    (6, "filteradd"),
    (7, "filterclear"),
    (8, "filterload"),
    (9, "getblocks"),
    (10, "getblocktxn"),
    (11, "getdata"),
    (12, "getheaders"),
    (13, "headers"),
    (14, "inv"),
    (15, "mempool"),
    (16, "merkleblock"),
    (17, "notfound"),
    (18, "ping"),
    (19, "pong"),
    (20, "sendcmpct"),
    (21, "tx"),
    (22, "getcfilters"),
    (23, "cfilter"),
    (24, "getcfheaders"),
    (25, "cfheaders"),
    (26, "getcfcheckpt"),
    (27, "cfcheckpt"),
    (28, "addrv2"),
    (37, "feature"),
];

/// A handshake under way.
///
/// It is written as a future, so that the compiler keeps its state between one piece of input and the next; nobody wakes it, it is
/// polled when there is more.
pub(super) struct Handshake {
    pipe: Pipe,
    task: Pin<Box<dyn Future<Output = Answered> + Send>>,
}

type Answered = Result<(Magic, CipherSession), Fault>;

impl Handshake {
    /// Begins with what has arrived, which may be less than the other side's key.
    pub(super) fn new(input: BytesMut, candidates: Vec<Magic>, secret: [u8; 32]) -> Self {
        let pipe = Pipe(Arc::new(Mutex::new(Flow { input, ..Flow::default() })));
        let task = Box::pin(answer(pipe.clone(), candidates, secret));
        Self { pipe, task }
    }

    /// Opens a connection.
    pub(super) fn call(magic: Magic, secret: [u8; 32]) -> Self {
        let pipe = Pipe(Arc::default());
        let task = Box::pin(call(pipe.clone(), magic, secret));
        Self { pipe, task }
    }

    /// Which of these networks the other side means, where it answered our call with a terminator of that one.
    pub(super) fn meant(&self, others: &[Magic], secret: [u8; 32]) -> Option<Magic> {
        let flow = self.pipe.lock();
        let theirs = flow.theirs?;
        let curve = Secp256k1::signing_only();
        others.iter().copied().find(|other| {
            let candidate = candidate(*other, Role::Initiator, &theirs, &secret, &curve, &mut [0; KEY]);
            candidate.is_ok_and(|candidate| {
                matches!(candidate.handshake.receive_garbage(&flow.input), Ok(GarbageResult::FoundGarbage { .. }))
            })
        })
    }

    pub(super) fn push(&self, bytes: &[u8]) {
        self.pipe.lock().input.extend_from_slice(bytes);
    }

    /// Goes on as far as the input lets it; ends with the network, the session, and input that is not the handshake's any more.
    pub(super) fn poll(&mut self, out: &mut Vec<u8>) -> Poll<Result<(Magic, Session, BytesMut), Fault>> {
        let result = self.task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut flow = self.pipe.lock();
        out.append(&mut flow.output);
        let rest = |(magic, cipher)| (magic, Session { cipher, length: None }, std::mem::take(&mut flow.input));
        result.map(|result| result.map(rest))
    }
}

/// What the handshake and its owner share.
#[derive(Clone)]
struct Pipe(Arc<Mutex<Flow>>);

#[derive(Default)]
struct Flow {
    input: BytesMut,
    output: Vec<u8>,
    /// The other side's key, where we opened the connection.
    theirs: Option<[u8; KEY]>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Flow> {
        self.0.lock().expect("nothing panics while it holds the lock")
    }

    /// The next bytes of the input, as soon as there are so many.
    async fn take(&self, length: usize) -> BytesMut {
        poll_fn(|_| {
            let mut flow = self.lock();
            if flow.input.len() < length { Poll::Pending } else { Poll::Ready(flow.input.split_to(length)) }
        })
        .await
    }

    /// Copies what of the input is not in `seen` yet to it, as soon as there is some; the input stays.
    async fn peek(&self, seen: &mut Vec<u8>) {
        poll_fn(|_| {
            let flow = self.lock();
            match flow.input.get(seen.len()..) {
                Some(more) if !more.is_empty() => {
                    seen.extend_from_slice(more);
                    Poll::Ready(())
                }
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

/// Our side of the handshake with one of the networks in question.
struct Candidate {
    magic: Magic,
    /// What to send if it is this one.
    greeting: Vec<u8>,
    handshake: bip324::Handshake<SentVersion>,
}

async fn answer(pipe: Pipe, candidates: Vec<Magic>, secret: [u8; 32]) -> Answered {
    let theirs = pipe.take(KEY).await;
    let theirs = theirs.first_chunk().expect("so many were taken");
    let curve = Secp256k1::signing_only();
    let mut ours = [0; KEY];
    let mut open = Vec::new();
    for magic in candidates {
        open.push(candidate(magic, Role::Responder, theirs, &secret, &curve, &mut ours).map_err(fault)?);
    }
    {
        let mut flow = pipe.lock();
        flow.output.extend(ours);
        // where there is only one network, nothing is to be found out first
        if let [only] = open.as_mut_slice() {
            flow.output.append(&mut only.greeting);
        }
    }
    settle(&pipe, open).await
}

/// The side that opened the connection says its key first. What it sends behind it follows from both keys and the network, and need not wait
/// for more.
async fn call(pipe: Pipe, magic: Magic, secret: [u8; 32]) -> Answered {
    let curve = Secp256k1::signing_only();
    let mut ours = [0; KEY];
    let handshake = bip324::Handshake::<Initialized>::new_with_rng(magic.0, Role::Initiator, &mut Given(&secret), &curve);
    handshake.and_then(|handshake| handshake.send_key(None, &mut ours).map(drop)).map_err(fault)?;
    pipe.lock().output.extend(ours);

    let theirs = pipe.take(KEY).await;
    let theirs = theirs.first_chunk().expect("so many were taken");
    pipe.lock().theirs = Some(*theirs);
    let mut candidate = candidate(magic, Role::Initiator, theirs, &secret, &curve, &mut ours).map_err(fault)?;
    pipe.lock().output.append(&mut candidate.greeting);
    settle(&pipe, vec![candidate]).await
}

/// From the keys to the end of the handshake, with the network whose terminator arrives.
async fn settle(pipe: &Pipe, mut open: Vec<Candidate>) -> Answered {
    // garbage comes first, up to the terminator of one of the networks
    let mut garbage = Vec::new();
    let (magic, greeting, mut handshake, used) = 'network: loop {
        pipe.peek(&mut garbage).await;
        let mut left = Vec::new();
        for Candidate { magic, greeting, handshake } in open {
            match handshake.receive_garbage(&garbage) {
                Ok(GarbageResult::FoundGarbage { handshake, consumed_bytes }) => {
                    break 'network (magic, greeting, handshake, consumed_bytes);
                }
                Ok(GarbageResult::NeedMoreData(handshake)) => left.push(Candidate { magic, greeting, handshake }),
                Err(_) => {}
            }
        }
        if left.is_empty() {
            return Err(Fault::broken("neither the protocol of any network in question, nor v2 of one of them"));
        }
        open = left;
    };
    {
        let mut flow = pipe.lock();
        flow.input.advance(used);
        flow.output.extend(greeting);
    }

    // packets to be ignored may come before the one that ends the handshake
    loop {
        let length = pipe.take(LENGTH).await;
        let length = handshake.decrypt_packet_len([length[0], length[1], length[2]]).map_err(fault)?;
        if length > HANDSHAKE_PACKET {
            return Err(Fault::TooLarge(length));
        }
        let mut packet = pipe.take(length).await;
        match handshake.receive_version(&mut packet).map_err(fault)? {
            VersionResult::Complete { cipher } => return Ok((magic, cipher)),
            VersionResult::Decoy(same) => handshake = same,
        }
    }
}

/// Prepares our side for one network. `ours` is our key, the same for all of them: it follows from the secret.
fn candidate(
    magic: Magic,
    role: Role,
    theirs: &[u8; KEY],
    secret: &[u8; 32],
    curve: &Secp256k1<SignOnly>,
    ours: &mut [u8; KEY],
) -> Result<Candidate, bip324::Error> {
    let handshake = bip324::Handshake::<Initialized>::new_with_rng(magic.0, role, &mut Given(secret), curve)?;
    let handshake = handshake.send_key(None, ours)?.receive_key(*theirs)?;
    let mut greeting = vec![0; bip324::Handshake::<bip324::ReceivedKey<'_>>::send_version_len(None)];
    let handshake = handshake.send_version(&mut greeting, None)?;
    Ok(Candidate { magic, greeting, handshake })
}

/// The secret as a source of randomness.
struct Given<'a>(&'a [u8; 32]);

impl FillBytes for Given<'_> {
    fn fill_bytes(&mut self, out: &mut [u8; 32]) {
        *out = *self.0;
    }
}

fn fault(error: bip324::Error) -> Fault {
    Fault::broken(format!("the encrypted transport failed: {error}"))
}

/// An encrypted connection.
pub(super) struct Session {
    cipher: CipherSession,
    /// Length of the packet that comes next, once it is decrypted.
    length: Option<usize>,
}

impl Session {
    /// The next message, if it is complete.
    pub(super) fn next(&mut self, input: &mut BytesMut, limit: usize) -> Result<Option<Message>, Fault> {
        loop {
            let length = match (self.length, input.first_chunk()) {
                (Some(length), _) => length,
                (None, None) => return Ok(None),
                (None, Some(encrypted)) => {
                    let length = self.cipher.inbound().decrypt_packet_len(*encrypted);
                    input.advance(LENGTH);
                    *self.length.insert(length)
                }
            };
            if length > AROUND + 1 + TYPE + limit {
                return Err(Fault::TooLarge(length));
            }
            if input.len() < length {
                return Ok(None);
            }
            self.length = None;
            let mut packet = input.split_to(length);
            let (_, plain) = self.cipher.inbound().decrypt_in_place(&mut packet, None).map_err(fault)?;
            let (ignore, end) = (plain[0] & IGNORE != 0, plain.len());
            if !ignore {
                packet.truncate(end);
                packet.advance(1);
                return unwrap(packet).map(Some);
            }
        }
    }

    pub(super) fn send(&mut self, message_type: &str, payload: &[u8], out: &mut Vec<u8>) {
        let mut contents = Vec::with_capacity(1 + TYPE + payload.len());
        match SHORT_IDS.iter().find(|(_, name)| *name == message_type) {
            Some((id, _)) => contents.push(*id),
            None => {
                contents.push(0);
                contents.extend(name(message_type));
            }
        }
        contents.extend(payload);
        let start = out.len();
        out.resize(start + OutboundCipher::encryption_buffer_len(contents.len()), 0);
        let sealed = self.cipher.outbound().encrypt(&contents, &mut out[start..], PacketType::Genuine, None);
        sealed.expect("the buffer is as long as it has to be");
    }
}

/// Type and payload from the contents of a packet.
fn unwrap(mut contents: BytesMut) -> Result<Message, Fault> {
    if contents.is_empty() {
        return Err(Fault::broken("a packet without a message"));
    }
    let message_type = match contents.get_u8() {
        0 if contents.len() < TYPE => return Err(Fault::broken("a packet that ends within the type of its message")),
        0 => text(&contents.split_to(TYPE)),
        id => SHORT_IDS.iter().find(|(known, _)| *known == id).map_or(String::new(), |(_, name)| (*name).to_owned()),
    };
    Ok(Message { message_type, payload: contents })
}
