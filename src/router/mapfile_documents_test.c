// SPDX-License-Identifier: Apache-2.0
#include "router/mapfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/rand.h"
#include "router/documents_test.h"

static const char original[] = "[Device]\n\"mesh/b5ea3f/42\" = \"bedroom.light\"\n\n[Subtopic]\n"
                               "\"M\" = \"brightness\"\n\n[Types]\ninput = status\n"
                               "output = command\n";

// Imports TEXT over the documents.
static size_t import(struct wz_document_list *lists, struct wz_slice text)
{
    struct wz_mapfile_changes changes = {0};
    struct wz_mapfile *file = NULL;
    size_t count;

    assert_int_equal(wz_mapfile_parse(text, &file, NULL), WZ_OK);
    wz_mapfile_changes(file, lists, &changes);
    apply_changes(lists, changes.items, changes.count);
    count = changes.count;
    wz_mapfile_changes_release(&changes);
    wz_mapfile_free(file);
    return count;
}

static void assert_export(const struct wz_document_list *lists, const char *expected)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_problem problem = {0};

    assert_int_equal(wz_mapfile_export(lists, &text, &problem), WZ_OK);
    assert_string_equal(wz_buf_str(&text), expected);
}

// Puts {MEMBER: VALUE}, or deletes when VALUE is NULL.
static void change(struct wz_document_list *lists, enum wz_collection collection, const char *name,
                   const char *member, const char *value)
{
    struct wz_store_change one = {.collection = collection, .name = name};

    if (value != NULL)
        one.body = json_pack("{s:s}", member, value);
    apply_changes(lists, &one, 1);
    json_decref(one.body);
}

static void test_mapfile_import_then_export_gives_the_same_bytes(void **state)
{
    static const char *const texts[] = {
        original,
        "",
        "\n",
        "# nothing but a comment",
        "[Device]",
        "[Device]\r\n  a   =   b\r\n",
        "\xef\xbb\xbf[Device]\na = b\n",
        "; first\n\n[types]\n\toutput\t=\t\"command\"\t;last\n[DEVICE]\n\n\n",
        "[Device]\n\"a\\\"\\\\\" = b # c\n\n[Device]\nb = \"x y\"# d",
        "[Subtopic]\n\"M\"=\"m\"\n[Device]\n[Subtopic]\nN=n\n",
        "[Device]\na = b\r\nc = d\n",
        "[Device]\n\xc3\xa4/\xe2\x82\xac = \xf0\x9f\x92\xa1\n",
        "[Device]\na=b=c\n   \n\t# indented\n",
        "#: template lamp {\"input\": \"in\"}\n[Device]\na = b #: {\"template\":  \"lamp\"}\n",
        "#:template\t\"my lamp\"{} # c\n[Device]\n\"a\"=\"b\"#:{ }#c\n#: template x {\"a\":1}",
        "[Subtopic]\nT = t \t #: {\"type\": \"number\", \"x\": [1.5, 1e2, "
        "\"\\u0085\\u0000\xc3\xa4\"]} ; c\r\n",
        "[Types]\ninput = a #: {\"description\": \"#: {}\"}\n",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};

        add_device(lists, "was/here/before", "gone");
        (void)import(lists, wz_slice_str(texts[i]));
        assert_export(lists, texts[i]);
        assert_int_equal(import(lists, wz_slice_str(texts[i])), 0); // nothing is left to change
        release_documents(lists);
    }
}

static void test_mapfile_import_replaces_the_mapping_as_a_whole(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    add_device(lists, "old", "gone");
    add_subtopic(lists, "M", "brightness");
    add_document(&lists[WZ_COLLECTION_SCRIPTS], "script", "code", "pass");
    assert_int_equal(import(lists, wz_slice_str(original)), 5); // all but M, and the text
    assert_int_equal(lists[WZ_COLLECTION_DEVICES].count, 1);
    assert_string_equal(lists[WZ_COLLECTION_DEVICES].items[0].name, "mesh/b5ea3f/42");
    assert_int_equal(lists[WZ_COLLECTION_TYPES].count, 2);
    assert_int_equal(lists[WZ_COLLECTION_SCRIPTS].count, 1);
    release_documents(lists);
}

