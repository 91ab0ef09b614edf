// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Follows a program's threads through the scheduler: a record for each time that one was off the CPU, written when it is back.
 *
 *   task_newtask         a thread of a followed thread's is followed
 *   sched_waking         notes who wakes it, and when
 *   sched_switch         it leaves: why is noted; it comes back: the record
 *   sched_process_exec   its number may have changed
 *   sched_process_free   it has ended, if its last switch was not seen
 *
 * A thread is known by its number: slot_of has its slot, states what is known of it. Counts and waits are the kernel's own, from the
 * task. Nothing here allocates, locks or waits.
 */
#include "kernel.h"
#include "layout.h"

char license_string[] SEC("license") = "Dual MIT/GPL";

/* What the loader knows of this kernel and puts in before loading. */
const volatile u32 ring_size = 4096;
const volatile u32 has_state_argument = 1; /* of sched_switch, since 5.18 */
const volatile u32 orders_stores = 1;      /* as x86 does */
const volatile s32 call_restart = -2; /* goes on with the call that a signal has interrupted */
const volatile u64 file_calls[8] = {}; /* calls whose first argument is a file, a bit each */
const volatile u64 send_calls[8] = {}; /* calls that send */
/* Where a CPU's preemption counter is: 0 nowhere known, 1 at an offset of its area, 2 in the running thread. */
const volatile u32 preempt_count_in = 0;
const volatile u64 runqueues_at = 0, preempt_count_at = 0;
/* Where the kernel's code begins; 0: not known. */
const volatile u64 kernel_text = 0;
/* The reader: its process, as its own PID namespace numbers it. */
const volatile u32 reader_pid = 0;
const volatile u64 namespace_device = 0, namespace_inode = 0;

ARRAY(slot_of, 0, 32768, u32);
ARRAY(threads, BPF_F_MMAPABLE, SLOTS, struct thread);
ARRAY(free_slots, BPF_F_MMAPABLE, SLOTS, u64);
ARRAY(ended_slots, BPF_F_MMAPABLE, SLOTS, u64);
ARRAY(control, BPF_F_MMAPABLE, 1, struct control);
ARRAY(rings, BPF_F_MMAPABLE, 1, struct ring);
ARRAY(records, BPF_F_MMAPABLE, 4096, struct record);

static inline_always struct control *controls(void)
{
	u32 first = 0;
	return map_element(&control, &first);
}

static inline_always struct thread *followed(struct task_struct *task)
{
	u32 pid = task->pid;
	u32 *slot = map_element(&slot_of, &pid);
	if (!slot || !*slot)
		return NULL;
	u32 at = *slot;
	struct thread *thread = map_element(&threads, &at);
	if (!thread || thread->task != task)
		return NULL;
	return thread;
}

static inline_always int is_in(const volatile u64 *set, s32 call)
{
	return call >= 0 && call < 512 && (set[(call >> 6) & 7] >> (call & 63)) & 1;
}

static inline_always void copy_name(char *into, struct task_struct *task)
{
	((u64 *)into)[0] = ((u64 *)task->comm)[0];
	((u64 *)into)[1] = ((u64 *)task->comm)[1];
}

/* There is room for each slot once, and each is handed over once. */
static inline_always void hand_over(struct control *shared, u32 slot)
{
	u32 at = __sync_fetch_and_add(&shared->ended_head, 1) & (SLOTS - 1);
	u64 *place = map_element(&ended_slots, &at);
	if (place)
		*(volatile u64 *)place = slot;
}

/* A number has another owner: the one before it has ended, even if its last switch was not seen or is still to come. */
static inline_always void forget(struct control *shared, u32 *slot)
{
	u32 at = *slot;
	if (!at)
		return;
	*slot = 0;
	struct thread *thread = map_element(&threads, &at);
	if (!thread || thread->ended)
		return;
	thread->ended = 1;
	hand_over(shared, at);
}

/* Two CPUs may want one at the same time; as many tries as there could be such in a row. */
static inline_always u32 take_slot(struct control *shared)
{
	for (int try = 0; try < 16; try++) {
		u64 head = *(volatile u64 *)&shared->free_head;
		if (head == *(volatile u64 *)&shared->free_tail)
			return 0;
		if (__sync_val_compare_and_swap(&shared->free_head, head, head + 1) != head)
			continue;
		u32 at = head & (SLOTS - 1);
		u64 *slot = map_element(&free_slots, &at);
		return slot ? *slot : 0;
	}
	return 0;
}

