// SPDX-License-Identifier: Apache-2.0
// How a configuration key is spelt: mqtt.max_packet, --mqtt-max-packet, WYZE_MQTT_MAX_PACKET.
#pragma once

#include "base/slice.h"
#include "config/keys.h"

enum wz_name_form {
    WZ_NAME_KEY,
    WZ_NAME_FLAG,
    WZ_NAME_ENV,
};

// Room for any spelling of any key, with a NUL.
#define WZ_NAME_MAX 64

// Writes a key's spelling in FORM, with a NUL.
void wz_name_spell(enum wz_name_form form, enum wz_config_key key, char ret_name[WZ_NAME_MAX]);

// The key that NAME spells in FORM, or WZ_CONFIG_KEY_COUNT.
enum wz_config_key wz_name_find(enum wz_name_form form, struct wz_slice name);

// Writes the spelling in FORM that is closest to NAME, if one is close enough to be meant.
bool wz_name_closest(enum wz_name_form form, struct wz_slice name, char ret_name[WZ_NAME_MAX]);

// Whether NAME is the front of a key, up to one of its dots ("mqtt").
bool wz_name_is_group(const char *name);
