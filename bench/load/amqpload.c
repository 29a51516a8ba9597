/* SPDX-License-Identifier: Apache-2.0 */
/* amqpload - a lean AMQP 1.0 load generator for measuring routers and brokers.
 *
 * One thread, epoll, pre-encoded frames: it costs so little that the peer under test is what is measured.
 * Each pair is one sending connection and one receiving connection on its own address. What it prints is
 * one JSON line: messages per second, latency percentiles and, for the processes named with --pid, the CPU
 * microseconds that they spent per message (user + system, from /proc), which is the figure to compare.
 *
 *   cc -O2 -o amqpload amqpload.c
 *   ./amqpload --to 127.0.0.1:5672 --from 127.0.0.1:5672 --pairs 1 --size 100 --seconds 5 --pid $ROUTER_PID
 *
 * Options
 *   --to H:P, --from H:P   where the senders and the receivers connect (default 127.0.0.1:5672)
 *   --address PREFIX       address of pair i is PREFIX/i (default bench)
 *   --single-address       every pair uses PREFIX/0
 *   --pairs N              sender/receiver pairs (default 1);  --receivers N  receivers per pair (default 1)
 *   --size BYTES           body bytes per message (default 100)
 *   --settled              send pre-settled (default: unsettled, each receiver accepts)
 *   --credit N             credit window of each receiver (default 1000)
 *   --batch-ack N          receiver acknowledges at most every N messages (default 64; always at a read's end)
 *   --window N             most unsettled messages a sender keeps in flight (default: the credit it is given)
 *   --rate N               open loop: N messages a second over all senders, latency recorded (default: flat out)
 *   --warmup S --seconds S unmeasured and measured time (default 1 and 5)
 *   --pid P[,P...]         processes whose CPU time is charged to the messages
 *   --idle N               open N extra idle connections first, each with one receiver on its own address; with --pairs 0
 *                          nothing else: it prints the peer's memory after a twentieth of them and after all
 *   --beside BYTES         one pair more, flat out, with messages of this size and a credit of 20, that is not counted
 *   --user U --password P  SASL PLAIN (default ANONYMOUS)
 * Exit status: 0, or 1 when nothing was delivered, a peer closed, or messages were lost or refused.
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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8; typedef uint32_t u32; typedef uint64_t u64;
enum { RX = 1 << 18, TX = 1 << 18 };

static const char *to_s = "127.0.0.1:5672", *from_s = "127.0.0.1:5672", *prefix = "bench", *user, *password;
static int pairs = 1, receivers = 1, size = 100, beside, settled, credit_window = 1000, batch_ack = 64, single_address, idle_n;
static u32 window_max = 0xffffffffu;
static double rate, warmup = 1, seconds = 5;
static int pids[64], npids;

typedef struct conn {
    int fd, is_sender, index, dead, size, window, is_beside;
    u8 *rx; u32 rxn;
    u8 *tx; u32 txn, txo; int want_write;
    u32 peer_max_frame;
    /* sender */
    u32 delivery_count, credit, next_out, remote_window; u64 sent, acked, refused;
    u32 partial; /* bytes of the current message already framed */
    u64 next_due_ns;
    /* receiver */
    u32 received, granted, first_unacked, last_id, done_id; int have_unacked; u32 unacked; int in_message; u32 body_seen; u64 stamp;
    u64 got;
} conn;

