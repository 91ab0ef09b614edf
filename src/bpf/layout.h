/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the object and the program that loads it share: maps' values. layout.rs has the same places.
 */
#pragma once
#include "helpers.h"

/* Slots of threads; the first stands for none. */
#define SLOTS 32768

/* Why a thread left the CPU, as bits. */
enum left {
	LEFT_VOLUNTARILY = 1 << 0, /* by the kernel's own count */
	LEFT_IN_32_BIT_CALL = 1 << 1,
	LEFT_FOR_IO = 1 << 2,
	LEFT_THROTTLED = 1 << 3,
	LEFT_FROZEN = 1 << 4,
	LEFT_FOR_MEMORY = 1 << 5,
	LEFT_AS_WORKER = 1 << 6, /* of io_uring or vhost: it has no call of its own */
	LEFT_TO_WOKEN = 1 << 7,  /* to a thread that was queued while it ran */
	LEFT_PREEMPTED = 1 << 8, /* within the kernel */
	LEFT_FOR_GOOD = 1 << 9,
	LEFT_WOKEN = 1 << 10, /* it was to sleep, and was woken before */
};

/* Who ended an absence. */
enum waker {
	WAKER_NONE,
	WAKER_THREAD,
	WAKER_ITSELF,
	WAKER_INTERRUPT,
	WAKER_SOFT_INTERRUPT,
	WAKER_UNKNOWN, /* a thread, or an interrupt while it ran */
};

enum file_kind {
	FILE_UNKNOWN,
	FILE_PIPE,
	FILE_SOCKET,
	FILE_EVENTFD,
	FILE_TIMERFD,
	FILE_SIGNALFD,
	FILE_INOTIFY,
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_DEVICE,
	FILE_TERMINAL,
	FILE_OTHER,
};

#define NOT_MEASURED 0xffffffffu

/* An absence that is over, or the last one, which is not. Times are the run queues' clock, in ns. */
struct record {
	u64 at;        /* its end; of the last one its beginning */
	u64 off_ns;    /* its length */
	u64 queue_ns;  /* how much of that it was runnable */
	u32 wakeup_ns; /* from the waking to the run queue of a CPU that was idle */
	u16 slot;
	u16 cpu;
	u32 waker; /* thread */
	s16 call;  /* number of the system call; -1: none */
	u16 state; /* the kernel's, at the switch */
	u16 left;  /* enum left */
	u8 file;   /* enum file_kind, of a call whose first argument is a file */
	u8 waker_kind;
	u32 place; /* of a wait in the kernel: where in its code, from the beginning; 0: not known */
	char waker_name[16];
};

/* A thread that is followed. */
struct thread {
	u64 left_at;  /* 0 while it runs */
	u64 woken_at; /* 0: not yet */
	u64 delay;    /* the kernel's accounting, at the last switch */
	u64 voluntary, involuntary, cpu_ns;
	u32 waker;
	s16 call;
	u16 state;
	/* 64 */
	u16 left;
	u8 file, waker_kind;
	u8 ran;     /* it has run since it is followed */
	u8 is_root; /* its accounting before is not the program's */
	u8 waits;   /* not to be followed yet */
	u8 ended;
	u64 switches; /* that were seen */
	u64 queue_ns; /* that was seen */
	const void *file_operations;
	s16 call_before;
	u8 file_known;
	u8 padding;
	u32 slot; /* its own */
	char waker_name[16];
	u64 missed; /* ends of absences whose beginning was not seen */
	u32 tid, tgid;
	/* 128: the kernel's accounting before it was followed */
	u64 delay_before, voluntary_before, involuntary_before, cpu_before_ns;
	u64 first_queue_ns; /* before it ran first */
	char name[16];
	const void *task; /* whose slot it is: a number may be somebody else's before its last owner has made its last switch */
};

/* A CPU's records: from tail to head, modulo their number. Each end has a cache line of its own. */
struct ring {
	u64 head, lost;
	u64 padding[6];
	u64 tail; /* the reader's */
	u64 more_padding[7];
};

/* Slots go round: free ones from the reader, those of threads that have ended to it. */
struct control {
	u64 free_head;
	u64 padding[7];
	u64 free_tail; /* the reader's */
	u64 root_wanted; /* the next child of the reader's is the program */
	u64 root_slot;
	u64 more_padding[5];
	u64 ended_head;
	u64 unfollowed; /* threads for which there was no slot */
	u64 even_more_padding[6];
};

_Static_assert(sizeof(struct record) == 64 && sizeof(struct thread) == 192, "whole cache lines");
_Static_assert(sizeof(struct ring) == 128 && sizeof(struct control) == 192, "whole cache lines");
