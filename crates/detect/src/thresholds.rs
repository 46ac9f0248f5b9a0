//! Every number that decides, in one table.
//!
//! A row has a name (`d39.queue_warn`), a default, a unit, where the number comes from and what it means. An operator may set any of them
//! for all nodes or for one; detectors ask by [`Limit`], which costs an index. A number is changed here, before scenarios are run and for
//! a reason that the row's source names; it is not tuned until a test passes.
//!
//! Sources: `S` and a number is a source of the catalogue of attacks, `S:Core` is Bitcoin Core's own constant, `O` is ours: reasoned, and
//! still to be calibrated on the main network.

use std::collections::BTreeMap;

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Threshold {
    /// As an operator writes it: the detector or guard, a dot, what it limits.
    pub name: &'static str,
    /// Without configuration.
    pub default: f64,
    /// `seconds`, `share` (0 to 1), …; empty for a plain number.
    pub unit: &'static str,
    /// Where the number comes from.
    pub source: &'static str,
    /// What it decides.
    pub meaning: &'static str,
}

/// Makes the enumeration and the table from one list.
macro_rules! thresholds {
    ($($limit:ident = $name:literal, $default:expr, $unit:literal, $source:literal, $meaning:literal;)*) => {
        /// A threshold, by its place in the table.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Limit {
            $(#[doc = $meaning] $limit,)*
        }

        /// Every threshold, in the order of the table.
        pub const ALL: &[Limit] = &[$(Limit::$limit,)*];

        /// The table.
        pub const TABLE: &[Threshold] = &[
            $(Threshold { name: $name, default: $default, unit: $unit, source: $source, meaning: $meaning },)*
        ];
    };
}