static int ep;
static u64 now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (u64)t.tv_sec * 1000000000ull + t.tv_nsec; }
static void die(const char *what) { fprintf(stderr, "amqpload: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : ""); exit(1); }
static u32 rd32(const u8 *p) { return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static void wr32(u8 *p, u32 v) { p[0] = v >> 24; p[1] = v >> 16; p[2] = v >> 8; p[3] = v; }

/* ---- a cursor over one encoded value ---- */
static const u8 *skip(const u8 *p) {
    u8 c = *p++;
    if (c == 0x00) { p = skip(p); return skip(p); }
    switch (c >> 4) {
    case 0x4: return p;
    case 0x5: return p + 1;
    case 0x6: return p + 2;
    case 0x7: return p + 4;
    case 0x8: return p + 8;
    case 0x9: return p + 16;
    case 0xa: case 0xc: case 0xe: return p + 1 + p[0];
    default: return p + 4 + rd32(p);
    }
}
static u32 as_u32(const u8 *p, u32 dflt) {
    switch (*p) { case 0x43: return 0; case 0x52: return p[1]; case 0x70: return rd32(p + 1); default: return dflt; }
}
static int as_bool(const u8 *p) { return *p == 0x41 || (*p == 0x56 && p[1]); }
/* fields of a performative's list; returns how many, and where the list ends */
static int list_fields(const u8 *p, const u8 **f, int max, const u8 **end) {
    u32 n; const u8 *e;
    if (*p == 0x45) { *end = p + 1; return 0; }
    if (*p == 0xc0) { e = p + 2 + p[1]; n = p[2]; p += 3; }
    else if (*p == 0xd0) { e = p + 5 + rd32(p + 1); n = rd32(p + 5); p += 9; }
    else { die("a performative is no list"); return 0; }
    for (u32 i = 0; i < n; i++) { if ((int)i < max) f[i] = p; p = skip(p); }
    *end = e;
    return (int)n < max ? (int)n : max;
}

/* ---- writing ---- */
static u8 *out(conn *c, u32 need) {
    if (c->txn + need > TX) {
        memmove(c->tx, c->tx + c->txo, c->txn - c->txo); c->txn -= c->txo; c->txo = 0;
        if (c->txn + need > TX) return NULL;
    }
    return c->tx + c->txn;
}
static u8 *w_str(u8 *p, u8 code, const char *s) { size_t n = strlen(s); *p++ = code; *p++ = (u8)n; memcpy(p, s, n); return p + n; }
static u8 *w_u32(u8 *p, u32 v) { *p++ = 0x70; wr32(p, v); return p + 4; }
static u8 *frame_begin(u8 *p, u8 type, u8 code) { /* 8 header, 3 descriptor, list32 header 9 */
    p[4] = 2; p[5] = type; p[6] = p[7] = 0; p[8] = 0; p[9] = 0x53; p[10] = code; p[11] = 0xd0; return p + 20;
}
static void frame_end(conn *c, u8 *base, u8 *p, u32 count) {
    wr32(base + 12, (u32)(p - base - 16)); wr32(base + 16, count); wr32(base, (u32)(p - base)); c->txn += (u32)(p - base);
}
static void flush_tx(conn *c) {
    while (c->txo < c->txn) {
        ssize_t n = write(c->fd, c->tx + c->txo, c->txn - c->txo);
        if (n < 0) { if (errno == EAGAIN) break; c->dead = 1; return; }
        c->txo += (u32)n;
    }
    if (c->txo == c->txn) c->txo = c->txn = 0;
    int want = c->txo < c->txn;
    if (want != c->want_write && ep) {
        struct epoll_event e = { .events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = c };
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); c->want_write = want;
    }
}

/* ---- the opening, done blocking ---- */
static void need(conn *c, u32 n) {
    while (c->rxn < n) { ssize_t r = read(c->fd, c->rx + c->rxn, RX - c->rxn); if (r <= 0) die("the peer closed while connecting"); c->rxn += (u32)r; }
}
static void eat(conn *c, u32 n) { memmove(c->rx, c->rx + n, c->rxn - n); c->rxn -= n; }
static u8 next_frame(conn *c, const u8 **fields, int max, int *nf) { /* leaves the frame in rx; caller eats */
    const u8 *end;
    for (;;) {
        need(c, 8); u32 n = rd32(c->rx); need(c, n);
        if (n == 8) { eat(c, 8); continue; }
        const u8 *p = c->rx + c->rx[4] * 4;
        u8 code = p[1] == 0x53 ? p[2] : p[9]; p = skip(p + 1);
        *nf = list_fields(p, fields, max, &end);
        return code;
    }
}
static void eat_frame(conn *c) { eat(c, rd32(c->rx)); }
static conn *dial(const char *where, int is_sender, int index, const char *address, int is_beside) {
    conn *c = calloc(1, sizeof *c); c->is_beside = is_beside; c->size = is_beside ? beside : size; c->window = is_beside ? 20 : credit_window; c->rx = malloc(RX); c->tx = malloc(TX); c->is_sender = is_sender; c->index = index;
    char host[64]; const char *colon = strrchr(where, ':'); if (!colon) die("where is H:P");
    snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1)) };
    if (!inet_aton(host, &a.sin_addr)) die("host is a dotted IPv4 address");
    c->fd = socket(AF_INET, SOCK_STREAM, 0); int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    errno = 0; if (connect(c->fd, (void *)&a, sizeof a)) die(where);
    const u8 *f[16]; int nf; u8 *b, *p; char name[64]; snprintf(name, sizeof name, "amqpload-%d-%s%d", (int)getpid(), is_sender ? "s" : "r", index);
    memcpy(c->tx, "AMQP\3\1\0\0", 8); c->txn = 8; flush_tx(c); need(c, 8); if (memcmp(c->rx, "AMQP\3", 5)) die("no SASL layer offered"); eat(c, 8);
    if (next_frame(c, f, 16, &nf) != 0x40) die("no SASL mechanisms");
    eat_frame(c);
    b = out(c, 512); p = frame_begin(b, 1, 0x41);
    if (user) { p = w_str(p, 0xa3, "PLAIN"); *p++ = 0xa0; u8 *l = p++; *p++ = 0; p = (u8 *)stpcpy((char *)p, user); *p++ = 0; p = (u8 *)stpcpy((char *)p, password ? password : ""); *l = (u8)(p - l - 1); frame_end(c, b, p, 2); }
    else { p = w_str(p, 0xa3, "ANONYMOUS"); frame_end(c, b, p, 1); }
    flush_tx(c);
    if (next_frame(c, f, 16, &nf) != 0x44 || (f[0][0] == 0x50 && f[0][1] != 0)) die("SASL refused");
    eat_frame(c);
    memcpy(c->tx, "AMQP\0\1\0\0", 8); c->txn = 8;
    b = out(c, 512); p = frame_begin(b, 0, 0x10); p = w_str(p, 0xa1, name); p = w_str(p, 0xa1, host); p = w_u32(p, 65536); *p++ = 0x60; *p++ = 0; *p++ = 10; frame_end(c, b, p, 4);
    b = out(c, 512); p = frame_begin(b, 0, 0x11); *p++ = 0x40; p = w_u32(p, 0); p = w_u32(p, 0x7fffffff); p = w_u32(p, 0x7fffffff); frame_end(c, b, p, 4);
    b = out(c, 1024); p = frame_begin(b, 0, 0x12); p = w_str(p, 0xa1, name); *p++ = 0x43; *p++ = is_sender ? 0x42 : 0x41; *p++ = 0x50; *p++ = (is_sender && settled) ? 1 : (is_sender ? 0 : 2); *p++ = 0x50; *p++ = 0;
    u8 *q;
    if (is_sender) { *p++ = 0; *p++ = 0x53; *p++ = 0x28; *p++ = 0x45; }
    else { *p++ = 0; *p++ = 0x53; *p++ = 0x28; *p++ = 0xc0; q = p++; *p++ = 1; p = w_str(p, 0xa1, address); *q = (u8)(p - q - 1); }
    if (is_sender) { *p++ = 0; *p++ = 0x53; *p++ = 0x29; *p++ = 0xc0; q = p++; *p++ = 1; p = w_str(p, 0xa1, address); *q = (u8)(p - q - 1); }
    else { *p++ = 0; *p++ = 0x53; *p++ = 0x29; *p++ = 0x45; }
    if (is_sender) { *p++ = 0x40; *p++ = 0x40; *p++ = 0x43; frame_end(c, b, p, 10); } else frame_end(c, b, p, 7);
    if (!is_sender) { b = out(c, 256); p = frame_begin(b, 0, 0x13); p = w_u32(p, 0); p = w_u32(p, 0x7fffffff); p = w_u32(p, 0); p = w_u32(p, 0x7fffffff); *p++ = 0x43; p = w_u32(p, 0); p = w_u32(p, (u32)c->window); frame_end(c, b, p, 7); c->granted = (u32)c->window; }
    flush_tx(c); need(c, 8); if (memcmp(c->rx, "AMQP\0", 5)) die("no AMQP layer offered"); eat(c, 8);
    c->peer_max_frame = 65536; c->remote_window = 0x7fffffff;
    for (;;) {
        u8 code = next_frame(c, f, 16, &nf);
        if (code == 0x10 && nf > 2) { u32 m = as_u32(f[2], 0xffffffffu); c->peer_max_frame = m < 65536 ? m : 65536; }
        if (code == 0x11 && nf > 2) c->remote_window = as_u32(f[2], 0x7fffffff);
        if (code == 0x17 || code == 0x16 || code == 0x18) die("the peer refused the link");
        if (code == 0x12) { eat_frame(c); break; }
        eat_frame(c);
    }
    return c;
}

