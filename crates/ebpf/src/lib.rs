//! Where events start: tracepoints in a Bitcoin node's process, captured in the kernel, decoded into events.
//!
//! The principal type is [`Source`]. There are two processes. The one with capabilities ([`tracer`]) finds the node, attaches the
//! kernel programs (`bpf/`, loaded by [`programs`]) and hands over their buffer; it reads nothing that a peer chose. The other one
//! has none: it maps the buffer ([`reader`]), takes records apart ([`record`]) and makes events of them ([`decoder`]).
//!
//! ```no_run
//! use std::process::Command;
//! use std::time::Duration;
//! use ebpf::tracer::{self, Config};
//! use ebpf::{Item, Source, Tracer, privileges};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     if std::env::args().nth(1).as_deref() == Some("tracer") {
//!         return Ok(tracer::run()?); // this is the privileged process
//!     }
//!     let mut command = Command::new("/proc/self/exe");
//!     command.arg("tracer");
//!     let tracer = Tracer::spawn(command, &Config::default())?;
//!     privileges::drop_all()?;
//!     let mut source = Source::open(tracer, false)?;
//!     loop {
//!         source.next_batch(Duration::from_secs(1), |item| match item {
//!             Item::Observation(observation) => println!("{:?}", observation.kind),
//!             Item::Report(report) => eprintln!("{report:?}"),
//!         })?;
//!     }
//! }
//! ```
//!
//! The way of a record, and the decisions on it:
//!
//! - **One table** ([`probes::PROBES`]) states what each tracepoint passes and which event that is. Two kernel programs serve all
//!   rows: one for the two tracepoints with a payload, one that is driven by the row. A new tracepoint is a new row.
//! - **One buffer** for all: a record's place in it is its place in the stream, so that a message never overtakes its connection.
//!   The price is that a burst of one kind may crowd out another; both are counted.
//! - **Loss is exact.** A record gets its number whether or not there is room for it; numbers seen and losses counted add up to
//!   probes fired. The first record after a loss tells how many of which probe are missing before it.
//! - **Names of peers travel once.** The kernel side remembers whose address it has told, the decoder remembers the address.
//! - **Nobody is woken for a record**, unless the reader sleeps long or much is waiting: see [`reader`].
//!
//! Invariants: no bytes make decoding panic. The node is never blocked: where there is no room, a record is lost and counted. All
//! `unsafe` of ours is in [`reader`]; the generated skeletons have theirs. Never here: async, the bus. Linux 6.1 or newer only.

mod args;
pub mod bench;
pub mod control;
pub mod decoder;
pub mod notes;
pub mod peers;
pub mod privileges;
pub mod probes;
pub mod process;
pub mod programs;
pub mod reader;
pub mod record;
mod skel;
pub mod source;
pub mod tracer;

pub use args::Args;
pub use control::{Problem, Report};
pub use decoder::{Observation, Totals};
pub use source::{Item, Source};
pub use tracer::Tracer;
