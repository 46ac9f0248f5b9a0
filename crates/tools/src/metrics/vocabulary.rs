//! Text that somebody else wrote, as one of a few words.
//!
//! Peers choose their user agent, protocol version and, in part, what a node says of them. Each list here is what an operator tells apart;
//! the rest is `other`, so inventing texts moves one series.

use std::net::IpAddr;

use super::label::labels;

labels! {
    /// The software that a peer says it is.
    Client as "client" {
        Core31 = "core_31", Core30 = "core_30", Core29 = "core_29", Core28 = "core_28", Core27 = "core_27", Core26 = "core_26",
        Core25 = "core_25", Core24 = "core_24", Core23 = "core_23", Core22 = "core_22",
        /// 0.21 and before.
        CoreOld = "core_0",
        /// A major version after the last above.
        CoreNew = "core_newer",
        Knots = "knots", Btcd = "btcd", Neutrino = "neutrino", Bcoin = "bcoin", Bitcoinj = "bitcoinj", Libbitcoin = "libbitcoin",
        Gocoin = "gocoin", Floresta = "floresta", Kyoto = "kyoto", Electrs = "electrs",
        /// Bitcoin Core's private broadcast (version 31), and who copies it.
        Pynode = "pynode",
        Bitnodes = "bitnodes", Seeder = "bitcoin_seeder", KitMonitor = "kit_monitor", Bitcore = "bitcore",
        /// Forks with coins of their own.
        ForkCoin = "fork_coin",
        None = "none", Other = "other",
    }

    /// Protocol versions that mean something.
    Protocol as "version" {
        Before70001 = "before_70001", Before70012 = "70001_to_70011", V70012 = "70012", V70013 = "70013", V70014 = "70014",
        V70015 = "70015", V70016 = "70016", V70017 = "70017", After = "after_70017",
    }

    /// Why the node holds that a peer misbehaved.
    Misbehaviour as "reason" {
        AddrSize = "addr_size", InvSize = "inv_size", GetdataSize = "getdata_size", HeadersSize = "headers_size",
        HeadersGap = "headers_not_continuous", HeaderWork = "header_proof_of_work", Header = "invalid_header",
        CompactHeader = "invalid_compact_header", CompactBlock = "invalid_compact_block",
        CompactRepeated = "compact_block_reconstruction", BlocktxnIndexes = "getblocktxn_indexes", MutatedBlock = "mutated_block",
        BloomFilter = "bloom_filter_size", Filteradd = "filteradd", Sendcmpct = "sendcmpct",
        /// An invalid block, or until version 29 an invalid transaction.
        None = "none",
        Other = "other",
    }

    /// Why the node did not take a transaction.
    Rejection as "reason" {
        MissingInputs = "missing_inputs", MinRelayFee = "min_relay_fee", MempoolMinFee = "mempool_min_fee", MempoolFull = "mempool_full",
        Known = "already_known", SameNonwitness = "same_nonwitness_data", LongChain = "long_chain", LargeCluster = "large_cluster",
        InsufficientFee = "insufficient_fee", Replacements = "too_many_replacements", ReplacementFailed = "replacement_failed",
        SpendsConflicting = "spends_conflicting", NonFinal = "non_final", NonBip68Final = "non_bip68_final", Dust = "dust",
        Size = "tx_size", SizeSmall = "tx_size_small", Version = "version", Scriptpubkey = "scriptpubkey", Scriptsig = "scriptsig",
        Datacarrier = "datacarrier", BareMultisig = "bare_multisig", NonstandardInputs = "nonstandard_inputs",
        NonstandardWitness = "nonstandard_witness", Truc = "truc", EphemeralSpends = "missing_ephemeral_spends",
        MaxFeerate = "max_feerate", Invalid = "bad_txns", PolicyScript = "mempool_script", ConsensusScript = "block_script",
        Other = "other",
    }

    /// The threads of Bitcoin Core.
    Thread as "thread" {
        MessageHandler = "b-msghand", Net = "b-net", OpenConnections = "b-opencon", AddConnections = "b-addcon", Dns = "b-dnsseed",
        Scheduler = "b-scheduler", ScriptCheck = "b-scriptch", HttpWorker = "b-httpworker", Http = "b-http", HttpPool = "b-http_pool", Tor = "b-torcontrol",
        I2p = "b-i2paccept", PortMapping = "b-mapport", Ipc = "b-capnp-loop", InitialLoad = "b-initload", Init = "b-init",
        Shutdown = "b-shutoff", TransactionIndex = "b-txindex", CoinStats = "b-coinstatsind", Filters = "b-basic block f",
        Main = "main", Other = "other",
    }

    /// Service bits, as gossip claims them.
    Service as "service" {
        Network = "network", Getutxo = "getutxo", Bloom = "bloom", Witness = "witness", Xthin = "xthin", Bit5 = "bit_5",
        CompactFilters = "compact_filters", Bit7 = "bit_7", Bit8 = "bit_8", Bit9 = "bit_9", NetworkLimited = "network_limited",
        P2pV2 = "p2p_v2", Bit12 = "bit_12", Bit13 = "bit_13", Bit14 = "bit_14", Bit15 = "bit_15", Bit16 = "bit_16", Bit17 = "bit_17",
        Bit18 = "bit_18", Bit19 = "bit_19", Bit20 = "bit_20", Bit21 = "bit_21", Bit22 = "bit_22", Bit23 = "bit_23", Bit24 = "bit_24",
        Bit25 = "bit_25", Bit26 = "bit_26", Bit27 = "bit_27", Bit28 = "bit_28", Bit29 = "bit_29", Bit30 = "bit_30", Bit31 = "bit_31",
        /// Bits 32 to 63 together: none of them has a meaning.
        High = "bits_above_31",
    }

    /// Ports of addresses.
    Port as "port" {
        Main = "8333", OnionTarget = "8334", Testnet = "18333", Testnet4 = "48333", Signet = "38333", Alternative = "20008",
        /// I2P knows no ports.
        Zero = "0",
        Other = "other",
    }

    /// Methods of the node's RPC.
    Method as "method" {
        Peers = "getpeerinfo", NetTotals = "getnettotals", Mempool = "getmempoolinfo", Blockchain = "getblockchaininfo",
        NetworkInfo = "getnetworkinfo", Uptime = "uptime", Orphans = "getorphantxs", Addrman = "getaddrmaninfo",
        Fees = "estimatesmartfee", Memory = "getmemoryinfo", Bans = "listbanned", Indexes = "getindexinfo",
        ChainTxStats = "getchaintxstats", Deployments = "getdeploymentinfo", ChainTips = "getchaintips",
        AddrmanRaw = "getrawaddrman", Other = "other",
    }

    /// Indexes that a node may keep.
    Index as "index" {
        Transactions = "txindex", CoinStats = "coinstatsindex", Filters = "block_filter_index", Spenders = "txospenderindex",
        Other = "other",
    }

    /// Categories of debug.log.
    Category as "category" {
        None = "none", Net = "net", Tor = "tor", Mempool = "mempool", Http = "http", Bench = "bench", Zmq = "zmq", Walletdb = "walletdb",
        Rpc = "rpc", Estimatefee = "estimatefee", Addrman = "addrman", Selectcoins = "selectcoins", Reindex = "reindex",
        Cmpctblock = "cmpctblock", Rand = "rand", Prune = "prune", Proxy = "proxy", Mempoolrej = "mempoolrej", Libevent = "libevent",
        Coindb = "coindb", Qt = "qt", Leveldb = "leveldb", Validation = "validation", I2p = "i2p", Ipc = "ipc", Lock = "lock",
        Blockstorage = "blockstorage", Txreconciliation = "txreconciliation", Scan = "scan", Txpackages = "txpackages",
        Kernel = "kernel", Privatebroadcast = "privatebroadcast",
        Other = "other",
    }

    /// Who gets messages about incidents.
    Receiver as "receiver" { Alertmanager = "alertmanager", Webhook = "webhook", Ntfy = "ntfy", Mail = "mail", Other = "other", }

    /// The detectors, by their numbers in the catalogue.
    Detector as "detector" {
        D01 = "D01", D02 = "D02", D03 = "D03", D04 = "D04", D05 = "D05", D06 = "D06", D07 = "D07", D08 = "D08", D09 = "D09", D10 = "D10",
        D11 = "D11", D12 = "D12", D13 = "D13", D14 = "D14", D15 = "D15", D16 = "D16", D17 = "D17", D18 = "D18", D19 = "D19", D20 = "D20",
        D21 = "D21", D22 = "D22", D23 = "D23", D24 = "D24", D25 = "D25", D26 = "D26", D27 = "D27", D28 = "D28", D29 = "D29", D30 = "D30",
        D31 = "D31", D32 = "D32", D33 = "D33", D34 = "D34", D35 = "D35", D36 = "D36", D37 = "D37", D38 = "D38", D39 = "D39", D40 = "D40",
        D41 = "D41", D42 = "D42", D43 = "D43", D44 = "D44", D45 = "D45", D46 = "D46", D47 = "D47", D48 = "D48", D49 = "D49", D50 = "D50",
        D51 = "D51", D52 = "D52", D53 = "D53", D54 = "D54", D55 = "D55", D56 = "D56", D57 = "D57", D58 = "D58", D59 = "D59", D60 = "D60",
        Other = "other",
    }

    /// How the check of a block ended.
    Check as "result" {
        Valid = "valid",
        /// The transactions are not those of the header: sent by somebody who wants the block to be taken for invalid.
        Mutated = "mutated",
        Invalid = "invalid",
    }

    /// How large the nonce of a ping is: software has habits.
    Nonce as "nonce" {
        /// No nonce at all: protocol versions before 60001.
        Absent = "absent",
        Zero = "zero",
        Byte = "8_bit", Short = "16_bit", Word = "32_bit", Long = "64_bit",
    }

    /// Why a message was refused by a peer (BIP 61).
    RejectCode as "code" {
        Malformed = "malformed", Invalid = "invalid", Obsolete = "obsolete", Duplicate = "duplicate", Nonstandard = "nonstandard",
        Dust = "dust", Fee = "fee", Checkpoint = "checkpoint", Other = "other",
    }
}

