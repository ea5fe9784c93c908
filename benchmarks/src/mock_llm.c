/*
 * mock_llm - an LLM provider for benchmarks: one thread, epoll, fast enough never to be the bottleneck.
 *
 *   mock_llm PORT            listens on 127.0.0.1:PORT until it is killed
 *
 * POST on a path that contains "/messages" answers in Anthropic's shape, on any other path in OpenAI's chat
 * shape; "stream": true in the body asks for server-sent events. The model's name steers the answer:
 *
 *   mock-d<ms>-n<chunks>-i<ms>    d: delay before the head (0)   n: content chunks of a stream (20)
 *                                 i: gap between chunks (0 = a firehose, as fast as the reader reads)
 *
 * Whatever stands before "mock-" is ignored. Every content chunk carries "@T<CLOCK_MONOTONIC ns>@", so that a
 * reader on the same machine can tell how long a chunk was under way. The last frames carry the usage.
 *
 * GET /stats answers with counters, any other GET with {"status":"ok"}. Request bodies need a Content-Length.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

enum {
    BACKLOG = 4096,
    EVENTS = 512,
    READ_BYTES = 16384,
    MODEL_BYTES = 128,
    QUEUE_BYTES = 65536, /* a firehose keeps at most about this much waiting for its reader */
    PROMPT_TOKENS = 25,
    REPLY_TOKENS = 42
};

static const char REPLY_TEXT[] =
    "Paris is the capital of France. It lies on the Seine, has been a major centre of finance, diplomacy, "
    "commerce, fashion and science since the 17th century, and remains the largest city of the country by "
    "population today.";

struct dialect;

struct buffer {
    char *bytes;
    size_t start, end, capacity; /* start: already written to the socket */
};

struct connection {
    int fd;
    struct buffer in, out;
    bool wants_write, keep_alive, dead;
    struct connection *next_dead;
    int timer; /* place in the timer heap, -1 when not waiting */
    int64_t due_at;

    bool busy; /* one answer at a time; pipelined requests wait in `in` */
    const struct dialect *dialect;
    bool stream, head_sent;
    long chunks, sent;
    int64_t gap_ns;
    char model[MODEL_BYTES];
};

/* How one wire format spells an answer. */
struct dialect {
    void (*whole)(struct connection *);
    void (*opening)(struct connection *);
    void (*delta)(struct connection *, int64_t stamp);
    void (*closing)(struct connection *);
};

static struct {
    long requests, streams, chunks, accepted, open, aborted;
} stats;

static int poller;
static struct connection *graveyard; /* freed after the batch of events that may still name them */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void *must(void *memory) {
    if (!memory) {
        perror("mock_llm: memory");
        exit(1);
    }
    return memory;
}

/* ---- timers: a binary heap ordered by due_at ------------------------------------------------------ */

static struct connection **heap;
static int heap_size, heap_capacity;

static void place(struct connection *c, int at) {
    heap[at] = c;
    c->timer = at;
}

static void swap_timers(int a, int b) {
    struct connection *c = heap[a];
    place(heap[b], a);
    place(c, b);
}

static void sift_up(int at) {
    for (int parent = (at - 1) / 2; at > 0 && heap[at]->due_at < heap[parent]->due_at; parent = (at - 1) / 2) {
        swap_timers(at, parent);
        at = parent;
    }
}

static void sift_down(int at) {
    for (;;) {
        int soonest = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < heap_size; child++)
            if (heap[child]->due_at < heap[soonest]->due_at) soonest = child;
        if (soonest == at) return;
        swap_timers(at, soonest);
        at = soonest;
    }
}

static void start_timer(struct connection *c) {
    if (heap_size == heap_capacity) {
        heap_capacity = heap_capacity ? 2 * heap_capacity : 256;
        heap = must(realloc(heap, (size_t)heap_capacity * sizeof(struct connection *)));
    }
    place(c, heap_size++);
    sift_up(c->timer);
}

static void stop_timer(struct connection *c) {
    int at = c->timer;
    if (at < 0) return;
    c->timer = -1;
    if (at == --heap_size) return;
    place(heap[heap_size], at);
    sift_up(at);
    sift_down(at);
}

/* ---- bytes in and out ----------------------------------------------------------------------------- */

