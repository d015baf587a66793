// SPDX-License-Identifier: Apache-2.0
// Owns the board: one JSON object of sections under one lock. Entries are small and change when
// something happens to a part, not to a message.
#include "bus/board.h"

#include <pthread.h>

#include "base/mem.h"

struct wz_board {
    // LOCK guards SECTIONS and all below it. Values are copied in and out under it, because
    // jansson's reference counts of shared values would else be met by two threads.
    pthread_mutex_t lock;
    json_t *sections;
};

struct wz_board *wz_board_new(void)
{
    struct wz_board *board = wz_zalloc(1, sizeof(*board));

    WZ_ASSERT(pthread_mutex_init(&board->lock, NULL) == 0);
    board->sections = json_object();
    WZ_ASSERT(board->sections != NULL);
    return board;
}

void wz_board_free(struct wz_board *board)
{
    if (board == NULL)
        return;
    json_decref(board->sections);
    (void)pthread_mutex_destroy(&board->lock); // fails only while in use, which is a bug
    wz_free(board);
}

static void lock(struct wz_board *board) { WZ_ASSERT(pthread_mutex_lock(&board->lock) == 0); }

static void unlock(struct wz_board *board) { WZ_ASSERT(pthread_mutex_unlock(&board->lock) == 0); }

void wz_board_set(struct wz_board *board, const char *section, const char *name, json_t *value)
{
    json_t *entries;

    lock(board);
    entries = json_object_get(board->sections, section);
    if (entries == NULL) {
        entries = json_object();
        WZ_ASSERT(json_object_set_new(board->sections, section, entries) == 0);
    }
    (void)json_object_set_new(entries, name, value); // refuses a name that is not UTF-8
    unlock(board);
}

void wz_board_remove(struct wz_board *board, const char *section, const char *name)
{
    lock(board);
    (void)json_object_del(json_object_get(board->sections, section), name); // fine when not there
    unlock(board);
}

json_t *wz_board_get(struct wz_board *board, const char *section, const char *name)
{
    json_t *value;

    lock(board);
    value = json_deep_copy(json_object_get(json_object_get(board->sections, section), name));
    unlock(board);
    return value;
}

json_t *wz_board_section(struct wz_board *board, const char *section)
{
    json_t *entries;

    lock(board);
    entries = json_deep_copy(json_object_get(board->sections, section));
    unlock(board);
    if (entries == NULL)
        entries = json_object();
    return entries;
}