/* Whether the running thread is the reader's, which has one. */
static inline_always int is_reader(void)
{
	struct bpf_pidns_info own = {};
	if (pid_in_namespace(namespace_device, namespace_inode, &own, sizeof(own)))
		return 0;
	return own.tgid == reader_pid;
}

SEC("tp_btf/task_newtask")
int on_new(u64 *context)
{
	struct task_struct *task = (void *)context[0];
	u32 pid = task->pid;
	u32 *slot = map_element(&slot_of, &pid);
	struct control *shared = controls();
	if (!slot || !shared)
		return 0;
	struct thread *parent = followed(current_task());
	u8 is_root = 0;
	if (!parent || parent->waits) {
		compiler_barrier();
		is_root = shared->root_wanted && is_reader();
		if (!is_root) {
			forget(shared, slot);
			return 0;
		}
	}
	forget(shared, slot);
	u32 taken = take_slot(shared);
	struct thread *thread = taken ? map_element(&threads, &taken) : NULL;
	if (!thread) {
		__sync_fetch_and_add(&shared->unfollowed, 1);
		return 0;
	}
	__builtin_memset(thread, 0, sizeof(*thread));
	thread->task = task;
	thread->slot = taken;
	thread->tid = pid;
	thread->tgid = task->tgid;
	thread->is_root = is_root;
	thread->waits = is_root;
	thread->call_before = -1;
	copy_name(thread->name, task);
	if (is_root) {
		shared->root_wanted = 0;
		shared->root_slot = taken;
	}
	*slot = taken;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *context)
{
	struct task_struct *task = (void *)context[0];
	u32 pid = task->pid, old_pid = context[1];
	u32 *old = map_element(&slot_of, &old_pid), *now = map_element(&slot_of, &pid);
	struct control *shared = controls();
	if (!old || !now || !*old || !shared)
		return 0;
	u32 at = *old;
	if (pid != old_pid) {
		forget(shared, now);
		/* A thread that is not the first has its process's number after it. */
		*old = 0;
		*now = at;
	}
	struct thread *thread = map_element(&threads, &at);
	if (thread) {
		thread->tid = pid;
		copy_name(thread->name, task);
	}
	return 0;
}

#define NOT_KNOWN 0xffffffffu

/* The preemption counter of this CPU. Its highest bit is x86's own. */
static inline_always u32 preempt_count(struct task_struct *task)
{
	u32 count = NOT_KNOWN;
	if (preempt_count_in == 1) {
		/* The running thread's run queue is this CPU's, and lies in its area as in every other's. */
		u64 queue = (u64)task->se.cfs_rq->rq;
		read_kernel(&count, sizeof(count), (void *)(queue - runqueues_at + preempt_count_at));
	} else if (preempt_count_in == 2) {
		struct task_struct___arm64 *arm = (void *)task;
		if (has_field(arm->thread_info.preempt.count))
			count = arm->thread_info.preempt.count;
	}
	return count;
}

/* The number of the call that a thread is in, and its first argument. */
static inline_always s32 call_of(struct task_struct *task, u64 *argument)
{
	struct pt_regs *registers = user_registers(task);
	struct pt_regs___x86 *x86 = (void *)registers;
	struct pt_regs___arm64 *arm = (void *)registers;
	if (has_field(x86->orig_ax)) {
		*argument = x86->di;
		return x86->orig_ax;
	}
	if (has_field(arm->syscallno)) {
		*argument = arm->orig_x0;
		return arm->syscallno;
	}
	return -1;
}

static inline_always u8 waker_kind(struct task_struct *task, struct task_struct *waker)
{
	u32 count = preempt_count(waker);
	if (count == NOT_KNOWN)
		return WAKER_UNKNOWN;
	if (count & 0xff0000)
		/* In a hard interrupt, or one that cannot be masked. */
		return WAKER_INTERRUPT;
	if (count & 0x100) {
		/* Softirqs of the loopback device are the sender's doing, and run in its call. */
		u64 unused;
		int is_sender = !(waker->flags & PF_KTHREAD) && waker->pid && is_in(send_calls, call_of(waker, &unused));
		if (!is_sender)
			return WAKER_SOFT_INTERRUPT;
	}
	if (task == waker)
		return WAKER_ITSELF;
	return WAKER_THREAD;
}