impl Detector {
    /// By number; whoever may publish on a bus can claim any.
    pub fn of(number: &str) -> Self {
        let place =
            number.strip_prefix('D').and_then(|digits| digits.parse::<usize>().ok()).and_then(|number| number.checked_sub(1));
        place.and_then(|place| Self::ALL.get(place)).copied().unwrap_or(Self::Other)
    }
}

impl Client {
    /// By user agent. What it says is a claim.
    pub fn of(user_agent: &str) -> Self {
        const PREFIXES: &[(&str, Client)] = &[
            ("/bcoin", Client::Bcoin),
            ("/bitcoinj", Client::Bitcoinj),
            ("/libbitcoin", Client::Libbitcoin),
            ("/Gocoin", Client::Gocoin),
            ("/Floresta", Client::Floresta),
            ("/kyoto", Client::Kyoto),
            ("/electrs", Client::Electrs),
            ("/pynode:0.0.1/", Client::Pynode),
            ("/bitnodes", Client::Bitnodes),
            ("/bitcoin-seeder", Client::Seeder),
            ("/dsn.tm.kit.edu", Client::KitMonitor),
            ("/dsn.kastel.kit.edu", Client::KitMonitor),
            ("/bitcore", Client::Bitcore),
            ("/Bitcoin ABC", Client::ForkCoin),
            ("/Bitcoin Cash", Client::ForkCoin),
            ("/BCH", Client::ForkCoin),
            ("/Bitcoin SV", Client::ForkCoin),
            ("/BitcoinUnlimited", Client::ForkCoin),
        ];
        if user_agent.is_empty() {
            return Self::None;
        }
        if let Some(rest) = user_agent.strip_prefix("/Satoshi:") {
            return if user_agent.contains("/Knots:") { Self::Knots } else { Self::of_core(rest) };
        }
        // wallets and full nodes of one family share the first part
        if user_agent.starts_with("/btcwire") {
            return if user_agent.contains("/neutrino:") { Self::Neutrino } else { Self::Btcd };
        }
        PREFIXES.iter().find(|(prefix, _)| user_agent.starts_with(prefix)).map_or(Self::Other, |(_, client)| *client)
    }

