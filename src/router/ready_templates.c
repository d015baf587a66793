// SPDX-License-Identifier: Apache-2.0
// Owns the ready templates. Topics are as the makers' pages describe them:
//   esphome      esphome.io/components/mqtt
//   rtl_433      github.com/merbanan/rtl_433, docs/INTEGRATION.md
//   shelly-gen1  shelly-api-docs.shelly.cloud/gen1
//   shelly-gen2  shelly-api-docs.shelly.cloud/gen2, Mqtt and Control over MQTT
//   tasmota      tasmota.github.io/docs/MQTT
//   zigbee2mqtt  www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html
#include "router/ready_templates.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

// A channel that is a number, and a comma.
#define NUMBER(subtopic, channel)                                                                  \
    "\"" subtopic "\":{\"channel\":\"" channel "\",\"type\":\"number\"},"

// Versions of clang-format differ on macros between texts.
// clang-format off
static const struct {
    const char *name;
    const char *body;
} templates[WZ_READY_TEMPLATE_COUNT] = {
    {"esphome",
     "{\"description\":\"ESPHome: the device id is its topic_prefix\","
     "\"reading\":{\"state\":\"{device}/{subtopic}/state\","
     "\"status\":{\"shape\":\"{device}/status\",\"prefix\":\"status\"},"
     "\"debug\":{\"shape\":\"{device}/debug\",\"prefix\":\"debug\"}},"
     "\"command\":\"{device}/{subtopic}/command\",\"send\":\"value\"}"},
    {"plain",
     "{\"description\":\"Gateways whose topics have no type word; commands end in set\","
     "\"reading\":\"{device}/{subtopic}\",\"command\":\"{device}/{subtopic}/set\"}"},
    {"rtl_433",
     "{\"description\":\"rtl_433 with -F mqtt: the device id ends with model, channel and id\","
     "\"reading\":\"{device}/{subtopic}\",\"channels\":{"
     NUMBER("battery_ok", "battery_ok")
     NUMBER("humidity", "humidity")
     NUMBER("pressure_hPa", "pressure_hPa")
     NUMBER("rain_mm", "rain_mm")
     NUMBER("temperature_C", "temperature_C")
     NUMBER("temperature_F", "temperature_F")
     NUMBER("wind_avg_km_h", "wind_avg_km_h")
     NUMBER("wind_avg_m_s", "wind_avg_m_s")
     NUMBER("wind_dir_deg", "wind_dir_deg")
     NUMBER("wind_max_km_h", "wind_max_km_h")
     "\"wind_max_m_s\":{\"channel\":\"wind_max_m_s\",\"type\":\"number\"}}}"},
    {"shelly-gen1",
     "{\"description\":\"Shelly, first generation: the device id is shellies/MODEL-ID\","
     "\"reading\":\"{device}/{subtopic}\",\"command\":\"{device}/{subtopic}/command\","
     "\"ignore\":[\"{device}/{subtopic}/set\",\"{device}/{subtopic}/command/pos\"],"
     "\"send\":\"value\",\"channels\":{"
     NUMBER("emeter/0/power", "emeter.0.power")
     NUMBER("emeter/0/voltage", "emeter.0.voltage")
     NUMBER("input/0", "input.0")
     NUMBER("input/1", "input.1")
     NUMBER("light/0/energy", "light.0.energy")
     NUMBER("light/0/power", "light.0.power")
     NUMBER("overtemperature", "overtemperature")
     NUMBER("relay/0/energy", "relay.0.energy")
     NUMBER("relay/0/power", "relay.0.power")
     NUMBER("relay/1/energy", "relay.1.energy")
     NUMBER("relay/1/power", "relay.1.power")
     NUMBER("roller/0/pos", "roller.0.pos")
     NUMBER("roller/0/power", "roller.0.power")
     NUMBER("sensor/battery", "sensor.battery")
     NUMBER("sensor/humidity", "sensor.humidity")
     NUMBER("sensor/temperature", "sensor.temperature")
     NUMBER("temperature", "temperature")
     "\"temperature_f\":{\"channel\":\"temperature_f\",\"type\":\"number\"}}}"},
    {"shelly-gen2",
     "{\"description\":\"Shelly, second generation and later: the device id is its topic prefix\","
     "\"reading\":{\"status\":\"{device}/status/{subtopic}\","
     "\"events\":{\"shape\":\"{device}/events/{subtopic}\",\"prefix\":\"events\"},"
     "\"online\":{\"shape\":\"{device}/online\",\"prefix\":\"online\"}},"
     "\"command\":\"{device}/command/{subtopic}\",\"ignore\":[\"{device}/rpc\"],"
     "\"send\":\"value\",\"channels\":{\"switch:0\":\"switch0\",\"switch:1\":\"switch1\","
     "\"switch:2\":\"switch2\",\"switch:3\":\"switch3\",\"input:0\":\"input0\","
     "\"input:1\":\"input1\",\"light:0\":\"light0\",\"light:1\":\"light1\",\"cover:0\":\"cover0\","
     "\"temperature:0\":\"temperature0\",\"humidity:0\":\"humidity0\"}}"},
    {"tasmota",
     "{\"description\":\"Tasmota with its own FullTopic: the device id is its Topic\","
     "\"reading\":{\"tele\":\"tele/{device}/{subtopic}\","
     "\"stat\":{\"shape\":\"stat/{device}/{subtopic}\",\"prefix\":\"stat\"}},"
     "\"command\":\"cmnd/{device}/{subtopic}\",\"send\":\"value\",\"channels\":{"
     "\"SENSOR\":\"sensor\",\"STATE\":\"state\",\"LWT\":\"online\","
     "\"POWER\":{\"channel\":\"power\",\"reading\":\"stat\"},"
     "\"POWER1\":{\"channel\":\"power1\",\"reading\":\"stat\"},"
     "\"POWER2\":{\"channel\":\"power2\",\"reading\":\"stat\"},"
     "\"POWER3\":{\"channel\":\"power3\",\"reading\":\"stat\"},"
     "\"POWER4\":{\"channel\":\"power4\",\"reading\":\"stat\"}}}"},
    {"zigbee2mqtt",
     "{\"description\":\"zigbee2mqtt: the device id is zigbee2mqtt/FRIENDLY_NAME\","
     "\"reading\":\"{device}/{subtopic}\",\"command\":\"{device}/set/{subtopic}\","
     "\"ignore\":[\"{device}/get/{subtopic}\"],\"send\":\"value\"}"},
};
// clang-format on

const char *wz_ready_template_name(int index) { return templates[index].name; }

const char *wz_ready_template_find(const char *name)
{
    for (int i = 0; i < WZ_READY_TEMPLATE_COUNT; i++)
        if (strcmp(templates[i].name, name) == 0)
            return templates[i].name;
    return NULL;
}

json_t *wz_ready_template(const char *name)
{
    for (int i = 0; i < WZ_READY_TEMPLATE_COUNT; i++) {
        json_t *body;

        if (strcmp(templates[i].name, name) != 0)
            continue;
        body = json_loads(templates[i].body, 0, NULL);
        WZ_ASSERT(body != NULL);
        return body;
    }
    return NULL;
}
