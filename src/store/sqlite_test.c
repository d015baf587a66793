// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/mem.h"

static char folder[] = "/tmp/wyze-sqlite-test-XXXXXX";
static char path[64];

static void write_bytes(const char *file, int64_t pos, const void *bytes, size_t len)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};

    assert_int_equal(wz_fs_open(file, WZ_FS_CREATE, &fd), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, 1, pos), WZ_OK);
}

static void run_sql(const char *sql)
{
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

// Makes a database of ours with COUNT documents of some size.
static void make_database(int count)
{
    struct wz_sqlite *db = NULL;
    char body[600];

    memset(body, 'x', sizeof(body));
    memcpy(body, "{\"x\":\"", 6);
    memcpy(body + sizeof(body) - 2, "\"}", 2);
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_begin(db, WZ_SQLITE_WRITE, NULL), WZ_OK);
    for (int i = 0; i < count; i++) {
        char name[16];
        struct wz_sqlite_row row = {.collection = WZ_COLLECTION_DEVICES,
                                    .name = name,
                                    .revision = 1,
                                    .body = wz_slice(body, sizeof(body))};

        (void)snprintf(name, sizeof(name), "d%05d", i);
        assert_int_equal(wz_sqlite_put(db, &row, NULL), WZ_OK);
    }
    assert_int_equal(wz_sqlite_commit(db, NULL), WZ_OK);
    wz_sqlite_close(db);
}

// Makes a database of ours with one document, devices/lamp.
static void make_lamp(int64_t revision, const char *body)
{
    struct wz_sqlite *db = NULL;
    struct wz_sqlite_row row = {.collection = WZ_COLLECTION_DEVICES,
                                .name = "lamp",
                                .revision = revision,
                                .body = wz_slice_str(body)};

    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_put(db, &row, NULL), WZ_OK);
    wz_sqlite_close(db);
}

// Makes a database as version 1 left it, with devices/lamp, revision 7, scripts/dim, revision 4,
// and types/input.
static void make_version_1(void)
{
    run_sql("CREATE TABLE documents (collection TEXT NOT NULL, name TEXT NOT NULL, "
            "revision INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, name)) STRICT;"
            "PRAGMA application_id = 0x77797a65; PRAGMA user_version = 1;"
            "PRAGMA journal_mode = WAL;"
            "INSERT INTO documents VALUES ('devices', 'lamp', 7, '{\"route\":\"hall\"}');"
            "INSERT INTO documents VALUES ('scripts', 'dim', 4, '{\"code\":\"\"}');"
            "INSERT INTO documents VALUES ('types', 'input', 1, '{}')");
}

// Flips a bit in the middle of BYTES, at the place with that number, from 1 on, where they stand in
// the file: the table comes before its index.
static void flip(const char *bytes, int place)
{
    WZ_AUTO(wz_buf_release) struct wz_buf file = {0};
    size_t len = strlen(bytes);
    size_t pos = 0;

    assert_int_equal(wz_fs_load(path, 1 << 24, &file), WZ_OK);
    for (;; pos++) {
        assert_true(pos + len <= file.len);
        if (memcmp(file.ptr + pos, bytes, len) == 0 && --place == 0)
            break;
    }
    pos += len / 2;
    file.ptr[pos] ^= 1;
    write_bytes(path, (int64_t)pos, file.ptr + pos, 1);
}

// The number that SQL gives, -1 for NULL.
static int64_t ask_number(const char *sql)
{
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t number;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number =
        sqlite3_column_type(statement, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    return number;
}

static int64_t lamp_checksum(void)
{
    return ask_number("SELECT checksum FROM documents WHERE name = 'lamp'");
}

// What devices/lamp says of its route.
static void assert_lamp(struct wz_sqlite *db, int64_t revision, const char *route)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    struct wz_problem problem = {0};

    assert_int_equal(wz_sqlite_list(db, WZ_COLLECTION_DEVICES, "lamp", &list, &problem), WZ_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "lamp");
    assert_int_equal(list.items[0].revision, revision);
    assert_string_equal(json_string_value(json_object_get(list.items[0].body, "route")), route);
}

static mode_t mode_of(const char *suffix)
{
    char file[80];
    struct stat st;

    (void)snprintf(file, sizeof(file), "%s%s", path, suffix);
    assert_int_equal(stat(file, &st), 0);
    return st.st_mode & 0777;
}

// Opens, expecting a refusal with CODE that changes no byte of the file; returns the problem.
static struct wz_problem assert_refused(int err, int code)
{
    WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf after = {0};
    struct wz_sqlite *db = NULL;
    struct wz_problem problem = {0};

