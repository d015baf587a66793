// SPDX-License-Identifier: Apache-2.0
// Owns the connection to SQLite, its statements, and the way from SQLite's errors to ours.
//
// SQLite keeps no checksums of what it stores, so each row has one of ours, which an SQL function
// of this connection computes: what writes and reads a row is one statement each, and what brings
// an older file up to date is SQL alone.
//
// A file is looked at before SQLite may touch it (recovering a journal writes): its first 100 bytes
// must be those of a database with our application id. They are read through SQLite's own file
// handle, because closing another handle would drop this process's locks on the file.
#include "store/sqlite.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/codes.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/document.h"

// "wyze" in ASCII, at byte 68 of the file; the version of our tables, at byte 60.
#define WZ_SQLITE_APPLICATION_ID 0x77797a65
#define WZ_SQLITE_VERSION 3
#define WZ_SQLITE_HEADER_LEN 100

// How long a statement waits for another process.
#define WZ_SQLITE_BUSY_MS 2000

// A file up to this size is checked in whole when it is opened; larger ones page by page as they
// are read.
#define WZ_SQLITE_CHECK_MAX (16 * 1024 * 1024)

// The value of a macro that is a number, as text.
#define WZ_SQLITE_QUOTE(x) #x
#define WZ_SQLITE_TEXT_OF(x) WZ_SQLITE_QUOTE(x)

// The checksum of a row, and whether the row is as it was written: so is one without a checksum, as
// other programs leave it.
#define WZ_SQLITE_CHECKSUM "wz_checksum(collection, name, revision, body)"
#define WZ_SQLITE_WHOLE "ifnull(checksum = " WZ_SQLITE_CHECKSUM ", 1)"

#define WZ_SQLITE_STATEMENT_TABLE(X)                                                               \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(GET, "SELECT name, revision, body, " WZ_SQLITE_WHOLE                                         \
           " FROM documents WHERE collection = ?1 AND name = ?2")                                  \
    X(LIST, "SELECT name, revision, body, " WZ_SQLITE_WHOLE                                        \
            " FROM documents WHERE collection = ?1 ORDER BY name")                                 \
    X(REVISION,                                                                                    \
      "SELECT revision, " WZ_SQLITE_WHOLE " FROM documents WHERE collection = ?1 AND name = ?2")   \
    X(PUT, "INSERT INTO documents (collection, name, revision, body, checksum) "                   \
           "VALUES (?1, ?2, ?3, ?4, wz_checksum(?1, ?2, ?3, ?4)) ON CONFLICT (collection, name) "  \
           "DO UPDATE SET revision = ?3, body = ?4, checksum = excluded.checksum")                 \
    X(DELETE, "DELETE FROM documents WHERE collection = ?1 AND name = ?2")                         \
    X(KEEP_VERSION, "INSERT OR IGNORE INTO versions SELECT collection, name, revision, NULL, "     \
                    "body, checksum FROM documents WHERE collection = ?1 AND name = ?2")           \
    X(PUT_VERSION, "INSERT OR REPLACE INTO versions SELECT collection, name, revision, ?3, "       \
                   "body, checksum FROM documents WHERE collection = ?1 AND name = ?2")            \
    X(DROP_VERSIONS,                                                                               \
      "DELETE FROM versions WHERE collection = ?1 AND name = ?2 "                                  \
      "AND (revision <= ?3 - " WZ_SQLITE_TEXT_OF(WZ_DOCUMENT_VERSIONS_MAX) " OR revision > ?3)")   \
    X(VERSIONS, "SELECT name, revision, body, " WZ_SQLITE_WHOLE                                    \
                ", ifnull(time, 0) FROM versions WHERE collection = ?1 AND name = ?2 "             \
                "ORDER BY revision DESC")                                                          \
    X(REMOVED, "SELECT DISTINCT name, 0, '{}', 1 FROM versions WHERE collection = ?1 "             \
               "AND name NOT IN (SELECT name FROM documents WHERE collection = ?1) "               \
               "ORDER BY name")                                                                    \
    X(DATA_VERSION, "PRAGMA data_version")

