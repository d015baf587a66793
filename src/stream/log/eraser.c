// SPDX-License-Identifier: Apache-2.0
#include "stream/log/eraser.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/list.h"
#include "base/mem.h"

// A file that is shorter is closed at once: it takes hardly longer than a piece.
#define LONG_BYTES ((int64_t)8 << 20)
#define PIECE_BYTES ((int64_t)4 << 20)
#define PAUSE_MS 5
#define LOOK_MS 200 // for whether others have the file open

// More are closed at once: descriptors are few.
#define ITEMS_MAX 256

struct item {
    struct wz_list link;
    int fd;
    dev_t dev;
    ino_t ino;
    int64_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Under the lock; what is being erased is among them.
static struct wz_list items = {.prev = &items, .next = &items};
static int item_count; // likewise
static bool running;   // likewise: the thread is there
static _Atomic int64_t pending;

static void pause_ms(int ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};

    (void)nanosleep(&time, NULL); // shorter is fine, too
}

// Takes an item off the list, closes its file and frees it.
static void end(struct item *item)
{
    (void)pthread_mutex_lock(&lock); // a plain mutex of ours
    wz_list_remove(&item->link);
    item_count--;
    (void)pthread_mutex_unlock(&lock);
    atomic_fetch_sub_explicit(&pending, item->len, memory_order_relaxed);
    wz_fs_close(item->fd);
    wz_free(item);
}

// Whether this is the only descriptor of the file: then alone can it have a lease for writing
// (fcntl(2)). WAITS says that it may be later.
static bool is_alone(int fd, bool *ret_waits)
{
    *ret_waits = false;
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
        *ret_waits = errno == EAGAIN;
        return false;
    }
    (void)fcntl(fd, F_SETLEASE, F_UNLCK); // nobody can come: it has no name
    return true;
}

static void shorten(struct item *item)
{
    while (item->len > PIECE_BYTES && ftruncate(item->fd, item->len - PIECE_BYTES) == 0) {
        item->len -= PIECE_BYTES;
        atomic_fetch_sub_explicit(&pending, PIECE_BYTES, memory_order_relaxed);
        pause_ms(PAUSE_MS);
    }
}

// What comes is put behind the last, and only the thread takes something off.
static struct wz_list *next_of(const struct wz_list *link)
{
    struct wz_list *next;

    (void)pthread_mutex_lock(&lock); // as above
    next = link->next;
    (void)pthread_mutex_unlock(&lock);
    return next;
}

// Erases what nobody else has open. Returns whether something had to wait.
static bool erase_some(void)
{
    struct wz_list *link = next_of(&items);
    bool waits = false;

    while (link != &items) {
        struct item *item = WZ_CONTAINER(link, struct item, link);
        bool is_open;

        if (is_alone(item->fd, &is_open))
            shorten(item);
        link = next_of(link);
        if (is_open)
            waits = true;
        else
            end(item);
    }
    return waits;
}

static void *run(void *arg)
{
    bool more = true;

    while (more) {
        if (erase_some())
            pause_ms(LOOK_MS);
        (void)pthread_mutex_lock(&lock); // as above
        more = !wz_list_empty(&items);
        running = more;
        (void)pthread_mutex_unlock(&lock);
    }
    return arg;
}

// Starts the thread, with all signals blocked: they are the loop's.
static bool start(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int r;

    if (pthread_attr_init(&attr) != 0)
        return false;
    (void)sigfillset(&all); // cannot fail
    r = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (r == 0)
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r == 0) {
        r = pthread_create(&thread, &attr, run, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); // as it was
    }
    (void)pthread_attr_destroy(&attr); // cannot fail
    return r == 0;
}

// Whether the file is on the list already, by another descriptor.
static bool is_known(const struct item *item)
{
    for (struct wz_list *link = items.next; link != &items; link = link->next) {
        const struct item *other = WZ_CONTAINER(link, struct item, link);

        if (other->dev == item->dev && other->ino == item->ino)
            return true;
    }
    return false;
}

// Puts it on the list. Returns whether somebody takes it off again.
static bool add(struct item *item)
{
    bool added;

    (void)pthread_mutex_lock(&lock); // as above
    if (!running)
        running = start();
    added = running && item_count < ITEMS_MAX && !is_known(item);
    if (added) {
        wz_list_push(&items, &item->link);
        item_count++;
        atomic_fetch_add_explicit(&pending, item->len, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&lock);
    return added;
}

void wz_eraser_close(int fd)
{
    struct item *item;
    struct stat stat;

    if (fd < 0)
        return;
    if (fstat(fd, &stat) < 0 || stat.st_nlink > 0 || stat.st_size < LONG_BYTES ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR) {
        wz_fs_close(fd);
        return;
    }
    item = wz_zalloc(1, sizeof(*item));
    *item = (struct item){.fd = fd, .dev = stat.st_dev, .ino = stat.st_ino, .len = stat.st_size};
    if (add(item))
        return;
    wz_fs_close(fd);
    wz_free(item);
}

int64_t wz_eraser_pending(void) { return atomic_load_explicit(&pending, memory_order_relaxed); }
