//! The software that peers run: what it says of itself, and in which order it greets.

use crate::cast::Random;

/// Offers all blocks.
pub(crate) const NETWORK: u64 = 1;
/// BIP 37.
pub(crate) const BLOOM: u64 = 1 << 2;
/// BIP 144.
pub(crate) const WITNESS: u64 = 1 << 3;
/// BIP 157.
pub(crate) const COMPACT_FILTERS: u64 = 1 << 6;
/// Offers the last blocks (BIP 159).
pub(crate) const NETWORK_LIMITED: u64 = 1 << 10;
/// BIP 324.
pub(crate) const P2P_V2: u64 = 1 << 11;

const FULL: u64 = NETWORK | WITNESS | NETWORK_LIMITED;
pub(crate) const FULL_V2: u64 = FULL | P2P_V2;

/// One version of some software.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) agent: &'static str,
    /// How many of a thousand peers run it.
    pub(crate) weight: u32,
    pub(crate) version: u32,
    pub(crate) services: u64,
    /// What it sends after its `version`, in its order; `pong` and announcements come as they come.
    pub(crate) greeting: &'static [Greeting],
    /// Whether it puts the receiver's address into its `version`.
    pub(crate) echoes: bool,
    /// Whether it relays transactions and addresses.
    pub(crate) relays: bool,
    /// Whether no program that says so says the rest.
    pub(crate) impossible: bool,
}

/// A message of the greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    Wtxidrelay,
    Sendaddrv2,
    Sendheaders,
    Verack,
    Getaddr,
    Sendcmpct,
    Ping,
    Getheaders,
    Feefilter,
}

use Greeting::{Feefilter, Getaddr, Getheaders, Ping, Sendaddrv2, Sendcmpct, Sendheaders, Verack, Wtxidrelay};

/// Bitcoin Core since 22 (`src/net_processing.cpp`): what it negotiates comes before its `verack`, `getaddr` where it dialled.
const CORE: &[Greeting] = &[Wtxidrelay, Sendaddrv2, Verack, Getaddr, Sendcmpct, Ping, Getheaders, Feefilter];
const OLD_CORE: &[Greeting] = &[Verack, Getaddr, Sendheaders, Sendcmpct, Ping, Getheaders, Feefilter];
const BTCD: &[Greeting] = &[Sendaddrv2, Verack, Sendheaders, Getaddr, Getheaders];
const WALLET: &[Greeting] = &[Verack, Getaddr, Ping];
const CRAWLER: &[Greeting] = &[Verack, Getaddr];
/// What greets like Bitcoin Core, and never says which fee it wants.
const MUTE: &[Greeting] = &[Wtxidrelay, Sendaddrv2, Verack, Sendcmpct, Ping, Getheaders];

const fn core(agent: &'static str, weight: u32, services: u64) -> Program {
    Program { agent, weight, version: 70016, services, greeting: CORE, echoes: true, relays: true, impossible: false }
}

/// A population: few versions have most peers, many have few. 80 of 1000 send no `feefilter`.
pub(crate) const PROGRAMS: &[Program] = &[
    core("/Satoshi:30.0.0/", 230, FULL_V2),
    core("/Satoshi:29.1.0/", 150, FULL_V2),
    core("/Satoshi:29.0.0/", 95, FULL_V2),
    core("/Satoshi:28.1.0/", 110, FULL_V2),
    core("/Satoshi:27.0.0/", 70, FULL_V2),
    core("/Satoshi:29.1.0/Knots:20250903/", 120, FULL_V2 | BLOOM),
    core("/Satoshi:25.0.0/", 45, FULL),
    core("/Satoshi:24.0.1/", 30, FULL),
    core("/Satoshi:22.0.0/", 25, FULL | COMPACT_FILTERS),
    Program { greeting: OLD_CORE, version: 70015, ..core("/Satoshi:0.20.1/", 25, FULL) },
    Program { greeting: OLD_CORE, version: 70015, ..core("/Satoshi:0.18.1/", 20, FULL) },
    Program { greeting: MUTE, ..core("/Satoshi:28.0.0/", 15, FULL) },
    Program { greeting: BTCD, echoes: false, ..core("/btcwire:0.5.0/btcd:0.24.2/", 20, NETWORK | WITNESS | COMPACT_FILTERS) },
    Program { greeting: WALLET, version: 70015, relays: false, ..core("/bitcoinj:0.16.3/Bitcoin Wallet:10.10/", 20, 0) },
    Program { greeting: CRAWLER, echoes: false, relays: false, ..core("/bitnodes.io:0.3/", 15, 0) },
    Program { greeting: CRAWLER, version: 70015, echoes: false, relays: false, ..core("/seeder:0.1/", 10, 0) },
];

/// Names that wallets had years ago: those who hide behind them pick evenly, the real ones are all but gone.
pub(crate) const OLD_AGENTS: &[&str] = &[
    "/breadwallet:0.6.2/",
    "/breadwallet:2.0.4/",
    "/bread:0.6.4/",
    "/Bither:1.4.6/",
    "/bitcoinj:0.13.3/MultiBitHD:0.4.1/",
    "/bitcoinj:0.14.3/Bitcoin Wallet:5.40/",
    "/bitcoinj:0.14.5/Bitcoin Wallet:6.04/",
    "/bitcoinj:0.14.7/",
    "/bitcoinj:0.15/",
    "/BitcoinUnlimited:1.0.2/",
    "/Bitcoin ABC:0.16.1/",
    "/WalletKit:0.1.0/",
    "/BitPay Bitcore:1.1.0/",
    "/Classic:1.3.5/",
    "/Satoshi:0.12.1/",
    "/Satoshi:0.13.2/",
    "/Satoshi:0.14.2/",
    "/Satoshi:0.15.1/",
    "/Satoshi:0.16.0/",
    "/libbitcoin:3.4.0/",
    "/NBitcoin:4.0.0.38/",
    "/bcoin:1.0.2/",
    "/iguana 0.00/",
    "/Electrum:2.9.3/",
];

/// Draws from a population.
pub(crate) fn any(random: &mut Random) -> &'static Program {
    &PROGRAMS[random.weighted(PROGRAMS.iter().map(|program| program.weight))]
}

/// Draws one that takes part in relay.
pub(crate) fn relaying(random: &mut Random) -> &'static Program {
    let weight = |program: &Program| if program.relays { program.weight } else { 0 };
    &PROGRAMS[random.weighted(PROGRAMS.iter().map(weight))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_in_a_hundred_send_no_feefilter() {
        assert_eq!(PROGRAMS.iter().map(|program| program.weight).sum::<u32>(), 1000);
        let mute = PROGRAMS.iter().filter(|program| !program.greeting.contains(&Feefilter));
        assert_eq!(mute.map(|program| program.weight).sum::<u32>(), 80);
    }
}
