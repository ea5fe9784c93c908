/*
 * loadgen - closed-loop HTTP/1.1 load on 127.0.0.1: one thread, epoll, one JSON object on stdout.
 *
 *   loadgen requests -p PORT -u PATH -c CONNECTIONS -d SECONDS -b BODY_FILE [-H "Name: value"]...
 *   loadgen streams  -p PORT -u PATH -c CONNECTIONS -n STREAMS -d MAX_SECONDS -b BODY_FILE [-H ...]...
 *
 * requests: every connection keeps exactly one POST in flight until the time is up, then the ones under
 *           way are awaited, so that whoever counts CPU seconds divides by the requests really served.
 * streams:  the same with server-sent events until STREAMS answers were read. Every content chunk of
 *           mock_llm carries "@T<CLOCK_MONOTONIC ns>@", hence "transit" (arrival minus that stamp) works
 *           without any clock agreement: both programs run on one machine.
 *
 * A connection that breaks is an error, never retried in silence: a closed loop leaves no connection idle
 * long enough for a server to drop it in good faith.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define DRAIN_NS (10 * NS_PER_S) /* how long requests under way may take after the end */

enum {
    HEAD_BYTES = 16384,
    READ_BYTES = 262144,
    EXTRA_HEADER_BYTES = 4096,
    EXCERPT_BYTES = 300,
    EVENTS = 1024,
    POLL_MS = 50,
    GIVE_UP_AFTER_ERRORS = 1000
};

/* ---- samples -------------------------------------------------------------------------------------- */

struct samples {
    int64_t *values;
    size_t count, capacity;
};

static void *must(void *memory) {
    if (!memory) {
        perror("loadgen: memory");
        exit(2);
    }
    return memory;
}

static void add_sample(struct samples *s, int64_t value) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 4096;
        s->values = must(realloc(s->values, s->capacity * sizeof *s->values));
    }
    s->values[s->count++] = value;
}

static int by_value(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Nearest-rank percentile of sorted samples, in microseconds; -1 when there are none. */
static double percentile_us(const struct samples *s, double share) {
    if (!s->count) return -1;
    return (double)s->values[(size_t)(share * (double)(s->count - 1) + 0.5)] / 1e3;
}

static void print_samples(const char *name, struct samples *s) {
    double sum = 0;
    if (s->count) qsort(s->values, s->count, sizeof *s->values, by_value);
    for (size_t i = 0; i < s->count; i++) sum += (double)s->values[i];
    printf(",\"%s\":{\"n\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, s->count,
           s->count ? sum / (double)s->count / 1e3 : -1.0, percentile_us(s, .5), percentile_us(s, .9),
           percentile_us(s, .99), percentile_us(s, 1));
}

/* ---- state ---------------------------------------------------------------------------------------- */

enum phase { IDLE, CONNECTING, HEAD, BODY };
enum framing { BY_CLOSE, BY_LENGTH, BY_CHUNKS };
enum chunk_phase { SIZE, SIZE_EXTENSION, DATA, DATA_END, TRAILER_START, TRAILER };
enum stamp_phase { OUTSIDE, AFTER_AT, DIGITS };
enum progress { MORE, DONE, MALFORMED };

struct connection {
    int fd;
    enum phase phase;
    bool wants_write;
    size_t sent; /* bytes of the request written so far */
    int64_t started_at;

    char head[HEAD_BYTES];
    size_t head_length;
    int status;
    bool close_after, saw_byte, saw_token;
    enum framing framing;
    uint64_t left; /* bytes left of the body (BY_LENGTH) or of the chunk (BY_CHUNKS) */
    enum chunk_phase chunk_phase;
    enum stamp_phase stamp_phase;
    int64_t stamp;
};

static struct {
    bool streams;
    int port, connections;
    int64_t stream_count;
    double seconds;
    const char *path, *body_file;
    char extra_headers[EXTRA_HEADER_BYTES];
} options = {.connections = 1, .seconds = 5, .path = "/"};

static struct {
    int64_t started, active, finished, ok, non_2xx, errors, truncated, opened, body_bytes, chunks;
    int first_bad_status;
    char bad_body[EXCERPT_BYTES];
} totals;

static struct samples latency, first_byte, first_token, stream_time, transit;
static char *request;
static size_t request_length;
static struct sockaddr_in server;
static int poller;
static int64_t ends_at;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- one exchange --------------------------------------------------------------------------------- */

static void watch(struct connection *c, int operation, bool write) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
    c->wants_write = write;
}

