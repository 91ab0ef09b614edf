/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a BPF program needs of its compiler and of the kernel's interface: sections, maps, CO-RE and helpers. Only what is used here,
 * so that no other package's headers are needed to build the object.
 *
 * Helpers' numbers are the kernel's interface: bpf-helpers(7), include/uapi/linux/bpf.h.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define NULL ((void *)0)
#define SEC(name) __attribute__((section(name), used))
#define inline_always inline __attribute__((always_inline))

/* A map's description, read from the object's BTF. */
#define uint_of(name, value) int(*name)[value]
#define type_of(name, type) typeof(type) *name
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_MMAPABLE 1024
#define ARRAY(name, flags, entries, element)      \
	struct {                                      \
		uint_of(type, BPF_MAP_TYPE_ARRAY);        \
		uint_of(map_flags, flags);                \
		uint_of(max_entries, entries);            \
		type_of(key, u32);                        \
		type_of(value, element);                  \
	} name SEC(".maps")

static void *(*const map_element)(void *map, const void *key) = (void *)1;
static u64 (*const ktime_ns)(void) = (void *)5;
static u32 (*const this_cpu)(void) = (void *)8;
static long (*const read_kernel)(void *into, u32 size, const void *from) = (void *)113;
static struct task_struct *(*const current_task)(void) = (void *)158;
static long (*const task_stack)(struct task_struct *task, void *into, u32 size, u64 flags) = (void *)141;
static struct pt_regs *(*const user_registers)(struct task_struct *task) = (void *)175;

struct bpf_pidns_info {
	u32 pid, tgid;
};
static long (*const pid_in_namespace)(u64 device, u64 inode, struct bpf_pidns_info *into, u32 size) = (void *)120;

/* Types of the kernel's: the loader puts in where this kernel has their fields. */
#define kernel_type __attribute__((preserve_access_index))
enum { FIELD_BYTE_OFFSET = 0, FIELD_BYTE_SIZE = 1, FIELD_EXISTS = 2, FIELD_SIGNED = 3, FIELD_LSHIFT = 4, FIELD_RSHIFT = 5 };
#define has_field(field) __builtin_preserve_field_info(field, FIELD_EXISTS)
#define address_of(field) __builtin_preserve_access_index(&(field))

/* A field of single bits. */
#define read_bits(from, field)                                                                            \
	({                                                                                                    \
		const void *at = (const void *)(from) + __builtin_preserve_field_info((from)->field, FIELD_BYTE_OFFSET); \
		u64 bits = 0;                                                                                     \
		switch (__builtin_preserve_field_info((from)->field, FIELD_BYTE_SIZE)) {                          \
		case 1: bits = *(const volatile u8 *)at; break;                                                   \
		case 2: bits = *(const volatile u16 *)at; break;                                                  \
		case 4: bits = *(const volatile u32 *)at; break;                                                  \
		case 8: bits = *(const volatile u64 *)at; break;                                                  \
		}                                                                                                 \
		bits <<= __builtin_preserve_field_info((from)->field, FIELD_LSHIFT);                              \
		bits >> __builtin_preserve_field_info((from)->field, FIELD_RSHIFT);                               \
	})

/* Keeps what is before it before what is after it, in the compiled code. */
#define compiler_barrier() __asm__ volatile("" ::: "memory")
