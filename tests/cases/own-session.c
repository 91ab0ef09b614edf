/* own-session setsid|setpgid|stop|foreground: a program that leaves the terminal's foreground group, or stops itself, or takes the
   terminal for a group of its own and ends without giving it back. The first two wait for a signal for ten seconds. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    const char *mode = argv[1];
    if (!strcmp(mode, "setsid")) setsid();
    if (!strcmp(mode, "setpgid")) setpgid(0, 0);
    if (!strcmp(mode, "foreground")) { signal(SIGTTOU, SIG_IGN); setpgid(0, 0); tcsetpgrp(0, getpid()); }
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(mode, "foreground")) return 0;
    if (!strcmp(mode, "ignore")) signal(SIGINT, SIG_IGN);
    if (!strcmp(mode, "stop")) kill(getpid(), SIGSTOP);
    sleep(10);
    return 0;
}