thresholds! {
    // guards (`docs/sources.md`)
    GuardRestart = "guard.restart", 1800.0, "seconds", "S3", "G1: nothing is alerted so soon after the node's start";
    GuardAttached = "guard.attached", 300.0, "seconds", "S3", "G1: nor so soon after an extractor came back";
    GuardBehind = "guard.behind", 10.0, "blocks", "S8", "G2: more headers than blocks than this counts as initial download";
    GuardGetaddr = "guard.getaddr", 1000.0, "addresses", "S:Core", "G3: answers to our `getaddr` that are not counted";
    GuardBlock = "guard.block", 2.0, "seconds", "O", "G5: nothing is alerted so soon after a block was connected";
    GuardFleet = "guard.fleet", 0.6, "share", "O", "G8: what this share of the nodes has is one finding about the fleet";
    GuardFleetNodes = "guard.fleet_nodes", 3.0, "nodes", "O", "G8: with fewer nodes than this there is no fleet";
    GuardUnusual = "guard.unusual", 6.0, "deviations", "O", "A guard that suppresses so much more than usual is a finding itself (robust z)";

    // findings
    FindingSettle = "finding.settle", 60.0, "seconds", "O", "A finding is cleared after its criterion was not met for so long";
    FindingRemind = "finding.remind", 1800.0, "seconds", "S8", "Nobody is told again of the same finding more often";
    FindingLook = "finding.look", 10.0, "seconds", "O", "While a finding's criterion is met its numbers are looked at so often: what they are at the worst is what its end tells";
    FindingGrown = "finding.grown", 2.0, "", "O", "Somebody is told at once when the score of a finding is so many times the highest that was told";
    FindingSilent = "finding.silent", 3600.0, "seconds", "O", "A finding of which its detector heard nothing for so long expires";

    // D01: addresses from one peer
    D01Warn = "d01.limited_warn", 250.0, "addresses", "O", "Warn: Bitcoin Core ignores so many addresses of one peer within ten minutes: thrice the 78 of the most talkative ordinary one (S9: 0.23 a second, of which it takes 0.1)";
    D01Drip = "d01.limited_long", 340.0, "addresses", "O", "Warn: or within twenty minutes so many: the most talkative ordinary one (S9: 0.23 a second, 0.3 at the busiest hour) has 240, and by chance a hundred more (nearly four deviations of 27) hardly ever";
    D01Times = "d01.times", 4.0, "", "O", "Warn: and it passes on so many times what the middle one of the node's peers does, in the same time: the most talkative ordinary one sends 3.4 times the (geometric) middle of what is ordinary (S9: 0.02 to 0.23 a second), and a surge raises all";
    D01Share = "d01.limited_share", 0.2, "share", "O", "Warn: and at least this share of what the peer sent";
    D01Critical = "d01.limited_critical", 1000.0, "addresses", "O", "Critical: Bitcoin Core ignores so many addresses of one peer within ten minutes";
    D01Tens = "d01.tens", 20.0, "messages", "S11", "Critical: messages of exactly ten addresses from one peer within ten minutes; ten is the most that is passed on";
    D01Breaches = "d01.breaches", 2.0, "messages", "O", "Warn: so many messages of more than 1000 addresses from one host within ten minutes; one alone is worth knowing, as the node takes none of it and disconnects";

    // D02: addresses from everybody
    D02Warn = "d02.times_warn", 2.0, "", "O", "Warn: different addresses within a day, against the median of the last 28 days";
    D02Critical = "d02.times_critical", 4.0, "", "O", "Critical: different addresses within a day, against the median of the last 28 days";
    D02Lasting = "d02.lasting", 1800.0, "seconds", "O", "Warn: for so long";
    D02Days = "d02.days", 7.0, "days", "O", "A day is not compared with fewer days than this (warm-up)";
    D02Hours = "d02.hours", 24.0, "hours", "O", "An hour is not compared with fewer hours than this (warm-up)";
    D02Drift = "d02.drift", 5.0, "deviations", "O", "Warn: hour after hour more different addresses than usual, added up (CUSUM)";
    D02Hour = "d02.hour_times", 1.75, "", "O", "What is added up is an alarm in an hour of so many times the usual, or where the last day had `d02.times_warn` times as many as the day before: a provider that renumbers its customers makes 1.6 and 1.4";
    D02Least = "d02.least", 2000.0, "addresses", "O", "Fewer different addresses within an hour are never too many";
    D02Usual = "d02.usual", 0.0, "addresses", "O", "Different addresses of an ordinary day, where that is known; 0: learn it";
    D02Dead = "d02.dead", 0.95, "share", "O", "Confirmed: of those that were visited lately more than this had no node; ordinary gossip has 0.7 to 0.8";
    D02Visits = "d02.visits", 50.0, "visits", "O", "Nothing is confirmed by fewer visits within a day";

    // D09: peers are lost
    D09Warn = "d09.lost_warn", 20.0, "peers", "S4", "Warn: so many inbound peers lost within five minutes";
    D09WarnShare = "d09.lost_warn_share", 0.25, "share", "O", "Warn: or this share of them";
    D09CriticalShare = "d09.lost_critical_share", 0.4, "share", "O", "Critical: this share of the inbound peers lost within five minutes";
    D09Least = "d09.least", 8.0, "peers", "O", "A share of so few lost peers or fewer says nothing";
    D09Established = "d09.established", 900.0, "seconds", "O", "Only peers that were connected for so long are missed when they go";
    D09Outbound = "d09.outbound", 2.0, "peers", "O", "Critical: so few outbound peers are left of many";
    D09Usual = "d09.outbound_usual", 6.0, "peers", "O", "Many outbound peers: so many within the last hour";
    D09Lasts = "d09.lasts", 60.0, "seconds", "O", "Peers are missing for so long before anything is said";
    D09Ending = "d09.ending", 180.0, "seconds", "O", "The same where nobody is left: a node that ends closes everybody, and may write its caches before its process is gone";
    D09SlowShare = "d09.slow_share", 0.05, "share", "O", "Warn: inbound peers below what is usual by this share, and by twice as much as the lowest hour of the last week was";
    D09Spread = "d09.spread", 5.0, "deviations", "O", "Warn: and below what is usual by so many deviations of the last week's hours";
    D09Half = "d09.half", 0.5, "share", "O", "Warn: or below what is usual by this share, whatever the deviations";
    D09Early = "d09.early", 0.7, "share", "O", "Warn: before `d09.warm_up` is over, below what was seen by this share: half of a night that is 0.6 of the day before it";
    D09Broken = "d09.broken", 8.0, "", "O", "Warn: so surprisingly many inbound connections were broken off within six hours (8: by chance once in a hundred million), and `d09.slow_share` of the peers went";
    D09Halves = "d09.halves", 172_800.0, "seconds", "S1", "A bleed is what leaves half of the peers in so long, besides those who go anyway; in May 2023 it was a fifth";
    D09Odds = "d09.odds", 5.0, "", "O", "Warn: connections broken off again and again make such a bleed likelier than chance by so many powers of ten, and `d09.slow_share` of the peers went";
    D09Occasions = "d09.occasions", 5.0, "occasions", "O", "Warn: and that on so many occasions, of ten minutes each";
    D09Nights = "d09.nights", 3.0, "deviations", "O", "Warn: and where the node is not known to be always full, below the lowest hour by so many deviations of chance (√peers) after one night, and half of that after two: the second may be lower by chance. 0 for a node that is always full";
    D09Full = "d09.full", 2.0, "peers", "O", "A node whose lowest hour is within so many of the usual was always full";
    D09FullAfter = "d09.full_after", 172_800.0, "seconds", "O", "… which is known after so long: one night at which it was full may be chance as well";
    D09WarmUp = "d09.warm_up", 86_400.0, "seconds", "O", "The usual number of peers is learned for so long, and six hours, before a slow loss is told by it, unless hardly any are left";

    // D10: slots are taken, and peers pushed out
    D10EvictedWarn = "d10.evicted_warn", 10.0, "peers", "S6", "Warn: so many were evicted in five minutes, by so many newcomers as an attack has";
    D10EvictedCritical = "d10.evicted_critical", 50.0, "peers", "O", "Critical: so many were evicted in five minutes";
    D10Opened = "d10.opened", 10.0, "per minute", "S6", "A rush: so many new inbound connections, over five minutes and over ten; three are usual, forty are an attack";
    D10Times = "d10.times", 3.0, "", "S6", "A rush: and so many times as many as is usual at this node, once that is known; ten are three times the usual three";
    D10Always = "d10.always", 40.0, "per minute", "S6", "A rush: so many new inbound connections whatever is usual; as many came where the slots of nodes were taken";
    D10Wallets = "d10.wallets", 0.5, "share", "O", "Worth knowing only: of the newcomers of a rush more than this set a bloom filter, as wallets do";
    D10WarmUp = "d10.warm_up", 21_600.0, "seconds", "O", "What is usual at this node is known after so long, a day at most";
    D10Share = "d10.evicted_share", 0.5, "share", "O", "Warn: of the newcomers of a rush, so many pushed somebody out";
    D10Full = "d10.full", 600.0, "seconds", "O", "The slots are full for so long before anything is said; an eviction shows that they are";
    D10Room = "d10.room", 60.0, "seconds", "O", "The slots are no longer full when there was room for so long: in a rush of ten a minute who leaves is replaced within six seconds";
    D10Refused = "d10.refused", 10.0, "connections", "O", "Critical: so many were refused in five minutes because nobody could be evicted";
    D10Life = "d10.life", 60.0, "seconds", "O", "The median of the lives of those evicted is shorter: a churn rather than a crowd";

    // D11: many brief connections from one range
    D11Warn = "d11.connections_warn", 20.0, "connections", "S6", "Warn: so many in ten minutes from one range, if it behaves so";
    D11Critical = "d11.connections_critical", 100.0, "connections", "S6", "Critical: so many in ten minutes from one range, if it behaves so";
    D11Addresses = "d11.addresses", 5.0, "addresses", "O", "Sign: so many different addresses of the range";
    D11Life = "d11.life", 120.0, "seconds", "S24", "Sign: the median of the lives of its connections is shorter";
    D11Agents = "d11.agents", 0.5, "share", "S6", "Sign: different user agents per connection, more than this";
    D11Signs = "d11.signs", 3.0, "signs", "O", "So many of the five signs: connections, addresses, brief lives, many agents, nothing sent";
    D11Lasts = "d11.lasts", 600.0, "seconds", "O", "A finding is over when nobody of the range came for so long";

    // D13: the same stranger at several nodes
    D13Nodes = "d13.nodes", 3.0, "nodes", "O", "Warn: one stranger dials so many nodes within ten minutes";
    D13Share = "d13.share", 0.5, "share", "O", "Warn: and at least this share of all that are watched";
    D13Surprise = "d13.surprise", 8.0, "", "O", "Warn: or so many, within ten minutes or an hour, that it happens by chance once in so many powers of ten";
    D13Dials = "d13.dials", 60.0, "per hour", "S:Core", "By chance: so many nodes an ordinary one dials; a feeler every two minutes, one for blocks and one for a network every five, and what replaces peers that left";
    D13Reachable = "d13.reachable", 8000.0, "nodes", "O", "By chance: of so many that it may choose from; fewer than there are, so that chance is given more than its due";

    // D14: peers that only listen
    D14Age = "d14.age", 900.0, "seconds", "O", "Nothing is said of younger connections";
    D14Announced = "d14.announced", 500.0, "transactions", "O", "Nothing is said of peers that were told of fewer";
    D14Asked = "d14.asked", 0.002, "share", "O", "Of what it is told, a listener asks for less than this";
    D14Score = "d14.score", 0.8, "", "O", "A listener is who has so many points of one: asking for next to nothing and giving nothing is 1, giving nothing alone 0.6";
    D14Share = "d14.slots", 0.1, "share", "O", "Warn: listeners hold more than this share of the inbound connections";
    D14Least = "d14.least", 4.0, "peers", "O", "A share of fewer listeners says nothing";

    // D15: peers that cannot be what they say they are
    D15Share = "d15.share", 0.1, "share", "O", "Warn: of the inbound connections of an hour more than this cannot be what they say; where that was counted it was a quarter (S24)";
    D15Least = "d15.least", 10.0, "connections", "O", "A share of fewer such connections says nothing";
    D15Alike = "d15.alike", 20.0, "connections", "O", "Warn: so many of an hour under one name";
    D15Ahead = "d15.ahead", 144.0, "blocks", "O", "A height is beyond the chain if it is higher than the node's own by more than this, a day";
    D15Lasts = "d15.lasts", 3600.0, "seconds", "O", "A finding is over when nobody came for so long who cannot be what he says";

    // D16: one stranger under many names
    D16Names = "d16.names", 5.0, "names", "S24", "Warn: so many different user agents of one range within a day, if one program has them";
    D16Share = "d16.share", 0.3, "share", "O", "Warn: and more than this for each connection";
    D16Many = "d16.many", 10.0, "names", "S6", "Warn: or so many, drawn evenly";
    D16Even = "d16.even", 0.9, "share", "O", "Warn: evenly is an entropy above this share of the largest possible; a real population of as many has 0.85";
    D16Hello = "d16.per_hello", 3.0, "names", "O", "One program: so many names for each combination of protocol version, services and relay flag";
    D16Lasts = "d16.lasts", 3600.0, "seconds", "O", "A finding is over when nobody came for so long";

    // D19: an eclipse, by points
    D19Warn = "d19.points_warn", 40.0, "points", "O", "Warn: the signs have so many points together, of 100";
    D19Critical = "d19.points_critical", 70.0, "points", "O", "Critical: the signs have so many points together, of 100";
    D19SameGroup = "d19.same_points", 20.0, "points", "O", "Points for each outbound peer beyond the first of its network group: Bitcoin Core connects to one of each";
    D19SameMost = "d19.same_most", 60.0, "points", "O", "Points for such peers, at most";
    D19SystemFree = "d19.system_free", 4.0, "peers", "O", "Outbound peers of one autonomous system are counted likewise beyond so many: a tenth of all nodes is in the largest, and five of ten there are chance once in 600";
    D19Opened = "d19.opened", 8.0, "peers", "S:Core", "So many full-relay connections opened within an hour: all of them; a tip that is stale alone brings six";
    D19OpenedPoints = "d19.opened_points", 20.0, "points", "O", "Points for that";
    D19Anchors = "d19.anchors", 600.0, "seconds", "O", "None of the block-relay-only peers of before a restart has come back for so long";
    D19AnchorsPoints = "d19.anchors_points", 10.0, "points", "O", "Points for that";
    D19Gap = "d19.gap", 5520.0, "seconds", "O", "No block for so long: by luck once in ten thousand blocks";
    D19GapPoints = "d19.gap_points", 20.0, "points", "O", "Points for that";
    D19Behind = "d19.behind", 60.0, "seconds", "O", "Other nodes of the fleet have had more of the chain for so long";
    D19BehindPoints = "d19.behind_points", 30.0, "points", "O", "Points for that";
    D19Age = "d19.age", 600.0, "seconds", "S27", "The last three blocks were each so old when they came, by their own time";
    D19AgePoints = "d19.age_points", 10.0, "points", "O", "Points for that";

    // D28: pings
    D28Info = "d28.pings_info", 5.0, "pings", "O", "Worth knowing: more pings of one peer within two minutes; a client that pings every half a minute sends four (S4b has three)";
    D28Warn = "d28.pings_warn", 10.0, "pings", "S4b", "Warn: more pings of one peer within a minute";
    D28Critical = "d28.pings_critical", 100.0, "pings", "O", "Critical: more pings of one peer within ten seconds";
    D28Odd = "d28.odd", 3.0, "pings", "O", "Worth knowing: within ten minutes so many pings with a nonce that no ordinary program sends, or pongs that answer none";

    // D39: the queue of announcements, and the message handler
    D39QueueWarn = "d39.queue_warn", 10_000.0, "transactions", "S8", "Warn: so many wait to be announced to one peer";
    D39QueueCritical = "d39.queue_critical", 50_000.0, "transactions", "S8", "Critical: so many wait to be announced to one peer";
    D39SumWarn = "d39.sum_warn", 500_000.0, "transactions", "O", "Warn: so many wait for all peers together";
    D39SumCritical = "d39.sum_critical", 1_500_000.0, "transactions", "S22", "Critical: so many wait for all peers together";
    D39Spread = "d39.spread", 50.0, "", "O", "The longest queue so many times the median: one peer that does not read, not a storm";
    D39BusyWarn = "d39.busy_warn", 0.7, "share", "S5", "Warn: share of a CPU that the message handler uses over five minutes";
    D39BusyCritical = "d39.busy_critical", 0.95, "share", "S5", "Critical: share of a CPU that the message handler uses over five minutes";
    D39PingWarn = "d39.ping_warn", 1.0, "seconds", "O", "Warn: a ping of our own waits so long in the node's message queue, three times in a row";
    D39PingCritical = "d39.ping_critical", 10.0, "seconds", "O", "Critical: a ping of our own waits so long in the node's message queue";

    // D42: transactions that are announced and not delivered
    D42Patience = "d42.patience", 60.0, "seconds", "S:Core", "A transaction that was asked for and has not come by then is withheld: Bitcoin Core asks another then";
    D42Warn = "d42.withheld_warn", 20.0, "transactions", "O", "Warn: so many withheld by one peer within ten minutes";
    D42Share = "d42.withheld_share", 0.5, "share", "O", "Warn: and at least this share of what it was asked for";
    D42Critical = "d42.shared_critical", 3.0, "transactions", "O", "Critical: so many withheld by several peers of one range each; one may be chance";
    D42Probes = "d42.probes", 2.0, "transactions", "S33", "Warn: a peer sent so many transactions that spend what it withheld; one alone is worth knowing";

    // D45: replacements
    D45Cycles = "d45.cycles", 2.0, "cycles", "S34", "Warn: so often within a day the spender of one output was replaced and the output left unspent; once is worth knowing";
    D45Chain = "d45.chain", 20.0, "transactions", "O", "Worth knowing: the spender of one output was replaced more often within a day; ten is what somebody does who raises a fee with each block";
    D45Storm = "d45.storm", 6.0, "deviations", "O", "Warn: so many more replacements a minute than is usual at this node (robust z, after an hour of warm-up)";
    D45Least = "d45.storm_least", 100.0, "transactions", "O", "Warn: and at least so many a minute, over five minutes";
    D45WarmUp = "d45.warm_up", 3600.0, "seconds", "O", "How many replacements a minute are usual is known after so long, a day at most";
    D45Lasts = "d45.lasts", 3600.0, "seconds", "O", "A finding about one output is over when its spender was not replaced again for so long";

    // D50: compact blocks that could not be put together
    D50Warn = "d50.rate_warn", 0.7, "share", "S7", "Warn: of the last blocks, the share put together without asking is below this";
    D50Critical = "d50.rate_critical", 0.5, "share", "S7", "Critical: of the last blocks, the share put together without asking is below this";
    D50Drop = "d50.drop", 0.15, "share", "O", "Critical: the share fell by so much against the last seven days";
    D50Blocks = "d50.blocks", 144.0, "blocks", "O", "How many of the last blocks are looked at";
    D50Enough = "d50.enough", 24.0, "blocks", "O", "Nothing is said before so many blocks were seen";
    D50Usual = "d50.usual", 0.8, "share", "S7", "The share that is usual, until three days of blocks have shown what is usual at this node";
    D50WarmUp = "d50.warm_up", 432.0, "blocks", "O", "What is usual at this node is known after so many blocks, three days, besides those that are looked at";
    D50Bytes = "d50.bytes", 100_000.0, "bytes", "O", "Warn: the ninth decile of what had to be asked for, per block";
    D50Trip = "d50.round_trip", 1.0, "seconds", "O", "Warn: the ninth decile of the extra round trip";

    // D51: blocks that are promised and not delivered
    D51Slow = "d51.slow", 2.0, "seconds", "O", "A block is late after this, or ten round trips if that is longer";
    D51Withheld = "d51.withheld", 30.0, "seconds", "O", "A block that was asked for and has not come by then is withheld";
    D51Warn = "d51.blocks_warn", 2.0, "blocks", "O", "Warn: so many withheld by one peer within a day; one alone is worth knowing";
    D51Critical = "d51.peers_critical", 2.0, "peers", "O", "Critical: so many peers of one range each withheld as many";
    D51Lasts = "d51.lasts", 86_400.0, "seconds", "O", "A finding is over when no other block was withheld for so long";

    // D52: blocks that are mutated, sent twice, or invalid
    D52Critical = "d52.critical", 3.0, "messages", "O", "Critical: so many bad blocks, or parts of blocks, from one host or range within a day; one is a warning";
    D52Work = "d52.work", 0.25, "share", "S:Core", "A block whose target asks for at least this share of the work of the last one has real work; from one retarget to the next it changes by a factor of four at most";
    D52Lasts = "d52.lasts", 3600.0, "seconds", "O", "A finding is over when nothing bad came for so long";

    // D54: the chain does not grow
    D54GapInfo = "d54.gap_info", 3600.0, "seconds", "S8", "Worth knowing: no block for so long; by luck 130 times a year";
    D54GapWarn = "d54.gap_warn", 7200.0, "seconds", "S8", "Warn: no block for so long; by luck once in three years, while an hour and a half comes 6.5 times a year";
    D54GapCritical = "d54.gap_critical", 10_800.0, "seconds", "O", "Critical: no block for so long; by luck once in 1,200 years";
    D54LagWarn = "d54.lag_warn", 60.0, "seconds", "O", "Warn: another node of the fleet has had more blocks for so long";
    D54LagCritical = "d54.lag_critical", 600.0, "seconds", "O", "Critical: another node of the fleet has had more blocks for so long";
    D54Headers = "d54.headers", 10.0, "blocks", "S8", "Warn: more headers than blocks, by more than this, for `d54.lag_warn`";
    D54HeadersLong = "d54.headers_long", 600.0, "seconds", "O", "Warn: headers whose blocks have not come for so long, however few";

    // D55: stale blocks and reorganisations
    D55Warn = "d55.depth_warn", 2.0, "blocks", "S37", "Warn: a node took so many blocks off its chain for others; one is told as information";
    D55Critical = "d55.depth_critical", 3.0, "blocks", "O", "Critical: a node took so many blocks off its chain for others";
    D55Surprise = "d55.surprise", 3.0, "", "O", "Warn: so many heights with two blocks among the last 2016 that it happens by chance once in so many powers of ten";
    D55Usual = "d55.usual", 2.0, "heights", "O", "Heights with two blocks among 2016, until four such periods have shown how many are usual";
    D55WarmUp = "d55.warm_up", 4.0, "periods", "O", "What is usual is known after so many periods of 2016 blocks";
    D55Lasts = "d55.lasts", 3600.0, "seconds", "O", "A finding is over when no other block came for so long";

    // D59: the observer itself
    D59Silent = "d59.silent", 10.0, "seconds", "O", "Warn: a source has not beaten for so long";
    D59SilentLong = "d59.silent_long", 120.0, "seconds", "O", "Critical: a source has not beaten for so long";
    D59Quiet = "d59.quiet", 150.0, "seconds", "S:Core", "Warn: the probes beat but state no message for so long, while the node is connected to peers; it pings each of them every two minutes, and those that came together at once";
    D59LossWarn = "d59.loss_warn", 0.0001, "share", "O", "Warn: of the events of five minutes, more than this were lost";
    D59LossCritical = "d59.loss_critical", 0.01, "share", "O", "Critical: of the events of five minutes, more than this were lost";
    D59Diverged = "d59.diverged", 0.01, "share", "O", "Warn: probes and node count the bytes of a message type so differently";
    D59Lag = "d59.lag", 10.0, "seconds", "O", "Warn: a source publishes so long after the fact";
    D59Undecoded = "d59.undecodable", 0.01, "share", "O", "Warn: of the messages of five minutes, more than this were cut short or unreadable";
    D59Late = "d59.late", 0.001, "share", "O", "Warn: of the events of five minutes, more than this came too late to be put in order";
    D59Crowded = "d59.crowded", 100.0, "entries", "O", "Warn: detectors had to forget so many entries within five minutes: somebody fills their tables";
    D59Talkative = "d59.talkative", 8.0, "peers", "O", "With fewer peers a while may pass without a message, and `d59.quiet` says nothing";
    D59Enough = "d59.enough", 100.0, "events", "O", "Shares of five minutes are of so many events at least";
    D59Kept = "d59.kept", 5.0, "alarms", "O", "Fewer alarms that a guard keeps back within ten minutes are never unusual; one that lasts counts once a minute";
    D59KeptRestart = "d59.kept_restart", 12.0, "alarms", "O", "The same for G1: one alarm that lasts for ten minutes is what a restart brings by itself, two are not";
    D59LeftOut = "d59.left_out", 90.0, "", "S6", "The same for G3, G4 and G6, where each detector counts what it leaves out: three newcomers a minute are usual, and thirty over Tor within ten minutes are ninety signs for three detectors";
    D59WarmUp = "d59.warm_up", 10_800.0, "seconds", "O", "How much guards usually keep back is known after so long, a day at most";
}

