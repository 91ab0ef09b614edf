/* on-terminal SECONDS COMMAND…: runs a command on a terminal of its own, as its foreground job. Once it says "ready", Ctrl-C is typed
   every second, as long as it runs, for SECONDS at most. Prints what it said, then "typed N, exited with CODE" (or "killed by NUMBER",
   or "still running"). With SECONDS below 0 nothing is typed, and whatever is written by a job in the background stops it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int argc, char **argv) {
    double seconds = atof(argv[1]);
    int types = seconds > 0;
    if (!types) seconds = -seconds;
    int keyboard = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    grantpt(keyboard); unlockpt(keyboard);
    int pid = fork();
    if (pid == 0) {
        setsid();
        int screen = open(ptsname(keyboard), O_RDWR);
        ioctl(screen, TIOCSCTTY, 0);
        struct termios mode; tcgetattr(screen, &mode);
        if (!types) mode.c_lflag |= TOSTOP;
        mode.c_lflag &= ~ECHO;
        tcsetattr(screen, TCSANOW, &mode);
        for (int fd = 0; fd < 3; fd++) dup2(screen, fd);
        /* A job of its own, as a shell makes them, so that its group is not orphaned and can be stopped. */
        int job = fork();
        if (job == 0) { setpgid(0, 0); signal(SIGTTOU, SIG_IGN); tcsetpgrp(0, getpid()); signal(SIGTTOU, SIG_DFL); execvp(argv[2], argv + 2); _exit(127); }
        setpgid(job, job);
        int status; waitpid(job, &status, WUNTRACED);
        if (WIFSTOPPED(status)) { kill(-job, SIGKILL); _exit(99); }
        if (WIFSIGNALED(status)) _exit(100 + WTERMSIG(status));
        _exit(WEXITSTATUS(status));
    }
    double began = now(), next = 0;
    static char said[1 << 20];
    size_t length = 0;
    int typed = 0, status = 0, ended = 0;
    while (now() - began < seconds && !(ended = waitpid(pid, &status, WNOHANG) == pid)) {
        struct pollfd ready = {keyboard, POLLIN, 0};
        if (poll(&ready, 1, 50) > 0) {
            ssize_t more = read(keyboard, said + length, sizeof said - 1 - length);
            if (more > 0) length += more; else usleep(20000);
        }
        if (types && next == 0 && strstr(said, "ready")) next = now() + 0.3;
        if (next != 0 && now() > next) { write(keyboard, "\x03", 1); typed++; next = now() + 1; }
    }
    fcntl(keyboard, F_SETFL, O_NONBLOCK);
    ssize_t more;
    while ((more = read(keyboard, said + length, sizeof said - 1 - length)) > 0) length += more;
    printf("%s\ntyped %d, ", said, typed);
    if (ended) printf("exited with %d\n", WEXITSTATUS(status)); else { printf("still running\n"); kill(pid, SIGKILL); }
    return 0;
}
