// SPDX-License-Identifier: Apache-2.0
// Owns the spelling of configuration values: one reader a type, all reached through one table.
#include "config/value.h"

#include <arpa/inet.h>

#include "base/codes.h"
#include "base/mem.h"

// A value longer than this is cut when it is shown.
#define WZ_VALUE_SHOWN_MAX 80

struct unit {
    const char *name;
    int64_t factor;
};

// From large to small, so that the first one that divides a number is the one to print it with.
static const struct unit sizes[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", 1 << 30},
    {"MiB", 1 << 20},
    {"KiB", 1 << 10},
    {"B", 1},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"KB", 1000},
    {NULL, 0},
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit counts[] = {{"", 1}, {NULL, 0}};

void wz_value_release(struct wz_value *value)
{
    wz_free(value->text);
    *value = (struct wz_value){0};
}

static const struct unit *units_of(enum wz_value_type type)
{
    if (type == WZ_VALUE_SIZE)
        return sizes;
    return type == WZ_VALUE_DURATION ? durations : counts;
}

void wz_value_add_number(struct wz_buf *buf, enum wz_value_type type, int64_t number)
{
    const struct unit *unit = units_of(type);

    while (number % unit->factor != 0 || (number == 0 && unit->factor > 1))
        unit++;
    wz_buf_addf(buf, "%lld%s", (long long)(number / unit->factor), unit->name);
}

// The words of a choice, one after the other.
static bool next_word(const char **words, struct wz_slice *ret_word)
{
    const char *start = *words;
    size_t len = strcspn(start, "|");

    if (*start == '\0')
        return false;
    *ret_word = wz_slice(start, len);
    *words = start + len + (start[len] == '|');
    return true;
}

static void add_words(struct wz_buf *buf, const char *words)
{
    struct wz_slice word;
    bool first = true;

    while (next_word(&words, &word)) {
        if (!first)
            wz_buf_add_str(buf, *words == '\0' ? " or " : ", ");
        wz_buf_add_slice(buf, word);
        first = false;
    }
}

void wz_value_add_allowed(struct wz_buf *buf, const struct wz_value_rule *rule)
{
    switch (rule->type) {
    case WZ_VALUE_STRING:
        wz_buf_add_str(buf, "text");
        return;
    case WZ_VALUE_PATH:
        wz_buf_add_str(buf, "a path");
        return;
    case WZ_VALUE_ADDRESS:
        wz_buf_add_str(buf, "127.0.0.1:PORT, [::1]:PORT or off");
        return;
    case WZ_VALUE_CHOICE:
        add_words(buf, rule->words);
        return;
    case WZ_VALUE_BOOL:
        wz_buf_add_str(buf, "true or false");
        return;
    default:
        break;
    }
    if (rule->least == 0 && rule->most == 0) {
        wz_buf_add_str(buf, "any number");
        return;
    }
    wz_value_add_number(buf, rule->type, rule->least);
    wz_buf_add_str(buf, " to ");
    wz_value_add_number(buf, rule->type, rule->most);
}

// The digits in front of S, taken off it; false when there are none. A number that is too large
// stays at INT64_MAX, which no range allows.
static bool take_digits(const char **s, int64_t *ret_number)
{
    const char *start = *s;
    int64_t number = 0;

    for (; **s >= '0' && **s <= '9'; (*s)++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, **s - '0', &number))
            number = INT64_MAX;
    *ret_number = number;
    return *s != start;
}

// NULL when TEXT is fine, else what is wrong with it.
static const char *parse_number(const struct wz_value_rule *rule, const char *text,
                                struct wz_value *value)
{
    const struct unit *unit = units_of(rule->type);

    if (!take_digits(&text, &value->number))
        return "is not a number";
    while (*text == ' ')
        text++;
    if (*text == '\0' && rule->type == WZ_VALUE_DURATION && value->number != 0)
        return "has no unit";
    if (*text == '\0' && rule->type == WZ_VALUE_SIZE)
        text = "B";
    else if (*text == '\0')
        unit = counts;
    while (unit->name != NULL && strcmp(unit->name, text) != 0)
        unit++;
    if (unit->name == NULL)
        return rule->type == WZ_VALUE_COUNT ? "is not a whole number"
                                            : "has a unit that is unknown";
    if (__builtin_mul_overflow(value->number, unit->factor, &value->number))
        value->number = INT64_MAX;
    if ((rule->least != 0 || rule->most != 0) &&
        (value->number < rule->least || value->number > rule->most))
        return "is out of range";
    return NULL;
}