SEC("tp_btf/sched_waking")
int on_waking(u64 *context)
{
	struct task_struct *task = (void *)context[0];
	struct thread *thread = followed(task);
	if (!thread)
		return 0;
	struct task_struct *waker = current_task();
	thread->woken_at = ktime_ns();
	thread->waker = waker->pid;
	thread->waker_kind = waker_kind(task, waker);
	copy_name(thread->waker_name, waker);
	u64 unused;
	if (!thread->left_at)
		/* It means to leave and has not yet: the call in which it does. */
		thread->call = call_of(task, &unused);
	return 0;
}

static inline_always u8 kind_of(struct file *file)
{
	struct inode *inode = NULL;
	struct super_block *super = NULL;
	struct dentry *dentry = NULL;
	const unsigned char *name = NULL;
	unsigned long magic = 0;
	u64 start = 0;
	u32 device = 0;
	u16 mode = 0;
	read_kernel(&inode, sizeof(inode), address_of(file->f_inode));
	read_kernel(&mode, sizeof(mode), address_of(inode->i_mode));
	read_kernel(&super, sizeof(super), address_of(inode->i_sb));
	read_kernel(&magic, sizeof(magic), address_of(super->s_magic));
	if (magic == 0x09041934) {
		/* Anonymous inodes have names that only the kernel gives. */
		read_kernel(&dentry, sizeof(dentry), address_of(file->f_path.dentry));
		read_kernel(&name, sizeof(name), address_of(dentry->d_name.name));
		read_kernel(&start, sizeof(start), name);
		if (start == *(u64 *)"[eventfd")
			return FILE_EVENTFD;
		if (start == *(u64 *)"[timerfd")
			return FILE_TIMERFD;
		if (start == *(u64 *)"[signalf")
			return FILE_SIGNALFD;
		if (start == *(u64 *)"inotify\0")
			return FILE_INOTIFY;
		return FILE_OTHER;
	}
	switch (mode & 0170000) {
	case 0010000: return FILE_PIPE;
	case 0140000: return FILE_SOCKET;
	case 0100000: return FILE_REGULAR;
	case 0040000: return FILE_DIRECTORY;
	case 0060000: return FILE_DEVICE;
	case 0020000:
		/* Terminals and consoles of all sorts: Documentation/admin-guide/devices.txt of the kernel. */
		read_kernel(&device, sizeof(device), address_of(inode->i_rdev));
		device >>= 20;
		return device == 4 || device == 5 || device == 204 || (device >= 136 && device <= 143) ? FILE_TERMINAL : FILE_DEVICE;
	}
	return FILE_OTHER;
}

/* What sort of file a number stands for. A file's operations are those of its sort, and lie where they lie. */
static inline_always u8 file_kind(struct thread *thread, struct task_struct *task, u64 number)
{
	struct files_struct *files = task->files;
	if (!files)
		return FILE_UNKNOWN;
	struct fdtable *table = files->fdt;
	if (!table || number >= table->max_fds)
		return FILE_UNKNOWN;
	struct file *file = NULL;
	const void *operations = NULL;
	read_kernel(&file, sizeof(file), table->fd + number);
	if (!file)
		return FILE_UNKNOWN;
	read_kernel(&operations, sizeof(operations), address_of(file->f_op));
	if (operations && operations == thread->file_operations)
		return thread->file_known;
	u8 kind = kind_of(file);
	/* Devices have operations in common that are of different sorts. */
	if (kind != FILE_DEVICE && kind != FILE_TERMINAL && kind != FILE_OTHER) {
		thread->file_operations = operations;
		thread->file_known = kind;
	}
	return kind;
}

static inline_always int is_32_bit(struct task_struct *task)
{
	struct task_struct___x86 *x86 = (void *)task;
	struct task_struct___arm64 *arm = (void *)task;
	if (has_field(x86->thread_info.status))
		return x86->thread_info.status & X86_STATUS_COMPAT;
	if (has_field(arm->thread_info.preempt.count))
		return arm->thread_info.flags & ARM64_FLAG_32BIT ? 1 : 0;
	return 0;
}