    /// By what stands behind `/Satoshi:`.
    fn of_core(version: &str) -> Self {
        const NEWEST: u32 = 31;
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(0) => Self::CoreOld,
            Ok(major @ 22..=NEWEST) => Self::ALL[(NEWEST - major) as usize],
            Ok(32..=99) => Self::CoreNew,
            _ => Self::Other,
        }
    }
}

impl Protocol {
    /// By number.
    pub fn of(version: u32) -> Self {
        match version {
            0..=70_000 => Self::Before70001,
            70_001..=70_011 => Self::Before70012,
            70_012 => Self::V70012,
            70_013 => Self::V70013,
            70_014 => Self::V70014,
            70_015 => Self::V70015,
            70_016 => Self::V70016,
            70_017 => Self::V70017,
            _ => Self::After,
        }
    }
}

/// The first row whose text begins so.
fn by_prefix<T: Copy>(text: &str, rows: &[(&str, T)]) -> Option<T> {
    rows.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, value)| *value)
}

impl Misbehaviour {
    /// By Bitcoin Core's words (`Misbehaving` in `src/net_processing.cpp`), which may hold numbers of the peer's choice.
    pub fn of(reason: &str) -> Self {
        const ROWS: &[(&str, Misbehaviour)] = &[
            ("addr message size", Misbehaviour::AddrSize),
            ("addrv2 message size", Misbehaviour::AddrSize),
            ("inv message size", Misbehaviour::InvSize),
            ("getdata message size", Misbehaviour::GetdataSize),
            ("headers message size", Misbehaviour::HeadersSize),
            ("non-continuous headers", Misbehaviour::HeadersGap),
            ("header with invalid proof of work", Misbehaviour::HeaderWork),
            ("invalid header via cmpctblock", Misbehaviour::CompactHeader),
            ("invalid header", Misbehaviour::Header),
            ("invalid compact block", Misbehaviour::CompactBlock),
            ("previous compact block reconstruction", Misbehaviour::CompactRepeated),
            ("getblocktxn with out-of-bounds", Misbehaviour::BlocktxnIndexes),
            ("mutated block", Misbehaviour::MutatedBlock),
            ("too-large bloom filter", Misbehaviour::BloomFilter),
            ("bad filteradd", Misbehaviour::Filteradd),
            ("invalid sendcmpct", Misbehaviour::Sendcmpct),
        ];
        if reason.is_empty() { Self::None } else { by_prefix(reason, ROWS).unwrap_or(Self::Other) }
    }
}