enum statement {
#define WZ_SQLITE_ENUM(id, sql) SQL_##id,
    WZ_SQLITE_STATEMENT_TABLE(WZ_SQLITE_ENUM)
#undef WZ_SQLITE_ENUM
        SQL_COUNT,
};

static const char *const texts[] = {
#define WZ_SQLITE_TEXT(id, sql) sql,
    WZ_SQLITE_STATEMENT_TABLE(WZ_SQLITE_TEXT)
#undef WZ_SQLITE_TEXT
};

// What brings the tables from each version to the next; an empty file has version 0.
static const char *const upgrades[WZ_SQLITE_VERSION] = {
    "CREATE TABLE documents (collection TEXT NOT NULL, name TEXT NOT NULL, "
    "revision INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, name)) STRICT;"
    "PRAGMA application_id = " WZ_SQLITE_TEXT_OF(WZ_SQLITE_APPLICATION_ID),

    // Another program's UPDATE knows nothing of the checksum: the trigger takes it away.
    "ALTER TABLE documents ADD COLUMN checksum INTEGER;"
    "UPDATE documents SET checksum = " WZ_SQLITE_CHECKSUM ";"
    "CREATE TRIGGER documents_by_others AFTER UPDATE OF collection, name, revision, body "
    "ON documents WHEN NEW.checksum = OLD.checksum "
    "BEGIN UPDATE documents SET checksum = NULL WHERE rowid = NEW.rowid; END",

    "CREATE TABLE versions (collection TEXT NOT NULL, name TEXT NOT NULL, "
    "revision INTEGER NOT NULL, time INTEGER, body TEXT NOT NULL, checksum INTEGER, "
    "PRIMARY KEY (collection, name, revision)) STRICT;"
    "INSERT INTO versions SELECT collection, name, revision, NULL, body, checksum "
    "FROM documents WHERE collection = 'scripts'",
};

struct wz_sqlite {
    char *path;
    sqlite3 *handle;
    sqlite3_stmt *statements[SQL_COUNT];
};

struct failure {
    int err;
    int code;
    const char *what;
    const char *fix;
};

static const struct failure full = {WZ_ERR_NOSPACE, WZ_CODE_STORE_FULL,
                                    "There is no room left for the database",
                                    "Make room on the file system that holds it, or raise the "
                                    "limit of file sizes; then try again."};
static const struct failure busy = {WZ_ERR_LOCKED, WZ_CODE_STORE_BUSY,
                                    "Another program holds the database",
                                    "Wait for it to finish, or end it; then try again."};
static const struct failure read_only = {
    WZ_ERR_SYSTEM, WZ_CODE_STORE_READ_ONLY, "The database cannot be written",
    "Let this user write the file and its folder, on a file system that is not read-only."};
static const struct failure access_refused = {
    WZ_ERR_SYSTEM, WZ_CODE_STORE_ACCESS, "The database cannot be opened",
    "Give a file in a folder that is there and that this user may read and write."};
static const struct failure moved_away = {
    WZ_ERR_SYSTEM, WZ_CODE_STORE_ACCESS,
    "The database file was removed or replaced while wyze had it open",
    "Put the file back where it was, or start wyze anew with the one that is there; what is "
    "changed "
    "now would be lost."};
static const struct failure damaged = {
    WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED, "The database file is damaged",
    "It was left as it is. Put a backup in its place, or move it away to start with an empty one."};
static const struct failure damaged_document = {
    WZ_ERR_CORRUPT, WZ_CODE_STORE_DAMAGED, "The database file is damaged",
    "It was left as it is. Put a backup in its place, or mend the one document by SQL, as "
    "docs/formats/store.md says."};
static const struct failure io = {WZ_ERR_IO, WZ_CODE_STORE_IO,
                                  "Reading or writing the database failed",
                                  "Look at the disk and the system's log; then try again."};

