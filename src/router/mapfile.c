// SPDX-License-Identifier: Apache-2.0
// Owns the reading of a mapping text, line by line:
//
//   line    = blanks [ header | entry [ blanks mark ] | template ] blanks [ comment ] end
//   end     = LF | CR LF | end of the text
//   header  = "[" blanks ( "Device" | "Subtopic" | "Types" ) blanks "]"          in any case
//   entry   = text blanks "=" blanks text
//   text    = '"' { character, '\"' or '\\' } '"'  |  bare
//   bare    = characters without '"', up to "=" in a name, up to a comment in either
//   comment = ( "#" | ";" ) and all that follows, at the front of a line or behind a blank or a
//   quote, that is neither of these:
//   mark     = "#:" blanks object                       what else the entry's document holds
//   template = "#:" blanks "template" blanks name blanks object
//   object  = a JSON object on one line; behind it, a comment needs no blank
#include "router/mapfile.h"

#include <strings.h>

#include "base/codes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/mapfile_parts.h"

static const char *const sections[] = {
#define WZ_MAPFILE_NAME(id, name, collection, member) name,
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_NAME)
#undef WZ_MAPFILE_NAME
};

const char *wz_mapfile_member(enum wz_mapfile_kind kind)
{
    static const char *const members[] = {
#define WZ_MAPFILE_MEMBER(id, name, collection, member) member,
        WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_MEMBER)
#undef WZ_MAPFILE_MEMBER
            NULL,
    };

    return members[kind];
}

// The line being read. Positions count bytes from the text's start.
struct reader {
    struct wz_mapfile *file;
    size_t number; // of the line, from 1
    size_t start;  // where its first column is
    size_t pos;    // where to read on
    size_t end;    // where its end of line begins
    enum wz_mapfile_kind section;
    struct wz_problem *ret_problem;
};