/// The numbers in force: the table's, and what an operator set.
#[derive(Clone, PartialEq, Debug)]
pub struct Thresholds {
    common: Vec<f64>,
    nodes: BTreeMap<String, Vec<(Limit, f64)>>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { common: TABLE.iter().map(|row| row.default).collect(), nodes: BTreeMap::new() }
    }
}

/// A threshold that cannot be set so.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ThresholdError {
    /// No row has this name.
    #[error("there is no threshold `{name}`{hint}", hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        /// As it was written.
        name: String,
        /// The most similar one, if there is one.
        near: Option<&'static str>,
    },
    /// No number that could be meant.
    #[error("`{name}` cannot be {value}: it is a number from 0 to {most}")]
    OutOfRange {
        /// The row.
        name: &'static str,
        /// As it was written.
        value: f64,
        /// The largest that makes sense.
        most: f64,
    },
    /// A number that others are divided by.
    #[error("`{name}` cannot be 0: it is a number above 0")]
    Zero {
        /// The row.
        name: &'static str,
    },
}

impl Limit {
    /// The threshold of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn from_name(name: &str) -> Result<Self, ThresholdError> {
        let Some(at) = TABLE.iter().position(|row| row.name == name) else {
            let near = TABLE.iter().map(|row| (strsim::jaro_winkler(name, row.name), row.name));
            let near = near.filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name);
            return Err(ThresholdError::Unknown { name: name.chars().take(100).collect(), near });
        };
        Ok(ALL[at])
    }

    /// Its row.
    pub fn row(self) -> &'static Threshold {
        &TABLE[self as usize]
    }
}

