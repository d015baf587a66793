// SPDX-License-Identifier: Apache-2.0
// A mapping that is being built from documents, and what it is checked with; for the files that
// build one, on any thread. How it is used:
//
// 1. wz_mapping_build_begin reads what is the same for many devices.
// 2. wz_device_table_init makes room for devices, wz_mapping_build_add adds one each.
// 3. wz_mapping_build_end checks the whole and gives it out, or frees all there is.
//
// After a failure only the last step is left.
#pragma once

#include "base/map.h"
#include "router/mapping.h"
#include "router/mapping_parts.h"

struct wz_mapping_template;

// Names that take words behind a route, in the order of bytes.
struct wz_mapping_taken {
    struct wz_slice *names;
    uint32_t count;
};

// All zero but for MAPPING, an empty one, and RET_PROBLEM is one that has not begun.
struct wz_mapping_build {
    struct wz_mapping *mapping;
    struct wz_problem *ret_problem; // borrowed
    struct wz_buf input;            // the type words of all devices
    struct wz_buf output;
    struct wz_mapping_template *templates;
    size_t template_count;
    struct wz_map by_name; // templates
    uint32_t profile_cap;
    struct wz_mapping_taken all;  // channels of all devices
    struct wz_mapping_taken *own; // those of each profile, and prefixes
};

// Where a problem is: a document.
struct wz_mapping_subject {
    enum wz_collection collection;
    const char *name;
};

// Sets the problem: WHAT (printf) is wrong with SUBJECT, and how to mend it. Returns
// WZ_ERR_INVALID.
__attribute__((format(printf, 5, 6))) int wz_mapping_refuse(const struct wz_mapping_build *build,
                                                            struct wz_mapping_subject subject,
                                                            int code, const char *fix,
                                                            const char *what, ...);

// Refuses a device whose ID, but for names of captures, or ROUTE the device of number OTHER has.
// Returns WZ_ERR_INVALID.
int wz_mapping_refuse_taken(const struct wz_mapping_build *build, struct wz_mapping_subject subject,
                            struct wz_slice id, struct wz_slice route, uint32_t other);

// Reads type words, channels and templates. WZ_ERR_INVALID, with a problem, when they break a rule.
WZ_MUST int wz_mapping_build_begin(struct wz_mapping_build *build,
                                   const struct wz_document_list lists[WZ_COLLECTION_COUNT]);

// Finds the profile of devices that follow the template NAME (NULL: none) and have nothing of their
// own; it is made when it is asked for first. WZ_ERR_INVALID when there is no such template, or
// when SUBJECT's is wrong.
WZ_MUST int wz_mapping_build_profile(struct wz_mapping_build *build,
                                     struct wz_mapping_subject subject, const char *name,
                                     uint32_t *ret_profile);

// Adds a device. WZ_ERR_INVALID, with a problem, when it breaks a rule by itself, or has what
// another has.
WZ_MUST int wz_mapping_build_add(struct wz_mapping_build *build,
                                 const struct wz_document *document);

// Makes the mapping ready when all devices are there, unless R is the failure of a step before.
// Frees all but the mapping, which is the caller's, in any case. Returns R, or WZ_ERR_INVALID when
// devices break a rule together; then there is no mapping.
WZ_MUST int wz_mapping_build_end(struct wz_mapping_build *build, int r,
                                 struct wz_mapping **ret_mapping);

// Whether a device's id or route has captures.
bool wz_mapping_has_captures(const char *name, json_t *body);

// Reads the documents that wz_mapping_build_begin reads; errors are the store's, with a problem.
// The caller releases LISTS in any case.
WZ_MUST int wz_mapping_read_shared(struct wz_store_view *view,
                                   struct wz_document_list lists[WZ_COLLECTION_COUNT],
                                   struct wz_problem *ret_problem);