static void make_room(struct buffer *b, size_t length) {
    if (b->end + length <= b->capacity) return;
    if (b->start) memmove(b->bytes, b->bytes + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
    while (b->end + length > b->capacity) b->capacity = b->capacity ? 2 * b->capacity : 2 * READ_BYTES;
    b->bytes = must(realloc(b->bytes, b->capacity));
}

static void append(struct buffer *b, const char *bytes, size_t length) {
    make_room(b, length);
    memcpy(b->bytes + b->end, bytes, length);
    b->end += length;
}

static void append_text(struct buffer *b, const char *text) { append(b, text, strlen(text)); }

static void want_write(struct connection *c, bool write) {
    if (c->wants_write == write) return;
    c->wants_write = write;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void bury(struct connection *c) {
    if (c->dead) return;
    if (c->busy) stats.aborted++; /* the reader left before the answer was complete */
    stop_timer(c);
    close(c->fd);
    stats.open--;
    c->dead = true;
    c->next_dead = graveyard;
    graveyard = c;
}

static void free_the_dead(void) {
    while (graveyard) {
        struct connection *c = graveyard;
        graveyard = c->next_dead;
        free(c->in.bytes);
        free(c->out.bytes);
        free(c);
    }
}

/* True when everything is written; false when the socket is full or the connection is gone. */
static bool flush(struct connection *c) {
    struct buffer *b = &c->out;
    while (b->start < b->end) {
        ssize_t n = send(c->fd, b->bytes + b->start, b->end - b->start, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) want_write(c, true);
            else bury(c);
            return false;
        }
        b->start += (size_t)n;
    }
    b->start = b->end = 0;
    want_write(c, false);
    return true;
}

/* ---- the two wire formats ------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void send_chunk(struct connection *c, const char *format, ...) {
    char data[1024], size[16];
    va_list arguments;
    va_start(arguments, format);
    size_t length = (size_t)vsnprintf(data, sizeof data, format, arguments);
    va_end(arguments);
    append(&c->out, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", length));
    append(&c->out, data, length);
    append(&c->out, "\r\n", 2);
}

__attribute__((format(printf, 2, 3))) static void send_json(struct connection *c, const char *format, ...) {
    char body[2048], head[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
             "x-request-id: req_mock\r\n\r\n",
             length);
    append_text(&c->out, head);
    append(&c->out, body, (size_t)length);
}

#define CHAT_ID "\"id\":\"chatcmpl-mock0123456789\","
#define CHAT_ORIGIN "\"created\":1700000000,\"model\":\"%s\",\"system_fingerprint\":\"fp_mock\","
#define CHAT_FRAME "data: {" CHAT_ID "\"object\":\"chat.completion.chunk\"," CHAT_ORIGIN "\"choices\":"
#define CHAT_CHOICE(delta, reason) \
    "[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" reason "}],\"usage\":null}\n\n"
#define CHAT_USAGE \
    "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%ld,\"total_tokens\":%ld," \
    "\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}"

static void chat_whole(struct connection *c) {
    send_json(c,
              "{" CHAT_ID "\"object\":\"chat.completion\"," CHAT_ORIGIN
              "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
              "\"logprobs\":null,\"finish_reason\":\"stop\"}]," CHAT_USAGE,
              c->model, REPLY_TEXT, PROMPT_TOKENS, (long)REPLY_TOKENS, (long)(PROMPT_TOKENS + REPLY_TOKENS));
}

static void chat_opening(struct connection *c) {
    send_chunk(c, CHAT_FRAME CHAT_CHOICE("{\"role\":\"assistant\",\"content\":\"\"}", "null"), c->model);
}

static void chat_delta(struct connection *c, int64_t stamp) {
    send_chunk(c, CHAT_FRAME CHAT_CHOICE("{\"content\":\" w@T%lld@\"}", "null"), c->model, (long long)stamp);
}

static void chat_closing(struct connection *c) {
    send_chunk(c, CHAT_FRAME CHAT_CHOICE("{}", "\"stop\""), c->model);
    send_chunk(c, CHAT_FRAME "[]," CHAT_USAGE "\n\ndata: [DONE]\n\n", c->model, PROMPT_TOKENS, c->chunks,
               c->chunks + PROMPT_TOKENS);
}

#define MESSAGE_START \
    "{\"id\":\"msg_mock0123456789\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\",\"content\":"
#define MESSAGE_USAGE \
    "\"usage\":{\"input_tokens\":%d,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0," \
    "\"output_tokens\":%d}}"

static void messages_whole(struct connection *c) {
    send_json(c,
              MESSAGE_START "[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\","
                            "\"stop_sequence\":null," MESSAGE_USAGE,
              c->model, REPLY_TEXT, PROMPT_TOKENS, REPLY_TOKENS);
}

static void messages_opening(struct connection *c) {
    send_chunk(c,
               "event: message_start\ndata: {\"type\":\"message_start\",\"message\":" MESSAGE_START
               "[],\"stop_reason\":null,\"stop_sequence\":null," MESSAGE_USAGE "}\n\n",
               c->model, PROMPT_TOKENS, 1);
    send_chunk(c, "event: content_block_start\n"
                  "data: {\"type\":\"content_block_start\",\"index\":0,"
                  "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                  "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void messages_delta(struct connection *c, int64_t stamp) {
    send_chunk(c,
               "event: content_block_delta\n"
               "data: {\"type\":\"content_block_delta\",\"index\":0,"
               "\"delta\":{\"type\":\"text_delta\",\"text\":\" w@T%lld@\"}}\n\n",
               (long long)stamp);
}

static void messages_closing(struct connection *c) {
    send_chunk(c,
               "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
               "event: message_delta\n"
               "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
               "\"usage\":{\"output_tokens\":%ld}}\n\n"
               "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
               c->chunks);
}

static const struct dialect CHAT = {chat_whole, chat_opening, chat_delta, chat_closing};
static const struct dialect MESSAGES = {messages_whole, messages_opening, messages_delta, messages_closing};

/* ---- answering ------------------------------------------------------------------------------------ */

static void send_stream_head(struct connection *c) {
    append_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                         "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n"
                         "x-request-id: req_mock\r\n\r\n");
    c->head_sent = true;
}

