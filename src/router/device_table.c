// SPDX-License-Identifier: Apache-2.0
// Owns the devices: two sets of pairs. A device with captures stands in the second by its id and
// route with '+' in the place of each capture; to find it, the levels of a topic are replaced by
// '+' in each of the forms that there are. So a look-up costs as much as there are forms, however
// many devices there are.
#include "router/device_table.h"

#include "base/mem.h"

// Levels or words that are looked at; a device with captures has at most so many.
#define PARTS_MAX 32

static const uint8_t separators[WZ_SIDE_COUNT] = {'/', '.'};

// A text cut into its parts.
struct parts {
    struct wz_slice items[PARTS_MAX];
    uint32_t count;
};

void wz_device_table_init(struct wz_device_table *table, uint32_t exact, uint32_t captured)
{
    *table = (struct wz_device_table){.cap = exact + captured};
    wz_pairs_init(&table->exact, exact);
    wz_pairs_init(&table->captured, captured);
    table->info = wz_zalloc(captured, sizeof(table->info[0]));
    table->profiles = wz_zalloc(table->cap, sizeof(table->profiles[0]));
}

void wz_device_table_release(struct wz_device_table *table)
{
    for (uint32_t i = 0; i < table->captured.count; i++)
        wz_free(table->info[i].id);
    wz_pairs_release(&table->exact);
    wz_pairs_release(&table->captured);
    wz_free(table->info);
    wz_free(table->profiles);
    for (int side = 0; side < WZ_SIDE_COUNT; side++)
        wz_free(table->forms[side]);
    *table = (struct wz_device_table){0};
}

static bool is_capture(struct wz_slice part)
{
    return part.len > 2 && part.ptr[0] == '{' && part.ptr[part.len - 1] == '}';
}

// Cuts S at each SEPARATOR into at most PARTS_MAX parts. Whether those are all.
static bool cut(struct wz_slice s, uint8_t separator, struct parts *ret_parts)
{
    size_t start = 0;

    ret_parts->count = 0;
    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && s.ptr[i] != separator)
            continue;
        if (ret_parts->count == PARTS_MAX)
            return false;
        ret_parts->items[ret_parts->count++] = wz_slice_sub(s, start, i - start);
        start = i + 1;
    }
    return true;
}

static bool has_captures(struct wz_slice s, uint8_t separator)
{
    size_t start = 0;

    for (size_t i = 0; i <= s.len; i++) {
        if (i < s.len && s.ptr[i] != separator)
            continue;
        if (is_capture(wz_slice_sub(s, start, i - start)))
            return true;
        start = i + 1;
    }
    return false;
}

bool wz_device_captures(struct wz_slice id, struct wz_slice route)
{
    return has_captures(id, '/') || has_captures(route, '.');
}

// The text with '+' for its captures, which are listed.
static const char *make_key(struct wz_slice text, enum wz_side side, struct wz_buf *key,
                            struct parts *ret_captures)
{
    struct parts parts;

    if (!cut(text, separators[side], &parts))
        return "has captures and more than 32 levels or words";
    ret_captures->count = 0;
    for (uint32_t i = 0; i < parts.count; i++) {
        if (i > 0)
            wz_buf_add_byte(key, separators[side]);
        if (!is_capture(parts.items[i])) {
            wz_buf_add_slice(key, parts.items[i]);
            continue;
        }
        wz_buf_add_byte(key, '+');
        if (ret_captures->count == WZ_CAPTURES_MAX)
            return "has more than 8 captures";
        for (uint32_t j = 0; j < ret_captures->count; j++)
            if (wz_slice_eq(ret_captures->items[j], parts.items[i]))
                return "has one capture twice";
        ret_captures->items[ret_captures->count++] = parts.items[i];
    }
    return NULL;
}

// Finds where the id's captures stand in the route.
static const char *match_captures(const struct parts *id, const struct parts *route,
                                  struct wz_captured *ret_info)
{
    if (id->count != route->count)
        return "has a capture on one side only";
    ret_info->count = (uint8_t)id->count;
    for (uint32_t i = 0; i < id->count; i++) {
        uint32_t j = 0;

        while (j < route->count && !wz_slice_eq(id->items[i], route->items[j]))
            j++;
        if (j == route->count)
            return "has a capture on one side only";
        ret_info->order[i] = (uint8_t)j;
    }
    return NULL;
}

static int add_captured(struct wz_device_table *table, struct wz_slice id, struct wz_slice route,
                        uint32_t *ret_index, const char **ret_wrong)
{
    WZ_AUTO(wz_buf_release) struct wz_buf id_key = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf route_key = {0};
    struct wz_captured info = {0};
    struct parts of_id;
    struct parts of_route;
    const char *wrong = make_key(id, WZ_SIDE_PHYSICAL, &id_key, &of_id);
    int r;

    if (wrong == NULL)
        wrong = make_key(route, WZ_SIDE_LOGICAL, &route_key, &of_route);
    if (wrong == NULL)
        wrong = match_captures(&of_id, &of_route, &info);
    if (wrong != NULL) {
        *ret_wrong = wrong;
        return WZ_ERR_INVALID;
    }
    r = wz_pairs_add(&table->captured, wz_buf_slice(&id_key), wz_buf_slice(&route_key), ret_index);
    if (r < 0)
        return r;
    info.id = wz_strndup(id.ptr, id.len);
    table->info[*ret_index] = info;
    return WZ_OK;
}