static void open_connection(struct connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        perror("loadgen: socket");
        exit(2);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    totals.opened++;
    /* The result of connect() is read from SO_ERROR once epoll reports it. */
    (void)!connect(c->fd, (struct sockaddr *)&server, sizeof server);
    c->phase = CONNECTING;
    watch(c, EPOLL_CTL_ADD, true);
}

static void close_connection(struct connection *c) {
    if (c->fd >= 0) close(c->fd); /* closing also removes it from epoll */
    c->fd = -1;
}

static void write_request(struct connection *c) {
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
        if (n < 0) { /* anything but "full" shows up as a read error next */
            if (errno == EAGAIN && !c->wants_write) watch(c, EPOLL_CTL_MOD, true);
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->wants_write) watch(c, EPOLL_CTL_MOD, false);
}

static void begin(struct connection *c) {
    c->started_at = now_ns();
    c->sent = c->head_length = 0;
    c->close_after = c->saw_byte = c->saw_token = false;
    c->stamp_phase = OUTSIDE;
    totals.started++;
    totals.active++;
    if (c->fd < 0) {
        open_connection(c);
    } else {
        c->phase = HEAD;
        write_request(c);
    }
}

static bool may_begin(void) {
    if (totals.errors >= GIVE_UP_AFTER_ERRORS || now_ns() >= ends_at) return false;
    return !options.streams || totals.started < options.stream_count;
}

static void record_answer(const struct connection *c) {
    totals.finished++;
    if (c->status >= 200 && c->status < 300) {
        totals.ok++;
    } else {
        totals.non_2xx++;
        if (!totals.first_bad_status) totals.first_bad_status = c->status;
    }
    add_sample(options.streams ? &stream_time : &latency, now_ns() - c->started_at);
}

static void end(struct connection *c, bool complete) {
    totals.active--;
    if (complete) {
        record_answer(c);
    } else {
        totals.errors++;
        if (c->phase == BODY) totals.truncated++;
    }
    if (!complete || c->close_after) close_connection(c);
    c->phase = IDLE;
    if (may_begin()) begin(c);
}

/* ---- reading the answer --------------------------------------------------------------------------- */

static void see_stamp(struct connection *c) {
    int64_t now = now_ns();
    totals.chunks++;
    add_sample(&transit, now - c->stamp);
    if (c->saw_token) return;
    c->saw_token = true;
    add_sample(&first_token, now - c->started_at);
}

/* Finds "@T<digits>@" wherever the network cut it. */
static void scan_stamps(struct connection *c, const char *data, size_t length) {
    for (size_t i = 0; i < length;) {
        if (c->stamp_phase == OUTSIDE) {
            const char *at = memchr(data + i, '@', length - i);
            if (!at) return;
            i = (size_t)(at - data) + 1;
            c->stamp_phase = AFTER_AT;
            continue;
        }
        char byte = data[i++];
        if (c->stamp_phase == AFTER_AT) {
            c->stamp = 0;
            if (byte == 'T') c->stamp_phase = DIGITS;
            else if (byte != '@') c->stamp_phase = OUTSIDE;
        } else if (byte >= '0' && byte <= '9') {
            c->stamp = c->stamp * 10 + (byte - '0');
        } else {
            if (byte == '@') see_stamp(c);
            c->stamp_phase = OUTSIDE;
        }
    }
}