__attribute__((format(printf, 5, 6))) static int
refuse(const struct reader *reader, size_t pos, int code, const char *fix, const char *what, ...)
{
    char text[256];
    size_t column = 1;
    va_list args;

    for (size_t i = reader->start; i < pos; i++) // columns are characters
        column += (reader->file->text.ptr[i] & 0xc0) != 0x80;
    va_start(args, what);
    (void)vsnprintf(text, sizeof(text), what, args); // a text that is too long is cut
    va_end(args);
    wz_problem_set(reader->ret_problem, WZ_ERR_INVALID, code, "%s", text);
    wz_problem_where(reader->ret_problem, "mapping file:%zu:%zu", reader->number, column);
    wz_problem_fix(reader->ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static uint8_t byte_at(const struct reader *reader, size_t pos)
{
    return pos < reader->end ? reader->file->text.ptr[pos] : 0;
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

static void skip_blanks(struct reader *reader)
{
    while (is_blank(byte_at(reader, reader->pos)))
        reader->pos++;
}

static bool at_comment(const struct reader *reader, size_t pos)
{
    return byte_at(reader, pos) == '#' || byte_at(reader, pos) == ';';
}

// The length of the character at the front of S if it may stand in a text, tabs apart, else 0: no
// control characters (C0, DEL, C1).
static size_t plain_character(struct wz_slice s)
{
    size_t len = wz_utf8_char(s);

    if (len == 1 && (s.ptr[0] < 0x20 || s.ptr[0] == 0x7f))
        return 0;
    return len == 2 && s.ptr[0] == 0xc2 && s.ptr[1] < 0xa0 ? 0 : len;
}

bool wz_mapfile_can_say(struct wz_slice s)
{
    while (s.len > 0) {
        size_t len = plain_character(s);

        if (len == 0)
            return false;
        s = wz_slice_sub(s, len, s.len - len);
    }
    return true;
}

static int check_characters(const struct reader *reader)
{
    const uint8_t *text = reader->file->text.ptr;

    for (size_t pos = reader->pos; pos < reader->end;) {
        struct wz_slice rest = wz_slice(text + pos, reader->end - pos);
        size_t len = text[pos] == '\t' ? 1 : plain_character(rest);

        if (len == 0 && wz_utf8_char(rest) == 0)
            return refuse(reader, pos, WZ_CODE_MAPFILE_SYNTAX, "Save the file as UTF-8 text.",
                          "There is a byte that is not UTF-8.");
        if (len == 0)
            return refuse(reader, pos, WZ_CODE_MAPFILE_SYNTAX, "Take it out.",
                          "There is a control character.");
        pos += len;
    }
    return WZ_OK;
}

// Reads a text between quotes into TEXT.
static int read_quoted(struct reader *reader, struct wz_buf *text)
{
    size_t start = reader->pos++;

    for (; reader->pos < reader->end; reader->pos++) {
        uint8_t c = byte_at(reader, reader->pos);

        if (c == '"') {
            reader->pos++;
            return WZ_OK;
        }
        if (c == '\\') {
            c = byte_at(reader, ++reader->pos);
            if (c != '\\' && c != '"')
                return refuse(reader, reader->pos - 1, WZ_CODE_MAPFILE_SYNTAX,
                              "Write \\\\ for a backslash and \\\" for a quote.",
                              "A backslash stands before neither a backslash nor a quote.");
        }
        wz_buf_add_byte(text, c);
    }
    return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, "Write a quote at the end of the text.",
                  "The text that begins here has no closing quote.");
}

// Reads a text without quotes, up to the byte STOP (0 for none) or a comment, into TEXT.
static int read_bare(struct reader *reader, uint8_t stop, struct wz_buf *text)
{
    size_t start = reader->pos;
    size_t end = start; // behind the last character that is no blank

    for (; reader->pos < reader->end; reader->pos++) {
        uint8_t c = byte_at(reader, reader->pos);

        if ((stop != 0 && c == stop) || (end < reader->pos && at_comment(reader, reader->pos)))
            break;
        if (c == '"')
            return refuse(reader, reader->pos, WZ_CODE_MAPFILE_SYNTAX,
                          "Put quotes around the whole text, and \\\" for a quote in it.",
                          "There is a quote inside a text without quotes.");
        if (!is_blank(c))
            end = reader->pos + 1;
    }
    wz_buf_add(text, reader->file->text.ptr + start, end - start);
    reader->pos = end;
    return WZ_OK;
}

// Reads a name (STOP is '=') or a value (STOP is 0).
static int read_text(struct reader *reader, uint8_t stop, struct wz_buf *text)
{
    size_t start = reader->pos;
    bool quoted = byte_at(reader, start) == '"';
    int r = WZ_OK;

    if (quoted)
        r = read_quoted(reader, text);
    else if (!at_comment(reader, start))
        r = read_bare(reader, stop, text);
    if (r < 0)
        return r;
    if (text->len == 0 && (!quoted || stop != 0))
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX,
                      "Write lines of the form \"mesh/b5ea3f/42\" = \"bedroom.light\".",
                      stop != 0 ? "There is no name before the '='." : "There is no value.");
    if (memchr(text->ptr != NULL ? text->ptr : (const uint8_t *)"", '\t', text->len) != NULL)
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, "Take it out.",
                      "There is a tab inside the text.");
    if (text->len > WZ_DOCUMENT_NAME_MAX)
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, "Give a shorter one.",
                      "The text is longer than 1024 bytes.");
    return WZ_OK;
}

// Behind a header or an entry nothing but a comment may come.
static int expect_end(struct reader *reader)
{
    skip_blanks(reader);
    if (reader->pos == reader->end || at_comment(reader, reader->pos))
        return WZ_OK;
    return refuse(reader, reader->pos, WZ_CODE_MAPFILE_SYNTAX,
                  "Begin a new line, or put a # in front of a comment.",
                  "There is more on the line than one header or entry.");
}

static int read_header(struct reader *reader, struct wz_mapfile_line *line)
{
    size_t start = ++reader->pos;
    const uint8_t *text = reader->file->text.ptr;
    size_t end;

    while (reader->pos < reader->end && text[reader->pos] != ']')
        reader->pos++;
    if (reader->pos == reader->end)
        return refuse(reader, start - 1, WZ_CODE_MAPFILE_SYNTAX, "Write a ] behind its name.",
                      "The section has no closing bracket.");
    end = reader->pos++;
    while (start < end && is_blank(text[start]))
        start++;
    while (end > start && is_blank(text[end - 1]))
        end--;
    for (int i = 0; i < WZ_MAPFILE_SECTION_COUNT; i++) {
        if (end - start != strlen(sections[i]) ||
            strncasecmp((const char *)text + start, sections[i], end - start) != 0)
            continue;
        reader->section = (enum wz_mapfile_kind)i;
        line->section = reader->section;
        line->is_header = true;
        return expect_end(reader);
    }
    return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX,
                  "The sections are [Device], [Subtopic] and [Types].",
                  "There is no section [%.*s].", (int)(end - start), (const char *)text + start);
}