int wz_device_table_add(struct wz_device_table *table, struct wz_slice id, struct wz_slice route,
                        uint32_t profile, uint32_t *ret_number, const char **ret_wrong)
{
    bool captured = wz_device_captures(id, route);
    uint32_t index;
    int r;

    if (captured)
        r = add_captured(table, id, route, &index, ret_wrong);
    else
        r = wz_pairs_add(&table->exact, id, route, &index);
    if (r != WZ_OK && r != WZ_ERR_EXISTS)
        return r;
    *ret_number = captured ? table->exact.cap + index : index;
    if (r == WZ_OK)
        table->profiles[*ret_number] = profile;
    return r;
}

int wz_device_table_copy(struct wz_device_table *table, const struct wz_device_table *from,
                         uint32_t number, uint32_t profile, uint32_t *ret_number)
{
    bool captured = number >= from->exact.cap;
    struct wz_pairs *pairs = captured ? &table->captured : &table->exact;
    uint32_t index;
    int r = wz_pairs_add(pairs, wz_device_key(from, number, WZ_SIDE_PHYSICAL),
                         wz_device_key(from, number, WZ_SIDE_LOGICAL), &index);

    *ret_number = captured ? table->exact.cap + index : index;
    if (r < 0)
        return r;
    table->profiles[*ret_number] = profile;
    if (captured) {
        table->info[index] = from->info[number - from->exact.cap];
        table->info[index].id = wz_strdup(table->info[index].id);
    }
    return WZ_OK;
}

static int by_trial(const void *a, const void *b)
{
    const struct wz_capture_form *left = a;
    const struct wz_capture_form *right = b;
    int literals = __builtin_popcount(left->captures) - __builtin_popcount(right->captures);

    if (left->parts != right->parts)
        return left->parts > right->parts ? -1 : 1;
    if (literals != 0)
        return literals;
    // Of two with as many captures, the one whose first difference is literal.
    if (left->captures == right->captures)
        return 0;
    return (left->captures & (left->captures ^ right->captures) &
            -(left->captures ^ right->captures)) == 0
               ? -1
               : 1;
}

static struct wz_capture_form form_of(struct wz_slice key, uint8_t separator)
{
    struct wz_capture_form form = {0};
    struct parts parts;

    (void)cut(key, separator, &parts); // it was cut when it was added
    form.parts = parts.count;
    for (uint32_t i = 0; i < parts.count; i++)
        if (wz_slice_eq(parts.items[i], WZ_SLICE_LIT("+")))
            form.captures |= 1U << i;
    return form;
}

void wz_device_table_seal(struct wz_device_table *table)
{
    uint32_t count = table->captured.count;

    for (int side = 0; side < WZ_SIDE_COUNT; side++) {
        struct wz_capture_form *forms = wz_zalloc(count, sizeof(forms[0]));
        uint32_t kept = 0;

        for (uint32_t i = 0; i < count; i++)
            forms[i] =
                form_of(wz_pairs_get(&table->captured, i, (enum wz_side)side), separators[side]);
        qsort(forms, count, sizeof(forms[0]), by_trial);
        for (uint32_t i = 0; i < count; i++)
            if (kept == 0 || by_trial(&forms[kept - 1], &forms[i]) != 0)
                forms[kept++] = forms[i];
        table->forms[side] = forms;
        table->form_count[side] = kept;
    }
}

struct wz_device_walk wz_device_walk(const struct wz_device_table *table, enum wz_side side,
                                     struct wz_slice text)
{
    struct wz_device_walk walk = {.table = table, .side = side, .text = text, .len = text.len};

    if (walk.len > table->exact.longest[side]) // whatever a peer sends, no more than this is hashed
        walk.len = table->exact.longest[side];
    return walk;
}

static uint32_t count_parts(struct wz_slice s, uint8_t separator)
{
    uint32_t count = 1;

    for (size_t i = 0; i < s.len; i++)
        count += s.ptr[i] == separator;
    return count;
}

static bool next_exact(struct wz_device_walk *walk, struct wz_device_match *ret_match)
{
    const struct wz_pairs *pairs = &walk->table->exact;
    uint8_t separator = separators[walk->side];
    uint32_t index;

    for (; walk->len > 0; walk->len--) {
        struct wz_slice front = wz_slice_sub(walk->text, 0, walk->len);

        if ((front.len < walk->text.len && walk->text.ptr[front.len] != separator) ||
            !wz_pairs_find(pairs, walk->side, front, &index))
            continue;
        walk->len--;
        *ret_match = (struct wz_device_match){.number = index, .len = front.len};
        ret_match->levels = count_parts(front, separator);
        ret_match->literal_levels = ret_match->levels;
        return true;
    }
    return false;
}

