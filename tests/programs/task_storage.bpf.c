// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Another user of task-local storage: counts the switches of threads that were made since in it, and those for which the kernel has
 * none. Before 6.2 it has none either where another user of it has been preempted on the same CPU. Storage is made where nothing of
 * the scheduler's is locked: before 6.4 the kernel allocates it there and then.
 */
#include "../../src/bpf/helpers.h"

#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC 1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

static void *(*const task_storage)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;

char license_string[] SEC("license") = "Dual MIT/GPL";

struct {
	uint_of(type, BPF_MAP_TYPE_TASK_STORAGE);
	uint_of(map_flags, BPF_F_NO_PREALLOC);
	type_of(key, int);
	type_of(value, u64);
} switches SEC(".maps");

/* Switches counted; switches without storage. */
ARRAY(sums, 0, 2, u64);

SEC("tp_btf/task_newtask")
int on_new_task(u64 *context)
{
	task_storage(&switches, (void *)context[0], NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

SEC("tp_btf/sched_switch")
int on_task_switch(u64 *context)
{
	u64 *counted = task_storage(&switches, (void *)context[1], NULL, 0);
	u32 which = counted ? 0 : 1;
	u64 *sum = map_element(&sums, &which);
	if (counted)
		(*counted)++;
	if (sum)
		__sync_fetch_and_add(sum, 1);
	return 0;
}
