/* Fan-out loads for the peers that Apus's endpoint server is measured beside, and the bare loop under all of them.
 *
 *   fanload redis   PORT CONNECTIONS BYTES RECORDS RATE    Redis Pub/Sub
 *   fanload nats    PORT CONNECTIONS BYTES RECORDS RATE    NATS core over TCP
 *   fanload nats-ws PORT:WRITER CONNECTIONS BYTES RECORDS RATE    NATS core: WebSocket readers, a writer over TCP
 *   fanload mqtt    PORT CONNECTIONS BYTES RECORDS RATE    MQTT 3.1.1, QoS 0
 *   fanload count   PORT CONNECTIONS BYTES RECORDS 0       readers only, for `bare`
 *   fanload bare    PORT CONNECTIONS BYTES RECORDS RATE    no load but a server: RECORDS times `send` to every reader
 *
 * RATE is in messages a second; 0 is as fast as they are delivered, WINDOW messages ahead, so that no server drops any.
 * One thread, epoll; readers count bytes, because every delivery of a run has the same number of them. Prints JSON;
 * `bare` prints the CPU time that it spent itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 20000, WINDOW = 1000, READ_BYTES = 1 << 18 };

struct reader {
    int fd;
    long owed;              /* bytes of payload that belong to the frame being read */
    unsigned char head[16]; /* of a WebSocket frame, as far as it is there */
    int head_bytes;
};

static struct reader readers[CONNECTIONS_MAX];
static unsigned char buffer[READ_BYTES];
static uint64_t payload_bytes;

static void die(const char *what) {
    fprintf(stderr, "fanload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void say(int fd, const void *bytes, size_t count) {
    const char *at = bytes;
    while (count) {
        ssize_t done = write(fd, at, count);
        if (done < 0) die("write");
        at += done;
        count -= (size_t)done;
    }
}

/* Reads, blocking, until a text has come and `more` bytes behind it: the words before the load. */
static void hear(int fd, const char *text, size_t more) {
    size_t count = 0, length = strlen(text);
    for (;;) {
        if (count == 4096 || read(fd, buffer + count, 1) != 1) die(text);
        count++;
        if (count >= length && !memcmp(buffer + count - length, text, length)) break;
    }
    while (more--)
        if (read(fd, buffer, 1) != 1) die(text);
}

/* A client's frame of a WebSocket, masked with zeros. */
static void say_frame(int fd, const char *text) {
    size_t length = strlen(text);
    unsigned char head[] = {0x82, (unsigned char)(0x80 | length), 0, 0, 0, 0};
    say(fd, head, sizeof head);
    say(fd, text, length);
}

static void remaining(unsigned char *at, size_t *bytes, size_t length) {
    do {
        at[*bytes] = (unsigned char)(length % 128 | (length > 127 ? 128 : 0));
        ++*bytes;
        length /= 128;
    } while (length);
}

static int mqtt(int port, int number) {
    unsigned char words[128];
    int fd = dial(port), name = sprintf((char *)words + 14, "f%d", number);
    unsigned char head[] = {0x10, (unsigned char)(12 + name), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, (unsigned char)name};
    memcpy(words, head, sizeof head);
    say(fd, words, sizeof head + (size_t)name);
    hear(fd, "\x20\x02", 2);
    return fd;
}

static size_t encode(const char *kind, char *to, const char *value, size_t bytes, size_t *delivery) {
    size_t head;
    if (!strcmp(kind, "redis")) {
        head = (size_t)sprintf(to, "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$%zu\r\n", bytes);
        memcpy(to + head, value, bytes);
        memcpy(to + head + bytes, "\r\n", 2);
        *delivery = head + bytes + 2; /* "message" has as many letters as "PUBLISH" */
        return *delivery;
    }
    if (!strncmp(kind, "nats", 4)) {
        head = (size_t)sprintf(to, "PUB bench %zu\r\n", bytes);
        memcpy(to + head, value, bytes);
        memcpy(to + head + bytes, "\r\n", 2);
        *delivery = head + 2 + bytes + 2; /* MSG bench 1 128 */
        return head + bytes + 2;
    }
    to[0] = 0x30;
    head = 1;
    remaining((unsigned char *)to, &head, bytes + 7);
    memcpy(to + head, "\0\5bench", 7);
    memcpy(to + head + 7, value, bytes);
    *delivery = head + 7 + bytes;
    return *delivery;
}

static void enter(const char *kind, int port, int number, struct reader *reader) {
    if (!strcmp(kind, "redis")) {
        reader->fd = dial(port);
        say(reader->fd, "SUBSCRIBE bench\r\n", 17);
        hear(reader->fd, "bench\r\n:1\r\n", 0);
    } else if (!strcmp(kind, "nats")) {
        const char *hello = "CONNECT {\"verbose\":false}\r\nSUB bench 1\r\nPING\r\n";
        reader->fd = dial(port);
        say(reader->fd, hello, strlen(hello));
        hear(reader->fd, "PONG\r\n", 0);
    } else if (!strcmp(kind, "nats-ws")) {
        const char *hello = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        reader->fd = dial(port);
        say(reader->fd, hello, strlen(hello));
        hear(reader->fd, "\r\n\r\n", 0);
        say_frame(reader->fd, "CONNECT {\"verbose\":false}\r\nSUB bench 1\r\nPING\r\n");
        hear(reader->fd, "PONG\r\n", 0);
    } else if (!strcmp(kind, "mqtt")) {
        reader->fd = mqtt(port, number);
        say(reader->fd, "\x82\x0a\0\1\0\5bench\0", 12);
        hear(reader->fd, "\x90\x03", 3);
    } else {
        reader->fd = dial(port);
    }
}

/* Counts the payload of a server's frames: those of a WebSocket are not masked. */
static void count_frames(struct reader *reader, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        if (reader->owed) {
            size_t part = bytes - at < (size_t)reader->owed ? bytes - at : (size_t)reader->owed;
            payload_bytes += part;
            reader->owed -= (long)part;
            at += part;
            continue;
        }
        reader->head[reader->head_bytes++] = buffer[at++];
        int code = reader->head_bytes > 1 ? reader->head[1] & 127 : -1, wanted = code == 127 ? 10 : code == 126 ? 4 : 2;
        if (code < 0 || reader->head_bytes < wanted) continue;
        reader->owed = code < 126 ? code : 0;
        for (int i = 2; i < wanted; i++) reader->owed = reader->owed << 8 | reader->head[i];
        reader->head_bytes = 0;
    }
}

