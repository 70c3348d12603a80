/* REST writes, one record each, over connections that are kept: `httpload PORT PATH CONNECTIONS REQUESTS BYTES`.
 *
 * One thread, epoll, one request in flight on each connection, encoded beforehand. Every answer must be 200. Prints one
 * line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, ANSWER_BYTES = 4096 };

struct connection {
    int fd;
    size_t bytes;
    double asked;
    char answer[ANSWER_BYTES + 1];
};

static struct connection all[CONNECTIONS_MAX];

static void die(const char *what) {
    fprintf(stderr, "httpload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int ascending(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return difference < 0 ? -1 : difference > 0;
}

/* Whether an answer is whole. */
static int is_whole(struct connection *c) {
    c->answer[c->bytes] = 0;
    char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "content-length:");
    if (!end) return 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) || !length || length > end) {
        fprintf(stderr, "httpload: %s\n", c->answer);
        exit(1);
    }
    return c->bytes >= (size_t)(end + 4 - c->answer) + (size_t)atol(length + 15);
}

int main(int words, char **word) {
    if (words != 6) {
        fprintf(stderr, "usage: httpload PORT PATH CONNECTIONS REQUESTS BYTES\n");
        return 64;
    }
    int connections = atoi(word[3]);
    long requests = atol(word[4]), asked = 0, done = 0;
    size_t bytes = (size_t)atol(word[5]);
    if (connections < 1 || connections > CONNECTIONS_MAX || bytes < 16 || bytes > 65536) return 64;
    char *body = malloc(bytes + 1), *request = malloc(bytes + 1024);
    int head = sprintf(body, "{\"value\":{\"v\":\"");
    memset(body + head, 'x', bytes);
    strcpy(body + bytes - 3, "\"}}");
    int length = sprintf(request,
                         "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n%s", word[2], bytes, body);
    double *took = malloc((size_t)requests * sizeof *took);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int epoll = epoll_create1(0), one = 1;
    for (int i = 0; i < connections; i++) {
        all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(all[i].fd, (struct sockaddr *)&address, sizeof address)) die("connect");
        setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event)) die("epoll_ctl");
    }
    double began = now();
    for (int i = 0; i < connections && asked < requests; i++, asked++) {
        all[i].asked = now();
        if (write(all[i].fd, request, (size_t)length) != length) die("write");
    }
    while (done < requests) {
        struct epoll_event events[512];
        int count = epoll_wait(epoll, events, 512, 10000);
        if (count == 0) { errno = ETIMEDOUT; die("no answer for 10 s"); }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t got = read(c->fd, c->answer + c->bytes, ANSWER_BYTES - c->bytes);
            if (got <= 0) die("read");
            c->bytes += (size_t)got;
            if (!is_whole(c)) continue;
            c->bytes = 0;
            double time = now();
            took[done++] = time - c->asked;
            if (asked == requests) continue;
            asked++;
            c->asked = time;
            if (write(c->fd, request, (size_t)length) != length) die("write");
        }
    }
    double seconds = now() - began;
    qsort(took, (size_t)requests, sizeof *took, ascending);
    printf("{\"records\":%ld,\"seconds\":%.6f,\"records_per_second\":%.1f,\"latency_ms\":{\"p50\":%.4f,\"p99\":%.4f,"
           "\"p999\":%.4f}}\n",
           requests, seconds, (double)requests / seconds, took[requests / 2] * 1e3, took[requests * 99 / 100] * 1e3,
           took[requests * 999 / 1000] * 1e3);
    return 0;
}
