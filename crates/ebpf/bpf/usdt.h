/* SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only */
/* The kernel's and libbpf's headers, in the order in which they need each other. */
#pragma once

#include <stdbool.h>
#include <linux/types.h>
#include <linux/version.h>
#include <linux/bpf.h>
#if defined(__TARGET_ARCH_arm64)
/* The kernel's stable user-space layout (arm64 asm/ptrace.h), repeated so that any machine can compile this. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
#else
#include <asm/ptrace.h>
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
/* Headers of the build machine may be older than any kernel we run on (Ubuntu 22.04). */
struct bpf_dynptr {
	__u64 : 64;
	__u64 : 64;
} __attribute__((aligned(8)));
#endif