static void bare(int port, int connections, size_t bytes, long records, double rate) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) die("listen");
    for (int i = 0; i < connections; i++) {
        readers[i].fd = accept(listener, NULL, NULL);
        if (readers[i].fd < 0) die("accept");
        setsockopt(readers[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    char *value = calloc(1, bytes);
    double began = seconds_of(CLOCK_MONOTONIC), spent = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (long record = 0; record < records; record++) {
        double due = began + (double)record / rate, left = due - seconds_of(CLOCK_MONOTONIC);
        if (rate > 0 && left > 0) usleep((useconds_t)(left * 1e6));
        for (int i = 0; i < connections; i++)
            if (send(readers[i].fd, value, bytes, 0) != (ssize_t)bytes) die("send");
    }
    spent = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - spent;
    double seconds = seconds_of(CLOCK_MONOTONIC) - began, deliveries = (double)records * connections;
    printf("{\"deliveries\":%.0f,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"cpu_seconds_per_million\":%.6f}\n", deliveries,
           seconds, spent, spent / deliveries * 1e6);
    for (int i = 0; i < connections; i++) /* until they have it */
        while (read(readers[i].fd, buffer, 1) > 0) {}
}

int main(int words, char **word) {
    if (words != 7) {
        fprintf(stderr, "usage: fanload KIND PORT CONNECTIONS BYTES RECORDS RATE\n");
        return 64;
    }
    const char *kind = word[1];
    int port = atoi(word[2]), connections = atoi(word[3]);
    size_t bytes = (size_t)atol(word[4]), delivery = bytes;
    long records = atol(word[5]), sent = 0;
    double rate = atof(word[6]);
    if (connections < 1 || connections > CONNECTIONS_MAX || bytes > 4096) return 64;
    if (!strcmp(kind, "bare")) return bare(port, connections, bytes, records, rate), 0;

    int epoll = epoll_create1(0), writer = -1, only_counts = !strcmp(kind, "count"), frames = !strcmp(kind, "nats-ws");
    for (int i = 0; i < connections; i++) {
        enter(kind, port, i, &readers[i]);
        fcntl(readers[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event)) die("epoll_ctl");
    }
    char *value = malloc(bytes), *request = malloc(bytes + 128);
    memset(value, 'x', bytes);
    size_t length = 0;
    if (!only_counts) {
        writer = !strcmp(kind, "mqtt") ? mqtt(port, connections) : dial(strchr(word[2], ':') ? atoi(strchr(word[2], ':') + 1) : port);
        if (!strncmp(kind, "nats", 4)) {
            const char *hello = "CONNECT {\"verbose\":false}\r\nPING\r\n";
            say(writer, hello, strlen(hello));
            hear(writer, "PONG\r\n", 0);
        }
        length = encode(kind, request, value, bytes, &delivery);
        fcntl(writer, F_SETFL, O_NONBLOCK);
    }
    fflush(stdout);
    uint64_t wanted = (uint64_t)records * (uint64_t)connections * delivery;
    char *batch = malloc(length * WINDOW + 1);
    for (long i = 0; i < WINDOW; i++) memcpy(batch + (size_t)i * length, request, length);
    double began = seconds_of(CLOCK_MONOTONIC);
    size_t unsent = 0; /* bytes of the batch's end that are still to be written */
    while (payload_bytes < wanted) {
        double now = seconds_of(CLOCK_MONOTONIC);
        long due = rate > 0 ? (long)((now - began) * rate) + 1 : (long)(payload_bytes / delivery / (uint64_t)connections) + WINDOW;
        if (due > records) due = records;
        if (!only_counts && !unsent && due > sent) {
            long more = due - sent > WINDOW ? WINDOW : due - sent;
            unsent = (size_t)more * length;
            sent += more;
        }
        if (unsent) {
            ssize_t done = write(writer, batch, unsent);
            if (done < 0 && errno != EAGAIN) die("write");
            /* All of a batch are alike, so its end can be written from wherever the same byte stands. */
            if (done > 0) {
                unsent -= (size_t)done;
                if (unsent) {
                    size_t phase = (length - unsent % length) % length;
                    fcntl(writer, F_SETFL, 0);
                    size_t first = phase ? length - phase : 0;
                    say(writer, request + phase, first);
                    say(writer, batch, unsent - first);
                    fcntl(writer, F_SETFL, O_NONBLOCK);
                    unsent = 0;
                }
            }
        }
        struct epoll_event events[512];
        int wait = rate > 0 && sent < records ? 1 : 10000;
        int count = epoll_wait(epoll, events, 512, wait);
        if (count == 0 && wait == 10000) {
            fprintf(stderr, "fanload: nothing for 10 s; %.0f of %.0f bytes came\n", (double)payload_bytes, (double)wanted);
            return 1;
        }
        for (int i = 0; i < count; i++) {
            struct reader *reader = events[i].data.ptr;
            ssize_t got = read(reader->fd, buffer, sizeof buffer);
            if (got == 0) { errno = ECONNRESET; die("a reader was dropped"); }
            if (got < 0) continue;
            if (frames) count_frames(reader, (size_t)got);
            else payload_bytes += (uint64_t)got;
        }
        /* Answers to the writer (Redis: how many got it; NATS: PING) are read and let go of. */
        if (writer >= 0 && read(writer, buffer, sizeof buffer) == 0) { errno = ECONNRESET; die("writer"); }
    }
    double seconds = seconds_of(CLOCK_MONOTONIC) - began, deliveries = (double)records * connections;
    printf("{\"deliveries\":%.0f,\"seconds\":%.6f,\"deliveries_per_second\":%.1f}\n", deliveries, seconds,
           deliveries / seconds);
    return 0;
}