static int add_name(struct reader *reader, struct wz_mapfile_line *line, size_t pos)
{
    struct wz_mapfile_line *before;

    if (line->kind == WZ_MAPFILE_TYPES && strcmp(line->name, "input") != 0 &&
        strcmp(line->name, "output") != 0)
        return refuse(reader, pos, WZ_CODE_MAPFILE_SYNTAX,
                      "Write input = for the word of readings, output = for that of commands.",
                      "There is no type \"%s\".", line->name);
    before = wz_map_get(&reader->file->names[line->kind], wz_slice_str(line->name));
    if (before != NULL)
        return refuse(reader, pos, WZ_CODE_MAPFILE_DUPLICATE, "Take one of the two lines out.",
                      "The %s \"%s\" stands on line %zu already.",
                      line->kind == WZ_MAPFILE_TEMPLATE ? "template" : "name", line->name,
                      (size_t)(before - reader->file->lines) + 1);
    (void)wz_map_put(&reader->file->names[line->kind], wz_slice_str(line->name), line);
    return WZ_OK;
}

// Marks.

static bool at_mark(const struct reader *reader)
{
    return byte_at(reader, reader->pos) == '#' && byte_at(reader, reader->pos + 1) == ':';
}

// Reads a JSON object into RET_OBJECT.
static int read_object(struct reader *reader, json_t **ret_object)
{
    const char *text = (const char *)reader->file->text.ptr + reader->pos;
    json_error_t error;
    json_t *object =
        json_loadb(text, reader->end - reader->pos,
                   JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &error);

    if (!json_is_object(object)) {
        json_decref(object);
        return refuse(
            reader, reader->pos, WZ_CODE_MAPFILE_SYNTAX,
            "Write #: {\"template\": \"tasmota\"} behind a device, or \"# :\" for a comment.",
            "Behind #: stands no JSON object: %s.", object == NULL ? error.text : "it is an array");
    }
    reader->pos += (size_t)error.position;
    *ret_object = object;
    return WZ_OK;
}

// Reads what an entry's mark says, if there is one.
static int read_mark(struct reader *reader, struct wz_mapfile_line *line)
{
    const char *member = wz_mapfile_member(line->kind);
    size_t start;
    int r;

    skip_blanks(reader);
    if (!at_mark(reader))
        return WZ_OK;
    start = reader->pos;
    reader->pos += strlen(WZ_MAPFILE_MARK);
    skip_blanks(reader);
    r = read_object(reader, &line->more);
    if (r < 0)
        return r;
    line->mark_at = (struct wz_mapfile_span){start, reader->pos - start};
    if (json_object_get(line->more, member) == NULL)
        return WZ_OK;
    return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, "Take it out of the object.",
                  "The member \"%s\" is what stands in front of the mark.", member);
}

static int read_entry(struct reader *reader, struct wz_mapfile_line *line)
{
    WZ_AUTO(wz_buf_release) struct wz_buf name = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    size_t start = reader->pos;
    int r;

    if (reader->section == WZ_MAPFILE_NONE)
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX,
                      "Write [Device], [Subtopic] or [Types] on a line above.",
                      "There is an entry before the first section.");
    r = read_text(reader, '=', &name);
    if (r < 0)
        return r;
    skip_blanks(reader);
    if (byte_at(reader, reader->pos) != '=')
        return refuse(reader, reader->pos, WZ_CODE_MAPFILE_SYNTAX,
                      "Write lines of the form \"mesh/b5ea3f/42\" = \"bedroom.light\".",
                      "There is no '=' behind the name.");
    reader->pos++;
    skip_blanks(reader);
    line->kind = reader->section;
    line->value_at.pos = reader->pos;
    line->quoted = byte_at(reader, reader->pos) == '"';
    r = read_text(reader, 0, &value);
    if (r < 0)
        return r;
    line->value_at.len = reader->pos - line->value_at.pos;
    line->name = wz_strdup(wz_buf_str(&name));
    line->value = wz_strdup(wz_buf_str(&value));
    r = read_mark(reader, line);
    if (r == WZ_OK)
        r = expect_end(reader);
    return r < 0 ? r : add_name(reader, line, start);
}

// Reads a text between quotes, or up to a blank.
static int read_word(struct reader *reader, struct wz_buf *text)
{
    size_t start = reader->pos;

    if (byte_at(reader, start) == '"')
        return read_quoted(reader, text);
    while (reader->pos < reader->end && !is_blank(byte_at(reader, reader->pos)))
        reader->pos++;
    wz_buf_add(text, reader->file->text.ptr + start, reader->pos - start);
    return WZ_OK;
}

