/* exec-by-thread N: a thread that is not the first makes N voluntary switches and then has the process execute this program again,
   which sleeps for a moment. Its switches go on under the number of the first thread then. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static char **words;
static void *play(void *unused) {
    (void)unused;
    struct timespec t = {0, 300000};
    for (int i = 0; i < atoi(words[1]); i++) nanosleep(&t, 0);
    execl("/proc/self/exe", words[0], "0", "again", (char *)0);
    _exit(1);
}
int main(int argc, char **argv) {
    words = argv;
    if (argc > 2) { usleep(300000); return 0; }
    pthread_t thread;
    pthread_create(&thread, 0, play, 0);
    pause();
    return 1;
}
