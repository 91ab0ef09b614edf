/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel's types, as far as they are looked into. Where a field lies is put in by the loader, from the running kernel's BTF; a name
 * with three underscores is another view of the type before them.
 */
#pragma once
#include "helpers.h"

struct kernel_type rq {
	u64 clock;
};

struct kernel_type cfs_rq {
	struct rq *rq;
};

struct kernel_type sched_entity {
	u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq;
};

struct kernel_type sched_info {
	unsigned long long run_delay, last_arrival, last_queued;
};

struct kernel_type task_struct {
	u32 __state;
	u32 flags;
	s32 pid, tgid;
	struct sched_entity se;
	struct sched_info sched_info;
	unsigned long nvcsw, nivcsw;
	char comm[16];
	struct files_struct *files;
	unsigned in_iowait : 1;
	unsigned in_memstall : 1;
	unsigned frozen : 1;
	/* Since Linux 6.18: its cgroup has used up its quota. */
	u8 throttled;
};

/* Bits of task_struct.flags. */
#define PF_IO_WORKER 0x10
#define PF_USER_WORKER 0x4000
#define PF_KTHREAD 0x200000

struct kernel_type pt_regs {};

struct kernel_type pt_regs___x86 {
	unsigned long orig_ax, di;
};

struct kernel_type pt_regs___arm64 {
	u64 orig_x0;
	s32 syscallno;
};

struct kernel_type thread_info___x86 {
	u32 status;
};

struct kernel_type task_struct___x86 {
	struct thread_info___x86 thread_info;
};

struct kernel_type preempt___arm64 {
	u32 count;
};

struct kernel_type thread_info___arm64 {
	unsigned long flags;
	struct preempt___arm64 preempt;
};

struct kernel_type task_struct___arm64 {
	struct thread_info___arm64 thread_info;
};

/* A 32-bit program's call: TS_COMPAT of x86, TIF_32BIT of arm64. */
#define X86_STATUS_COMPAT 2
#define ARM64_FLAG_32BIT (1UL << 22)

struct kernel_type super_block {
	unsigned long s_magic;
};

struct kernel_type qstr {
	const unsigned char *name;
};

struct kernel_type dentry {
	struct qstr d_name;
};

struct kernel_type path {
	struct dentry *dentry;
};

struct kernel_type inode {
	u16 i_mode;
	u32 i_rdev;
	struct super_block *i_sb;
};

struct kernel_type file {
	const void *f_op;
	struct inode *f_inode;
	struct path f_path;
};

struct kernel_type fdtable {
	u32 max_fds;
	struct file **fd;
};

struct kernel_type files_struct {
	struct fdtable *fdt;
};