static const char *parse_text(const struct wz_value_rule *rule, const char *text,
                              struct wz_value *value)
{
    (void)rule; // every text is fine
    value->text = wz_strdup(text);
    return NULL;
}

static const char *parse_choice(const struct wz_value_rule *rule, const char *text,
                                struct wz_value *value)
{
    const char *words = rule->words;
    struct wz_slice word;

    for (value->number = 0; next_word(&words, &word); value->number++) {
        if (!wz_slice_eq(word, wz_slice_str(text)))
            continue;
        value->text = wz_strdup(text);
        return NULL;
    }
    return "is not one of its words";
}

static const char *parse_bool(const struct wz_value_rule *rule, const char *text,
                              struct wz_value *value)
{
    (void)rule; // there is one kind of truth
    value->number = strcmp(text, "true") == 0;
    return value->number == 1 || strcmp(text, "false") == 0 ? NULL : "is neither true nor false";
}

// Whether HOST is a numeric address, with "localhost" made one.
static bool take_host(struct wz_slice host, struct wz_address *address)
{
    uint8_t binary[16];

    if (wz_slice_eq(host, WZ_SLICE_LIT("localhost")))
        host = WZ_SLICE_LIT("127.0.0.1");
    if (host.len == 0 || host.len >= sizeof(address->host))
        return false;
    memcpy(address->host, host.ptr, host.len);
    address->host[host.len] = '\0';
    return inet_pton(AF_INET, address->host, binary) == 1 ||
           inet_pton(AF_INET6, address->host, binary) == 1;
}

static const char *parse_address(const struct wz_value_rule *rule, const char *text,
                                 struct wz_value *value)
{
    const char *colon = strrchr(text, ':');
    const char *digits;
    struct wz_slice host;
    int64_t port;

    (void)rule; // addresses have no range
    value->address.off = strcmp(text, "off") == 0;
    if (value->address.off)
        return NULL;
    if (colon == NULL)
        return "has no host and port";
    host = wz_slice(text, (size_t)(colon - text));
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = wz_slice_sub(host, 1, host.len - 2);
    else if (memchr(host.ptr, ':', host.len) != NULL)
        return "has an IPv6 address without brackets";
    if (!take_host(host, &value->address))
        return "has no numeric host";
    digits = colon + 1;
    if (!take_digits(&digits, &port) || *digits != '\0' || port > UINT16_MAX)
        return "has no port of 0 to 65535";
    value->address.port = (uint16_t)port;
    return NULL;
}

int wz_value_parse(const struct wz_value_rule *rule, const char *name, const char *text,
                   struct wz_value *ret_value, struct wz_problem *ret_problem)
{
    static const char *(*const parsers[])(const struct wz_value_rule *, const char *,
                                          struct wz_value *) = {
        [WZ_VALUE_STRING] = parse_text,     [WZ_VALUE_PATH] = parse_text,
        [WZ_VALUE_ADDRESS] = parse_address, [WZ_VALUE_SIZE] = parse_number,
        [WZ_VALUE_DURATION] = parse_number, [WZ_VALUE_COUNT] = parse_number,
        [WZ_VALUE_CHOICE] = parse_choice,   [WZ_VALUE_BOOL] = parse_bool,
    };
    WZ_AUTO(wz_buf_release) struct wz_buf allowed = {0};
    struct wz_value value = {0};
    const char *wrong = parsers[rule->type](rule, text, &value);

    if (wrong == NULL) {
        *ret_value = value;
        return WZ_OK;
    }
    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_VALUE,
                   "The value \"%.*s\" of %s %s.", WZ_VALUE_SHOWN_MAX, text, name, wrong);
    wz_value_add_allowed(&allowed, rule);
    wz_problem_fix(ret_problem, "Allowed: %s%s.", wz_buf_str(&allowed),
                   rule->type == WZ_VALUE_DURATION ? ", with a unit of ms, s, m, h or d"
                   : rule->type == WZ_VALUE_SIZE   ? ", with a unit of B, KiB, MiB, GiB or TiB"
                                                   : "");
    return WZ_ERR_INVALID;
}

bool wz_address_is_loopback(const struct wz_address *address)
{
    static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    uint8_t binary[16];

    if (inet_pton(AF_INET, address->host, binary) == 1)
        return binary[0] == 127;
    if (inet_pton(AF_INET6, address->host, binary) != 1)
        return false;
    return memcmp(binary, &in6addr_loopback, sizeof(binary)) == 0 ||
           memcmp(binary, mapped, sizeof(mapped)) == 0;
}