// Whether the write that just failed was refused for want of room other than ENOSPC, for which
// SQLite has a code: a quota, or the limit of file sizes. WHICH file: the database or its journal.
static bool out_of_room(sqlite3 *handle, int which)
{
    sqlite3_file *file = NULL;
    int errnum = 0;

    if (sqlite3_extended_errcode(handle) != SQLITE_IOERR_WRITE ||
        sqlite3_file_control(handle, "main", which, &file) != SQLITE_OK || file->pMethods == NULL ||
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &errnum) != SQLITE_OK)
        return false;
    return wz_err_from_errno(errnum) == WZ_ERR_NOSPACE || errnum == EFBIG;
}

static const struct failure *failure_of(sqlite3 *handle)
{
    bool no_room = out_of_room(handle, SQLITE_FCNTL_JOURNAL_POINTER) ||
                   out_of_room(handle, SQLITE_FCNTL_FILE_POINTER);

    switch (sqlite3_errcode(handle) & 0xff) {
    case SQLITE_FULL:
        return &full;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return &busy;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return &read_only;
    case SQLITE_CANTOPEN:
        return &access_refused;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: // our statements are right, so it is the tables that are not
        return &damaged;
    default:
        return no_room ? &full : &io;
    }
}

// Fills the problem; DETAIL says more, or is NULL.
static int refuse(const char *path, const struct failure *failure, const char *detail,
                  struct wz_problem *ret_problem)
{
    wz_problem_set(ret_problem, failure->err, failure->code, "%s%s%s.", failure->what,
                   detail != NULL ? ": " : "", detail != NULL ? detail : "");
    wz_problem_where(ret_problem, "%s", path);
    wz_problem_fix(ret_problem, "%s", failure->fix);
    return failure->err;
}

// A name as it can be told: one that changed on the disk may be no text any more.
static const char *tell(const char *name)
{
    return wz_document_check_name(WZ_COLLECTION_TYPES, name, NULL) == WZ_OK ? name : "(no name)";
}

// Refuses a document; WHAT is said of it. Its name stands last: it may be long, and is cut then.
static int refuse_document(const struct wz_sqlite *db, const char *what, const char *collection,
                           const char *name, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf detail = {0};

    wz_buf_addf(&detail, "%s the document %s/%s", what, tell(collection), tell(name));
    return refuse(db->path, &damaged_document, wz_buf_str(&detail), ret_problem);
}

static int refuse_changed(const struct wz_sqlite *db, const char *collection, const char *name,
                          struct wz_problem *ret_problem)
{
    return refuse_document(db, "bytes have changed in", collection, name, ret_problem);
}

static int fail(const struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    return refuse(db->path, failure_of(db->handle), sqlite3_errmsg(db->handle), ret_problem);
}

// Runs a statement that gives no rows, and leaves it ready for the next time.
static int run(struct wz_sqlite *db, enum statement which, struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = db->statements[which];
    int r = sqlite3_step(statement) == SQLITE_DONE ? WZ_OK : fail(db, ret_problem);

    (void)sqlite3_reset(statement); // tells the error of the step again
    return r;
}

static sqlite3_stmt *bind(struct wz_sqlite *db, enum statement which, enum wz_collection collection,
                          const char *name)
{
    sqlite3_stmt *statement = db->statements[which];
    int r = sqlite3_bind_text(statement, 1, wz_collection_name(collection), -1, SQLITE_STATIC);

    if (r == SQLITE_OK && name != NULL)
        r = sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
    WZ_ASSERT(r == SQLITE_OK); // both places are in the statement, and it is reset
    return statement;
}

bool wz_sqlite_moved(const struct wz_sqlite *db)
{
    int moved = 0;

    return sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved != 0;
}

int wz_sqlite_begin(struct wz_sqlite *db, enum wz_sqlite_access access,
                    struct wz_problem *ret_problem)
{
    if (access == WZ_SQLITE_WRITE && wz_sqlite_moved(db))
        return refuse(db->path, &moved_away, NULL, ret_problem);
    return run(db, access == WZ_SQLITE_WRITE ? SQL_BEGIN_WRITE : SQL_BEGIN_READ, ret_problem);
}

int wz_sqlite_commit(struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    int r = run(db, SQL_COMMIT, ret_problem);

    if (r < 0)
        wz_sqlite_rollback(db);
    return r;
}