    assert_int_equal(wz_fs_load(path, 1 << 24, &before), WZ_OK);
    assert_int_equal(wz_sqlite_open(path, &db, &problem), err);
    print_message("%s | %s | %s\n", problem.what, problem.where, problem.fix);
    assert_int_equal(problem.code, code);
    assert_int_equal(problem.err, err);
    assert_string_equal(problem.where, path);
    assert_string_not_equal(problem.fix, "");
    assert_int_equal(wz_fs_load(path, 1 << 24, &after), WZ_OK);
    assert_true(wz_slice_eq(wz_buf_slice(&before), wz_buf_slice(&after)));
    return problem;
}

static void test_sqlite_open_makes_files_that_only_the_owner_reads(void **state)
{
    struct wz_sqlite *db = NULL;
    mode_t mask = umask(0);
    (void)state;

    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    umask(mask);
    assert_int_equal(wz_sqlite_begin(db, WZ_SQLITE_WRITE, NULL), WZ_OK);
    assert_int_equal(mode_of(""), 0600);
    assert_int_equal(mode_of("-wal"), 0600);
    assert_int_equal(mode_of("-shm"), 0600);
    wz_sqlite_close(db);
}

static void test_sqlite_open_takes_other_users_rights_away(void **state)
{
    struct wz_sqlite *db = NULL;
    (void)state;

    make_database(1);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(mode_of(""), 0600);
    wz_sqlite_close(db);
}

static void test_sqlite_open_takes_an_empty_file(void **state)
{
    struct wz_sqlite *db = NULL;
    (void)state;

    write_bytes(path, 0, "", 0);
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    wz_sqlite_close(db);
}

static void test_sqlite_open_refuses_a_file_of_something_else(void **state)
{
    char noise[5000];
    (void)state;

    write_bytes(path, 0, "mqtt:\n  listen: off\n", 20);
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_FOREIGN);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)(i * 31 + 7);
    write_bytes(path, 0, noise, sizeof(noise));
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_FOREIGN);
}

static void test_sqlite_open_refuses_a_database_of_another_program(void **state)
{
    (void)state;
    run_sql("CREATE TABLE documents (x); PRAGMA user_version = 1");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_FOREIGN);
}

static void test_sqlite_open_refuses_a_newer_version(void **state)
{
    (void)state;
    make_database(1);
    run_sql("PRAGMA user_version = 4");
    (void)assert_refused(WZ_ERR_UNSUPPORTED, WZ_CODE_STORE_NEWER);
}