static void send_one(struct connection *c) {
    if (!c->sent) c->dialect->opening(c);
    c->dialect->delta(c, now_ns());
    c->sent++;
    stats.chunks++;
}

static void finish_stream(struct connection *c) {
    c->dialect->closing(c);
    append(&c->out, "0\r\n\r\n", 5);
    c->busy = false;
}

/* As much as the reader takes; the rest when epoll says that there is room again. */
static void pour(struct connection *c) {
    while (c->busy) {
        while (c->sent < c->chunks && c->out.end - c->out.start < QUEUE_BYTES) send_one(c);
        if (c->sent >= c->chunks) finish_stream(c);
        if (!flush(c)) return;
    }
}

static void pace(struct connection *c) {
    if (c->sent >= c->chunks) {
        finish_stream(c);
        flush(c);
        return;
    }
    send_one(c);
    if (!flush(c) && c->dead) return;
    int64_t now = now_ns();
    c->due_at += c->gap_ns;
    if (c->due_at < now) c->due_at = now;
    start_timer(c);
}

/* The next step of the answer under way. */
static void answer(struct connection *c) {
    if (!c->stream) {
        c->dialect->whole(c);
        c->busy = false;
        flush(c);
        return;
    }
    if (!c->head_sent) send_stream_head(c);
    if (c->gap_ns) pace(c);
    else pour(c);
}

static void answer_get(struct connection *c, bool counters) {
    if (!counters) {
        send_json(c, "{\"status\":\"ok\"}");
    } else {
        send_json(c,
                  "{\"requests\":%ld,\"streams\":%ld,\"chunks\":%ld,\"accepted\":%ld,\"open\":%ld,\"aborted\":%ld}",
                  stats.requests, stats.streams, stats.chunks, stats.accepted, stats.open, stats.aborted);
    }
    flush(c);
}

/* ---- reading requests ----------------------------------------------------------------------------- */

/* The first byte of the value of "name", or NULL. A plain search: quotes inside strings are escaped. */
static const char *find_value(const char *body, const char *end, const char *quoted_name) {
    const char *p = memmem(body, (size_t)(end - body), quoted_name, strlen(quoted_name));
    if (!p) return NULL;
    p += strlen(quoted_name);
    while (p < end && (*p == ' ' || *p == ':')) p++;
    return p < end ? p : NULL;
}

static void read_model(struct connection *c, const char *body, const char *end) {
    const char *value = find_value(body, end, "\"model\"");
    size_t length = 0;
    if (value && *value == '"')
        for (value++; value < end && *value != '"' && length < MODEL_BYTES - 1; value++) c->model[length++] = *value;
    c->model[length] = 0;
}

/* Reads the directives behind "mock-" and returns the delay before the head. */
static int64_t obey_model(struct connection *c) {
    int64_t delay_ns = 0;
    char *p = strstr(c->model, "mock-");
    if (!p) return 0;
    for (p += strlen("mock-"); *p;) {
        char directive = *p++;
        long value = strtol(p, &p, 10);
        if (directive == 'd') delay_ns = value * NS_PER_MS;
        else if (directive == 'n') c->chunks = value;
        else if (directive == 'i') c->gap_ns = value * NS_PER_MS;
    }
    return delay_ns;
}