void wz_sqlite_rollback(struct wz_sqlite *db)
{
    if (sqlite3_get_autocommit(db->handle) == 0) // some errors have rolled back by themselves
        wz_ignore(run(db, SQL_ROLLBACK, NULL));  // nothing more can be undone than all
}

static struct wz_slice column(sqlite3_stmt *statement, int index)
{
    const void *text = sqlite3_column_text(statement, index);

    return wz_slice(text, (size_t)sqlite3_column_bytes(statement, index));
}

static const char *column_str(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);

    return text != NULL ? (const char *)text : "";
}

static int add_row(const struct wz_sqlite *db, sqlite3_stmt *statement,
                   enum wz_collection collection, struct wz_document_list *list,
                   struct wz_problem *ret_problem)
{
    const char *name = column_str(statement, 0);
    struct wz_document *document;
    json_t *body;

    if (sqlite3_column_int(statement, 3) == 0)
        return refuse_changed(db, wz_collection_name(collection), name, ret_problem);
    if (wz_document_decode(column(statement, 2), &body) < 0)
        return refuse_document(db, "no JSON object is in", wz_collection_name(collection), name,
                               ret_problem);
    if ((list->count & (list->count - 1)) == 0) // grows at each power of two
        list->items = wz_realloc(list->items,
                                 (list->count > 0 ? 2 * list->count : 1) * sizeof(list->items[0]));
    document = &list->items[list->count++];
    document->name = wz_strdup(name);
    document->revision = sqlite3_column_int64(statement, 1);
    document->time_ms = sqlite3_column_int64(statement, 4); // 0 where there is no such column
    document->body = body;
    return WZ_OK;
}

// Adds what the statement WHICH finds.
static int list_rows(struct wz_sqlite *db, enum statement which, enum wz_collection collection,
                     const char *name, struct wz_document_list *ret_list,
                     struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = bind(db, which, collection, name);
    int step;
    int r = WZ_OK;

    while ((step = sqlite3_step(statement)) == SQLITE_ROW && r == WZ_OK)
        r = add_row(db, statement, collection, ret_list, ret_problem);
    if (r == WZ_OK && step != SQLITE_DONE)
        r = fail(db, ret_problem);
    (void)sqlite3_reset(statement); // tells the error of the step again
    return r;
}

int wz_sqlite_list(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                   struct wz_document_list *ret_list, struct wz_problem *ret_problem)
{
    return list_rows(db, name == NULL ? SQL_LIST : SQL_GET, collection, name, ret_list,
                     ret_problem);
}

int wz_sqlite_versions(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                       struct wz_document_list *ret_list, struct wz_problem *ret_problem)
{
    return list_rows(db, SQL_VERSIONS, collection, name, ret_list, ret_problem);
}

int wz_sqlite_removed(struct wz_sqlite *db, enum wz_collection collection,
                      struct wz_document_list *ret_list, struct wz_problem *ret_problem)
{
    return list_rows(db, SQL_REMOVED, collection, NULL, ret_list, ret_problem);
}

int wz_sqlite_keep_version(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                           struct wz_problem *ret_problem)
{
    (void)bind(db, SQL_KEEP_VERSION, collection, name); // the statement is the one that runs
    return run(db, SQL_KEEP_VERSION, ret_problem);
}

static int run_with(struct wz_sqlite *db, enum statement which, const struct wz_sqlite_version *at,
                    int64_t number, struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = bind(db, which, at->collection, at->name);

    WZ_ASSERT(sqlite3_bind_int64(statement, 3, number) == SQLITE_OK); // as in bind
    return run(db, which, ret_problem);
}

int wz_sqlite_put_version(struct wz_sqlite *db, const struct wz_sqlite_version *version,
                          struct wz_problem *ret_problem)
{
    int r = run_with(db, SQL_PUT_VERSION, version, version->time_ms, ret_problem);

    if (r == WZ_OK)
        r = run_with(db, SQL_DROP_VERSIONS, version, version->revision, ret_problem);
    return r;
}