static void test_mapfile_export_differs_in_the_lines_that_were_changed(void **state)
{
    static const char text[] = "# my devices\n[Device]\n  a = b   # keep\n\"c\" = \"d\"# this\n"
                               "e = f\n\n; channels\n[Subtopic]\n\nM = m";
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    (void)import(lists, wz_slice_str(text));
    change(lists, WZ_COLLECTION_DEVICES, "a", "route", "x");
    change(lists, WZ_COLLECTION_DEVICES, "c", "route", "y");
    change(lists, WZ_COLLECTION_DEVICES, "e", NULL, NULL);
    change(lists, WZ_COLLECTION_DEVICES, "new", "route", "z");
    change(lists, WZ_COLLECTION_SUBTOPICS, "N", "channel", "n");
    change(lists, WZ_COLLECTION_TYPES, "input", "word", "state");
    assert_export(lists, "# my devices\n[Device]\n  a = x   # keep\n\"c\" = \"y\"# this\n"
                         "\"new\" = \"z\"\n\n; channels\n[Subtopic]\n\nM = m\n\"N\" = \"n\"\n"
                         "\n[Types]\ninput = state\n");
    release_documents(lists);
}

static void test_mapfile_export_quotes_where_it_must(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    (void)import(lists, WZ_SLICE_LIT("[Types]\r\ninput = a\r\noutput = b\r\n"));
    change(lists, WZ_COLLECTION_TYPES, "input", "word", "x #y");
    change(lists, WZ_COLLECTION_TYPES, "output", "word", "a\"b\\");
    change(lists, WZ_COLLECTION_DEVICES, "a\"=\\", "route", "x\"");
    assert_export(lists, "[Types]\r\ninput = \"x #y\"\r\noutput = \"a\\\"b\\\\\"\r\n\r\n"
                         "[Device]\r\n\"a\\\"=\\\\\" = \"x\\\"\"\r\n");
    release_documents(lists);
}

static void test_mapfile_export_without_a_kept_text_is_in_the_original_form(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    add_device(lists, "mesh/b5ea3f/42", "bedroom.light");
    add_subtopic(lists, "M", "brightness");
    add_type(lists, "input", "status");
    add_type(lists, "output", "command");
    assert_export(lists, original);
    // A kept text that somebody spoilt counts as none.
    change(lists, WZ_COLLECTION_SETTINGS, WZ_MAPFILE_DOCUMENT, "text", "no section = here");
    assert_export(lists, original);
    release_documents(lists);
}

// Puts a document with this body, which is JSON.
static void put(struct wz_document_list *lists, enum wz_collection collection, const char *name,
                const char *body)
{
    struct wz_store_change one = {
        .collection = collection, .name = name, .body = json_loads(body, JSON_ALLOW_NUL, NULL)};

    assert_non_null(one.body);
    apply_changes(lists, &one, 1);
    json_decref(one.body);
}

static void test_mapfile_import_takes_what_marks_say(void **state)
{
    static const char text[] = "#: template lamp {\"input\":\"in\"}\n[Device]\n"
                               "a = b #: {\"template\":\"lamp\",\"type\":\"json\"}\nc = d #: {}\n"
                               "[Subtopic]\nT = t #: {\"type\":\"number\"}\n";
    static const struct {
        enum wz_collection collection;
        const char *body;
    } expected[] = {
        {WZ_COLLECTION_TEMPLATES, "{\"input\":\"in\"}"},
        {WZ_COLLECTION_DEVICES, "{\"route\":\"b\",\"template\":\"lamp\",\"type\":\"json\"}"},
        {WZ_COLLECTION_SUBTOPICS, "{\"channel\":\"t\",\"type\":\"number\"}"},
    };
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    put(lists, WZ_COLLECTION_TEMPLATES, "gone", "{}");
    assert_int_equal(import(lists, wz_slice_str(text)), 6);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        char *body = json_dumps(lists[expected[i].collection].items[0].body, JSON_COMPACT);

        assert_string_equal(body, expected[i].body);
        free(body);
    }
    assert_int_equal(lists[WZ_COLLECTION_TEMPLATES].count, 1);
    // What the marks said goes with them.
    assert_int_equal(import(lists, WZ_SLICE_LIT("[Device]\na = b\n")), 5);
    assert_int_equal(json_object_size(lists[WZ_COLLECTION_DEVICES].items[0].body), 1);
    assert_int_equal(lists[WZ_COLLECTION_TEMPLATES].count, 0);
    release_documents(lists);
}

