// SPDX-License-Identifier: Apache-2.0
// Owns RFC 7396. Its depth is bounded by that of the patch, which jansson holds under its own limit
// for nesting (2048).
#include "gateway/patch.h"

json_t *wz_patch_apply(const json_t *target, json_t *patch)
{
    json_t *result;
    const char *name;
    json_t *value;

    if (!json_is_object(patch))
        return json_deep_copy(patch);
    result = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value))
            (void)json_object_del(result, name); // fine when it is not there
        else
            (void)json_object_set_new(result, name,
                                      wz_patch_apply(json_object_get(result, name), value));
    }
    return result;
}