impl Thresholds {
    /// Sets a number for all nodes, or for one.
    ///
    /// # Errors
    ///
    /// No threshold has this name, or the number cannot be meant.
    pub fn set(&mut self, node: Option<&str>, name: &str, value: f64) -> Result<(), ThresholdError> {
        let limit = Limit::from_name(name)?;
        let row = limit.row();
        let most = if row.unit == "share" { 1.0 } else { 1e15 };
        if value == 0.0 && limit == Limit::D09Halves {
            return Err(ThresholdError::Zero { name: row.name });
        }
        if !(0.0..=most).contains(&value) {
            return Err(ThresholdError::OutOfRange { name: row.name, value, most });
        }
        match node {
            None => self.common[limit as usize] = value,
            Some(node) => {
                let own = self.nodes.entry(node.to_owned()).or_default();
                own.retain(|(known, _)| *known != limit);
                own.push((limit, value));
            }
        }
        Ok(())
    }

    /// The numbers for a node.
    pub fn of(&self, node: &str) -> Limits {
        let mut values = self.common.clone();
        for (limit, value) in self.nodes.get(node).into_iter().flatten() {
            values[*limit as usize] = *value;
        }
        Limits(values.into())
    }

    /// Nodes with numbers of their own.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// What differs from the table: node (none for all), row, value.
    pub fn changed(&self) -> impl Iterator<Item = (Option<&str>, &'static Threshold, f64)> {
        let common = TABLE.iter().zip(&self.common).filter(|(row, value)| row.default != **value);
        let nodes = self
            .nodes
            .iter()
            .flat_map(|(node, own)| own.iter().map(move |(limit, value)| (Some(node.as_str()), limit.row(), *value)));
        common.map(|(row, value)| (None, row, *value)).chain(nodes)
    }
}