int wz_sqlite_revision(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                       int64_t *ret_revision, struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = bind(db, SQL_REVISION, collection, name);
    int step = sqlite3_step(statement);
    int64_t revision = step == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    int r = step == SQLITE_ROW || step == SQLITE_DONE ? WZ_OK : fail(db, ret_problem);

    if (step == SQLITE_ROW && sqlite3_column_int(statement, 1) == 0)
        r = refuse_changed(db, wz_collection_name(collection), name, ret_problem);
    (void)sqlite3_reset(statement); // tells the error of the step again
    if (r == WZ_OK)
        *ret_revision = revision;
    return r;
}

int wz_sqlite_put(struct wz_sqlite *db, const struct wz_sqlite_row *row,
                  struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = bind(db, SQL_PUT, row->collection, row->name);
    int r = sqlite3_bind_int64(statement, 3, row->revision);

    if (r == SQLITE_OK)
        r = sqlite3_bind_text(statement, 4, (const char *)row->body.ptr, (int)row->body.len,
                              SQLITE_STATIC);
    WZ_ASSERT(r == SQLITE_OK); // as in bind
    return run(db, SQL_PUT, ret_problem);
}

int wz_sqlite_delete(struct wz_sqlite *db, enum wz_collection collection, const char *name,
                     struct wz_problem *ret_problem)
{
    (void)bind(db, SQL_DELETE, collection, name); // the statement is the one that runs
    return run(db, SQL_DELETE, ret_problem);
}

int wz_sqlite_data_version(struct wz_sqlite *db, int64_t *ret_version,
                           struct wz_problem *ret_problem)
{
    sqlite3_stmt *statement = db->statements[SQL_DATA_VERSION];
    int r = sqlite3_step(statement) == SQLITE_ROW ? WZ_OK : fail(db, ret_problem);

    if (r == WZ_OK)
        *ret_version = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement); // tells the error of the step again
    return r;
}

// The first column of the first row that SQL gives, as text; NULL, with the error in the handle,
// when there is none. The caller frees it.
static char *ask(const struct wz_sqlite *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    char *answer = NULL;

    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        struct wz_slice text = column(statement, 0);

        answer = wz_strndup(text.ptr, text.len);
    }
    (void)sqlite3_finalize(statement); // tells the error of the step again
    return answer;
}

static int execute(const struct wz_sqlite *db, const char *sql, struct wz_problem *ret_problem)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? WZ_OK
                                                                        : fail(db, ret_problem);
}

static int refuse_newer(const char *path, struct wz_problem *ret_problem)
{
    static const struct failure newer = {
        WZ_ERR_UNSUPPORTED, WZ_CODE_STORE_NEWER, "The database was made by a newer wyze",
        "It was left as it is. Run that version, or give another file."};

    return refuse(path, &newer, NULL, ret_problem);
}

// Looks at the file's first bytes without a lock. RET_LEN is the file's length.
static int check_header(const struct wz_sqlite *db, int64_t *ret_len,
                        struct wz_problem *ret_problem)
{
    static const struct failure foreign = {
        WZ_ERR_CORRUPT, WZ_CODE_STORE_FOREIGN, "The file is not a database of wyze",
        "It was left as it is. Give another file, or move this one away."};
    uint8_t header[WZ_SQLITE_HEADER_LEN];
    struct wz_cursor cur = wz_cursor(wz_slice(header, sizeof(header)));
    sqlite3_file *file = NULL;
    sqlite3_int64 len = 0;

    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file->pMethods == NULL || file->pMethods->xFileSize(file, &len) != SQLITE_OK)
        return refuse(db->path, &io, NULL, ret_problem);
    *ret_len = len;
    if (len == 0)
        return WZ_OK;
    if (len < WZ_SQLITE_HEADER_LEN ||
        file->pMethods->xRead(file, header, sizeof(header), 0) != SQLITE_OK ||
        memcmp(header, "SQLite format 3", 16) != 0)
        return refuse(db->path, &foreign, NULL, ret_problem);
    (void)wz_cursor_get_bytes(&cur, 60); // up to the version
    if (wz_cursor_get_u32(&cur) > WZ_SQLITE_VERSION)
        len = -1;
    (void)wz_cursor_get_u32(&cur); // incremental vacuum mode
    if (wz_cursor_get_u32(&cur) != WZ_SQLITE_APPLICATION_ID)
        return refuse(db->path, &foreign, NULL, ret_problem);
    return len < 0 ? refuse_newer(db->path, ret_problem) : WZ_OK;
}