static void test_mapfile_export_changes_marks_alone(void **state)
{
    static const char text[] = "#: template lamp {\"input\":\"in\"} # mine\n[Device]\n"
                               "a = b   # keep\n\"c\" = \"d\"# this\n"
                               "e = f  #: {\"type\":\"json\"}# and\n"
                               "g = h  #: {\"type\":\"json\"}  ; this\n"
                               "i = j #: {\"type\" : \"json\"}\n"
                               "k = l #: {\"template\":\"lamp\"} # too\n";
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    (void)import(lists, wz_slice_str(text));
    put(lists, WZ_COLLECTION_TEMPLATES, "lamp", "{\"input\":\"state\"}");
    put(lists, WZ_COLLECTION_TEMPLATES, "a b",
        "{\"description\":\"\\u0085\\u007f\\n\\u0000\xc3\xa4\"}");
    put(lists, WZ_COLLECTION_DEVICES, "a", "{\"template\":\"lamp\",\"route\":\"b\"}");
    put(lists, WZ_COLLECTION_DEVICES, "c", "{\"route\":\"D\",\"template\":\"lamp\"}");
    put(lists, WZ_COLLECTION_DEVICES, "e", "{\"route\":\"f\"}");
    put(lists, WZ_COLLECTION_DEVICES, "g", "{\"route\":\"h\"}");
    put(lists, WZ_COLLECTION_DEVICES, "i", "{\"route\":\"J\",\"type\":\"json\"}");
    put(lists, WZ_COLLECTION_DEVICES, "k", "{\"route\":\"l\",\"type\":\"number\"}");
    put(lists, WZ_COLLECTION_DEVICES, "m", "{\"route\":\"n\",\"type\":\"number\"}");
    put(lists, WZ_COLLECTION_SUBTOPICS, "T", "{\"channel\":\"t\",\"send\":\"value\"}");
    assert_export(lists,
                  "#: template lamp {\"input\": \"state\"} # mine\n"
                  "#: template \"a b\" {\"description\": \"\\u0085\\u007f\\n\\u0000\xc3\xa4\"}\n"
                  "[Device]\n"
                  "a = b #: {\"template\": \"lamp\"}   # keep\n"
                  "\"c\" = \"D\" #: {\"template\": \"lamp\"}# this\n"
                  "e = f # and\ng = h  ; this\n"
                  "i = J #: {\"type\": \"json\"}\n"
                  "k = l #: {\"type\": \"number\"} # too\n"
                  "\"m\" = \"n\" #: {\"type\": \"number\"}\n"
                  "\n[Subtopic]\n\"T\" = \"t\" #: {\"send\": \"value\"}\n");
    release_documents(lists);
}

static void test_mapfile_export_keeps_the_order_of_members(void **state)
{
    static const char text[] = "#: template t {\"reading\":{\"a\":\"1\",\"b\":\"2\"}}\n";
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    (void)import(lists, wz_slice_str(text));
    put(lists, WZ_COLLECTION_TEMPLATES, "t", "{\"reading\":{\"b\":\"2\",\"a\":\"1\"}}");
    assert_export(lists, "#: template t {\"reading\": {\"b\": \"2\", \"a\": \"1\"}}\n");
    assert_int_equal(import(lists, wz_slice_str(text)), 1);
    release_documents(lists);
}

static void test_mapfile_export_without_a_kept_text_has_templates_last(void **state)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    put(lists, WZ_COLLECTION_TEMPLATES, "t", "{}");
    put(lists, WZ_COLLECTION_DEVICES, "a", "{\"route\":\"b\",\"template\":\"t\"}");
    put(lists, WZ_COLLECTION_TYPES, "input", "{\"word\":\"x\",\"description\":\"d\"}");
    assert_export(lists, "[Device]\n\"a\" = \"b\" #: {\"template\": \"t\"}\n\n"
                         "[Types]\ninput = x #: {\"description\": \"d\"}\n\n#: template t {}\n");
    release_documents(lists);
}

