/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/*
 * What travels from the kernel to the reader. The Rust types are generated from these (see the layout instances in
 * capture.bpf.c), so a field is described here and nowhere else.
 *
 * A record in the ring is a fixed part, then the optional parts that its flags announce, then what is left:
 *
 *   message   struct message | struct losses? | struct names? | payload
 *   others    struct header  | struct losses? | one slot per argument, as the probe's row in probes.rs says
 */
#pragma once

/* Rows that the probe table may have, and arguments that a row may have. libbpf itself stops at 12 arguments. */
#define MAX_PROBES 32
#define MAX_ARGS 8

/* MAX_PROTOCOL_MESSAGE_LENGTH of Bitcoin Core's src/net.h: a longer message never reaches a probe. */
#define MAX_PAYLOAD 4000000

/* Peers whose names the kernel side remembers having sent. A power of two; the reader keeps more. */
#define PEER_SLOTS 4096

enum flag {
	/* Something could not be read from the node's memory; it is empty or zero here. */
	FLAG_FAULT = 1,
	/* A string was longer than its slot. */
	FLAG_TRUNCATED = 2,
	/* struct names follows. */
	FLAG_NAMES = 4,
	/* struct losses follows: records were lost before this one. */
	FLAG_LOSSES = 8,
	/* Not even the value of an argument could be read: what the record says is not to be believed. */
	FLAG_BLIND = 16,
};

/* How an argument is captured; the size of its slot is in the lower bits. Constant sizes, because the verifier wants them so. */
enum slot {
	SLOT_INT = 0x1000 | 8,     /* sign-extended as the probe's note says */
	SLOT_HASH = 0x2000 | 32,   /* 32 bytes behind a pointer */
	SLOT_STR32 = 0x3000 | 32,  /* a C string; the slot keeps its NUL */
	SLOT_STR128 = 0x3000 | 128,
	SLOT_STR264 = 0x3000 | 264, /* 255 characters of host name, a colon, a port */
	SLOT_SIZE_MASK = 0xfff,
};

struct header {
	__u64 time;   /* CLOCK_MONOTONIC, ns */
	__u64 number; /* of the record, lost ones counted, from 0 */
	__u64 lost;   /* how many were lost so far, all probes together */
	__u32 tgid;   /* as the initial pid namespace knows it */
	__u16 probe;  /* row of the table */
	__u16 flags;
};

struct message {
	struct header header;
	__s64 peer;
	__u64 size;     /* what the node states */
	__u32 captured; /* how many payload bytes are in the record */
	__u32 reserved;
	char type[16]; /* at most 12 are used; the rest is zero */
};

/* Lost records per probe, since loading. */
struct losses {
	__u64 lost[MAX_PROBES];
};

/* Who a peer is: only in the first message after which the reader knows it. */
struct names {
	char address[264];
	char connection_type[32];
};

/* Shared with the reader by mmap. */
struct counters {
	__u64 fired;        /* records, lost ones included */
	__u64 lost;         /* sum of `losses` */
	__u64 told;         /* value of `lost` that the last struct losses covered */
	__u64 last_wake;    /* when the reader was woken for a full buffer */
	__u64 reader_waits; /* set by the reader before a long sleep: wake it at the next record */
	struct losses losses;
	__u64 faults[MAX_PROBES]; /* records with FLAG_FAULT */
};

/* One argument of a row. */
struct argument {
	__u16 offset; /* from the end of the fixed part */
	__u16 slot;   /* enum slot */
};

/* A row as the kernel side needs it. */
struct spec {
	__u32 size; /* of all slots together */
	__u16 count;
	__u16 names_peer; /* arguments 0 to 2 are a peer's id, address and connection type */
	struct argument arguments[MAX_ARGS];
};