static int read_version(const struct wz_sqlite *db, int64_t *ret_version,
                        struct wz_problem *ret_problem)
{
    char *answer = ask(db, "PRAGMA user_version");
    int r = WZ_OK;

    if (answer == NULL)
        return fail(db, ret_problem);
    *ret_version = strtol(answer, NULL, 10);
    if (*ret_version < 0 || *ret_version > WZ_SQLITE_VERSION) // unsigned, as check_header sees it
        r = refuse_newer(db->path, ret_problem);
    wz_free(answer);
    return r;
}

// Looks at all documents, in the table itself, and whether each is found by its name: the index has
// a copy of the names, which quick_check does not compare.
static int check_documents(const struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    static const char sql[] =
        "SELECT collection, name FROM documents AS row NOT INDEXED WHERE NOT " WZ_SQLITE_WHOLE
        " OR rowid IS NOT (SELECT rowid FROM documents AS found"
        " WHERE found.collection = row.collection AND found.name = row.name)";
    sqlite3_stmt *statement = NULL;
    int step = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    int r = WZ_OK;

    if (step == SQLITE_OK)
        step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        r = refuse_changed(db, column_str(statement, 0), column_str(statement, 1), ret_problem);
    else if (step != SQLITE_DONE)
        r = fail(db, ret_problem);
    (void)sqlite3_finalize(statement); // tells the error of the step again
    return r;
}

// Brings the tables of an empty or older file to our version in one transaction, so that they are
// of one version or the other, whole. Another process may have just done so.
static int upgrade(struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    int64_t version = 0;
    int r = execute(db, "BEGIN IMMEDIATE", ret_problem);

    if (r < 0)
        return r;
    r = read_version(db, &version, ret_problem);
    for (; r == WZ_OK && version < WZ_SQLITE_VERSION; version++)
        r = execute(db, upgrades[version], ret_problem);
    if (r == WZ_OK)
        r = check_documents(db, ret_problem);
    if (r == WZ_OK)
        r = execute(db, "PRAGMA user_version = " WZ_SQLITE_TEXT_OF(WZ_SQLITE_VERSION) "; COMMIT",
                    ret_problem);
    if (r < 0 && sqlite3_get_autocommit(db->handle) == 0)
        wz_ignore(execute(db, "ROLLBACK", NULL)); // the first error is the one to tell
    return r;
}

static int check_pages(const struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    char *answer = ask(db, "PRAGMA quick_check(1)");
    int r = WZ_OK;

    if (answer == NULL)
        r = fail(db, ret_problem);
    else if (strcmp(answer, "ok") != 0) // its last line says what, those above it where
        r = refuse(db->path, &damaged,
                   strrchr(answer, '\n') != NULL ? strrchr(answer, '\n') + 1 : answer, ret_problem);
    wz_free(answer);
    return r;
}

// Looks at a file of LEN bytes, not empty, before anything is written to it. The documents come
// first: damage in one of them is told with its name.
static int check_content(const struct wz_sqlite *db, int64_t len, int64_t *ret_version,
                         struct wz_problem *ret_problem)
{
    int r = read_version(db, ret_version, ret_problem);

    if (r == WZ_OK && *ret_version == 0)
        r = refuse(db->path, &damaged, "it has no version", ret_problem);
    if (r == WZ_OK && *ret_version == WZ_SQLITE_VERSION)
        r = check_documents(db, ret_problem);
    if (r == WZ_OK && len <= WZ_SQLITE_CHECK_MAX)
        r = check_pages(db, ret_problem);
    return r;
}

// Makes a missing file with our mode, which SQLite gives to the files beside it too.
static int make_file(const char *path, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct stat st;
    int r;

    if (stat(path, &st) == 0)
        return S_ISREG(st.st_mode) ? WZ_OK
                                   : refuse(path, &access_refused, "it is not a file", ret_problem);
    r = wz_fs_open(path, WZ_FS_NEW, &fd);
    if (r == WZ_ERR_NOSPACE)
        return refuse(path, &full, NULL, ret_problem);
    if (r < 0 && r != WZ_ERR_EXISTS)
        return refuse(path, &access_refused, wz_err_text(r), ret_problem);
    return WZ_OK;
}

