// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
/*
 * Two programs for all tracepoints: `on_message` for the two that carry a payload, `on_fact` for every other one, driven by
 * its row in src/probes.rs. Both are sleepable, so that memory of the node that is not resident can be read all the same.
 *
 * One ring for all of them: a record's place in it is its place in the stream. The record number is taken right after the
 * reservation, whether or not that succeeded: numbers seen + losses counted = probes fired.
 */
#include "usdt.h"
#include "record.h"

/* Helpers that read user memory ask for a licence compatible with the GPL. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile __u32 max_payload = MAX_PAYLOAD;
const volatile __u64 wake_bytes = 256 << 10;
const volatile __u64 wake_interval = 1000000;
/* Behave as on a kernel without the dynptr functions below. */
const volatile bool assume_old_kernel = false;
const volatile struct spec specs[MAX_PROBES] = {};

/* Never read: they put the types into the skeleton, so that Rust has the same layout. */
const volatile struct message layout_message = {};
const volatile struct names layout_names = {};
const volatile enum flag layout_flag = FLAG_FAULT;
const volatile enum slot layout_slot = SLOT_INT;

/* In sections of their own: each becomes a map. The reader may write into the counters, but not into what is told of peers. */
struct counters counters SEC(".bss.counters");
__u64 told_peers[PEER_SLOTS] SEC(".bss.peers");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Linux 6.16 and newer. */
extern int bpf_probe_read_user_dynptr(struct bpf_dynptr *ptr, __u64 offset, __u64 length, const void *from) __ksym __weak;
extern int bpf_copy_from_user_dynptr(struct bpf_dynptr *ptr, __u64 offset, __u64 length, const void *from) __ksym __weak;

/*
 * Where the arguments of a tracepoint are. libbpf's bpf_usdt_arg() would look up the specification and fetch a register anew for
 * each of them, which adds half to what capturing a message costs beyond the trap. The layout of the specification is that of
 * libbpf's usdt.bpf.h, which comes from the same release as the libbpf that fills it.
 */
struct arguments {
	struct __bpf_usdt_spec *spec;
#if defined(__TARGET_ARCH_arm64)
	/* Its registers take more than half of the 512 bytes of stack that there are. */
	struct pt_regs *ctx;
#else
	struct pt_regs registers;
#endif
};

/* Returns 0, or -1 if this is no tracepoint of ours, which cannot be. */
static __always_inline int find_arguments(struct arguments *arguments, struct pt_regs *ctx)
{
	int id = __bpf_usdt_spec_id(ctx);

	arguments->spec = bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
	if (!arguments->spec)
		return -1;
#if defined(__TARGET_ARCH_arm64)
	arguments->ctx = ctx;
	return 0;
#else
	return bpf_probe_read_kernel(&arguments->registers, sizeof(arguments->registers), ctx) ? -1 : 0;
#endif
}

/* A register by its place in struct pt_regs. The verifier allows no computed offset into a context, but into the stack. */
static __always_inline __u64 get_register(struct arguments *arguments, __u64 offset)
{
#if defined(__TARGET_ARCH_arm64)
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)arguments->ctx + offset);
	return value;
#else
	offset &= 0xf8;
	barrier_var(offset);
	if (offset > sizeof(arguments->registers) - 8)
		return 0;
	return *(__u64 *)((void *)&arguments->registers + offset);
#endif
}

/* Fetches the nth argument. Returns 0, or -1: then it is zero. */
static __always_inline int get_argument(struct arguments *arguments, __u32 n, long *argument)
{
	struct __bpf_usdt_arg_spec *spec;
	__u64 value, address;

	*argument = 0;
	if (n >= BPF_USDT_MAX_ARG_CNT || n >= arguments->spec->arg_cnt)
		return -1;
	spec = &arguments->spec->args[n];
	switch (spec->arg_type) {
	case BPF_USDT_ARG_CONST:
		value = spec->val_off;
		break;
	case BPF_USDT_ARG_REG:
		value = get_register(arguments, spec->reg_off);
		break;
	case BPF_USDT_ARG_REG_DEREF:
	case BPF_USDT_ARG_SIB:
		address = get_register(arguments, spec->reg_off) + spec->val_off;
		if (spec->arg_type == BPF_USDT_ARG_SIB)
			address += get_register(arguments, spec->idx_reg_off) << spec->scale_bitshift;
		if (bpf_probe_read_user(&value, sizeof(value), (void *)address))
			return -1;
		break;
	default:
		return -1;
	}
	/* both architectures are little-endian */
	value <<= spec->arg_bitshift;
	*argument = spec->arg_signed ? (long)value >> spec->arg_bitshift : value >> spec->arg_bitshift;
	return 0;
}

