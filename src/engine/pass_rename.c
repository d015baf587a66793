// SPDX-License-Identifier: Apache-2.0
// Owns templates and what wildcards have matched. Where a pattern has several '#', each takes as
// few words as it can.
#include "engine/pass_rename.h"

#include "base/codes.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "topic/trie.h"

// A topic that ends in it is that of a command (docs/commands.md); nothing is renamed to one.
#define COMMAND_WORD "output"

struct captures {
    struct wz_slice items[WZ_TRIE_DEPTH_MAX];
    size_t count;
};

// A piece of a template.
struct piece {
    struct wz_slice text; // literal, or what stands between the braces
    bool placeholder;
};

static struct wz_slice first_word(struct wz_slice s)
{
    const uint8_t *dot = s.len > 0 ? memchr(s.ptr, '.', s.len) : NULL;

    return dot ? wz_slice(s.ptr, (size_t)(dot - s.ptr)) : s;
}

// What is behind the first LEN bytes, which are whole words, and the dot that follows them.
static struct wz_slice behind(struct wz_slice s, size_t len)
{
    size_t skip = len > 0 && len < s.len ? len + 1 : len;

    return wz_slice_sub(s, skip, s.len - skip);
}

static bool is_word(struct wz_slice word, const char *text)
{
    return wz_slice_eq(word, wz_slice_str(text));
}

// Whether what is left of a pattern matches what is left of a topic; either may be nothing at all.
static bool rest_matches(struct wz_slice pattern, struct wz_slice topic)
{
    while (topic.len == 0 && is_word(first_word(pattern), "#"))
        pattern = behind(pattern, 1);
    if (pattern.len == 0 || topic.len == 0)
        return pattern.len == topic.len;
    return wz_pattern_match(&wz_topic_amqp, pattern, topic);
}

// How many bytes of TOPIC a '#' takes, with REST of the pattern behind it.
static size_t take_many(struct wz_slice rest, struct wz_slice topic)
{
    size_t len = 0;

    while (len < topic.len && !rest_matches(rest, behind(topic, len))) {
        struct wz_slice left = behind(topic, len);

        len = topic.len - left.len + first_word(left).len;
    }
    return len;
}

// TOPIC must match.
static void capture(struct wz_slice pattern, struct wz_slice topic, struct captures *captures)
{
    captures->count = 0;
    while (pattern.len > 0 && captures->count < WZ_TRIE_DEPTH_MAX) {
        struct wz_slice word = first_word(pattern);
        size_t len = first_word(topic).len;

        pattern = behind(pattern, word.len);
        if (is_word(word, "#"))
            len = take_many(pattern, topic);
        if (is_word(word, "#") || is_word(word, "*"))
            captures->items[captures->count++] = wz_slice_sub(topic, 0, len);
        topic = behind(topic, len);
    }
}

// The next piece off the front of TEMPLATE; false at its end, and for a brace without its other
// half, which is then still there.
static bool next_piece(struct wz_slice *template, struct piece *ret_piece)
{
    bool opens = template->len > 0 && template->ptr[0] == '{';
    size_t len = opens ? 1 : 0;

    while (len < template->len && template->ptr[len] != '{' && template->ptr[len] != '}')
        len++;
    if (len == 0 || (opens && (len == template->len || template->ptr[len] != '}')))
        return false;
    ret_piece->placeholder = opens;
    ret_piece->text = opens ? wz_slice_sub(*template, 1, len - 1) : wz_slice_sub(*template, 0, len);
    len += opens ? 1 : 0;
    *template = wz_slice_sub(*template, len, template->len - len);
    return true;
}

// The value of a placeholder; false when there is none of that name.
static bool find_value(struct wz_slice name, struct wz_slice topic, const struct captures *captures,
                       struct wz_slice *ret_value)
{
    size_t number = 0;

    if (is_word(name, "topic")) {
        *ret_value = topic;
        return true;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9' || i > 2)
            return false;
        number = number * 10 + (size_t)(name.ptr[i] - '0');
    }
    if (number == 0 || number > captures->count)
        return false;
    *ret_value = captures->items[number - 1];
    return true;
}

