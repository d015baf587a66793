// SPDX-License-Identifier: Apache-2.0
// Owns the reading of HTTP/1.1 heads and body framing. Strict where leniency would let two programs
// see two different messages: bare line feeds, folded lines, white space before a colon, and a
// length beside a transfer coding are refused.
#include "gateway/http.h"

#include <strings.h>

#define WZ_HTTP_CHUNK_LINE_MAX 256
#define WZ_HTTP_TRAILER_MAX 8192

size_t wz_http_head_len(struct wz_slice s, size_t from)
{
    size_t start = from > 3 ? from - 3 : 0;

    for (size_t i = start; i + 4 <= s.len; i++) {
        const uint8_t *end = memchr(s.ptr + i, '\r', s.len - i - 3);

        if (end == NULL)
            return 0;
        i = (size_t)(end - s.ptr);
        if (memcmp(end, "\r\n\r\n", 4) == 0)
            return i + 4;
    }
    return 0;
}

// RFC 9110, section 5.6.2.
static bool is_token_char(uint8_t c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct wz_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

static struct wz_slice trim(struct wz_slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = wz_slice_sub(s, 1, s.len - 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool same_word(struct wz_slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.ptr, word, s.len) == 0;
}

// Takes a line off REST, without its CR LF; false when a bare CR, LF or NUL stands in it.
static bool take_line(struct wz_slice *rest, struct wz_slice *ret_line)
{
    for (size_t i = 0; i + 1 < rest->len; i++) {
        if (rest->ptr[i] == '\n' || rest->ptr[i] == 0)
            return false;
        if (rest->ptr[i] != '\r')
            continue;
        if (rest->ptr[i + 1] != '\n')
            return false;
        *ret_line = wz_slice_sub(*rest, 0, i);
        *rest = wz_slice_sub(*rest, i + 2, rest->len - i - 2);
        return true;
    }
    return false;
}

// Takes the word before the next space off LINE.
static bool take_word(struct wz_slice *line, struct wz_slice *ret_word)
{
    const uint8_t *space = memchr(line->ptr, ' ', line->len);
    size_t len;

    if (space == NULL)
        return false;
    len = (size_t)(space - line->ptr);
    *ret_word = wz_slice_sub(*line, 0, len);
    *line = wz_slice_sub(*line, len + 1, line->len - len - 1);
    return len > 0;
}

static int read_version(struct wz_slice s, struct wz_http_head *head)
{
    if (s.len != 8 || memcmp(s.ptr, "HTTP/", 5) != 0 || s.ptr[6] != '.')
        return WZ_ERR_PROTOCOL;
    if (s.ptr[5] < '0' || s.ptr[5] > '9' || s.ptr[7] < '0' || s.ptr[7] > '9')
        return WZ_ERR_PROTOCOL;
    if (s.ptr[5] != '1')
        return WZ_ERR_UNSUPPORTED;
    head->minor = s.ptr[7] - '0';
    head->close = head->minor == 0;
    return WZ_OK;
}

// The value of a Content-Length: digits only.
static int read_length(struct wz_slice s, int64_t *ret_length)
{
    int64_t length = 0;

    if (s.len == 0 || s.len > 15)
        return WZ_ERR_PROTOCOL;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return WZ_ERR_PROTOCOL;
        length = length * 10 + (s.ptr[i] - '0');
    }
    *ret_length = length;
    return WZ_OK;
}

// Whether one of the words of a list "a, b" is WORD.
static bool list_has(struct wz_slice list, const char *word)
{
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;

        if (same_word(trim(wz_slice_sub(list, 0, len)), word))
            return true;
        len += comma != NULL;
        list = wz_slice_sub(list, len, list.len - len);
    }
    return false;
}

// Takes in what a field says of the message's end.
static int read_framing(struct wz_http_head *head, const struct wz_http_field *field)
{
    if (same_word(field->name, "Content-Length")) {
        if (head->content_length >= 0)
            return WZ_ERR_PROTOCOL;
        return read_length(field->value, &head->content_length);
    }
    if (same_word(field->name, "Transfer-Encoding")) {
        if (head->chunked || head->minor == 0)
            return WZ_ERR_PROTOCOL;
        head->chunked = same_word(field->value, "chunked");
        return head->chunked ? WZ_OK : WZ_ERR_UNSUPPORTED;
    }
    if (same_word(field->name, "Connection")) {
        if (list_has(field->value, "close"))
            head->close = true;
        else if (list_has(field->value, "keep-alive"))
            head->close = false;
    }
    return WZ_OK;
}