// Writes the first parts of the text in a form to KEY; the length, or 0 when the text has not as
// many parts, or more bytes than any key has besides what the captures stand for.
static size_t fill_key(const struct wz_device_walk *walk, const struct wz_capture_form *form,
                       char *key, size_t cap, struct wz_device_match *match)
{
    uint8_t separator = separators[walk->side];
    size_t start = 0;
    size_t len = 0;

    match->capture_count = 0;
    for (uint32_t i = 0; i < form->parts; i++) {
        const uint8_t *end;
        struct wz_slice part;

        if (start > walk->text.len)
            return 0;
        part = wz_slice_sub(walk->text, start, walk->text.len - start);
        end = part.len > 0 ? memchr(part.ptr, separator, part.len) : NULL;
        if (end != NULL)
            part.len = (size_t)(end - part.ptr);
        start += part.len + 1;
        if ((form->captures >> i & 1) != 0) {
            match->captures[match->capture_count++] = part;
            part = WZ_SLICE_LIT("+");
        }
        if (len + part.len + 1 > cap)
            return 0;
        if (i > 0)
            key[len++] = (char)separator;
        memcpy(key + len, part.ptr, part.len);
        len += part.len;
    }
    match->len = start - 1;
    return len;
}

// Puts the captures of a route in the order of the id.
static void order_captures(const struct wz_captured *info, struct wz_device_match *match)
{
    struct wz_slice found[WZ_CAPTURES_MAX];

    memcpy(found, match->captures, sizeof(found));
    for (uint32_t i = 0; i < info->count; i++)
        match->captures[i] = found[info->order[i]];
}

static bool next_captured(struct wz_device_walk *walk, struct wz_device_match *ret_match)
{
    const struct wz_device_table *table = walk->table;
    char key[2048];
    size_t cap = table->captured.longest[walk->side] + 1;

    if (cap > sizeof(key))
        cap = sizeof(key);
    while (walk->form < table->form_count[walk->side]) {
        const struct wz_capture_form *form = &table->forms[walk->side][walk->form++];
        struct wz_device_match match = {0};
        size_t len = fill_key(walk, form, key, cap, &match);
        uint32_t index;

        // A '+' in the text itself is no capture of the device's.
        if (len == 0 || !wz_pairs_find(&table->captured, walk->side, wz_slice(key, len), &index) ||
            table->info[index].count != match.capture_count)
            continue;
        if (walk->side == WZ_SIDE_LOGICAL)
            order_captures(&table->info[index], &match);
        match.number = table->exact.cap + index;
        match.levels = form->parts;
        match.literal_levels = form->parts - match.capture_count;
        *ret_match = match;
        return true;
    }
    return false;
}

bool wz_device_walk_next(struct wz_device_walk *walk, struct wz_device_match *ret_match)
{
    return next_exact(walk, ret_match) || next_captured(walk, ret_match);
}

bool wz_device_safe(struct wz_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f || strchr("./*#+", s.ptr[i]) != NULL)
            return false;
    return s.len > 0;
}

struct wz_slice wz_device_key(const struct wz_device_table *table, uint32_t number,
                              enum wz_side side)
{
    if (number < table->exact.cap)
        return wz_pairs_get(&table->exact, number, side);
    return wz_pairs_get(&table->captured, number - table->exact.cap, side);
}

struct wz_slice wz_device_id(const struct wz_device_table *table, uint32_t number)
{
    if (number < table->exact.cap)
        return wz_pairs_get(&table->exact, number, WZ_SIDE_PHYSICAL);
    return wz_slice_str(table->info[number - table->exact.cap].id);
}

uint32_t wz_device_next(const struct wz_device_table *table, uint32_t number)
{
    number++;
    if (number >= table->exact.count && number < table->exact.cap)
        number = table->exact.cap;
    return number < table->exact.cap + table->captured.count ? number : UINT32_MAX;
}

size_t wz_device_write(const struct wz_device_table *table, const struct wz_device_match *match,
                       enum wz_side side, char *ret_text, size_t cap)
{
    struct wz_slice key = wz_device_key(table, match->number, side);
    const struct wz_captured *info =
        match->capture_count > 0 ? &table->info[match->number - table->exact.cap] : NULL;
    struct wz_slice values[WZ_CAPTURES_MAX];
    uint32_t next = 0;
    size_t len = 0;

    for (uint32_t i = 0; i < match->capture_count; i++)
        values[side == WZ_SIDE_PHYSICAL ? i : info->order[i]] = match->captures[i];
    for (size_t i = 0; i < key.len; i++) {
        struct wz_slice piece = wz_slice_sub(key, i, 1);

        if (info != NULL && key.ptr[i] == '+')
            piece = values[next++];
        if (len + piece.len > cap)
            return 0;
        memcpy(ret_text + len, piece.ptr, piece.len);
        len += piece.len;
    }
    return len;
}

bool wz_device_find_key(const struct wz_device_table *table, enum wz_side side, struct wz_slice key,
                        bool captured, uint32_t *ret_number)
{
    uint32_t index;

    if (!wz_pairs_find(captured ? &table->captured : &table->exact, side, key, &index))
        return false;
    *ret_number = captured ? table->exact.cap + index : index;
    return true;
}