static void test_mapfile_export_names_what_it_cannot_say(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_problem problem = {0};
    (void)state;

    add_device(lists, "fine", "r");
    change(lists, WZ_COLLECTION_DEVICES, "line", "route", "a\nb");
    put(lists, WZ_COLLECTION_DEVICES, "more", "{\"route\":\"r\",\"template\":\"t\"}");
    put(lists, WZ_COLLECTION_DEVICES, "none", "{\"template\":\"t\"}");
    put(lists, WZ_COLLECTION_DEVICES, "nul", "{\"route\":\"a\\u0000\"}");
    change(lists, WZ_COLLECTION_TYPES, "other", "word", "x");
    put(lists, WZ_COLLECTION_TEMPLATES, "a\tb", "{}");
    assert_int_equal(wz_mapfile_export(lists, &text, &problem), WZ_ERR_UNSUPPORTED);
    assert_int_equal(problem.code, WZ_CODE_MAPFILE_EXPORT);
    assert_string_equal(problem.where,
                        "devices/line, devices/none, devices/nul, types/other, templates/a\tb");
    assert_int_equal(text.len, 0);
    release_documents(lists);
}

static void test_mapfile_keeps_a_long_text_in_pieces(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    (void)state;

    wz_buf_add_str(&text, "[Device]\na = b\n#x");
    while (text.len < 3 * WZ_MAPFILE_PIECE_MAX)
        wz_buf_add_str(&text, "\xe2\x82\xac\"\\"); // characters that a cut must not split
    wz_buf_add_byte(&text, '\n');
    (void)import(lists, wz_buf_slice(&text));
    assert_int_equal(lists[WZ_COLLECTION_SETTINGS].count, 4);
    assert_export(lists, wz_buf_str(&text));
    (void)import(lists, wz_slice_str(original));
    assert_int_equal(lists[WZ_COLLECTION_SETTINGS].count, 1);
    assert_export(lists, original);
    release_documents(lists);
}

static const char *pick(uint64_t *seed, const char *const *words, size_t count)
{
    return words[next_random(seed) % count];
}

static void random_text(uint64_t *seed, struct wz_buf *text)
{
    static const char *const headers[] = {"[Device]", "[ subtopic ]#", "\t[TYPES] ; t"};
    static const char *const notes[] = {"", "# note", "  ; note", "\t"};
    static const char *const types[] = {"input = a", "output = \"b\""};
    static const char *const ends[] = {"\n", "\n", "\r\n"};
    unsigned number = 0;
    size_t section = 0;
    size_t types_used = 0;
    size_t lines = 1 + next_random(seed) % 20;

    // Both sections are there: one that an export makes goes again with its last entry.
    wz_buf_add_str(text, "#: template base {}\n[Subtopic]\n[Device]");
    for (size_t i = 0; i < lines; i++) {
        uint64_t kind = next_random(seed) % 6;

        wz_buf_add_str(text, pick(seed, ends, 3));
        if (kind == 0)
            wz_buf_add_str(text, headers[section = next_random(seed) % 3]);
        else if (kind == 1)
            wz_buf_add_str(text, pick(seed, notes, 4));
        else if (section == 2 && types_used < 2)
            wz_buf_add_str(text, types[types_used++]);
        else if (section != 2 && kind == 2)
            wz_buf_addf(text, "n%u = v", number++);
        else if (section != 2 && kind == 3)
            wz_buf_addf(text, "\"n%u\"=\"v\\\\\" # c", number++);
        else if (section != 2 && kind == 4)
            wz_buf_addf(text, "n%u = v  #: {\"type\":\"json\"}%s", number++, pick(seed, notes, 4));
        else if (section != 2)
            wz_buf_addf(text, "  n%u\t=  v w ;c", number++);
        else if (kind == 2)
            wz_buf_addf(text, "#: template n%u {\"type\" : \"json\"}# c", number++);
    }
    if (next_random(seed) % 2 == 0)
        wz_buf_add_str(text, pick(seed, ends, 3));
}