static int read_field(struct wz_slice line, struct wz_http_field *ret_field)
{
    const uint8_t *colon = memchr(line.ptr, ':', line.len);
    size_t len;

    if (colon == NULL)
        return WZ_ERR_PROTOCOL;
    len = (size_t)(colon - line.ptr);
    ret_field->name = wz_slice_sub(line, 0, len);
    ret_field->value = trim(wz_slice_sub(line, len + 1, line.len - len - 1));
    for (size_t i = 0; i < ret_field->value.len; i++) {
        uint8_t c = ret_field->value.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return WZ_ERR_PROTOCOL;
    }
    return is_token(ret_field->name) ? WZ_OK : WZ_ERR_PROTOCOL;
}

static int read_fields(struct wz_slice rest, struct wz_http_head *head)
{
    struct wz_slice line;

    head->content_length = -1;
    for (;;) {
        struct wz_http_field *field = &head->fields[head->field_count];
        int r;

        if (!take_line(&rest, &line))
            return WZ_ERR_PROTOCOL;
        if (line.len == 0)
            break;
        if (head->field_count == WZ_HTTP_FIELDS_MAX)
            return WZ_ERR_LIMIT;
        r = read_field(line, field);
        if (r == WZ_OK)
            r = read_framing(head, field);
        if (r < 0)
            return r;
        head->field_count++;
    }
    return head->chunked && head->content_length >= 0 ? WZ_ERR_PROTOCOL : WZ_OK;
}

// Brings "http://host/path" into the form "/path" (RFC 9112, section 3.2.2).
static int read_target(struct wz_slice s, struct wz_slice *ret_target)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f)
            return WZ_ERR_PROTOCOL;
    }
    if (wz_slice_starts(s, WZ_SLICE_LIT("http://"))) {
        const uint8_t *slash = memchr(s.ptr + 7, '/', s.len - 7);

        if (slash == NULL)
            return WZ_ERR_PROTOCOL;
        s = wz_slice(slash, s.len - (size_t)(slash - s.ptr));
    }
    if (s.len == 0 || s.ptr[0] != '/')
        return WZ_ERR_PROTOCOL;
    *ret_target = s;
    return WZ_OK;
}

int wz_http_read_request(struct wz_slice s, struct wz_http_head *ret_head)
{
    struct wz_slice line;
    struct wz_slice target;
    int hosts = 0;
    int r;

    *ret_head = (struct wz_http_head){0};
    if (!take_line(&s, &line) || !take_word(&line, &ret_head->method) ||
        !take_word(&line, &target) || !is_token(ret_head->method))
        return WZ_ERR_PROTOCOL;
    r = read_version(line, ret_head);
    if (r == WZ_OK)
        r = read_target(target, &ret_head->target);
    if (r == WZ_OK)
        r = read_fields(s, ret_head);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ret_head->field_count; i++)
        hosts += same_word(ret_head->fields[i].name, "Host");
    return hosts == 1 || (hosts == 0 && ret_head->minor == 0) ? WZ_OK : WZ_ERR_PROTOCOL;
}

int wz_http_read_answer(struct wz_slice s, struct wz_http_head *ret_head)
{
    struct wz_slice line;
    struct wz_slice version;
    int64_t status = 0;
    int r;

    *ret_head = (struct wz_http_head){0};
    if (!take_line(&s, &line) || !take_word(&line, &version) || line.len < 3)
        return WZ_ERR_PROTOCOL;
    r = read_version(version, ret_head);
    if (r == WZ_OK)
        r = read_length(wz_slice_sub(line, 0, 3), &status);
    if (r == WZ_OK)
        r = read_fields(s, ret_head);
    if (r < 0)
        return r;
    ret_head->status = (int)status;
    return status >= 100 ? WZ_OK : WZ_ERR_PROTOCOL;
}