/// The numbers for one node.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits(std::sync::Arc<[f64]>);

impl Limits {
    /// One of them.
    pub fn get(&self, limit: Limit) -> f64 {
        self.0[limit as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(Limit::from_name(row.name).unwrap() as usize, at, "{}", row.name);
            assert!(row.default >= 0.0 && !row.meaning.is_empty() && !row.source.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn every_source_is_on_the_page() {
        let page = include_str!("../../../docs/sources.md");
        for row in TABLE {
            let is_there = match row.source {
                source if source.starts_with("S:") || source == "O" => page.contains(&format!("`{source}`")),
                source => page.contains(&format!("\n| {source} | ")),
            };
            assert!(is_there, "{}: {} is not in docs/sources.md", row.name, row.source);
        }
    }

    #[test]
    fn a_node_may_have_its_own() {
        let mut thresholds = Thresholds::default();
        thresholds.set(None, "d39.queue_warn", 5000.0).unwrap();
        thresholds.set(Some("alice"), "d39.queue_warn", 7.0).unwrap();
        assert_eq!(thresholds.of("alice").get(Limit::D39QueueWarn), 7.0);
        assert_eq!(thresholds.of("bob").get(Limit::D39QueueWarn), 5000.0);
        assert_eq!(thresholds.of("bob").get(Limit::D39QueueCritical), 50_000.0);
        assert_eq!(thresholds.changed().count(), 2);
    }

    proptest::proptest! {
        /// No text and no number make it panic, and what is refused is told in a sentence of reasonable length.
        #[test]
        fn anything_may_be_written(name in "\\PC{0,200}", value in proptest::num::f64::ANY) {
            if let Err(error) = Thresholds::default().set(None, &name, value) {
                proptest::prop_assert!(error.to_string().len() < 1000);
            }
        }
    }

    #[test]
    fn mistakes_are_told() {
        let error = |name: &str, value| Thresholds::default().set(None, name, value).unwrap_err().to_string();
        assert_eq!(error("d39.queue_warm", 1.0), "there is no threshold `d39.queue_warm`; did you mean `d39.queue_warn`?");
        assert_eq!(error("weather", 1.0), "there is no threshold `weather`");
        assert_eq!(error("d39.busy_warn", 1.5), "`d39.busy_warn` cannot be 1.5: it is a number from 0 to 1");
        assert_eq!(error("d09.halves", 0.0), "`d09.halves` cannot be 0: it is a number above 0");
        assert!(error("d39.queue_warn", f64::NAN).starts_with("`d39.queue_warn` cannot be NaN"));
    }
}