// Makes one random change to a device, subtopic or template.
static void random_change(uint64_t *seed, struct wz_document_list *lists)
{
    static const char *const values[] = {"x", "x y", " x", "#x", "a #b", "\"", "\\", "a=b", ""};
    static const enum wz_collection collections[] = {WZ_COLLECTION_DEVICES, WZ_COLLECTION_SUBTOPICS,
                                                     WZ_COLLECTION_TEMPLATES};
    static const char *const members[] = {"route", "channel", "input"};
    size_t which = next_random(seed) % 3;
    struct wz_store_change one = {.collection = collections[which]};
    char name[16];

    (void)snprintf(name, sizeof(name), "n%u", (unsigned)(next_random(seed) % 24));
    one.name = name;
    if (next_random(seed) % 3 > 0)
        one.body = json_pack("{s:s, s:s*}", members[which], pick(seed, values, 9), "type",
                             next_random(seed) % 2 == 0 ? "number" : NULL);
    apply_changes(lists, &one, 1);
    json_decref(one.body);
}

#define LINES_MAX 64

// Cuts a text into its lines, without their ends.
static size_t cut_lines(struct wz_slice text, struct wz_slice ret_lines[LINES_MAX])
{
    size_t count = 0;

    for (size_t pos = 0; pos < text.len && count < LINES_MAX;) {
        const uint8_t *lf = memchr(text.ptr + pos, '\n', text.len - pos);
        size_t end = lf == NULL ? text.len : (size_t)(lf - text.ptr);
        size_t len = end - pos;

        if (len > 0 && text.ptr[end - 1] == '\r')
            len--;
        ret_lines[count++] = wz_slice_sub(text, pos, len);
        pos = end + 1;
    }
    return count;
}

// How many lines of BEFORE are not in AFTER, when one run of lines was replaced by another.
static size_t count_changed(struct wz_slice before, struct wz_slice after)
{
    struct wz_slice a[LINES_MAX];
    struct wz_slice b[LINES_MAX];
    size_t a_count = cut_lines(before, a);
    size_t b_count = cut_lines(after, b);
    size_t front = 0;
    size_t back = 0;

    while (front < a_count && front < b_count && wz_slice_eq(a[front], b[front]))
        front++;
    while (back < a_count - front && back < b_count - front &&
           wz_slice_eq(a[a_count - 1 - back], b[b_count - 1 - back]))
        back++;
    return a_count - front - back;
}

static void test_mapfile_export_follows_any_edit_in_one_line(void **state)
{
    uint64_t seed = wz_rand_u64();
    (void)state;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 3000; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};

        random_text(&seed, &text);
        (void)import(lists, wz_buf_slice(&text));
        assert_export(lists, wz_buf_str(&text));
        for (int j = 0; j < 4; j++) {
            WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
            WZ_AUTO(wz_buf_release) struct wz_buf after = {0};
            struct wz_mapfile *file = NULL;
            struct wz_mapfile_changes changes = {0};

            assert_int_equal(wz_mapfile_export(lists, &before, NULL), WZ_OK);
            random_change(&seed, lists);
            assert_int_equal(wz_mapfile_export(lists, &after, NULL), WZ_OK);
            assert_true(count_changed(wz_buf_slice(&before), wz_buf_slice(&after)) <= 1);
            // And what was written says what the documents say: only the kept text would change.
            assert_int_equal(wz_mapfile_parse(wz_buf_slice(&after), &file, NULL), WZ_OK);
            wz_mapfile_changes(file, lists, &changes);
            for (size_t k = 0; k < changes.count; k++)
                assert_int_equal(changes.items[k].collection, WZ_COLLECTION_SETTINGS);
            wz_mapfile_changes_release(&changes);
            wz_mapfile_free(file);
        }
        release_documents(lists);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapfile_import_then_export_gives_the_same_bytes),
        cmocka_unit_test(test_mapfile_import_replaces_the_mapping_as_a_whole),
        cmocka_unit_test(test_mapfile_export_differs_in_the_lines_that_were_changed),
        cmocka_unit_test(test_mapfile_export_quotes_where_it_must),
        cmocka_unit_test(test_mapfile_export_without_a_kept_text_is_in_the_original_form),
        cmocka_unit_test(test_mapfile_import_takes_what_marks_say),
        cmocka_unit_test(test_mapfile_export_changes_marks_alone),
        cmocka_unit_test(test_mapfile_export_keeps_the_order_of_members),
        cmocka_unit_test(test_mapfile_export_without_a_kept_text_has_templates_last),
        cmocka_unit_test(test_mapfile_export_names_what_it_cannot_say),
        cmocka_unit_test(test_mapfile_keeps_a_long_text_in_pieces),
        cmocka_unit_test(test_mapfile_export_follows_any_edit_in_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