impl Rejection {
    /// By Bitcoin Core's words: an open set, with a part in parentheses that varies.
    pub fn of(reason: &str) -> Self {
        const ROWS: &[(&str, Rejection)] = &[
            ("bad-txns-inputs-missingorspent", Rejection::MissingInputs),
            ("missing-inputs", Rejection::MissingInputs),
            ("min relay fee not met", Rejection::MinRelayFee),
            ("mempool min fee not met", Rejection::MempoolMinFee),
            ("mempool full", Rejection::MempoolFull),
            ("txn-already", Rejection::Known),
            ("txn-same-nonwitness-data", Rejection::SameNonwitness),
            ("too-long-mempool-chain", Rejection::LongChain),
            ("too-large-cluster", Rejection::LargeCluster),
            ("insufficient fee", Rejection::InsufficientFee),
            ("too many potential replacements", Rejection::Replacements),
            ("replacement-failed", Rejection::ReplacementFailed),
            ("bad-txns-spends-conflicting-tx", Rejection::SpendsConflicting),
            ("non-final", Rejection::NonFinal),
            ("non-BIP68-final", Rejection::NonBip68Final),
            ("dust", Rejection::Dust),
            ("tx-size-small", Rejection::SizeSmall),
            ("tx-size", Rejection::Size),
            ("version", Rejection::Version),
            ("scriptpubkey", Rejection::Scriptpubkey),
            ("scriptsig", Rejection::Scriptsig),
            ("datacarrier", Rejection::Datacarrier),
            ("bare-multisig", Rejection::BareMultisig),
            ("bad-txns-nonstandard-inputs", Rejection::NonstandardInputs),
            ("bad-witness-nonstandard", Rejection::NonstandardWitness),
            ("TRUC-violation", Rejection::Truc),
            ("missing-ephemeral-spends", Rejection::EphemeralSpends),
            ("max feerate exceeded", Rejection::MaxFeerate),
            ("bad-txns", Rejection::Invalid),
            ("mempool-script-verify-flag-failed", Rejection::PolicyScript),
            ("non-mandatory-script-verify-flag", Rejection::PolicyScript),
            ("block-script-verify-flag-failed", Rejection::ConsensusScript),
            ("mandatory-script-verify-flag", Rejection::ConsensusScript),
        ];
        by_prefix(reason, ROWS).unwrap_or(Self::Other)
    }
}

