/* Loads for the peers that Apus is measured beside: Redis streams, NATS core and NATS JetStream.
 *
 *   peerload redis-xadd PORT STREAMS BYTES RECORDS CONNECTIONS WINDOW     closed loop, pipelined XADD
 *   peerload nats-js    PORT SUBJECT BYTES RECORDS CONNECTIONS WINDOW     closed loop, publish with acknowledgment
 *   peerload redis-e2e  PORT STREAM  BYTES RATE WARMUP SECONDS            open loop, XADD to XREAD BLOCK
 *   peerload nats-e2e   PORT SUBJECT BYTES RATE WARMUP SECONDS            open loop, PUB to SUB
 *
 * One thread, epoll, requests encoded beforehand: as lean as the load of `apus bench`, so that the server is what is
 * measured. End to end, each record carries the moment at which it was due; latency is counted from there (no
 * coordinated omission). Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, BUFFER_BYTES = 1 << 20 };

struct connection {
    int fd;
    char *in;          /* received, not yet parsed */
    size_t in_bytes;
    char *out;         /* waiting to be written */
    size_t out_bytes, out_capacity;
    long in_flight;
    uint64_t skip;     /* bytes of a payload to pass over */
};

static void die(const char *what) {
    fprintf(stderr, "peerload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A histogram of 64 powers of two with 1,024 steps each: three digits, as HdrHistogram keeps them. */
static uint64_t buckets[64 * 1024], counted, worst;
static double total;

static void record(uint64_t value) {
    int power = value < 1024 ? 0 : 63 - __builtin_clzll(value) - 9;
    buckets[(size_t)power * 1024 + (size_t)(value >> power)]++;
    counted++;
    total += (double)value;
    if (value > worst) worst = value;
}

static double percentile_ms(double part) {
    uint64_t wanted = (uint64_t)(part * (double)counted / 100.0 + 0.999999), seen = 0;
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        seen += buckets[i];
        if (seen >= wanted && buckets[i]) return (double)((i % 1024) << (i / 1024)) / 1e6;
    }
    return (double)worst / 1e6;
}

static void result(long records, size_t bytes, uint64_t ns, double rate) {
    double seconds = (double)ns / 1e9;
    printf("{\"records\":%ld,\"seconds\":%.6f,\"records_per_second\":%.1f,\"megabytes_per_second\":%.3f", records,
           seconds, (double)records / seconds, (double)records * (double)bytes / 1e6 / seconds);
    if (rate > 0) printf(",\"rate_wanted\":%.1f", rate);
    if (counted)
        printf(",\"latency_ms\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"mean\":%.4f,\"max\":%.4f}",
               percentile_ms(50), percentile_ms(90), percentile_ms(99), percentile_ms(99.9),
               total / (double)counted / 1e6, (double)worst / 1e6);
    printf("}\n");
}

static void connect_to(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->in = malloc(BUFFER_BYTES);
    c->out_capacity = BUFFER_BYTES;
    c->out = malloc(c->out_capacity);
}

static void put(struct connection *c, const void *bytes, size_t count) {
    if (c->out_bytes + count > c->out_capacity) {
        c->out_capacity = 2 * (c->out_bytes + count);
        c->out = realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_bytes, bytes, count);
    c->out_bytes += count;
}

static void flush(struct connection *c) {
    size_t done = 0;
    while (done < c->out_bytes) {
        ssize_t count = write(c->fd, c->out + done, c->out_bytes - done);
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) die("write");
        done += (size_t)count;
    }
    memmove(c->out, c->out + done, c->out_bytes - done);
    c->out_bytes -= done;
}

/* Reads what is there. */
static void fill(struct connection *c) {
    ssize_t count = read(c->fd, c->in + c->in_bytes, BUFFER_BYTES - c->in_bytes);
    if (count == 0) { errno = ECONNRESET; die("read"); }
    if (count < 0 && errno != EAGAIN) die("read");
    if (count > 0) c->in_bytes += (size_t)count;
}

static void eat(struct connection *c, size_t count) {
    memmove(c->in, c->in + count, c->in_bytes - count);
    c->in_bytes -= count;
}

static int epoll;
static void watch(struct connection *c, int writes) {
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) && epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
        die("epoll_ctl");
}

/* Waits, blocking, for a whole answer that contains a text: for the few words before the load. */
static void expect(struct connection *c, const char *text) {
    flush(c);
    for (;;) {
        c->in[c->in_bytes] = 0;
        char *found = strstr(c->in, text), *end = found ? strstr(found, "\r\n") : NULL;
        if (strstr(c->in, "-ERR")) { fprintf(stderr, "peerload: %s\n", c->in); exit(1); }
        if (end) { eat(c, (size_t)(end + 2 - c->in)); return; }
        struct epoll_event event;
        epoll_wait(epoll, &event, 1, 100);
        fill(c);
    }
}

static char *noise(size_t bytes) {
    char *text = malloc(bytes + 1);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < bytes; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        text[i] = (char)('!' + state % 90);
    }
    return text;
}

