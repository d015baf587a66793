// SPDX-License-Identifier: Apache-2.0
// Owns the comparing of a mapping text with the mapping's documents: what an import changes, what
// an export writes.
#include "router/mapfile.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/mapfile_parts.h"

// How many documents that cannot be exported are named.
#define WZ_MAPFILE_NAMED_MAX 5

// By kind.
static const enum wz_collection collections[] = {
#define WZ_MAPFILE_COLLECTION(id, name, collection, member) WZ_COLLECTION_##collection,
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_COLLECTION)
#undef WZ_MAPFILE_COLLECTION
        WZ_COLLECTION_TEMPLATES,
};

static const char *const section_names[] = {
#define WZ_MAPFILE_NAME(id, name, collection, member) name,
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_NAME)
#undef WZ_MAPFILE_NAME
};

// The text of a document whose body has the one member "text"; NULL when it is another body.
static const char *piece_of(const struct wz_document *document)
{
    if (document == NULL || json_object_size(document->body) != 1)
        return NULL;
    return json_string_value(json_object_get(document->body, "text"));
}

// The value of a document as an entry, or NULL.
static const char *value_of(const struct wz_document *document, enum wz_mapfile_kind kind)
{
    return json_string_value(json_object_get(document->body, wz_mapfile_member(kind)));
}

// What of a body is no value, as text; an empty one when that is nothing. TEXT is written over.
// Order counts: shapes of readings are tried in theirs.
static void write_more(json_t *body, enum wz_mapfile_kind kind, struct wz_buf *text)
{
    const char *member = wz_mapfile_member(kind);
    size_t shown = json_object_size(body) - (json_object_get(body, member) != NULL);
    json_t *more;
    WZ_AUTO(wz_free_ptr) char *dump = NULL;

    text->len = 0;
    if (shown == 0 && kind != WZ_MAPFILE_TEMPLATE)
        return;
    more = json_copy(body);
    (void)json_object_del(more, member); // fine when it is not there
    dump = json_dumps(more, 0);
    json_decref(more);
    WZ_ASSERT(dump != NULL); // it was parsed, or is a copy of what was
    for (const char *c = dump; *c != '\0'; c++) {
        bool c1 = (uint8_t)c[0] == 0xc2 && (uint8_t)c[1] < 0xa0; // C1: two bytes of UTF-8

        if (c1 || *c == 0x7f)
            wz_buf_addf(text, "\\u%04x", c1 ? (uint8_t)c[1] : 0x7f);
        else
            wz_buf_add_byte(text, (uint8_t)*c);
        c += c1;
    }
}

// Whether an entry says what its document holds.
static bool says(const struct wz_mapfile_line *line, const struct wz_document *document)
{
    WZ_AUTO(wz_buf_release) struct wz_buf said = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf held = {0};
    const char *value = line->value != NULL ? value_of(document, line->kind) : NULL;

    if (line->value != NULL && (value == NULL || strcmp(value, line->value) != 0))
        return false;
    if (line->more == NULL && json_object_size(document->body) == 1)
        return true; // most are so
    write_more(line->more, line->kind, &said);
    write_more(document->body, line->kind, &held);
    return wz_slice_eq(wz_buf_slice(&said), wz_buf_slice(&held));
}

// Adds a change; BODY, which is taken over, NULL: deletes.
static void add_change(struct wz_mapfile_changes *changes, enum wz_collection collection,
                       const char *name, json_t *body)
{
    if ((changes->count & (changes->count - 1)) == 0) // grows at each power of two
        changes->items = wz_realloc(changes->items, (changes->count > 0 ? 2 * changes->count : 1) *
                                                        sizeof(changes->items[0]));
    changes->items[changes->count++] =
        (struct wz_store_change){.collection = collection, .name = wz_strdup(name), .body = body};
}

