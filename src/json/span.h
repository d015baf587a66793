// SPDX-License-Identifier: Apache-2.0
// The inner loops of the scanner: over white space, and over the bytes of a string up to one that
// matters. Two ways with one result: 16 bytes a step with SSE2, 8 bytes a step on any processor.
#pragma once

#include "base/slice.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

// Whether BYTE is white space between tokens (RFC 8259 section 2).
static inline bool wz_json_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// The first byte from POS on that is no white space, or END.
static inline const uint8_t *wz_json_skip_space(const uint8_t *pos, const uint8_t *end)
{
    while (pos < end && *pos <= ' ' && wz_json_is_space(*pos))
        pos++;
    return pos;
}

// Whether BYTE ends a run: a quote, a backslash, or a control character.
static inline bool wz_json_span_stops(uint8_t byte)
{
    return byte == '"' || byte == '\\' || byte < 0x20;
}

// The first byte from POS on that stops, or END. Sets bits of *HIGHS when one before it is not
// ASCII, none otherwise. Reads nothing outside POS to END.
static inline const uint8_t *wz_json_span_word(const uint8_t *pos, const uint8_t *end,
                                               unsigned *highs)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = ones * 0x80;

    while (end - pos >= 8) {
        uint64_t word;
        uint64_t quote;
        uint64_t backslash;
        uint64_t stops;

        memcpy(&word, pos, sizeof(word));
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        // A byte's high bit is set where it was zero, or below 0x20. One byte too many may be set,
        // but only behind one that is right, so zero means none.
        stops = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                ((word - ones * 0x20) & ~word);
        if ((stops & tops) != 0)
            break;
        *highs |= (word & tops) != 0;
        pos += 8;
    }
    for (; pos < end && !wz_json_span_stops(*pos); pos++)
        *highs |= *pos >= 0x80;
    return pos;
}

#ifdef __SSE2__
// What a step of 16 bytes finds: bit i stands for byte i.
struct wz_json_step {
    unsigned stops;
    unsigned highs; // not ASCII
};

static inline struct wz_json_step wz_json_step(const uint8_t *pos)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)pos);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i stops = _mm_or_si128(_mm_or_si128(quote, backslash), control);

    return (struct wz_json_step){
        .stops = (unsigned)_mm_movemask_epi8(stops),
        .highs = (unsigned)_mm_movemask_epi8(bytes),
    };
}

// As wz_json_span_word, but may read from BASE on: so the last few bytes are looked at in one step
// too, one that ends with them and begins before POS.
static inline const uint8_t *wz_json_span_sse2(const uint8_t *base, const uint8_t *pos,
                                               const uint8_t *end, unsigned *highs)
{
    struct wz_json_step step;

    for (; end - pos >= 16; pos += 16) {
        step = wz_json_step(pos);
        if (step.stops != 0)
            goto stopped;
        *highs |= step.highs;
    }
    if (end - base < 16)
        return wz_json_span_word(pos, end, highs);
    step = wz_json_step(end - 16);
    step.stops >>= 16 - (end - pos);
    step.highs >>= 16 - (end - pos);
    if (step.stops == 0) {
        *highs |= step.highs;
        return end;
    }
stopped:
    *highs |= step.highs & (step.stops ^ (step.stops - 1)); // those before the first stop
    return pos + __builtin_ctz(step.stops);
}
#endif

// The better of the two for this processor; the bytes from BASE to POS can be read.
static inline const uint8_t *wz_json_span(const uint8_t *base, const uint8_t *pos,
                                          const uint8_t *end, unsigned *highs)
{
#ifdef __SSE2__
    return wz_json_span_sse2(base, pos, end, highs);
#else
    (void)base;
    return wz_json_span_word(pos, end, highs);
#endif
}
