// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
/* The least that tracing can cost: a program that counts. What capturing costs is measured against it. */
#include "usdt.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 fired;

SEC("usdt")
int on_any(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&fired, 1);
	return 0;
}