static void set_text(json_t *body, const char *member, struct wz_slice value)
{
    // The text is UTF-8, so it fails only for want of memory; an empty slice may have no bytes.
    json_t *text = json_stringn(value.len > 0 ? (const char *)value.ptr : "", value.len);

    WZ_ASSERT(json_object_set_new(body, member, text) == 0);
}

// The body that an entry stands for: its value first.
static json_t *body_of(const struct wz_mapfile_line *line)
{
    json_t *body = json_object();

    if (line->value != NULL)
        set_text(body, wz_mapfile_member(line->kind), wz_slice_str(line->value));
    if (line->more != NULL)
        WZ_ASSERT(json_object_update(body, line->more) == 0);
    return body;
}

void wz_mapfile_changes_release(struct wz_mapfile_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        wz_free((void *)(uintptr_t)changes->items[i].name);
        json_decref(changes->items[i].body);
    }
    wz_free(changes->items);
    *changes = (struct wz_mapfile_changes){0};
}

static void piece_name(size_t number, char ret_name[64])
{
    if (number == 1)
        (void)snprintf(ret_name, 64, "%s", WZ_MAPFILE_DOCUMENT);
    else
        (void)snprintf(ret_name, 64, "%s.%zu", WZ_MAPFILE_DOCUMENT, number);
}

// The length of the next piece of S, which ends at a character's end.
static size_t piece_len(struct wz_slice s)
{
    size_t len = WZ_MAPFILE_PIECE_MAX;

    if (s.len <= len)
        return s.len;
    while ((s.ptr[len] & 0xc0) == 0x80)
        len--;
    return len;
}

// Keeps the text: pieces that are new or changed, and those too many.
static void change_text(struct wz_slice text, const struct wz_document_list *settings,
                        struct wz_mapfile_changes *changes)
{
    const struct wz_document *document;
    char name[64];
    size_t number = 1;

    for (bool more = true; more; number++) {
        struct wz_slice piece = wz_slice_sub(text, 0, piece_len(text));
        const char *value;

        piece_name(number, name);
        value = piece_of(wz_document_list_find(settings, name));
        if (value == NULL || !wz_slice_eq(wz_slice_str(value), piece)) {
            json_t *body = json_object();

            set_text(body, "text", piece);
            add_change(changes, WZ_COLLECTION_SETTINGS, name, body);
        }
        text = wz_slice_sub(text, piece.len, text.len - piece.len);
        more = text.len > 0;
    }
    for (;; number++) {
        piece_name(number, name);
        document = wz_document_list_find(settings, name);
        if (document == NULL)
            return;
        add_change(changes, WZ_COLLECTION_SETTINGS, name, NULL);
    }
}

void wz_mapfile_changes(const struct wz_mapfile *file,
                        const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                        struct wz_mapfile_changes *ret_changes)
{
    struct wz_mapfile_changes changes = {0};

    for (int i = 0; i < WZ_MAPFILE_KIND_COUNT; i++) {
        const struct wz_document_list *list = &lists[collections[i]];

        for (size_t j = 0; j < list->count; j++)
            if (wz_map_get(&file->names[i], wz_slice_str(list->items[j].name)) == NULL)
                add_change(&changes, collections[i], list->items[j].name, NULL);
    }
    for (size_t i = 0; i < file->count; i++) {
        const struct wz_mapfile_line *line = &file->lines[i];
        const struct wz_document *document;

        if (line->name == NULL)
            continue;
        document = wz_document_list_find(&lists[collections[line->kind]], line->name);
        if (document == NULL || !says(line, document))
            add_change(&changes, collections[line->kind], line->name, body_of(line));
    }
    change_text(wz_buf_slice(&file->text), &lists[WZ_COLLECTION_SETTINGS], &changes);
    *ret_changes = changes;
}