struct wz_slice wz_http_field(const struct wz_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (same_word(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return wz_slice(NULL, 0);
}

static void begin_body(struct wz_http_body *body, const struct wz_http_head *head,
                       enum wz_http_body_state unsaid)
{
    *body = (struct wz_http_body){.state = unsaid};
    if (head->chunked) {
        body->state = WZ_HTTP_BODY_CHUNK_SIZE;
    } else if (head->content_length >= 0) {
        body->left = head->content_length;
        body->state = body->left > 0 ? WZ_HTTP_BODY_COUNTED : WZ_HTTP_BODY_DONE;
    }
}

void wz_http_body_of_request(struct wz_http_body *body, const struct wz_http_head *head)
{
    begin_body(body, head, WZ_HTTP_BODY_DONE);
}

void wz_http_body_of_answer(struct wz_http_body *body, const struct wz_http_head *head,
                            struct wz_slice method)
{
    bool none = head->status < 200 || head->status == 204 || head->status == 304 ||
                wz_slice_eq(method, WZ_SLICE_LIT("HEAD"));

    begin_body(body, head, WZ_HTTP_BODY_UNTIL_END);
    if (none)
        *body = (struct wz_http_body){.state = WZ_HTTP_BODY_DONE};
}

// The number in front of a chunk's size line; what follows a ';' is dropped (RFC 9112, 7.1.1).
static int read_chunk_size(struct wz_slice line, int64_t *ret_size)
{
    int64_t size = 0;
    size_t i = 0;

    for (; i < line.len; i++) {
        int c = line.ptr[i] | 0x20;

        if (c >= '0' && c <= '9')
            size = size * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            size = size * 16 + (c - 'a' + 10);
        else
            break;
        if (i >= 12)
            return WZ_ERR_PROTOCOL;
    }
    if (i == 0 || (i < line.len && line.ptr[i] != ';' && !is_blank(line.ptr[i])))
        return WZ_ERR_PROTOCOL;
    *ret_size = size;
    return WZ_OK;
}

// Takes one line of the chunk framing; WZ_AGAIN while it is not whole.
static int take_framing_line(struct wz_slice *input, struct wz_slice *ret_line)
{
    const uint8_t *end = input->len > 0 ? memchr(input->ptr, '\n', input->len) : NULL;
    struct wz_slice part;

    if (end == NULL)
        return input->len > WZ_HTTP_CHUNK_LINE_MAX ? WZ_ERR_PROTOCOL : WZ_AGAIN;
    part = wz_slice_sub(*input, 0, (size_t)(end - input->ptr) + 1);
    if (part.len > WZ_HTTP_CHUNK_LINE_MAX)
        return WZ_ERR_PROTOCOL;
    *input = wz_slice_sub(*input, part.len, input->len - part.len);
    return take_line(&part, ret_line) ? WZ_OK : WZ_ERR_PROTOCOL;
}

// Goes over one line of the chunk framing.
static int step_framing(struct wz_http_body *body, struct wz_slice *input)
{
    struct wz_slice line;
    int r = take_framing_line(input, &line);

    if (r != WZ_OK)
        return r;
    switch (body->state) {
    case WZ_HTTP_BODY_CHUNK_END:
        body->state = WZ_HTTP_BODY_CHUNK_SIZE;
        return line.len == 0 ? WZ_OK : WZ_ERR_PROTOCOL;
    case WZ_HTTP_BODY_CHUNK_SIZE:
        r = read_chunk_size(line, &body->left);
        body->state = body->left > 0 ? WZ_HTTP_BODY_CHUNK : WZ_HTTP_BODY_TRAILER;
        return r;
    default: // a trailer
        body->trailer_bytes += line.len;
        if (line.len == 0)
            body->state = WZ_HTTP_BODY_DONE;
        return body->trailer_bytes > WZ_HTTP_TRAILER_MAX ? WZ_ERR_PROTOCOL : WZ_OK;
    }
}

// Takes what there is of a piece of known length.
static int take_piece(struct wz_http_body *body, struct wz_slice *input, struct wz_slice *ret_piece)
{
    size_t len = input->len;

    if (len == 0)
        return WZ_AGAIN;
    if (body->state != WZ_HTTP_BODY_UNTIL_END) {
        if ((int64_t)len > body->left)
            len = (size_t)body->left;
        body->left -= (int64_t)len;
        if (body->left == 0)
            body->state =
                body->state == WZ_HTTP_BODY_CHUNK ? WZ_HTTP_BODY_CHUNK_END : WZ_HTTP_BODY_DONE;
    }
    *ret_piece = wz_slice_sub(*input, 0, len);
    *input = wz_slice_sub(*input, len, input->len - len);
    return WZ_OK;
}

int wz_http_body_next(struct wz_http_body *body, struct wz_slice *input, struct wz_slice *ret_piece)
{
    for (;;) {
        int r;

        switch (body->state) {
        case WZ_HTTP_BODY_DONE:
            return WZ_END;
        case WZ_HTTP_BODY_COUNTED:
        case WZ_HTTP_BODY_UNTIL_END:
        case WZ_HTTP_BODY_CHUNK:
            return take_piece(body, input, ret_piece);
        case WZ_HTTP_BODY_CHUNK_SIZE:
        case WZ_HTTP_BODY_CHUNK_END:
        case WZ_HTTP_BODY_TRAILER:
            r = step_framing(body, input);
            if (r != WZ_OK)
                return r;
        }
    }
}

void wz_http_add_chunk(struct wz_buf *buf, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    wz_buf_addf(buf, "%zx\r\n", len);
    wz_buf_add(buf, ptr, len);
    wz_buf_add_str(buf, "\r\n");
}

void wz_http_add_last_chunk(struct wz_buf *buf) { wz_buf_add_str(buf, "0\r\n\r\n"); }

const char *wz_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}