static void test_sqlite_open_refuses_damaged_pages(void **state)
{
    char noise[512];
    (void)state;

    memset(noise, 0xa5, sizeof(noise));
    make_database(100);
    write_bytes(path, 4096 + 8, noise, sizeof(noise));
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_open_refuses_a_file_that_was_cut(void **state)
{
    (void)state;
    make_database(100);
    assert_int_equal(truncate(path, 4096 * 3 + 100), 0);
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_open_refuses_a_database_without_its_table(void **state)
{
    (void)state;
    make_database(1);
    run_sql("DROP TABLE documents");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_open_refuses_a_version_that_is_not_its_tables(void **state)
{
    (void)state;
    make_database(1);
    run_sql("PRAGMA user_version = 1");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
    run_sql("PRAGMA user_version = 0");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
    run_sql("DROP TRIGGER documents_by_others; ALTER TABLE documents DROP COLUMN checksum;"
            "PRAGMA user_version = 3");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_open_brings_version_1_up_to_date(void **state)
{
    struct wz_sqlite *db = NULL;
    (void)state;

    make_version_1();
    for (int i = 0; i < 2; i++) { // the second time there is nothing to do
        assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
        assert_lamp(db, 7, "hall");
        wz_sqlite_close(db);
        assert_int_equal(ask_number("PRAGMA user_version"), 3);
        assert_int_equal(ask_number("SELECT count(checksum) FROM documents"), 3);
        assert_int_equal(ask_number("SELECT revision FROM versions WHERE name = 'dim'"), 4);
        assert_int_equal(ask_number("SELECT count(*) FROM versions"), 1);
    }
    flip("hall", 1);
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_open_leaves_a_damaged_version_1_as_it_is(void **state)
{
    (void)state;
    make_version_1();
    flip("lamp", 2); // in the index: the table's pages are whole
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
    run_sql("DROP TABLE documents");
    (void)assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
}

static void test_sqlite_put_writes_the_checksum_of_its_document(void **state)
{
    static const char bytes[] = "devices\0lamp\0\0\0\0\0\0\0\x01\x02{\"route\":\"hall\"}";
    struct wz_sqlite *db = NULL;
    (void)state;

    make_lamp(0x102, "{\"route\":\"hall\"}");
    assert_int_equal(lamp_checksum(), wz_crc32c(0, bytes, sizeof(bytes) - 1));
    make_lamp(3, "{\"route\":\"kitchen\"}");
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_lamp(db, 3, "kitchen");
    wz_sqlite_close(db);
}

static void test_sqlite_open_refuses_a_document_in_which_a_bit_flipped(void **state)
{
    static const struct {
        const char *bytes;
        int place;
        const char *told;
    } cases[] = {
        {"hall", 1, "the document devices/lamp."},
        {"\x5a\x5b\x5c\x5d", 1, "the document devices/lamp."}, // the revision
        {"lamp", 1, "the document devices/lalp."},
        {"devices", 1, "the document devhces/lamp."},
        {"lamp", 2, "the document devices/lamp."}, // in the index
        {"devices", 2, "the document devices/lamp."},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_problem problem;

        make_lamp(0x5a5b5c5d, "{\"route\":\"hall\"}");
        flip(cases[i].bytes, cases[i].place);
        problem = assert_refused(WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED);
        assert_non_null(strstr(problem.what, cases[i].told));
        assert_int_equal(wz_fs_remove(path), WZ_OK);
    }
}

static void test_sqlite_reads_refuse_a_document_that_changed_under_them(void **state)
{
    struct wz_document_list list = {0};
    struct wz_sqlite *db = NULL;
    struct wz_problem problem = {0};
    int64_t revision = -1;
    (void)state;

    make_lamp(1, "{\"route\":\"hall\"}");
    make_database(1);
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    run_sql("UPDATE documents SET checksum = checksum + 1 WHERE name = 'lamp'");
    assert_int_equal(wz_sqlite_list(db, WZ_COLLECTION_DEVICES, "lamp", &list, &problem),
                     WZ_ERR_CORRUPT);
    assert_int_equal(list.count, 0);
    assert_int_equal(problem.code, WZ_CODE_STORE_DAMAGED);
    assert_non_null(strstr(problem.what, "devices/lamp"));
    assert_int_equal(wz_sqlite_revision(db, WZ_COLLECTION_DEVICES, "lamp", &revision, &problem),
                     WZ_ERR_CORRUPT);
    assert_int_equal(revision, -1);
    assert_int_equal(wz_sqlite_list(db, WZ_COLLECTION_DEVICES, NULL, &list, &problem),
                     WZ_ERR_CORRUPT);
    wz_document_list_release(&list);
    assert_int_equal(wz_sqlite_list(db, WZ_COLLECTION_DEVICES, "d00000", &list, &problem), WZ_OK);
    assert_int_equal(list.count, 1);
    wz_document_list_release(&list);
    wz_sqlite_close(db);
}

static void test_sqlite_takes_what_other_programs_write(void **state)
{
    struct wz_sqlite *db = NULL;
    (void)state;

    make_lamp(1, "{\"route\":\"hall\"}");
    run_sql("UPDATE documents SET body = '{\"route\":\"kitchen\"}', revision = 2");
    assert_int_equal(lamp_checksum(), -1);
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_lamp(db, 2, "kitchen");
    run_sql("DELETE FROM documents; INSERT INTO documents (collection, name, revision, body) "
            "VALUES ('devices', 'lamp', 1, '{\"route\":\"cellar\"}')");
    assert_int_equal(lamp_checksum(), -1);
    assert_lamp(db, 1, "cellar");
    wz_sqlite_close(db);
    make_lamp(2, "{\"route\":\"hall\"}");
    assert_int_not_equal(lamp_checksum(), -1);
}

static void test_sqlite_list_refuses_a_body_that_is_no_json(void **state)
{
    struct wz_document_list list = {0};
    struct wz_sqlite *db = NULL;
    struct wz_problem problem = {0};
    (void)state;

    make_database(3);
    run_sql("UPDATE documents SET body = '{' WHERE name = 'd00001'");
    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_list(db, WZ_COLLECTION_DEVICES, NULL, &list, &problem),
                     WZ_ERR_CORRUPT);
    assert_int_equal(problem.code, WZ_CODE_STORE_DAMAGED);
    assert_non_null(strstr(problem.what, "d00001"));
    wz_document_list_release(&list);
    wz_sqlite_close(db);
}

static void test_sqlite_open_refuses_what_is_no_file(void **state)
{
    struct wz_sqlite *db = NULL;
    struct wz_problem problem = {0};
    (void)state;

    assert_int_equal(wz_sqlite_open(folder, &db, &problem), WZ_ERR_SYSTEM);
    assert_int_equal(problem.code, WZ_CODE_STORE_ACCESS);
    assert_int_equal(wz_sqlite_open("/nowhere/at/all.db", &db, &problem), WZ_ERR_SYSTEM);
    assert_int_equal(problem.code, WZ_CODE_STORE_ACCESS);
    assert_string_equal(problem.where, "/nowhere/at/all.db");
}

static void test_sqlite_open_says_when_it_may_not_write(void **state)
{
    pid_t pid;
    int status;
    (void)state;

    make_database(1);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid = fork();
    if (pid == 0) {
        struct wz_sqlite *db = NULL;
        struct wz_problem problem = {0};

        if (geteuid() == 0 && setuid(65534) != 0) // nothing is read-only for root
            _exit(2);
        _exit(wz_sqlite_open(path, &db, &problem) != WZ_ERR_SYSTEM ||
              problem.code != WZ_CODE_STORE_READ_ONLY);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(status, 0);
}

static void test_sqlite_begin_says_when_another_writes(void **state)
{
    struct wz_sqlite *db = NULL;
    struct wz_sqlite *other = NULL;
    struct wz_problem problem = {0};
    (void)state;

    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_open(path, &other, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_begin(other, WZ_SQLITE_WRITE, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_begin(db, WZ_SQLITE_WRITE, &problem), WZ_ERR_LOCKED);
    assert_int_equal(problem.code, WZ_CODE_STORE_BUSY);
    wz_sqlite_rollback(other);
    assert_int_equal(wz_sqlite_begin(db, WZ_SQLITE_WRITE, &problem), WZ_OK);
    wz_sqlite_rollback(db);
    wz_sqlite_close(other);
    wz_sqlite_close(db);
}

static void test_sqlite_data_version_changes_for_others_changes_only(void **state)
{
    struct wz_sqlite *db = NULL;
    struct wz_sqlite *other = NULL;
    struct wz_sqlite_row row = {.collection = WZ_COLLECTION_TYPES,
                                .name = "input",
                                .revision = 1,
                                .body = WZ_SLICE_LIT("{}")};
    int64_t first;
    int64_t second;
    (void)state;

    assert_int_equal(wz_sqlite_open(path, &db, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_open(path, &other, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_data_version(db, &first, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_put(db, &row, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_data_version(db, &second, NULL), WZ_OK);
    assert_int_equal(first, second);
    row.revision++;
    assert_int_equal(wz_sqlite_put(other, &row, NULL), WZ_OK);
    assert_int_equal(wz_sqlite_data_version(db, &second, NULL), WZ_OK);
    assert_int_not_equal(first, second);
    wz_sqlite_close(other);
    wz_sqlite_close(db);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/store.db", folder);
    return chmod(folder, 0755); // another user looks at it in one of the tests
}

static int drop_files(void **state)
{
    char file[80];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

        (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        if (wz_fs_remove(file) < 0)
            return -1;
    }
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define WITH_FILE(test) cmocka_unit_test_teardown(test, drop_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_sqlite_open_makes_files_that_only_the_owner_reads),
        WITH_FILE(test_sqlite_open_takes_other_users_rights_away),
        WITH_FILE(test_sqlite_open_takes_an_empty_file),
        WITH_FILE(test_sqlite_open_refuses_a_file_of_something_else),
        WITH_FILE(test_sqlite_open_refuses_a_database_of_another_program),
        WITH_FILE(test_sqlite_open_refuses_a_newer_version),
        WITH_FILE(test_sqlite_open_refuses_damaged_pages),
        WITH_FILE(test_sqlite_open_refuses_a_file_that_was_cut),
        WITH_FILE(test_sqlite_open_refuses_a_database_without_its_table),
        WITH_FILE(test_sqlite_open_refuses_a_version_that_is_not_its_tables),
        WITH_FILE(test_sqlite_open_brings_version_1_up_to_date),
        WITH_FILE(test_sqlite_open_leaves_a_damaged_version_1_as_it_is),
        WITH_FILE(test_sqlite_put_writes_the_checksum_of_its_document),
        WITH_FILE(test_sqlite_open_refuses_a_document_in_which_a_bit_flipped),
        WITH_FILE(test_sqlite_reads_refuse_a_document_that_changed_under_them),
        WITH_FILE(test_sqlite_takes_what_other_programs_write),
        WITH_FILE(test_sqlite_list_refuses_a_body_that_is_no_json),
        WITH_FILE(test_sqlite_open_refuses_what_is_no_file),
        WITH_FILE(test_sqlite_open_says_when_it_may_not_write),
        WITH_FILE(test_sqlite_begin_says_when_another_writes),
        WITH_FILE(test_sqlite_data_version_changes_for_others_changes_only),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