// Adds the value of a placeholder that begins a word or not; START is where the topic begins. If it
// is nothing, the dot in front of it goes, or, at the start, the one behind it.
static void add_value(struct wz_buf *buf, size_t start, struct wz_slice value,
                      struct wz_slice *template)
{
    bool ends_word = template->len == 0 || template->ptr[0] == '.';

    wz_buf_add_slice(buf, value);
    if (value.len > 0 || !ends_word)
        return;
    if (buf->len > start && buf->ptr[buf->len - 1] == '.')
        buf->len--;
    else if (buf->len == start && template->len > 0)
        *template = wz_slice_sub(*template, 1, template->len - 1);
}

static bool is_command(struct wz_slice topic)
{
    const struct wz_slice word = WZ_SLICE_LIT(COMMAND_WORD);

    return topic.len >= word.len &&
           wz_slice_eq(wz_slice_sub(topic, topic.len - word.len, word.len), word) &&
           (topic.len == word.len || topic.ptr[topic.len - word.len - 1] == '.');
}

// Adds what TEMPLATE makes of TOPIC; false for a placeholder or brace that is wrong, which is where
// TEMPLATE stands then.
static bool expand(struct wz_slice *template, struct wz_slice topic,
                   const struct captures *captures, struct wz_buf *buf)
{
    size_t start = buf->len;
    struct wz_slice before = *template;
    struct wz_slice value;
    struct piece piece;

    while (next_piece(template, &piece)) {
        if (!piece.placeholder) {
            wz_buf_add_slice(buf, piece.text);
        } else if (find_value(piece.text, topic, captures, &value)) {
            add_value(buf, start, value, template);
        } else {
            *template = before;
            return false;
        }
        before = *template;
    }
    return template->len == 0;
}

bool wz_pass_rename(struct wz_slice template, struct wz_slice pattern, struct wz_slice topic,
                    struct wz_buf *ret_topic)
{
    size_t start = ret_topic->len;
    struct captures captures;
    struct wz_slice made;

    capture(pattern, topic, &captures);
    if (expand(&template, topic, &captures, ret_topic)) {
        made = wz_slice(ret_topic->ptr + start, ret_topic->len - start);
        if (wz_bus_topic_valid(made) && !is_command(made))
            return true;
    }
    ret_topic->len = start;
    return false;
}

static int refuse(struct wz_problem *problem, const char *what, const char *fix)
{
    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID, "%s", what);
    wz_problem_fix(problem, "%s", fix);
    return WZ_ERR_INVALID;
}

// The words that stand for what the wildcards of PATTERN will match.
static void imagine(struct wz_slice pattern, struct captures *captures)
{
    captures->count = 0;
    while (pattern.len > 0 && captures->count < WZ_TRIE_DEPTH_MAX) {
        struct wz_slice word = first_word(pattern);

        if (is_word(word, "#") || is_word(word, "*"))
            captures->items[captures->count++] = WZ_SLICE_LIT("w");
        pattern = behind(pattern, word.len);
    }
}

int wz_pass_rename_check(struct wz_slice template, struct wz_slice pattern,
                         struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf made = {0};
    struct wz_slice rest = template;
    struct captures captures;

    imagine(pattern, &captures);
    if (!expand(&rest, WZ_SLICE_LIT("w"), &captures, &made)) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID,
                             "\"rename\" cannot be understood at \"%.*s\"",
                             (int)(rest.len < 64 ? rest.len : 64), (const char *)rest.ptr);
        wz_problem_fix(ret_problem,
                       "use {topic}, or a number in braces for one of the %zu wildcards of the "
                       "pattern",
                       captures.count);
        return WZ_ERR_INVALID;
    }
    if (!wz_bus_topic_valid(wz_buf_slice(&made)))
        return refuse(ret_problem, "\"rename\" does not give a topic",
                      "write words joined by '.', none of them empty, '*' or '#', of at most 255 "
                      "bytes");
    if (is_command(wz_buf_slice(&made)))
        return refuse(ret_problem, "\"rename\" gives the topic of a command",
                      "end it in another word than \"" COMMAND_WORD "\": what passes through is no "
                      "command");
    return WZ_OK;
}