static void take_body(struct connection *c, const char *data, size_t length) {
    totals.body_bytes += (int64_t)length;
    if (c->status >= 300 && !totals.bad_body[0]) {
        size_t n = length < EXCERPT_BYTES - 1 ? length : EXCERPT_BYTES - 1;
        memcpy(totals.bad_body, data, n);
    }
    if (options.streams) scan_stamps(c, data, length);
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* RFC 9112, section 7.1, one byte of framing or one run of data at a time. */
static enum progress decode_chunks(struct connection *c, const char *data, size_t length) {
    for (size_t i = 0; i < length;) {
        if (c->chunk_phase == DATA) {
            size_t n = length - i < c->left ? length - i : (size_t)c->left;
            take_body(c, data + i, n);
            i += n;
            c->left -= n;
            if (!c->left) c->chunk_phase = DATA_END;
            continue;
        }
        char byte = data[i++];
        bool line_end = byte == '\n';
        if (c->chunk_phase == SIZE && hex_digit(byte) >= 0) {
            c->left = c->left * 16 + (uint64_t)hex_digit(byte);
        } else if (c->chunk_phase == SIZE || c->chunk_phase == SIZE_EXTENSION) {
            if (line_end) c->chunk_phase = c->left ? DATA : TRAILER_START;
            else if (byte != '\r') c->chunk_phase = SIZE_EXTENSION;
        } else if (c->chunk_phase == DATA_END) {
            if (line_end) c->chunk_phase = SIZE;
            else if (byte != '\r') return MALFORMED;
        } else if (c->chunk_phase == TRAILER_START && line_end) {
            return i == length ? DONE : MALFORMED;
        } else if (line_end) {
            c->chunk_phase = TRAILER_START;
        } else if (byte != '\r') {
            c->chunk_phase = TRAILER;
        }
    }
    return MORE;
}

static enum progress decode_body(struct connection *c, const char *data, size_t length) {
    if (c->framing == BY_CHUNKS) return decode_chunks(c, data, length);
    take_body(c, data, length);
    if (c->framing == BY_CLOSE) return MORE;
    if (length > c->left) return MALFORMED; /* more than one answer to one request */
    c->left -= length;
    return c->left ? MORE : DONE;
}

static void read_header_line(struct connection *c, const char *line) {
    if (!strncasecmp(line, "content-length:", 15) && c->framing != BY_CHUNKS) {
        c->framing = BY_LENGTH;
        c->left = strtoull(line + 15, NULL, 10);
    } else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) {
        c->framing = BY_CHUNKS;
        c->left = 0;
        c->chunk_phase = SIZE;
    } else if (!strncasecmp(line, "connection: close", 17)) {
        c->close_after = true;
    }
}

/* Takes bytes up to the end of the head; *used tells how many. */
static enum progress decode_head(struct connection *c, const char *data, size_t length, size_t *used) {
    size_t before = c->head_length, room = HEAD_BYTES - 1 - before;
    size_t n = length < room ? length : room;
    memcpy(c->head + before, data, n);
    c->head_length += n;
    c->head[c->head_length] = 0;
    char *blank = memmem(c->head, c->head_length, "\r\n\r\n", 4);
    if (!blank) return c->head_length == HEAD_BYTES - 1 ? MALFORMED : MORE;
    if (blank - c->head < 12) return MALFORMED;

    *used = (size_t)(blank - c->head) + 4 - before;
    c->status = atoi(c->head + 9); /* "HTTP/1.1 200" */
    c->framing = BY_CLOSE;
    for (char *line = c->head; line < blank; line = strstr(line, "\r\n") + 2) read_header_line(c, line);
    c->phase = BODY;
    return DONE;
}

static enum progress decode(struct connection *c, const char *data, size_t length) {
    size_t used = 0;
    if (c->phase == HEAD) {
        if (!c->saw_byte && options.streams) add_sample(&first_byte, now_ns() - c->started_at);
        c->saw_byte = true;
        enum progress head = decode_head(c, data, length, &used);
        if (head != DONE) return head;
        if (c->framing == BY_LENGTH && !c->left) return used == length ? DONE : MALFORMED;
    }
    return used < length ? decode_body(c, data + used, length - used) : MORE;
}

static void read_answer(struct connection *c) {
    static char buffer[READ_BYTES];
    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (c->phase == IDLE) { /* nothing was asked: the server closed it, or it talks out of turn */
            if (n > 0) totals.errors++;
            close_connection(c);
            return;
        }
        if (n <= 0) {
            bool complete = n == 0 && c->phase == BODY && c->framing == BY_CLOSE;
            c->close_after = true;
            end(c, complete);
            return;
        }
        enum progress progress = decode(c, buffer, (size_t)n);
        if (progress != MORE) {
            end(c, progress == DONE);
            return;
        }
        if (n < (ssize_t)sizeof buffer) return; /* drained; epoll is level-triggered */
    }
}

/* ---- the loop ------------------------------------------------------------------------------------- */

static void finish_connecting(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        end(c, false);
        return;
    }
    c->phase = HEAD;
    write_request(c);
}

static void handle(struct connection *c, uint32_t events) {
    if (c->fd < 0) return;
    if (c->phase == CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) finish_connecting(c);
        return;
    }
    if (events & EPOLLOUT) write_request(c);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) read_answer(c);
}

static bool over(void) {
    if (!totals.active && !may_begin()) return true;
    return now_ns() >= ends_at + (options.streams ? 0 : DRAIN_NS);
}