static void begin_answer(struct connection *c, bool messages, const char *body, const char *end) {
    const char *stream = find_value(body, end, "\"stream\"");
    c->dialect = messages ? &MESSAGES : &CHAT;
    c->stream = stream && *stream == 't';
    c->chunks = 20;
    c->gap_ns = c->sent = 0;
    c->head_sent = false;
    c->busy = true;
    read_model(c, body, end);
    stats.requests++;
    stats.streams += c->stream;

    int64_t delay_ns = obey_model(c);
    c->due_at = now_ns() + delay_ns;
    if (delay_ns) start_timer(c);
    else answer(c);
}

/* The declared length of the body, or -1 when there is none to go by. */
static long read_head(struct connection *c, const char *head, const char *head_end) {
    long length = strncmp(head, "GET ", 4) ? -1 : 0;
    c->keep_alive = true;
    for (const char *line = head; line < head_end; line = strstr(line, "\r\n") + 2) {
        if (!strncasecmp(line, "content-length:", 15)) length = strtol(line + 15, NULL, 10);
        else if (!strncasecmp(line, "connection: close", 17)) c->keep_alive = false;
    }
    return length;
}

static void refuse(struct connection *c) {
    append_text(&c->out, "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    c->keep_alive = false;
    flush(c);
}

/* Serves one request of the input; false when there is no whole one. */
static bool serve_one(struct connection *c) {
    struct buffer *in = &c->in;
    char *head = in->bytes + in->start;
    char *blank = in->end > in->start ? memmem(head, in->end - in->start, "\r\n\r\n", 4) : NULL;
    if (!blank) return false;
    long length = read_head(c, head, blank);
    if (length < 0) {
        refuse(c);
        return true;
    }
    char *body = blank + 4;
    if (in->bytes + in->end - body < length) return false;
    in->start = (size_t)(body - in->bytes + length); /* the bytes stay where they are until the next read */

    size_t line = (size_t)(strstr(head, "\r\n") - head);
    if (!strncmp(head, "GET ", 4)) answer_get(c, memmem(head, line, " /stats ", 8));
    else begin_answer(c, memmem(head, line, "/messages", 9), body, body + length);
    return true;
}

/* True when nothing more is to be read: dead, or told to close (then as soon as all is written). */
static bool closing(struct connection *c) {
    if (c->dead) return true;
    if (c->keep_alive || c->busy) return false;
    if (c->out.start == c->out.end) bury(c);
    return true;
}

static void serve(struct connection *c) {
    while (!closing(c) && !c->busy && serve_one(c)) continue;
}

/* Goes on with the answer under way, then with the requests that came meanwhile. */
static void resume(struct connection *c) {
    answer(c);
    serve(c);
}

/* ---- the loop ------------------------------------------------------------------------------------- */

static void accept_all(int listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *c = must(calloc(1, sizeof *c));
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        c->timer = -1;
        c->keep_alive = true;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        stats.accepted++;
        stats.open++;
    }
}

/* False when the peer is gone. */
static bool read_all(struct connection *c) {
    for (;;) {
        make_room(&c->in, READ_BYTES);
        ssize_t n = recv(c->fd, c->in.bytes + c->in.end, c->in.capacity - c->in.end, 0);
        if (n < 0) return errno == EAGAIN;
        if (n == 0) return false;
        c->in.end += (size_t)n;
        if (n < READ_BYTES) return true;
    }
}

static void handle(struct connection *c, uint32_t events) {
    if (c->dead) return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        if (!read_all(c)) {
            bury(c);
            return;
        }
        serve(c);
    }
    if (c->dead || !(events & EPOLLOUT) || !flush(c)) return;
    if (c->busy && c->stream && !c->gap_ns && c->timer < 0) resume(c);
    else serve(c);
}

static void fire_timers(void) {
    for (int64_t now = now_ns(); heap_size && heap[0]->due_at <= now;) {
        struct connection *c = heap[0];
        stop_timer(c);
        resume(c);
    }
}

static int wait_for_events(struct epoll_event *events) {
    struct timespec wait, *timeout = NULL;
    if (heap_size) {
        int64_t ns = heap[0]->due_at - now_ns();
        if (ns < 0) ns = 0;
        wait = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
        timeout = &wait;
    }
    return epoll_pwait2(poller, events, EVENTS, timeout, NULL);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG)) {
        perror("mock_llm: bind");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (port <= 0) {
        fputs("usage: mock_llm PORT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on(port);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = wait_for_events(events);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
            else accept_all(listener);
        }
        fire_timers();
        free_the_dead();
    }
}