/* ---- the load ---- */
static u64 lat_n, lat_hist[64 * 64]; /* 64 linear steps per power of two */
static void lat_add(u64 ns) { int e = 63 - __builtin_clzll(ns | 1); u32 i = e < 6 ? (u32)ns : (u32)((e - 5) * 64 + ((ns >> (e - 6)) & 63)); lat_hist[i]++; lat_n++; }
static double lat_at(double q) {
    u64 want = (u64)(q * (double)lat_n), seen = 0;
    for (u32 i = 0; i < 64 * 64; i++) { seen += lat_hist[i]; if (seen > want) { u32 e = i / 64; return e == 0 ? i / 1e3 : (double)((64ull + i % 64) << (e - 1)) / 1e3; } }
    return 0;
}
static int measuring; static u64 m_got, m_acked, m_beside;
static u8 *body;
static u32 header_room(u32 id) { (void)id; return 8 + 3 + 9 + 1 + 5 + 6 + 1 + 1 + 1; }

static int send_one(conn *c) { /* one whole message, in as many frames as the peer's frame size asks for; 0 when there is no room */
    u32 total = (u32)c->size + 8, sent = c->partial; /* section header 8 (data, vbin32) counted in */
    while (sent < total) {
        if (!c->remote_window) { c->partial = sent; return 0; }
        u32 room = c->peer_max_frame - header_room(0), n = total - sent < room ? total - sent : room;
        u8 *b = out(c, n + 64), *p; if (!b) { c->partial = sent; return 0; }
        p = frame_begin(b, 0, 0x14);
        *p++ = 0x43; p = w_u32(p, (u32)c->sent); *p++ = 0xa0; *p++ = 4; wr32(p, (u32)c->sent); p += 4; *p++ = 0x43; *p++ = settled ? 0x41 : 0x42; *p++ = sent + n < total ? 0x41 : 0x42;
        u8 *list_end = p;
        if (sent == 0) { *p++ = 0; *p++ = 0x53; *p++ = 0x75; *p++ = 0xb0; wr32(p, (u32)c->size); p += 4; u64 t = now_ns(); memcpy(body, &t, 8); memcpy(p, body, n - 8); p += n - 8; }
        else { memcpy(p, body + sent - 8, n); p += n; }
        wr32(b + 12, (u32)(list_end - b - 16)); wr32(b + 16, 6); wr32(b, (u32)(p - b)); c->txn += (u32)(p - b);
        sent += n; c->next_out++; c->remote_window--;
    }
    c->partial = 0; c->sent++; c->delivery_count++; c->credit--;
    return 1;
}
static u64 gap_ns;
static void pump(conn *c, u64 t) {
    if (!c->is_sender || c->dead) return;
    int budget = 512; u64 gap = c->is_beside ? 0 : gap_ns;
    while (c->credit && budget-- && c->sent - c->acked - c->refused < window_max) {
        if (gap) { if (t < c->next_due_ns) break; }
        if (c->txn - c->txo > TX / 2) break;
        if (!send_one(c)) break;
        if (settled) c->acked++;
        if (gap) c->next_due_ns += gap;
    }
    flush_tx(c);
}
static void ack(conn *c) {
    if (!c->have_unacked) return;
    u8 *b = out(c, 64), *p; if (!b) return;
    p = frame_begin(b, 0, 0x15); *p++ = 0x41; p = w_u32(p, c->first_unacked); p = w_u32(p, c->done_id); *p++ = 0x41; *p++ = 0; *p++ = 0x53; *p++ = 0x24; *p++ = 0x45; frame_end(c, b, p, 5);
    c->have_unacked = 0; c->unacked = 0;
}
static void on_frame(conn *c, const u8 *fr, u32 n) {
    if (n == 8) return;
    const u8 *f[16], *end, *p = fr + fr[4] * 4; u8 code = p[1] == 0x53 ? p[2] : p[9]; p = skip(p + 1); int nf = list_fields(p, f, 16, &end);
    switch (code) {
    case 0x13: /* flow */
        if (nf > 1) { u32 nii = f[0][0] == 0x40 ? 0 : as_u32(f[0], 0); c->remote_window = nii + as_u32(f[1], 0) - c->next_out; }
        if (c->is_sender && nf > 6 && f[4][0] != 0x40) { u32 dc = f[5][0] == 0x40 ? 0 : as_u32(f[5], 0); c->credit = dc + as_u32(f[6], 0) - c->delivery_count; if (nf > 8 && as_bool(f[8])) { c->delivery_count += c->credit; c->credit = 0; } }
        if (nf > 9 && as_bool(f[9]) && !c->is_sender) { u8 *b = out(c, 128), *q = frame_begin(b, 0, 0x13); q = w_u32(q, c->received); q = w_u32(q, 0x7fffffff); q = w_u32(q, 0); q = w_u32(q, 0x7fffffff); frame_end(c, b, q, 4); }
        break;
    case 0x14: { /* transfer */
        int more = nf > 5 && as_bool(f[5]), is_settled = nf > 4 && as_bool(f[4]);
        u32 pay = (u32)(fr + n - end);
        if (!c->in_message) {
            c->last_id = as_u32(f[1], c->last_id + 1);
            if (gap_ns && !c->is_beside) { /* find the stamp: skip annotation sections up to the data section */
                const u8 *q = end; while (q < fr + n && q[2] != 0x75) q = skip(q); if (q < fr + n) { q += 3; q += *q == 0xb0 ? 5 : 2; memcpy(&c->stamp, q, 8); }
            }
        }
        (void)pay; c->in_message = more;
        if (!more) {
            c->received++; c->got++; c->done_id = c->last_id;
            if (measuring) { if (c->is_beside) m_beside++; else { m_got++; if (gap_ns && c->stamp) lat_add(now_ns() - c->stamp); } }
            if (!is_settled) { if (!c->have_unacked) { c->have_unacked = 1; c->first_unacked = c->last_id; } if ((int)++c->unacked >= batch_ack) ack(c); }
            if (c->granted - c->received < (u32)c->window / 2) {
                u8 *b = out(c, 128), *q; if (b) { q = frame_begin(b, 0, 0x13); q = w_u32(q, c->last_id + 1); q = w_u32(q, 0x7fffffff); q = w_u32(q, 0); q = w_u32(q, 0x7fffffff); *q++ = 0x43; q = w_u32(q, c->received); q = w_u32(q, (u32)c->window); frame_end(c, b, q, 7); c->granted = c->received + (u32)c->window; }
            }
        }
        break; }
    case 0x15: /* disposition */
        if (c->is_sender && nf > 1) {
            u32 first = as_u32(f[1], 0), last = nf > 2 && f[2][0] != 0x40 ? as_u32(f[2], first) : first, k = last - first + 1;
            int ok = nf > 4 && f[4][0] == 0 && f[4][1] == 0x53 && f[4][2] == 0x24;
            if (nf > 3 && as_bool(f[3])) { if (ok) { c->acked += k; if (measuring && !c->is_beside) m_acked += k; } else c->refused += k; }
        }
        break;
    case 0x16: case 0x17: case 0x18: c->dead = 1; fprintf(stderr, "amqpload: the peer ended %s %d (performative 0x%02x)\n", c->is_sender ? "sender" : "receiver", c->index, code); break;
    default: break;
    }
}
static void on_readable(conn *c) {
    ssize_t n = read(c->fd, c->rx + c->rxn, RX - c->rxn);
    if (n <= 0) { if (n < 0 && errno == EAGAIN) return; c->dead = 1; return; }
    c->rxn += (u32)n; u32 at = 0;
    while (c->rxn - at >= 8) { u32 k = rd32(c->rx + at); if (k > RX) die("a frame is larger than was agreed"); if (c->rxn - at < k) break; on_frame(c, c->rx + at, k); at += k; }
    if (at) eat(c, at);
    if (!c->is_sender) { ack(c); flush_tx(c); }
}
static double cpu_of_pids(void) {
    double s = 0; long hz = sysconf(_SC_CLK_TCK);
    for (int i = 0; i < npids; i++) {
        char path[64], buf[1024]; snprintf(path, sizeof path, "/proc/%d/stat", pids[i]); FILE *f = fopen(path, "r"); if (!f) continue;
        size_t n = fread(buf, 1, sizeof buf - 1, f); buf[n] = 0; fclose(f); char *p = strrchr(buf, ')'); unsigned long ut, st;
        if (p && sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st) == 2) s += (double)(ut + st) / (double)hz;
    }
    return s;
}
static long rss_of_pids(void) {
    long kb = 0;
    for (int i = 0; i < npids; i++) { char path[64], line[256]; snprintf(path, sizeof path, "/proc/%d/status", pids[i]); FILE *f = fopen(path, "r"); if (!f) continue; long v; while (fgets(line, sizeof line, f)) if (sscanf(line, "VmRSS: %ld", &v) == 1) kb += v; fclose(f); }
    return kb;
}
static double own_cpu(void) { struct rusage r; getrusage(RUSAGE_SELF, &r); return (double)r.ru_utime.tv_sec + r.ru_utime.tv_usec / 1e6 + (double)r.ru_stime.tv_sec + r.ru_stime.tv_usec / 1e6; }

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
#define VAL (++i < argc ? argv[i] : (die("an option lacks its value"), ""))
        if (!strcmp(a, "--to")) to_s = VAL; else if (!strcmp(a, "--from")) from_s = VAL; else if (!strcmp(a, "--address")) prefix = VAL;
        else if (!strcmp(a, "--pairs")) pairs = atoi(VAL); else if (!strcmp(a, "--receivers")) receivers = atoi(VAL); else if (!strcmp(a, "--size")) size = atoi(VAL);
        else if (!strcmp(a, "--settled")) settled = 1; else if (!strcmp(a, "--single-address")) single_address = 1; else if (!strcmp(a, "--credit")) credit_window = atoi(VAL);
        else if (!strcmp(a, "--batch-ack")) batch_ack = atoi(VAL); else if (!strcmp(a, "--window")) window_max = (u32)atoi(VAL); else if (!strcmp(a, "--rate")) rate = atof(VAL);
        else if (!strcmp(a, "--warmup")) warmup = atof(VAL); else if (!strcmp(a, "--seconds")) seconds = atof(VAL); else if (!strcmp(a, "--idle")) idle_n = atoi(VAL); else if (!strcmp(a, "--beside")) beside = atoi(VAL);
        else if (!strcmp(a, "--user")) user = VAL; else if (!strcmp(a, "--password")) password = VAL;
        else if (!strcmp(a, "--pid")) { char *s = VAL; for (char *t = strtok(s, ","); t && npids < 64; t = strtok(NULL, ",")) pids[npids++] = atoi(t); }
        else { fprintf(stderr, "amqpload: unknown option %s (the options are at the head of amqpload.c)\n", a); return 2; }
    }
    if (size < 8) size = 8;
    if (beside && beside < 8) beside = 8;
    struct rlimit rl = { 65536, 65536 }; setrlimit(RLIMIT_NOFILE, &rl);
    size_t largest = (size_t)(beside > size ? beside : size) + 64; body = malloc(largest); memset(body, 'x', largest);
    int n = pairs * (1 + receivers) + (beside ? 2 : 0), k = 0, first = idle_n / 20; conn **cs = calloc((size_t)(n + idle_n), sizeof *cs); char address[128];
    long rss_first = 0;
    for (int i = 0; i < idle_n; i++) { if (i == first) { usleep(500000); rss_first = rss_of_pids(); } snprintf(address, sizeof address, "%s-idle/%d", prefix, i); conn *c = dial(from_s, 0, 100000 + i, address, 0); free(c->rx); free(c->tx); c->rx = c->tx = NULL; }
    if (idle_n && !n) { usleep(500000); long rss = rss_of_pids(); printf("{\"idle\":%d,\"peer_rss_kb\":%ld,\"kb_per_connection\":%.2f}\n", idle_n, rss, (double)(rss - rss_first) / (idle_n - first)); return 0; }
    for (int i = 0; i < pairs; i++) for (int r = 0; r < receivers; r++) { snprintf(address, sizeof address, "%s/%d", prefix, single_address ? 0 : i); cs[k++] = dial(from_s, 0, i * receivers + r, address, 0); }
    if (beside) { snprintf(address, sizeof address, "%s-beside", prefix); cs[k++] = dial(from_s, 0, pairs * receivers, address, 1); }
    usleep(200000); /* let the addresses travel */
    for (int i = 0; i < pairs; i++) { snprintf(address, sizeof address, "%s/%d", prefix, single_address ? 0 : i); cs[k++] = dial(to_s, 1, i, address, 0); }
    if (beside) { snprintf(address, sizeof address, "%s-beside", prefix); cs[k++] = dial(to_s, 1, pairs, address, 1); }
    ep = epoll_create1(0);
    for (int i = 0; i < n; i++) { fcntl(cs[i]->fd, F_SETFL, O_NONBLOCK); struct epoll_event e = { .events = EPOLLIN, .data.ptr = cs[i] }; epoll_ctl(ep, EPOLL_CTL_ADD, cs[i]->fd, &e); u32 at = 0; conn *c = cs[i]; while (c->rxn - at >= 8) { u32 m = rd32(c->rx + at); if (c->rxn - at < m) break; on_frame(c, c->rx + at, m); at += m; } eat(c, at); }
    u64 t0 = now_ns(), t_meas = t0 + (u64)(warmup * 1e9), t_end = t_meas + (u64)(seconds * 1e9), t_start = 0, t_beat = t0; double cpu0 = 0, own0 = 0;
    if (rate > 0) { gap_ns = (u64)(1e9 * pairs / rate); for (int i = 0; i < n; i++) if (!cs[i]->is_beside) cs[i]->next_due_ns = t0 + gap_ns * (u64)(cs[i]->index) / (u64)pairs; }
    struct epoll_event ev[256]; int bad = 0;
    for (;;) {
        u64 t = now_ns();
        if (!measuring && t >= t_meas) { measuring = 1; t_start = t; cpu0 = cpu_of_pids(); own0 = own_cpu(); }
        if (t >= t_end) break;
        for (int i = 0; i < n; i++) if (cs[i]->is_sender) pump(cs[i], t);
        int m = epoll_wait(ep, ev, 256, gap_ns && gap_ns < 1000000 ? 0 : 1);
        for (int i = 0; i < m; i++) { conn *c = ev[i].data.ptr; if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c); if (ev[i].events & EPOLLOUT) flush_tx(c); if (c->dead) { epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL); bad++; } }
        if (t - t_beat > 2000000000ull) { t_beat = t; for (int i = 0; i < n; i++) { u8 *b = out(cs[i], 8); if (b) { memcpy(b, "\0\0\0\10\2\0\0\0", 8); cs[i]->txn += 8; flush_tx(cs[i]); } } }
        if (bad >= n) break;
    }
    double dt = (double)(now_ns() - t_start) / 1e9, cpu = cpu_of_pids() - cpu0, own = own_cpu() - own0; u64 refused = 0; for (int i = 0; i < n; i++) refused += cs[i]->refused;
    u64 units = m_got ? m_got : 1;
    printf("{\"msgs_per_s\":%.0f,\"mb_per_s\":%.1f,\"accepted_per_s\":%.0f,\"refused\":%llu,\"peer_cpu_us_per_msg\":%.3f,\"peer_cpu_share\":%.2f,\"peer_rss_kb\":%ld,\"own_cpu_share\":%.2f", (double)m_got / dt, (double)m_got * size / dt / 1e6, (double)m_acked / dt, (unsigned long long)refused, cpu * 1e6 / (double)units, cpu / dt, rss_of_pids(), own / dt);
    if (gap_ns) printf(",\"latency_us\":{\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"p999\":%.0f}", lat_at(.5), lat_at(.9), lat_at(.99), lat_at(.999));
    if (beside) printf(",\"beside_per_s\":%.1f", (double)m_beside / dt);
    printf(",\"size\":%d,\"pairs\":%d,\"settled\":%s,\"closed\":%d}\n", size, pairs, settled ? "true" : "false", bad);
    return bad || !m_got || refused ? 1 : 0;
}