static size_t xadd(char *to, const char *stream, const char *value, size_t bytes) {
    int head = sprintf(to, "*5\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$1\r\nv\r\n$%zu\r\n", strlen(stream), stream,
                       bytes);
    memcpy(to + head, value, bytes);
    memcpy(to + head + bytes, "\r\n", 2);
    return (size_t)head + bytes + 2;
}

/* Answers to XADD: `$15\r\n1763632800000-0\r\n`. */
static long parse_xadd(struct connection *c) {
    long answers = 0;
    size_t at = 0;
    while (at < c->in_bytes) {
        char *line = memchr(c->in + at, '\n', c->in_bytes - at);
        if (!line) break;
        if (c->in[at] != '$') { fprintf(stderr, "peerload: %.*s\n", (int)(line - c->in - (long)at), c->in + at); exit(1); }
        size_t length = (size_t)atoi(c->in + at + 1), end = (size_t)(line + 1 - c->in) + length + 2;
        if (end > c->in_bytes) break;
        at = end;
        answers++;
    }
    eat(c, at);
    return answers;
}

static void nats_hello(struct connection *c) {
    expect(c, "INFO");
    const char *hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n";
    put(c, hello, strlen(hello));
    expect(c, "PONG");
}

/* Acknowledgments of JetStream: `MSG inbox sid bytes\r\n{"stream":…}\r\n`. Anything but an acknowledgment ends the run. */
static long parse_msg(struct connection *c, void (*payload)(const char *, size_t)) {
    long messages = 0;
    size_t at = 0;
    while (at < c->in_bytes) {
        char *line = memchr(c->in + at, '\n', c->in_bytes - at);
        if (!line) break;
        if (!strncmp(c->in + at, "PING", 4)) {
            put(c, "PONG\r\n", 6);
            at = (size_t)(line + 1 - c->in);
            continue;
        }
        if (strncmp(c->in + at, "MSG", 3)) {
            fprintf(stderr, "peerload: %.*s\n", (int)(line - c->in - (long)at), c->in + at);
            exit(1);
        }
        char *number = line - 1;
        while (number[-1] != ' ') number--;
        size_t length = (size_t)atoi(number), end = (size_t)(line + 1 - c->in) + length + 2;
        if (end > c->in_bytes) break;
        payload(line + 1, length);
        at = end;
        messages++;
    }
    eat(c, at);
    return messages;
}

static void check_ack(const char *text, size_t bytes) {
    if (memmem(text, bytes, "error", 5)) { fprintf(stderr, "peerload: %.*s\n", (int)bytes, text); exit(1); }
}

static void closed_loop(int nats, int port, const char *name, size_t bytes, long records, int connections, long window) {
    struct connection *all = calloc((size_t)connections, sizeof *all);
    char *value = noise(bytes), *request = malloc(bytes + 512);
    for (int i = 0; i < connections; i++) {
        connect_to(&all[i], port);
        watch(&all[i], 0);
        if (nats) {
            nats_hello(&all[i]);
            char line[128];
            put(&all[i], line, (size_t)sprintf(line, "SUB inbox.%d 1\r\n", i));
        }
    }
    long sent = 0, done = 0;
    uint64_t start = now_ns();
    while (done < records) {
        for (int i = 0; i < connections; i++) {
            struct connection *c = &all[i];
            while (sent < records && c->in_flight < window) {
                size_t length;
                if (nats) {
                    int head = sprintf(request, "PUB %s inbox.%d %zu\r\n", name, i, bytes);
                    memcpy(request + head, value, bytes);
                    memcpy(request + head + bytes, "\r\n", 2);
                    length = (size_t)head + bytes + 2;
                } else {
                    length = xadd(request, name, value, bytes);
                }
                put(c, request, length);
                c->in_flight++;
                sent++;
            }
            flush(c);
            watch(c, c->out_bytes > 0);
        }
        struct epoll_event events[CONNECTIONS_MAX];
        int count = epoll_wait(epoll, events, CONNECTIONS_MAX, 10000);
        if (count == 0) { errno = ETIMEDOUT; die("no answer for 10 s"); }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!(events[i].events & EPOLLIN)) continue;
            fill(c);
            long answers = nats ? parse_msg(c, check_ack) : parse_xadd(c);
            c->in_flight -= answers;
            done += answers;
        }
    }
    result(records, bytes, now_ns() - start, 0);
}

static uint64_t counts_from;
static long arrived, measured;

static void arrival(const char *text, size_t bytes) {
    (void)bytes;
    char digits[21] = {0};
    memcpy(digits, text, 20);
    uint64_t due = strtoull(digits, NULL, 10), now = now_ns();
    arrived++;
    if (due < counts_from) return;
    measured++;
    record(now > due ? now - due : 0);
}

static char stream_last[64] = "$";