// The kept text as it was read; an empty one when none is kept, or when what is kept was spoilt.
static struct wz_mapfile *load_kept(const struct wz_document_list *settings)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_mapfile *file = NULL;
    const char *value;
    char name[64];

    for (size_t number = 1;; number++) {
        piece_name(number, name);
        value = piece_of(wz_document_list_find(settings, name));
        if (value == NULL)
            break;
        wz_buf_add_str(&text, value);
    }
    if (wz_mapfile_parse(wz_buf_slice(&text), &file, NULL) < 0)
        WZ_ASSERT(wz_mapfile_parse(wz_slice(NULL, 0), &file, NULL) == WZ_OK);
    return file;
}

// Whether a document can be said as a line.
static bool can_say(enum wz_mapfile_kind kind, const struct wz_document *document)
{
    const char *value;

    if (!wz_mapfile_can_say(wz_slice_str(document->name)))
        return false;
    if (kind == WZ_MAPFILE_TEMPLATE)
        return true;
    if (kind == WZ_MAPFILE_TYPES && strcmp(document->name, "input") != 0 &&
        strcmp(document->name, "output") != 0)
        return false;
    value = value_of(document, kind);
    return value != NULL && wz_mapfile_can_say(wz_slice_str(value)) &&
           strlen(value) ==
               json_string_length(json_object_get(document->body, wz_mapfile_member(kind))) &&
           strlen(value) <= WZ_DOCUMENT_NAME_MAX;
}

static int check_documents(const struct wz_document_list *lists, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf names = {0};
    size_t count = 0;

    for (int i = 0; i < WZ_MAPFILE_KIND_COUNT; i++) {
        const struct wz_document_list *list = &lists[collections[i]];

        for (size_t j = 0; j < list->count; j++)
            if (!can_say((enum wz_mapfile_kind)i, &list->items[j]) &&
                ++count <= WZ_MAPFILE_NAMED_MAX)
                wz_buf_addf(&names, "%s%s/%.40s", count > 1 ? ", " : "",
                            wz_collection_name(collections[i]), list->items[j].name);
    }
    if (count == 0)
        return WZ_OK;
    if (count > WZ_MAPFILE_NAMED_MAX)
        wz_buf_addf(&names, " and %zu more", count - WZ_MAPFILE_NAMED_MAX);
    wz_problem_set(ret_problem, WZ_ERR_UNSUPPORTED, WZ_CODE_MAPFILE_EXPORT,
                   "The text form has no way to say all that %s.",
                   count == 1 ? "a document holds" : "some documents hold");
    wz_problem_where(ret_problem, "%s", wz_buf_str(&names));
    wz_problem_fix(ret_problem, "Take control characters out of names and values.");
    return WZ_ERR_UNSUPPORTED;
}

// Whether S reads as itself without quotes, as a value.
static bool can_be_bare(struct wz_slice s)
{
    if (s.len == 0 || s.ptr[0] == ' ' || s.ptr[s.len - 1] == ' ' || s.ptr[0] == '#' ||
        s.ptr[0] == ';')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '"' ||
            (i > 0 && s.ptr[i - 1] == ' ' && (s.ptr[i] == '#' || s.ptr[i] == ';')))
            return false;
    return true;
}

static void add_quoted(struct wz_buf *buf, struct wz_slice s)
{
    wz_buf_add_byte(buf, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            wz_buf_add_byte(buf, '\\');
        wz_buf_add_byte(buf, s.ptr[i]);
    }
    wz_buf_add_byte(buf, '"');
}

// What an export works with.
struct exporter {
    const struct wz_mapfile *file;
    const struct wz_document_list *lists;
    const char *eol; // of new lines
    struct wz_buf *text;
    struct wz_buf more; // what is written into a mark
};

static void end_line(struct exporter *out)
{
    if (out->text->len > 0 && out->text->ptr[out->text->len - 1] != '\n')
        wz_buf_add_str(out->text, out->eol);
}