/// By the words themselves, where they are the names that somebody else uses.
macro_rules! by_word {
    ($($type:ident)+) => {$(
        impl $type {
            /// By name.
            pub fn of(name: &str) -> Self {
                use super::label::{Label as _, Words};
                let Words::Fixed(words) = Self::DIMENSION.words else { return Self::Other };
                words.iter().position(|word| *word == name).map_or(Self::Other, |at| Self::ALL[at])
            }
        }
    )+};
}
by_word! { Method Receiver Thread }

impl Category {
    /// By name; empty for a line without one.
    pub fn of(name: &str) -> Self {
        use super::label::{Label as _, Words};
        let Words::Fixed(words) = Self::DIMENSION.words else { return Self::Other };
        match name {
            "" => Self::None,
            // the words for those are not categories
            "none" | "other" => Self::Other,
            _ => words.iter().position(|word| *word == name).map_or(Self::Other, |at| Self::ALL[at]),
        }
    }
}

impl Check {
    /// By what Bitcoin Core says of it (`BlockValidationResult::BLOCK_MUTATED` in `src/validation.cpp`).
    pub fn of(valid: bool, reason: &str) -> Self {
        const MUTATED: [&str; 5] =
            ["bad-txnmrklroot", "bad-txns-duplicate", "bad-witness-nonce-size", "bad-witness-merkle-match", "unexpected-witness"];
        match valid {
            true => Self::Valid,
            false if MUTATED.contains(&reason) => Self::Mutated,
            false => Self::Invalid,
        }
    }
}

impl Index {
    /// By name, as `getindexinfo` has it.
    pub fn of(name: &str) -> Self {
        match name {
            "txindex" => Self::Transactions,
            "coinstatsindex" => Self::CoinStats,
            "basic block filter index" => Self::Filters,
            "txospenderindex" => Self::Spenders,
            _ => Self::Other,
        }
    }
}

impl Service {
    /// By number of the bit.
    #[inline]
    pub fn of_bit(bit: u32) -> Self {
        Self::ALL[(bit as usize).min(Self::ALL.len() - 1)]
    }
}

impl Port {
    /// By number.
    pub fn of(port: u32) -> Self {
        match port {
            8333 => Self::Main,
            8334 => Self::OnionTarget,
            18_333 => Self::Testnet,
            48_333 => Self::Testnet4,
            38_333 => Self::Signet,
            20_008 => Self::Alternative,
            0 => Self::Zero,
            _ => Self::Other,
        }
    }
}

impl Nonce {
    /// By value.
    #[inline]
    pub fn of(nonce: Option<u64>) -> Self {
        match nonce {
            None => Self::Absent,
            Some(0) => Self::Zero,
            Some(1..=0xff) => Self::Byte,
            Some(0x100..=0xffff) => Self::Short,
            Some(0x1_0000..=0xffff_ffff) => Self::Word,
            Some(_) => Self::Long,
        }
    }
}