/* Answers to XREAD: *1 *2 $stream *n { *2 $id *2 $1 v $bytes value }. Walks bulk strings, remembers the ids. */
static int parse_xread(struct connection *c, size_t bytes) {
    size_t at = 0;
    long entries = -1, seen = 0, line_number = 0;
    char id[64] = "";
    while (at < c->in_bytes) {
        char *line = memchr(c->in + at, '\n', c->in_bytes - at);
        if (!line) return 0;
        size_t next = (size_t)(line + 1 - c->in);
        if (c->in[at] == '*') {
            if (++line_number == 3) entries = atol(c->in + at + 1);
            at = next;
        } else if (c->in[at] == '$') {
            size_t length = (size_t)atoi(c->in + at + 1);
            if (next + length + 2 > c->in_bytes) return 0;
            const char *text = c->in + next;
            if (length == bytes) {
                seen++;
            } else if (memchr(text, '-', length) && length < sizeof id) {
                memcpy(id, text, length);
                id[length] = 0;
            }
            at = next + length + 2;
            if (entries >= 0 && seen == entries) break;
        } else {
            fprintf(stderr, "peerload: %.*s\n", (int)(next - at), c->in + at);
            exit(1);
        }
    }
    if (entries < 0 || seen < entries) return 0;
    /* All of the answer is here: now take the times. */
    for (size_t walk = 0; walk < at;) {
        char *line = memchr(c->in + walk, '\n', at - walk);
        size_t next = (size_t)(line + 1 - c->in);
        if (c->in[walk] == '$') {
            size_t length = (size_t)atoi(c->in + walk + 1);
            if (length == bytes) arrival(c->in + next, length);
            walk = next + length + 2;
        } else {
            walk = next;
        }
    }
    strcpy(stream_last, id);
    eat(c, at);
    return 1;
}

static void ask_xread(struct connection *c, const char *stream) {
    char line[256];
    int count = sprintf(line, "*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$7\r\nSTREAMS\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                        strlen(stream), stream, strlen(stream_last), stream_last);
    put(c, line, (size_t)count);
    flush(c);
}

static void open_loop(int nats, int port, const char *name, size_t bytes, double rate, double warmup, double seconds) {
    struct connection writer = {0}, reader = {0};
    connect_to(&writer, port);
    connect_to(&reader, port);
    watch(&writer, 0);
    watch(&reader, 0);
    char line[128], *value = noise(bytes), *request = malloc(bytes + 512);
    if (nats) {
        nats_hello(&writer);
        nats_hello(&reader);
        put(&reader, line, (size_t)sprintf(line, "SUB %s 1\r\nPING\r\n", name));
        expect(&reader, "PONG");
    } else {
        ask_xread(&reader, name);
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    uint64_t start = now_ns() + 200000000u;
    counts_from = start + (uint64_t)(warmup * 1e9);
    long records = (long)((warmup + seconds) * rate), sent = 0, answered = 0;
    while (arrived < records || (!nats && answered < records)) {
        uint64_t now = now_ns();
        while (sent < records && start + (uint64_t)((double)sent * 1e9 / rate) <= now) {
            char stamp[24];
            sprintf(stamp, "%020" PRIu64, start + (uint64_t)((double)sent * 1e9 / rate));
            memcpy(value, stamp, 20);
            size_t length;
            if (nats) {
                int head = sprintf(request, "PUB %s %zu\r\n", name, bytes);
                memcpy(request + head, value, bytes);
                memcpy(request + head + bytes, "\r\n", 2);
                length = (size_t)head + bytes + 2;
            } else {
                length = xadd(request, name, value, bytes);
            }
            put(&writer, request, length);
            sent++;
        }
        flush(&writer);
        watch(&writer, writer.out_bytes > 0);
        if (sent < records) {
            uint64_t due = start + (uint64_t)((double)sent * 1e9 / rate);
            struct itimerspec at = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        struct epoll_event events[8];
        int count = epoll_wait(epoll, events, 8, 10000);
        if (count == 0) { errno = ETIMEDOUT; die("no record for 10 s"); }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) die("timer");
            } else if (c == &writer && events[i].events & EPOLLIN) {
                fill(c);
                answered += nats ? parse_msg(c, check_ack) : parse_xadd(c);
            } else if (c == &reader && events[i].events & EPOLLIN) {
                fill(c);
                if (nats) {
                    parse_msg(c, arrival);
                    flush(c);
                } else {
                    while (parse_xread(c, bytes)) ask_xread(c, name);
                }
            }
        }
    }
    result(measured, bytes, now_ns() - counts_from, rate);
}

int main(int count, char **words) {
    if (count != 8) {
        fprintf(stderr, "usage: peerload KIND PORT NAME BYTES {RECORDS CONNECTIONS WINDOW | RATE WARMUP SECONDS}\n");
        return 64;
    }
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    epoll = epoll_create1(0);
    int nats = !strncmp(words[1], "nats", 4), port = atoi(words[2]);
    size_t bytes = (size_t)atol(words[4]);
    if (strstr(words[1], "e2e")) {
        /* The stamp needs 20 bytes, and a value must not look like an id or a name. */
        if (bytes < 65) { fprintf(stderr, "peerload: BYTES must be 65 or more\n"); return 64; }
        open_loop(nats, port, words[3], bytes, atof(words[5]), atof(words[6]), atof(words[7]));
    } else {
        int connections = atoi(words[6]);
        if (connections < 1 || connections > CONNECTIONS_MAX) return 64;
        closed_loop(nats, port, words[3], bytes, atol(words[5]), connections, atol(words[7]));
    }
    return 0;
}