static void run_load(struct connection *connections) {
    struct epoll_event events[EVENTS];
    for (int i = 0; i < options.connections; i++) {
        connections[i].fd = -1;
        if (may_begin()) begin(&connections[i]);
    }
    while (!over()) {
        int n = epoll_wait(poller, events, EVENTS, POLL_MS);
        for (int i = 0; i < n; i++) handle(events[i].data.ptr, events[i].events);
    }
}

/* ---- start and result ----------------------------------------------------------------------------- */

static void print_excerpt(char *text) {
    for (char *p = text; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126) *p = '\'';
    printf(",\"bad_body\":\"%s\"", text);
}

static void print_result(double elapsed_s) {
    printf("{\"mode\":\"%s\",\"connections\":%d,\"elapsed_s\":%.3f,\"finished\":%ld,\"ok\":%ld,\"non_2xx\":%ld",
           options.streams ? "streams" : "requests", options.connections, elapsed_s, (long)totals.finished,
           (long)totals.ok, (long)totals.non_2xx);
    printf(",\"errors\":%ld,\"truncated\":%ld,\"unfinished\":%ld,\"opened\":%ld,\"body_bytes\":%ld,\"per_second\":%.1f",
           (long)totals.errors, (long)totals.truncated, (long)totals.active, (long)totals.opened,
           (long)totals.body_bytes, (double)totals.finished / elapsed_s);
    if (options.streams) {
        printf(",\"chunks\":%ld,\"chunks_per_second\":%.0f", (long)totals.chunks, (double)totals.chunks / elapsed_s);
        print_samples("first_byte_us", &first_byte);
        print_samples("first_token_us", &first_token);
        print_samples("total_us", &stream_time);
        print_samples("transit_us", &transit);
    } else {
        print_samples("latency_us", &latency);
    }
    printf(",\"first_bad_status\":%d", totals.first_bad_status);
    print_excerpt(totals.bad_body);
    printf("}\n");
}

static void usage(void) {
    fputs("usage: loadgen requests|streams -p PORT -b BODY_FILE [-u PATH] [-c CONNECTIONS] [-d SECONDS]\n"
          "               [-n STREAMS] [-H \"Name: value\"]...\n",
          stderr);
    exit(2);
}

static void add_header(const char *header) {
    size_t used = strlen(options.extra_headers), room = sizeof options.extra_headers - used;
    if ((size_t)snprintf(options.extra_headers + used, room, "%s\r\n", header) >= room) usage();
}

static void read_options(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "requests") && strcmp(argv[1], "streams"))) usage();
    options.streams = !strcmp(argv[1], "streams");
    optind = 2;
    for (int option; (option = getopt(argc, argv, "p:u:c:d:n:b:H:")) > 0;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'u': options.path = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 'd': options.seconds = atof(optarg); break;
        case 'n': options.stream_count = atol(optarg); break;
        case 'b': options.body_file = optarg; break;
        case 'H': add_header(optarg); break;
        default: usage();
        }
    }
    if (options.port <= 0 || options.connections <= 0 || options.seconds <= 0 || !options.body_file) usage();
    if (options.streams && options.stream_count <= 0) usage();
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) {
        perror(path);
        exit(2);
    }
    *length = (size_t)ftell(file);
    rewind(file);
    char *data = must(malloc(*length + 1));
    if (fread(data, 1, *length, file) != *length) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return data;
}

/* The request is built once: the loop only ever writes the same bytes. */
static void build_request(void) {
    size_t body_length, room = EXTRA_HEADER_BYTES + 1024 + strlen(options.path);
    char *body = read_file(options.body_file, &body_length);
    request = must(malloc(room + body_length));
    int head = snprintf(request, room,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: loadgen/1\r\nAccept: */*\r\n%s"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                        options.path, options.port, options.extra_headers, body_length);
    memcpy(request + head, body, body_length);
    request_length = (size_t)head + body_length;
    free(body);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    build_request();
    signal(SIGPIPE, SIG_IGN);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poller = epoll_create1(0);
    struct connection *connections = must(calloc((size_t)options.connections, sizeof *connections));

    int64_t began_at = now_ns();
    ends_at = began_at + (int64_t)(options.seconds * (double)NS_PER_S);
    run_load(connections);
    print_result((double)(now_ns() - began_at) / (double)NS_PER_S);
    return 0;
}