static inline_always void write_record(struct thread *thread, u64 at, u64 off_ns, u64 queue_ns, u32 wakeup_ns, u32 place)
{
	u32 cpu = this_cpu();
	struct ring *ring = map_element(&rings, &cpu);
	if (!ring)
		return;
	u64 head = ring->head;
	if (head - *(volatile u64 *)&ring->tail >= ring_size) {
		ring->lost++;
		return;
	}
	u32 element = cpu * ring_size + (head & (ring_size - 1));
	struct record *record = map_element(&records, &element);
	if (!record)
		return;
	int blocked = thread->state != 0;
	record->at = at;
	record->off_ns = off_ns;
	record->queue_ns = queue_ns;
	record->wakeup_ns = wakeup_ns;
	record->slot = thread->slot;
	record->call = thread->call;
	record->state = thread->state;
	record->left = thread->left;
	record->file = thread->file;
	record->cpu = cpu;
	record->place = place;
	record->waker = blocked ? thread->waker : 0;
	record->waker_kind = blocked && thread->woken_at ? thread->waker_kind : WAKER_NONE;
	((u64 *)record->waker_name)[0] = ((u64 *)thread->waker_name)[0];
	((u64 *)record->waker_name)[1] = ((u64 *)thread->waker_name)[1];
	compiler_barrier();
	/* The reader must not see the new head before the record. */
	if (orders_stores)
		*(volatile u64 *)&ring->head = head + 1;
	else
		__sync_fetch_and_add(&ring->head, 1);
}

/* A thread is on a CPU since `at`; until then it had waited for one for so long in all. */
static inline_always void arrive(struct thread *thread, struct task_struct *task, u64 at, u64 delay, int was_idle, u32 place)
{
	if (!thread->ran) {
		thread->ran = 1;
		if (thread->is_root) {
			thread->delay_before = task->sched_info.run_delay;
			thread->voluntary = thread->voluntary_before = task->nvcsw;
			thread->involuntary = thread->involuntary_before = task->nivcsw;
			thread->cpu_ns = thread->cpu_before_ns = task->se.sum_exec_runtime;
		}
		thread->queue_ns = thread->first_queue_ns = delay - thread->delay_before;
	} else {
		u64 off_ns = at > thread->left_at ? at - thread->left_at : 0;
		u64 queue_ns = delay - thread->delay;
		u32 wakeup_ns = NOT_MEASURED;
		if (was_idle && thread->woken_at && thread->state) {
			/* Reading this clock takes long, and only an idle CPU has to be roused first. */
			u64 since = ktime_ns() - thread->woken_at;
			u64 before_queue = since > queue_ns ? since - queue_ns : 0;
			wakeup_ns = before_queue < NOT_MEASURED ? before_queue : NOT_MEASURED - 1;
		}
		thread->queue_ns += queue_ns;
		write_record(thread, at, off_ns, queue_ns, wakeup_ns, place);
	}
	thread->left_at = 0;
	thread->woken_at = 0;
}

static inline_always void copy_accounting(struct thread *thread, struct task_struct *task)
{
	thread->voluntary = task->nvcsw;
	thread->involuntary = task->nivcsw;
	thread->delay = task->sched_info.run_delay;
	thread->cpu_ns = task->se.sum_exec_runtime;
}

static inline_always void leave(struct thread *thread, struct task_struct *task, struct task_struct *next, int preempt, u32 state,
				u64 now)
{
	if (thread->left_at || !thread->ran)
		/* It was not seen to come back. When it did, and after how long a wait, is in the kernel's accounting. */
		arrive(thread, task, task->sched_info.last_arrival, task->sched_info.run_delay, 0, 0);
	u16 left = task->nvcsw != thread->voluntary ? LEFT_VOLUNTARILY : 0;
	/* Woken since it came, and not asleep. */
	int is_woken = !state && !preempt && thread->woken_at;
	s16 woken_in = thread->call;
	thread->switches++;
	copy_accounting(thread, task);
	thread->left_at = now;
	thread->state = state;
	thread->file = FILE_UNKNOWN;
	thread->call = -1;
	if (preempt)
		left |= LEFT_PREEMPTED;
	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD)) {
		left |= LEFT_AS_WORKER;
		if (is_woken)
			left |= LEFT_WOKEN;
	} else {
		u64 argument = 0;
		s32 call = call_of(task, &argument);
		if (is_woken && call >= 0 && call == woken_in)
			left |= LEFT_WOKEN;
		if (is_32_bit(task))
			left |= LEFT_IN_32_BIT_CALL;
		else if (call == call_restart)
			call = thread->call_before;
		else if (call >= 0)
			thread->call_before = call;
		thread->call = call;
		if (state && !(left & LEFT_IN_32_BIT_CALL) && is_in(file_calls, call))
			thread->file = file_kind(thread, task, argument);
	}
	if (state) {
		if (read_bits(task, in_iowait))
			left |= LEFT_FOR_IO;
		if (has_field(task->in_memstall) && read_bits(task, in_memstall))
			left |= LEFT_FOR_MEMORY;
		if (has_field(task->frozen) && read_bits(task, frozen))
			left |= LEFT_FROZEN;
	} else {
		if (has_field(task->throttled) && task->throttled)
			left |= LEFT_THROTTLED;
		if (next->pid && next->sched_info.last_queued > task->sched_info.last_arrival)
			left |= LEFT_TO_WOKEN;
	}
	thread->left = left;
}