// Adds a document's mark, if it needs one; SPACE stands in front of it.
static void add_mark(struct exporter *out, const struct wz_document *document,
                     enum wz_mapfile_kind kind, const char *space)
{
    write_more(document->body, kind, &out->more);
    if (out->more.len > 0)
        wz_buf_addf(out->text, "%s%s ", space, WZ_MAPFILE_MARK);
    wz_buf_add_slice(out->text, wz_buf_slice(&out->more));
}

static void add_name_and_value(struct exporter *out, const struct wz_document *document,
                               enum wz_mapfile_kind kind)
{
    struct wz_slice name = wz_slice_str(document->name);
    struct wz_slice value = wz_slice_str(value_of(document, kind));
    bool bare = kind == WZ_MAPFILE_TYPES; // type words without quotes where they need none

    if (bare)
        wz_buf_add_slice(out->text, name); // "input" or "output"
    else
        add_quoted(out->text, name);
    wz_buf_add_str(out->text, " = ");
    if (bare && can_be_bare(value))
        wz_buf_add_slice(out->text, value);
    else
        add_quoted(out->text, value);
    add_mark(out, document, kind, " ");
}

// Whether S is one word in a mark without quotes.
static bool can_be_word(struct wz_slice s)
{
    return s.ptr[0] != '"' && memchr(s.ptr, ' ', s.len) == NULL;
}

static void add_template(struct exporter *out, const struct wz_document *document)
{
    struct wz_slice name = wz_slice_str(document->name);

    wz_buf_add_str(out->text, WZ_MAPFILE_MARK " template ");
    if (can_be_word(name))
        wz_buf_add_slice(out->text, name);
    else
        add_quoted(out->text, name);
    wz_buf_add_byte(out->text, ' ');
    write_more(document->body, WZ_MAPFILE_TEMPLATE, &out->more);
    wz_buf_add_slice(out->text, wz_buf_slice(&out->more));
}

// Adds the documents of a kind that have no line.
static void add_new(struct exporter *out, enum wz_mapfile_kind kind)
{
    const struct wz_document_list *list = &out->lists[collections[kind]];

    for (size_t i = 0; i < list->count; i++) {
        if (wz_map_get(&out->file->names[kind], wz_slice_str(list->items[i].name)) != NULL)
            continue;
        end_line(out);
        if (kind == WZ_MAPFILE_TEMPLATE)
            add_template(out, &list->items[i]);
        else
            add_name_and_value(out, &list->items[i], kind);
        wz_buf_add_str(out->text, out->eol);
    }
}

static bool has_new(const struct exporter *out, enum wz_mapfile_kind kind)
{
    const struct wz_document_list *list = &out->lists[collections[kind]];

    for (size_t i = 0; i < list->count; i++)
        if (wz_map_get(&out->file->names[kind], wz_slice_str(list->items[i].name)) == NULL)
            return true;
    return false;
}

// Adds what stands behind a value that may have changed, with the mark that its document needs now:
// in the place of the old one, which takes the blanks in front of it along when it goes.
static void add_behind(struct exporter *out, const struct wz_mapfile_line *line,
                       const struct wz_document *document)
{
    const uint8_t *text = out->file->text.ptr;
    size_t end = line->pos + line->len;
    size_t behind = line->value_at.pos + line->value_at.len;

    if (line->more == NULL) {
        add_mark(out, document, line->kind, " ");
    } else {
        size_t rest = line->mark_at.pos + line->mark_at.len;

        write_more(document->body, line->kind, &out->more);
        if (out->more.len > 0)
            wz_buf_add(out->text, text + behind, line->mark_at.pos - behind);
        else if (rest < end && (text[rest] == '#' || text[rest] == ';'))
            wz_buf_add_byte(out->text, ' '); // the comment behind it needs one
        add_mark(out, document, line->kind, "");
        behind = rest;
    }
    wz_buf_add(out->text, text + behind, end - behind);
}

