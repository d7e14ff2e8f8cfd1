// A process of a guest that talks to the host's side of vsock, which is init's alone to do.
//
//   vsock say PORT        send standard input, then print what comes until the host hangs up, or for 10 s
//   vsock hold PORT N     N connections, each with a byte sent, held until all were hung up on, or for 10 s
//   vsock drip PORT       a byte of a request each 100 ms, until the host hangs up; prints after how many
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define PATIENCE_MS 10000

static int dial(unsigned port)
{
    struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&host, sizeof host) < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int say(unsigned port)
{
    char data[65536];
    ssize_t len;
    int fd = dial(port);
    if (fd < 0) {
        perror("connect");
        return 1;
    }
    while ((len = read(0, data, sizeof data)) > 0)
        if (send(fd, data, len, MSG_NOSIGNAL) < 0)
            break;
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (poll(&one, 1, PATIENCE_MS) > 0 && (len = read(fd, data, sizeof data)) > 0)
        if (write(1, data, len) < 0)
            return 1;
    return 0;
}

static int hold(unsigned port, int count)
{
    struct rlimit most = {count + 16, count + 16};
    struct pollfd *all = calloc(count, sizeof *all);
    int opened = 0, open = 0;
    setrlimit(RLIMIT_NOFILE, &most);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial(port);
        all[i].events = POLLIN;
        if (all[i].fd >= 0) {
            opened++;
            send(all[i].fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
    open = opened;
    while (open > 0 && poll(all, count, PATIENCE_MS) > 0)
        for (int i = 0; i < count; i++)
            if (all[i].fd >= 0 && all[i].revents) {
                char byte;
                if (read(all[i].fd, &byte, 1) <= 0) {
                    close(all[i].fd);
                    all[i].fd = -1;
                    open--;
                }
            }
    printf("opened %d left %d\n", opened, open);
    return 0;
}

static int drip(unsigned port)
{
    const char *request = "POST /exit HTTP/1.1\r\n";
    int sent = 0, fd = dial(port);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    while (fd >= 0 && sent < 200 && send(fd, request + sent % 20, 1, MSG_NOSIGNAL) == 1) {
        sent++;
        if (poll(&one, 1, 100) > 0)
            break;
    }
    printf("dripped %d\n", sent);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    unsigned port = atoi(argv[2]);
    if (!strcmp(argv[1], "say"))
        return say(port);
    if (!strcmp(argv[1], "hold") && argc > 3)
        return hold(port, atoi(argv[3]));
    if (!strcmp(argv[1], "drip"))
        return drip(port);
    return 2;
}