impl RejectCode {
    /// By number.
    pub fn of(code: u32) -> Self {
        match code {
            0x01 => Self::Malformed,
            0x10 => Self::Invalid,
            0x11 => Self::Obsolete,
            0x12 => Self::Duplicate,
            0x40 => Self::Nonstandard,
            0x41 => Self::Dust,
            0x42 => Self::Fee,
            0x43 => Self::Checkpoint,
            _ => Self::Other,
        }
    }
}

/// The IP address in what a node calls a peer's address: `203.0.113.7:8333`, `[2001:db8::1]:8333`. Nothing for onion, I2P and names.
pub fn ip(address: &str) -> Option<IpAddr> {
    match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok(),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host).parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients() {
        for (user_agent, client) in [
            ("/Satoshi:31.0.0/", Client::Core31),
            ("/Satoshi:22.0.0(me)/", Client::Core22),
            ("/Satoshi:0.21.1/", Client::CoreOld),
            ("/Satoshi:33.1.0/", Client::CoreNew),
            ("/Satoshi:12345.0/", Client::Other),
            ("/Satoshi:x/", Client::Other),
            ("/Satoshi:29.2.0/Knots:20251110/", Client::Knots),
            ("/btcwire:0.5.0/neutrino:0.16.1/", Client::Neutrino),
            ("/btcwire:0.5.0/btcd:0.24.2/", Client::Btcd),
            ("/pynode:0.0.1/", Client::Pynode),
            ("/pynode:0.0.2/", Client::Other),
            ("", Client::None),
            ("é", Client::Other),
        ] {
            assert_eq!(Client::of(user_agent), client, "{user_agent}");
        }
    }

    #[test]
    fn reasons() {
        assert_eq!(Misbehaviour::of("addrv2 message size = 1001"), Misbehaviour::AddrSize);
        assert_eq!(Misbehaviour::of("invalid header via cmpctblock"), Misbehaviour::CompactHeader);
        assert_eq!(Misbehaviour::of("invalid header received"), Misbehaviour::Header);
        assert_eq!(Misbehaviour::of(""), Misbehaviour::None);
        assert_eq!(Rejection::of("bad-txns-inputs-missingorspent"), Rejection::MissingInputs);
        assert_eq!(Rejection::of("bad-txns-in-belowout"), Rejection::Invalid);
        assert_eq!(Rejection::of("insufficient fee (including sibling eviction)"), Rejection::InsufficientFee);
        assert_eq!(Rejection::of("tx-size-small"), Rejection::SizeSmall);
        assert_eq!(Rejection::of("mandatory-script-verify-flag-failed (Invalid Schnorr signature)"), Rejection::ConsensusScript);
        assert_eq!(Rejection::of("what"), Rejection::Other);
    }

    #[test]
    fn names_are_words() {
        assert_eq!(Thread::of("b-msghand"), Thread::MessageHandler);
        assert_eq!(Thread::of("(other)"), Thread::Other);
        assert_eq!(Method::of("getpeerinfo"), Method::Peers);
        assert_eq!(Method::of("stop"), Method::Other);
        assert_eq!(Service::of_bit(0), Service::Network);
        assert_eq!(Service::of_bit(31), Service::Bit31);
        assert_eq!(Service::of_bit(32), Service::High);
        assert_eq!(Service::of_bit(63), Service::High);
    }

    #[test]
    fn addresses() {
        assert_eq!(ip("203.0.113.7:8333"), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(ip("203.0.113.7"), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(ip("[2001:db8::1]:8333"), Some("2001:db8::1".parse().unwrap()));
        for none in ["", ":", "[", "[]:1", "node.example:8333", "abc.onion:8333", "[fe80::1%eth0]:1"] {
            assert_eq!(ip(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (Client::of(&text), Misbehaviour::of(&text), Rejection::of(&text), Thread::of(&text), Method::of(&text));
            let _ = (Client::of(&format!("/Satoshi:{text}")), Index::of(&text), ip(&text), ip(&format!("[{text}")));
        }
    }
}