// Adds a kept line as it stands, with what of it the document has otherwise, or not at all.
static void add_line(struct exporter *out, const struct wz_mapfile_line *line)
{
    const uint8_t *text = out->file->text.ptr;
    const struct wz_document *document = NULL;
    const char *value;

    if (line->name != NULL) {
        document = wz_document_list_find(&out->lists[collections[line->kind]], line->name);
        if (document == NULL)
            return;
    }
    if (line->name == NULL || says(line, document)) {
        wz_buf_add(out->text, text + line->pos, line->len);
        return;
    }
    if (line->kind == WZ_MAPFILE_TEMPLATE) {
        size_t behind = line->mark_at.pos + line->mark_at.len;

        wz_buf_add(out->text, text + line->pos, line->mark_at.pos - line->pos);
        write_more(document->body, line->kind, &out->more);
        wz_buf_add_slice(out->text, wz_buf_slice(&out->more));
        wz_buf_add(out->text, text + behind, line->pos + line->len - behind);
        return;
    }
    value = value_of(document, line->kind);
    wz_buf_add(out->text, text + line->pos, line->value_at.pos - line->pos);
    if (strcmp(value, line->value) == 0)
        wz_buf_add(out->text, text + line->value_at.pos, line->value_at.len);
    else if (line->quoted || !can_be_bare(wz_slice_str(value)))
        add_quoted(out->text, wz_slice_str(value));
    else
        wz_buf_add_str(out->text, value);
    add_behind(out, line, document);
}

// Adds the kinds that no line of the text is of.
static void add_missing(struct exporter *out, const size_t last[WZ_MAPFILE_KIND_COUNT])
{
    for (int i = 0; i < WZ_MAPFILE_KIND_COUNT; i++) {
        if (last[i] != SIZE_MAX || !has_new(out, (enum wz_mapfile_kind)i))
            continue;
        end_line(out);
        if (out->text->len > 0)
            wz_buf_add_str(out->text, out->eol);
        if (i != WZ_MAPFILE_TEMPLATE)
            wz_buf_addf(out->text, "[%s]%s", section_names[i], out->eol);
        add_new(out, (enum wz_mapfile_kind)i);
    }
}

static void add_kept(struct exporter *out)
{
    const struct wz_mapfile *file = out->file;
    size_t last[WZ_MAPFILE_KIND_COUNT]; // the line of each kind behind which new ones go

    for (int i = 0; i < WZ_MAPFILE_KIND_COUNT; i++)
        last[i] = SIZE_MAX;
    for (size_t i = 0; i < file->count; i++) {
        if (file->lines[i].is_header)
            last[file->lines[i].section] = i;
        else if (file->lines[i].name != NULL)
            last[file->lines[i].kind] = i;
    }
    for (size_t i = 0; i < file->count; i++) {
        add_line(out, &file->lines[i]);
        for (int kind = 0; kind < WZ_MAPFILE_KIND_COUNT; kind++)
            if (last[kind] == i)
                add_new(out, (enum wz_mapfile_kind)kind);
    }
    add_missing(out, last);
}

// The end of line that a text uses: that of its first line.
static const char *eol_of(struct wz_slice text)
{
    const uint8_t *lf = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;

    return lf != NULL && lf > text.ptr && lf[-1] == '\r' ? "\r\n" : "\n";
}

int wz_mapfile_export(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                      struct wz_buf *ret_text, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct exporter out = {.lists = lists, .text = &text};
    struct wz_mapfile *file;
    int r = check_documents(lists, ret_problem);

    if (r < 0)
        return r;
    file = load_kept(&lists[WZ_COLLECTION_SETTINGS]);
    out.file = file;
    out.eol = eol_of(wz_buf_slice(&file->text));
    add_kept(&out);
    wz_buf_release(&out.more);
    wz_mapfile_free(file);
    wz_buf_add_slice(ret_text, wz_buf_slice(&text));
    return WZ_OK;
}