/* The state of a thread that has made its last switch. */
#define TASK_DEAD 0x80

static inline_always void end(struct thread *thread, struct task_struct *task, u64 now)
{
	struct control *shared = controls();
	u32 pid = task->pid;
	u32 *slot = map_element(&slot_of, &pid);
	if (!slot || !shared)
		return;
	copy_name(thread->name, task);
	thread->left |= LEFT_FOR_GOOD;
	write_record(thread, now, 0, 0, NOT_MEASURED, 0);
	thread->ended = 1;
	*slot = 0;
	/* From here on it is the reader's. */
	hand_over(shared, thread->slot);
}

/* States in which no signal ends a wait: also for what is a spinlock elsewhere. */
#define TASK_UNINTERRUPTIBLE 0x2
#define TASK_RTLOCK_WAIT 0x1000

/* Where in the kernel a thread has waited that has not run since, if nothing else says for what. Looking takes 0.7 us. */
static inline_always u32 place_of(struct thread *thread, struct task_struct *task)
{
	u64 caller = 0;
	if (!kernel_text || !thread->left_at || !(thread->state & (TASK_UNINTERRUPTIBLE | TASK_RTLOCK_WAIT)))
		return 0;
	if (thread->left & (LEFT_FOR_IO | LEFT_FOR_MEMORY))
		return 0;
	/* The kernel leaves out the scheduler's own functions and those of its locks. */
	return task_stack(task, &caller, sizeof(caller), 0) == sizeof(caller) ? caller - kernel_text : 0;
}

static inline_always void come_back(struct thread *thread, struct task_struct *task, struct task_struct *previous, u64 now)
{
	u64 queued = task->sched_info.last_queued;
	/* The kernel adds this to run_delay right after the tracepoint, by the same clock. */
	u64 pending = queued && queued < now ? now - queued : 0;
	if (thread->ran && !thread->left_at)
		thread->missed++;
	else
		arrive(thread, task, now, task->sched_info.run_delay + pending, !previous->pid, place_of(thread, task));
}

SEC("tp_btf/sched_switch")
int on_switch(u64 *context)
{
	struct task_struct *previous = (void *)context[1], *next = (void *)context[2];
	struct thread *leaving = followed(previous), *coming = followed(next);
	if (!leaving) {
		/* Two pointers that may be null must not be tested together: the verifier knows each by its own test. */
		compiler_barrier();
		if (!coming)
			return 0;
	}
	int preempt = context[0] & 1;
	/* Who is preempted on the way to sleep is still runnable. */
	u32 state = preempt ? 0 : has_state_argument ? (u32)context[3] : previous->__state;
	u64 now = previous->se.cfs_rq->rq->clock;
	/* Of a thread that was not seen to come, all the kernel's accounting is the program's, but of the first one's. */
	if (leaving && !leaving->waits && (leaving->ran || !leaving->is_root)) {
		leave(leaving, previous, next, preempt, state, now);
		if (state & TASK_DEAD)
			end(leaving, previous, now);
	}
	if (coming && !coming->waits)
		come_back(coming, next, previous, now);
	return 0;
}

/* A task that has made its last switch: where that was not seen, this is the end. */
SEC("tp_btf/sched_process_free")
int on_free(u64 *context)
{
	struct task_struct *task = (void *)context[0];
	struct thread *thread = followed(task);
	struct control *shared = controls();
	u32 pid = task->pid;
	u32 *slot = map_element(&slot_of, &pid);
	if (!thread || !shared || !slot || thread->waits)
		return 0;
	copy_accounting(thread, task);
	copy_name(thread->name, task);
	thread->ran = 1;
	thread->left_at = 0;
	thread->ended = 1;
	*slot = 0;
	hand_over(shared, thread->slot);
	return 0;
}

/* What tracing takes at the least: programs that do nothing. For measurements. */
SEC("tp_btf/sched_switch")
int on_switch_empty(u64 *context)
{
	return 0;
}

SEC("tp_btf/sched_waking")
int on_waking_empty(u64 *context)
{
	return 0;
}
