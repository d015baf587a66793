// SPDX-License-Identifier: Apache-2.0
// Owns the comparing of a mapping text with the mapping's documents: what an import changes, what
// an export writes.
#include "router/mapfile.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/mapfile_parts.h"

// How many documents that cannot be exported are named.
#define WZ_MAPFILE_NAMED_MAX 5

struct section {
    const char *name;
    enum wz_collection collection;
    const char *member;
};

static const struct section sections[] = {
#define WZ_MAPFILE_SECTION(id, name, collection, member) {name, WZ_COLLECTION_##collection, member},
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_SECTION)
#undef WZ_MAPFILE_SECTION
};

// The document NAME, or NULL. Lists are ordered by name.
static const struct wz_document *find(const struct wz_document_list *list, const char *name)
{
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(list->items[middle].name, name);

        if (order == 0)
            return &list->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

// The text of a document whose body has the one member MEMBER; NULL when it is another body.
static const char *value_of(const struct wz_document *document, const char *member)
{
    if (document == NULL || json_object_size(document->body) != 1)
        return NULL;
    return json_string_value(json_object_get(document->body, member));
}

// Adds a change; VALUE NULL deletes.
static void add_change(struct wz_mapfile_changes *changes, enum wz_collection collection,
                       const char *name, const char *member, struct wz_slice *value)
{
    struct wz_store_change *change;
    json_t *text;

    if ((changes->count & (changes->count - 1)) == 0) // grows at each power of two
        changes->items = wz_realloc(changes->items, (changes->count > 0 ? 2 * changes->count : 1) *
                                                        sizeof(changes->items[0]));
    change = &changes->items[changes->count++];
    *change = (struct wz_store_change){.collection = collection, .name = wz_strdup(name)};
    if (value == NULL)
        return;
    change->body = json_object();
    // The text is UTF-8, so it fails only for want of memory; an empty slice may have no bytes.
    text = json_stringn(value->len > 0 ? (const char *)value->ptr : "", value->len);
    WZ_ASSERT(json_object_set_new(change->body, member, text) == 0);
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
        value = value_of(find(settings, name), "text");
        if (value == NULL || !wz_slice_eq(wz_slice_str(value), piece))
            add_change(changes, WZ_COLLECTION_SETTINGS, name, "text", &piece);
        text = wz_slice_sub(text, piece.len, text.len - piece.len);
        more = text.len > 0;
    }
    for (;; number++) {
        piece_name(number, name);
        document = find(settings, name);
        if (document == NULL)
            return;
        add_change(changes, WZ_COLLECTION_SETTINGS, name, NULL, NULL);
    }
}

void wz_mapfile_changes(const struct wz_mapfile *file,
                        const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                        struct wz_mapfile_changes *ret_changes)
{
    struct wz_mapfile_changes changes = {0};

    for (int i = 0; i < WZ_MAPFILE_SECTION_COUNT; i++) {
        const struct wz_document_list *list = &lists[sections[i].collection];

        for (size_t j = 0; j < list->count; j++)
            if (wz_map_get(&file->names[i], wz_slice_str(list->items[j].name)) == NULL)
                add_change(&changes, sections[i].collection, list->items[j].name, NULL, NULL);
    }
    for (size_t i = 0; i < file->count; i++) {
        const struct wz_mapfile_line *line = &file->lines[i];
        const struct section *section;
        const char *value;
        struct wz_slice wanted;

        if (line->name == NULL)
            continue;
        section = &sections[line->section];
        value = value_of(find(&lists[section->collection], line->name), section->member);
        wanted = wz_slice_str(line->value);
        if (value == NULL || strcmp(value, line->value) != 0)
            add_change(&changes, section->collection, line->name, section->member, &wanted);
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
        value = value_of(find(settings, name), "text");
        if (value == NULL)
            break;
        wz_buf_add_str(&text, value);
    }
    if (wz_mapfile_parse(wz_buf_slice(&text), &file, NULL) < 0)
        WZ_ASSERT(wz_mapfile_parse(wz_slice(NULL, 0), &file, NULL) == WZ_OK);
    return file;
}

// Whether a document can be said as a line.
static bool can_say(enum wz_mapfile_section section, const struct wz_document *document)
{
    const char *value = value_of(document, sections[section].member);

    if (section == WZ_MAPFILE_TYPES && strcmp(document->name, "input") != 0 &&
        strcmp(document->name, "output") != 0)
        return false;
    return value != NULL && wz_mapfile_can_say(wz_slice_str(value)) &&
           strlen(value) ==
               json_string_length(json_object_get(document->body, sections[section].member)) &&
           strlen(value) <= WZ_DOCUMENT_NAME_MAX &&
           wz_mapfile_can_say(wz_slice_str(document->name));
}

