/* A 32-bit program, without a C library: sleeps, waits for a futex in vain, and waits for a child. */
static long call(long number, long one, long two, long three, long four)
{
	long answer;
	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(one), "c"(two), "d"(three), "S"(four) : "memory");
	return answer;
}

void _start(void)
{
	enum { EXIT = 1, FORK = 2, WAITPID = 7, NANOSLEEP = 162, FUTEX = 240 };
	long word = 1, time[2] = {0, 1000000};
	for (int round = 0; round < 20; round++) {
		call(NANOSLEEP, (long)time, 0, 0, 0);
		call(FUTEX, (long)&word, 0, 1, (long)time);
	}
	time[1] = 200000000;
	long child = call(FORK, 0, 0, 0, 0);
	if (child)
		call(WAITPID, child, 0, 0, 0);
	else
		call(NANOSLEEP, (long)time, 0, 0, 0);
	call(EXIT, 0, 0, 0, 0);
}