/* The peer's slot holds this when its names were sent. 22 bits are enough for a tgid (PID_MAX_LIMIT), 42 for the ids of one life. */
static __always_inline __u64 peer_key(__u32 tgid, __s64 peer)
{
	return ((__u64)tgid << 42) | ((__u64)peer & ((1ULL << 42) - 1));
}

/*
 * Wake-ups cost more than anything else here. So: none, except when the reader sleeps long, or when much is waiting, and then
 * once per interval, or a reader that does not come would be woken by every record.
 */
static __always_inline __u64 wake_flag(__u64 now)
{
	if (counters.reader_waits) {
		counters.reader_waits = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > wake_bytes && now - counters.last_wake > wake_interval) {
		counters.last_wake = now;
		return BPF_RB_FORCE_WAKEUP;
	}
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void count_lost(__u32 probe)
{
	/* First the part, then the sum: who sees the sum grown finds the part. */
	__sync_fetch_and_add(&counters.losses.lost[probe & (MAX_PROBES - 1)], 1);
	__sync_fetch_and_add(&counters.lost, 1);
}

static __always_inline void copy_losses(struct losses *losses)
{
	for (int i = 0; i < MAX_PROBES; i++)
		losses->lost[i] = counters.losses.lost[i];
}

static __always_inline void fill_header(struct header *header, __u64 time, __u64 number, __u64 lost, __u32 probe, __u32 tgid)
{
	header->time = time;
	header->number = number;
	header->lost = lost;
	header->tgid = tgid;
	header->probe = probe;
}

/* Copies a constant number of bytes; makes the memory resident when it is not. */
static __always_inline bool copy(void *to, __u32 size, const void *from)
{
	return bpf_probe_read_user(to, size, from) == 0 || bpf_copy_from_user(to, size, from) == 0;
}

/*
 * Copies a C string of at most size - 1 characters; returns flags. No helper of Linux 6.1 reads a string and may sleep: so
 * touch the pages that it lies on, at most two, and try again.
 */
static __always_inline __u32 copy_string(char *to, __u32 size, long from)
{
	char touched;
	long length = bpf_probe_read_user_str(to, size, (void *)from);

	if (length < 0) {
		bpf_copy_from_user(&touched, 1, (void *)from);
		length = bpf_probe_read_user_str(to, size, (void *)from);
	}
	if (length < 0) {
		bpf_copy_from_user(&touched, 1, (void *)((from | 4095) + 1));
		length = bpf_probe_read_user_str(to, size, (void *)from);
	}
	if (length < 0) {
		to[0] = 0;
		return FLAG_FAULT;
	}
	return length == size ? FLAG_TRUNCATED : 0;
}

/* Where copy_payload is. The dynptr is inside because a bpf_loop callback reaches nothing else. */
struct copying {
	struct bpf_dynptr record;
	__u64 offset;
	const char *from;
	long error;
};

#define SLICE 4096

/* Copies `size` bytes, a constant for the verifier, to `at` bytes behind the payload's beginning. */
static __always_inline long copy_slice(struct copying *copying, __u64 at, const __u32 size)
{
	void *to = bpf_dynptr_data(&copying->record, copying->offset + at, size);

	return to && copy(to, size, copying->from + at) ? 0 : -1;
}

static long copy_nth_slice(__u32 n, struct copying *copying)
{
	copying->error = copy_slice(copying, (__u64)n * SLICE, SLICE);
	return copying->error ? 1 : 0;
}

/*
 * A length that is not constant, for kernels that can only copy constant ones into a record: whole slices and one that ends
 * where the payload does, overlapping the one before.
 */
static __noinline long copy_in_slices(struct copying *copying, __u64 length)
{
	__u64 few;
	long error;

	if (!copying)
		return -1;
	if (length >= SLICE) {
		copying->error = 0;
		bpf_loop(length / SLICE, copy_nth_slice, copying, 0);
		if (copying->error)
			return -1;
		return length % SLICE ? copy_slice(copying, length - SLICE, SLICE) : 0;
	}
#define OVERLAPPING(size)                                                                                                    \
	if (length >= (size))                                                                                                \
		return copy_slice(copying, 0, (size)) ?: copy_slice(copying, length - (size), (size));
	OVERLAPPING(2048)
	OVERLAPPING(1024)
	OVERLAPPING(512)
	OVERLAPPING(256)
	OVERLAPPING(128)
	OVERLAPPING(64)
	OVERLAPPING(32)
	OVERLAPPING(16)
	OVERLAPPING(8)
#undef OVERLAPPING
	few = 0;
	if (length == 0)
		return 0;
	barrier_var(length);
	if (length > 7)
		return -1;
	error = bpf_probe_read_user(&few, length, copying->from);
	if (error)
		error = bpf_copy_from_user(&few, length, copying->from);
	return error ?: bpf_dynptr_write(&copying->record, copying->offset, &few, length, 0);
}

static __always_inline long copy_payload(struct copying *copying, __u64 length)
{
	if (!assume_old_kernel && bpf_ksym_exists(bpf_probe_read_user_dynptr) && bpf_ksym_exists(bpf_copy_from_user_dynptr)) {
		/* Both start again from the beginning: the first stops at the first page that is not resident. */
		if (bpf_probe_read_user_dynptr(&copying->record, copying->offset, length, copying->from) == 0)
			return 0;
		return bpf_copy_from_user_dynptr(&copying->record, copying->offset, length, copying->from);
	}
	return copy_in_slices(copying, length);
}

/* net:inbound_message, net:outbound_message: peer, address, connection type, message type, size, payload. */
SEC("usdt.s")
int on_message(struct pt_regs *ctx)
{
	long peer, address, connection_type, type, size, from;
	__u64 time = bpf_ktime_get_ns();
	__u32 probe, tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 captured, key, total, number, lost;
	struct arguments arguments;
	struct copying copying = {};
	struct message *message;
	__u32 flags = 0, slot;
	bool unknown_peer, lossy;

	if (find_arguments(&arguments, ctx))
		return 0;
	probe = arguments.spec->usdt_cookie;
	/* not `||`: each is zero when it could not be fetched */
	if (get_argument(&arguments, 0, &peer) | get_argument(&arguments, 1, &address) |
	    get_argument(&arguments, 2, &connection_type) | get_argument(&arguments, 3, &type) |
	    get_argument(&arguments, 4, &size) | get_argument(&arguments, 5, &from))
		flags |= FLAG_FAULT | FLAG_BLIND;

	captured = size;
	if (captured > max_payload)
		captured = max_payload;
	/* clang forgets the bound above across the code below, the verifier does not forgive it */
	barrier_var(captured);
	if (captured > MAX_PAYLOAD)
		captured = MAX_PAYLOAD;

	slot = peer & (PEER_SLOTS - 1);
	key = peer_key(tgid, peer);
	unknown_peer = told_peers[slot] != key;
	lost = counters.lost;
	lossy = lost != counters.told;

	copying.offset = sizeof(*message);
	if (lossy)
		copying.offset += sizeof(struct losses);
	if (unknown_peer)
		copying.offset += sizeof(struct names);
	copying.from = (const char *)from;
	total = copying.offset + captured;

	long reserved = bpf_ringbuf_reserve_dynptr(&ring, total, 0, &copying.record);
	/* also the barrier between the reservation and reading `reader_waits` */
	number = __sync_fetch_and_add(&counters.fired, 1);
	message = bpf_dynptr_data(&copying.record, 0, sizeof(*message));
	if (reserved || !message) {
		count_lost(probe);
		bpf_ringbuf_discard_dynptr(&copying.record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	fill_header(&message->header, time, number, lost, probe, tgid);
	message->peer = peer;
	message->size = size;
	message->reserved = 0;
	__builtin_memset(message->type, 0, sizeof(message->type));
	if (lossy) {
		struct losses *losses = bpf_dynptr_data(&copying.record, sizeof(*message), sizeof(*losses));

		if (losses) {
			copy_losses(losses);
			counters.told = lost;
			flags |= FLAG_LOSSES;
		}
	}
	if (unknown_peer) {
		struct names *names = bpf_dynptr_data(&copying.record, copying.offset - sizeof(*names), sizeof(*names));

		if (names) {
			__u32 failed = copy_string(names->address, sizeof(names->address), address) |
				       copy_string(names->connection_type, sizeof(names->connection_type), connection_type);

			flags |= failed | FLAG_NAMES;
			/* After the reservation: whoever finds it told comes later in the ring. */
			if (!((flags | failed) & FLAG_FAULT))
				told_peers[slot] = key;
		}
	}
	if (captured && copy_payload(&copying, captured)) {
		flags |= FLAG_FAULT;
		captured = 0;
	}
	flags |= copy_string(message->type, sizeof(message->type), type);
	message->captured = captured;
	message->header.flags = flags;
	if (flags & FLAG_FAULT)
		__sync_fetch_and_add(&counters.faults[probe & (MAX_PROBES - 1)], 1);
	bpf_ringbuf_submit_dynptr(&copying.record, wake_flag(time));
	return 0;
}

/* Copies an argument into its slot; returns flags. */
static __always_inline __u32 copy_argument(struct bpf_dynptr *record, __u32 offset, __u32 slot, long value)
{
	void *to;

#define COPY_STRING(slot_size)                                                                                               \
	to = bpf_dynptr_data(record, offset, (slot_size));                                                                   \
	return to ? copy_string(to, (slot_size), value) : FLAG_FAULT;

	switch (slot) {
	case SLOT_INT:
		to = bpf_dynptr_data(record, offset, 8);
		if (!to)
			return FLAG_FAULT;
		*(__u64 *)to = value;
		return 0;
	case SLOT_HASH:
		to = bpf_dynptr_data(record, offset, 32);
		if (!to)
			return FLAG_FAULT;
		if (copy(to, 32, (void *)value))
			return 0;
		__builtin_memset(to, 0, 32);
		return FLAG_FAULT;
	case SLOT_STR32:
		COPY_STRING(32)
	case SLOT_STR128:
		COPY_STRING(128)
	case SLOT_STR264:
		COPY_STRING(264)
	}
#undef COPY_STRING
	return FLAG_FAULT;
}

/* Where on_fact is. Inside of it is all that a bpf_loop callback needs; a plain loop would exceed what the verifier tries. */
struct filling {
	struct bpf_dynptr record;
	struct arguments arguments;
	__u32 probe;
	__u32 offset;
	__u32 flags;
	long first;
};

static long copy_nth_argument(__u32 n, struct filling *filling)
{
	const volatile struct argument *argument;
	__u32 probe = filling->probe;
	long value;

	if (n >= MAX_ARGS || probe >= MAX_PROBES)
		return 1;
	argument = &specs[probe].arguments[n];
	if (get_argument(&filling->arguments, n, &value))
		filling->flags |= FLAG_FAULT | FLAG_BLIND;
	if (n == 0)
		filling->first = value;
	filling->flags |= copy_argument(&filling->record, filling->offset + argument->offset, argument->slot, value);
	return 0;
}

/* Every other tracepoint, as its row says. */
SEC("usdt.s")
int on_fact(struct pt_regs *ctx)
{
	__u64 time = bpf_ktime_get_ns();
	const volatile struct spec *spec;
	struct filling filling = {};
	struct header *header;
	__u32 probe, tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 number, lost;
	bool lossy;

	if (find_arguments(&filling.arguments, ctx))
		return 0;
	probe = filling.arguments.spec->usdt_cookie;
	if (probe >= MAX_PROBES)
		return 0;
	spec = &specs[probe];
	lost = counters.lost;
	lossy = lost != counters.told;
	filling.probe = probe;
	filling.offset = sizeof(*header);
	if (lossy)
		filling.offset += sizeof(struct losses);

	long reserved = bpf_ringbuf_reserve_dynptr(&ring, filling.offset + spec->size, 0, &filling.record);
	number = __sync_fetch_and_add(&counters.fired, 1);
	header = bpf_dynptr_data(&filling.record, 0, sizeof(*header));
	if (reserved || !header) {
		count_lost(probe);
		bpf_ringbuf_discard_dynptr(&filling.record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	fill_header(header, time, number, lost, probe, tgid);
	if (lossy) {
		struct losses *losses = bpf_dynptr_data(&filling.record, sizeof(*header), sizeof(*losses));

		if (losses) {
			copy_losses(losses);
			counters.told = lost;
			filling.flags |= FLAG_LOSSES;
		}
	}
	bpf_loop(spec->count, copy_nth_argument, &filling, 0);
	if (spec->names_peer && !(filling.flags & FLAG_FAULT))
		told_peers[filling.first & (PEER_SLOTS - 1)] = peer_key(tgid, filling.first);
	header->flags = filling.flags;
	if (filling.flags & FLAG_FAULT)
		__sync_fetch_and_add(&counters.faults[probe & (MAX_PROBES - 1)], 1);
	bpf_ringbuf_submit_dynptr(&filling.record, wake_flag(time));
	return 0;
}