static int check_documents(const struct wz_document_list *lists, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf names = {0};
    size_t count = 0;

    for (int i = 0; i < WZ_MAPFILE_SECTION_COUNT; i++) {
        const struct wz_document_list *list = &lists[sections[i].collection];

        for (size_t j = 0; j < list->count; j++)
            if (!can_say((enum wz_mapfile_section)i, &list->items[j]) &&
                ++count <= WZ_MAPFILE_NAMED_MAX)
                wz_buf_addf(&names, "%s%s/%.40s", count > 1 ? ", " : "",
                            wz_collection_name(sections[i].collection), list->items[j].name);
    }
    if (count == 0)
        return WZ_OK;
    if (count > WZ_MAPFILE_NAMED_MAX)
        wz_buf_addf(&names, " and %zu more", count - WZ_MAPFILE_NAMED_MAX);
    wz_problem_set(ret_problem, WZ_ERR_UNSUPPORTED, WZ_CODE_MAPFILE_EXPORT,
                   "The text form has no way to say all that %s.",
                   count == 1 ? "a document holds" : "some documents hold");
    wz_problem_where(ret_problem, "%s", wz_buf_str(&names));
    wz_problem_fix(ret_problem, "Take the members out that are not in docs/formats/mapping.md.");
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
};

static void end_line(struct exporter *out)
{
    if (out->text->len > 0 && out->text->ptr[out->text->len - 1] != '\n')
        wz_buf_add_str(out->text, out->eol);
}

// Adds the documents that have no line, type words without quotes where they need none.
static void add_new(struct exporter *out, enum wz_mapfile_section which)
{
    const struct section *section = &sections[which];
    const struct wz_document_list *list = &out->lists[section->collection];
    bool bare = which == WZ_MAPFILE_TYPES;

    for (size_t i = 0; i < list->count; i++) {
        struct wz_slice name = wz_slice_str(list->items[i].name);
        struct wz_slice value = wz_slice_str(value_of(&list->items[i], section->member));

        if (wz_map_get(&out->file->names[which], name) != NULL)
            continue;
        end_line(out);
        if (bare)
            wz_buf_add_slice(out->text, name); // "input" or "output"
        else
            add_quoted(out->text, name);
        wz_buf_add_str(out->text, " = ");
        if (bare && can_be_bare(value))
            wz_buf_add_slice(out->text, value);
        else
            add_quoted(out->text, value);
        wz_buf_add_str(out->text, out->eol);
    }
}

static bool has_new(const struct exporter *out, enum wz_mapfile_section which)
{
    const struct wz_document_list *list = &out->lists[sections[which].collection];

    for (size_t i = 0; i < list->count; i++)
        if (wz_map_get(&out->file->names[which], wz_slice_str(list->items[i].name)) == NULL)
            return true;
    return false;
}

// Adds a kept line as it stands, with another value if the document has another, or not at all.
static void add_line(struct exporter *out, const struct wz_mapfile_line *line)
{
    const uint8_t *text = out->file->text.ptr;
    size_t behind = line->value_pos + line->value_len;
    const struct section *section;
    const char *value;

    if (line->name == NULL) {
        wz_buf_add(out->text, text + line->pos, line->len);
        return;
    }
    section = &sections[line->section];
    value = value_of(find(&out->lists[section->collection], line->name), section->member);
    if (value == NULL)
        return;
    if (strcmp(value, line->value) == 0) {
        wz_buf_add(out->text, text + line->pos, line->len);
        return;
    }
    wz_buf_add(out->text, text + line->pos, line->value_pos - line->pos);
    if (line->quoted || !can_be_bare(wz_slice_str(value)))
        add_quoted(out->text, wz_slice_str(value));
    else
        wz_buf_add_str(out->text, value);
    wz_buf_add(out->text, text + behind, line->pos + line->len - behind);
}

static void add_kept(struct exporter *out)
{
    const struct wz_mapfile *file = out->file;
    size_t last[WZ_MAPFILE_SECTION_COUNT]; // the line of each section behind which new ones go

    for (int i = 0; i < WZ_MAPFILE_SECTION_COUNT; i++)
        last[i] = SIZE_MAX;
    for (size_t i = 0; i < file->count; i++)
        if (file->lines[i].is_header || file->lines[i].name != NULL)
            last[file->lines[i].section] = i;
    for (size_t i = 0; i < file->count; i++) {
        enum wz_mapfile_section which = file->lines[i].section;

        add_line(out, &file->lines[i]);
        if (which != WZ_MAPFILE_SECTION_COUNT && last[which] == i)
            add_new(out, which);
    }
    for (int i = 0; i < WZ_MAPFILE_SECTION_COUNT; i++) {
        if (last[i] != SIZE_MAX || !has_new(out, (enum wz_mapfile_section)i))
            continue;
        end_line(out);
        if (out->text->len > 0)
            wz_buf_add_str(out->text, out->eol);
        wz_buf_addf(out->text, "[%s]%s", sections[i].name, out->eol);
        add_new(out, (enum wz_mapfile_section)i);
    }
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
    wz_mapfile_free(file);
    wz_buf_add_slice(ret_text, wz_buf_slice(&text));
    return WZ_OK;
}
