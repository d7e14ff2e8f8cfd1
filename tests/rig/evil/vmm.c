// Stands in Firecracker's place: takes all the files it is given and writes the largest one, says how far it came, and
// stays, without ever saying that a guest is up.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    struct stat scratch;
    int file = open("/large", O_RDWR | O_CREAT | O_EXCL, 0600), files = 4;
    if (file < 0 || stat("/scratch.img", &scratch) < 0)
        return 1;
    signal(SIGXFSZ, SIG_IGN); // it would end here
    if (pwrite(file, "x", 1, scratch.st_size - 1) == 1 && pwrite(file, "x", 1, scratch.st_size) < 0)
        printf("as large as the scratch disk, then: %s\n", strerror(errno));
    while (dup(file) >= 0)
        files++;
    printf("%d files, then: %s\n", files, strerror(errno));
    fflush(stdout);
    for (;;)
        pause();
}