static int read_template(struct reader *reader, struct wz_mapfile_line *line)
{
    static const char form[] = "Write #: template NAME {...}, or \"# :\" for a comment.";
    WZ_AUTO(wz_buf_release) struct wz_buf word = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf name = {0};
    size_t start = reader->pos;
    int r;

    reader->pos += strlen(WZ_MAPFILE_MARK);
    skip_blanks(reader);
    r = read_word(reader, &word);
    if (r < 0 || !wz_slice_eq(wz_buf_slice(&word), WZ_SLICE_LIT("template")))
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, form,
                      "A line that begins with #: is no template.");
    skip_blanks(reader);
    start = reader->pos;
    r = read_word(reader, &name);
    if (r < 0)
        return r;
    if (name.len == 0 || name.len > WZ_DOCUMENT_NAME_MAX ||
        memchr(name.ptr, '\t', name.len) != NULL)
        return refuse(reader, start, WZ_CODE_MAPFILE_SYNTAX, form,
                      "The template has no name, or one longer than 1024 bytes, or with a tab.");
    skip_blanks(reader);
    line->mark_at.pos = reader->pos;
    r = read_object(reader, &line->more);
    if (r < 0)
        return r;
    line->mark_at.len = reader->pos - line->mark_at.pos;
    line->kind = WZ_MAPFILE_TEMPLATE;
    line->name = wz_strdup(wz_buf_str(&name));
    r = expect_end(reader);
    return r < 0 ? r : add_name(reader, line, start);
}

static int read_line(struct reader *reader, struct wz_mapfile_line *line)
{
    int r = check_characters(reader);

    if (r < 0)
        return r;
    skip_blanks(reader);
    if (at_mark(reader))
        return read_template(reader, line);
    if (reader->pos == reader->end || at_comment(reader, reader->pos))
        return WZ_OK;
    if (byte_at(reader, reader->pos) == '[')
        return read_header(reader, line);
    return read_entry(reader, line);
}

static int read_lines(struct wz_mapfile *file, struct wz_problem *ret_problem)
{
    struct reader reader = {.file = file, .section = WZ_MAPFILE_NONE, .ret_problem = ret_problem};
    struct wz_slice text = wz_buf_slice(&file->text);

    for (size_t pos = 0; pos < text.len;) {
        const uint8_t *lf = memchr(text.ptr + pos, '\n', text.len - pos);
        size_t next = lf == NULL ? text.len : (size_t)(lf - text.ptr) + 1;
        struct wz_mapfile_line *line = &file->lines[file->count++];
        int r;

        *line = (struct wz_mapfile_line){.pos = pos, .len = next - pos, .section = reader.section};
        reader.number = file->count;
        reader.end = lf == NULL ? next : next - 1;
        if (lf != NULL && reader.end > pos && text.ptr[reader.end - 1] == '\r')
            reader.end--;
        if (pos == 0 && wz_slice_starts(text, WZ_SLICE_LIT("\xef\xbb\xbf")))
            pos = 3; // a byte order mark takes no column
        reader.start = pos;
        reader.pos = pos;
        r = read_line(&reader, line);
        if (r < 0)
            return r;
        pos = next;
    }
    return WZ_OK;
}

int wz_mapfile_parse(struct wz_slice text, struct wz_mapfile **ret_file,
                     struct wz_problem *ret_problem)
{
    struct wz_mapfile *file;
    size_t lines = 1;
    int r;

    if (text.len > WZ_MAPFILE_TEXT_MAX) {
        wz_problem_set(ret_problem, WZ_ERR_TOO_LARGE, WZ_CODE_MAPFILE_SYNTAX,
                       "The mapping file is larger than 64 MiB.");
        wz_problem_where(ret_problem, "mapping file");
        wz_problem_fix(ret_problem, "Give a smaller one.");
        return WZ_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    file = wz_zalloc(1, sizeof(*file));
    file->lines = wz_zalloc(lines, sizeof(file->lines[0]));
    wz_buf_reserve(&file->text, text.len + 1); // so that an empty text has a place too
    wz_buf_add_slice(&file->text, text);
    r = read_lines(file, ret_problem);
    if (r < 0)
        wz_mapfile_free(file);
    else
        *ret_file = file;
    return r;
}

void wz_mapfile_free(struct wz_mapfile *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->count; i++) {
        wz_free(file->lines[i].name);
        wz_free(file->lines[i].value);
        json_decref(file->lines[i].more);
    }
    for (int i = 0; i < WZ_MAPFILE_KIND_COUNT; i++)
        wz_map_release(&file->names[i]);
    wz_free(file->lines);
    wz_buf_release(&file->text);
    wz_free(file);
}