static int prepare(struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    for (int i = 0; i < SQL_COUNT; i++)
        if (sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return fail(db, ret_problem);
    return WZ_OK;
}

// Everything between a handle that is open and a database that can be used.
static int set_up(struct wz_sqlite *db, struct wz_problem *ret_problem)
{
    int64_t len = 0;
    int64_t version = 0;
    struct stat st;
    int r = check_header(db, &len, ret_problem);

    if (r < 0)
        return r;
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return refuse(db->path, &read_only, NULL, ret_problem);
    if (len > 0)
        r = check_content(db, len, &version, ret_problem);
    if (r == WZ_OK && version < WZ_SQLITE_VERSION)
        r = upgrade(db, ret_problem);
    if (r == WZ_OK)
        r = execute(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", ret_problem);
    if (r == WZ_OK)
        r = prepare(db, ret_problem);
    if (r == WZ_OK && stat(db->path, &st) == 0 && (st.st_mode & 0077) != 0 &&
        chmod(db->path, 0600) != 0)
        r = refuse(db->path, &access_refused, "its mode cannot be set to 0600", ret_problem);
    return r;
}

static uint32_t add_value(uint32_t crc, sqlite3_value *value)
{
    const void *bytes = sqlite3_value_blob(value); // NULL for an empty text

    return bytes != NULL ? wz_crc32c(crc, bytes, (size_t)sqlite3_value_bytes(value)) : crc;
}

// The SQL function wz_checksum(collection, name, revision, body).
static void compute_checksum(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint8_t revision[8];
    struct wz_pen pen = wz_pen(revision, sizeof(revision));
    uint32_t crc;

    (void)count; // four, as it is registered
    wz_pen_put_u64(&pen, (uint64_t)sqlite3_value_int64(values[2]));
    crc = add_value(0, values[0]);
    crc = wz_crc32c(crc, "", 1); // a NUL, which no collection or name contains
    crc = add_value(crc, values[1]);
    crc = wz_crc32c(crc, "", 1);
    crc = wz_crc32c(crc, revision, sizeof(revision));
    sqlite3_result_int64(context, add_value(crc, values[3]));
}

// Gives the connection what our statements use.
static void equip(const struct wz_sqlite *db)
{
    int r = sqlite3_create_function_v2(db->handle, "wz_checksum", 4,
                                       SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                       compute_checksum, NULL, NULL, NULL);

    WZ_ASSERT(r == SQLITE_OK); // it fails for a wrong argument, or want of memory
    (void)sqlite3_busy_timeout(db->handle, WZ_SQLITE_BUSY_MS); // cannot fail for a live handle
}

static void keep_file(const struct wz_sqlite *db, int on)
{
    // While it is on, closing writes nothing to the file: a file we refuse stays as it is.
    int r = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on, NULL);

    WZ_ASSERT(r == SQLITE_OK);
}

int wz_sqlite_open(const char *path, struct wz_sqlite **ret_db, struct wz_problem *ret_problem)
{
    struct wz_sqlite *db;
    int r = make_file(path, ret_problem);

    if (r < 0)
        return r;
    db = wz_zalloc(1, sizeof(*db));
    db->path = wz_strdup(path);
    if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        WZ_ASSERT(db->handle != NULL); // NULL only for want of memory
        r = fail(db, ret_problem);
        goto fail;
    }
    keep_file(db, 1);
    equip(db);
    r = set_up(db, ret_problem);
    if (r < 0)
        goto fail;
    keep_file(db, 0);
    *ret_db = db;
    return WZ_OK;
fail:
    wz_sqlite_close(db);
    return r;
}

void wz_sqlite_close(struct wz_sqlite *db)
{
    if (db == NULL)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(db->statements[i]);     // tells the error of a step again
    WZ_ASSERT(sqlite3_close(db->handle) == SQLITE_OK); // else a statement is left
    wz_free(db->path);
    wz_free(db);
}
