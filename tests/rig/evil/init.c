// An init that means harm: it says what a good one says until the process is up, and then answers as it is told.
//
// Whoever connects to port 6666 sends the letter of the answer that all requests on port 10002 get from then on.
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define LOG 10000
#define API 10002
#define TOLD 6666

static char mode = 'n';

static void send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            close(fd);
            pthread_exit(NULL);
        }
        text += sent;
        len -= sent;
    }
}

static void put(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

static void endless(int fd, const char *text)
{
    for (;;)
        put(fd, text);
}

static void drip(int fd, const char *text)
{
    for (;; poll(NULL, 0, 100))
        send_all(fd, text, 1);
}

static void reply(int fd, const char *status, const char *body)
{
    char text[1024];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    put(fd, text);
}

static void *answer(void *given)
{
    static const char upgrade[] =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: inferno-stream/1\r\n\r\n";
    static const char json[] = "HTTP/1.1 200 OK\r\nContent-Length: ";
    char request[16384];
    int fd = (int)(long)given;
    if (recv(fd, request, sizeof request, 0) <= 0)
        return NULL;
    switch (mode) {
    case 'g': endless(fd, "\x1b[2J\xff\xfe garbage \x07\x01\x02\x03"); break;
    case 'd': put(fd, json); put(fd, "900\r\n\r\n"); drip(fd, "["); break;
    case 't': reply(fd, "200 OK", "{\"pid\": \"\\u001b[2J\", \"state\": 7, \"uptime_ms\": -1, \"ok\": 1e999}"); break;
    case 'y': reply(fd, "200 OK", "{}"); break;                          // says yes to everything
    case 'u': put(fd, upgrade); endless(fd, "\x11\0\0\0\xff\xff\xff\xff"); break;
    case 'e': put(fd, upgrade); send_all(fd, "\x14\0\0\0\0\0\0\2{}", 10); break;
    default: poll(NULL, 0, -1);                                          // never says anything
    }
    close(fd);
    return NULL;
}

static int listen_on(unsigned port)
{
    struct sockaddr_vm here = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(fd, 128) < 0)
        _exit(1);
    return fd;
}

static void *serve(void *unused)
{
    pthread_t thread;
    for (int listener = listen_on(API);;) {
        long fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, answer, (void *)fd) == 0)
            pthread_detach(thread);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = LOG};
    int log = socket(AF_VSOCK, SOCK_STREAM, 0), told = listen_on(TOLD);
    pthread_create(&thread, NULL, serve, NULL);
    if (connect(log, (struct sockaddr *)&host, sizeof host) < 0)
        _exit(1);
    put(log, "{\"type\":\"hello\",\"key\":\"00112233445566778899aabbccddeeff\"}\n{\"type\":\"started\",\"pid\":42}\n");
    for (;;) {
        int fd = accept(told, NULL, NULL);
        char letter;
        if (recv(fd, &letter, 1, 0) == 1) {
            mode = letter;
            send(fd, &letter, 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
}
