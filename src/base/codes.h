// SPDX-License-Identifier: Apache-2.0
// The stable numbers of refusals, shown as "WYZ-2103". A number, once given out, keeps its meaning;
// docs/errors.md is printed from this table.
//   1xxx configuration, 2xxx documents and mapping, 3xxx store, 4xxx streams, 5xxx scripts, 6xxx
//   API
#pragma once

// name, number, title
#define WZ_CODE_TABLE(X)                                                                           \
    X(CONFIG_KEY, 1001, "There is no configuration key of that name")                              \
    X(CONFIG_VALUE, 1002, "A configuration value is not valid")                                    \
    X(CONFIG_FILE, 1003, "The configuration file cannot be read")                                  \
    X(CONFIG_EXPOSED, 1004, "Listening outside this machine needs users, which do not exist yet")  \
    X(CONFIG_DATA, 1005, "The data folder cannot be told or used")                                 \
    X(CONFIG_PORT, 1006, "A port to listen on is taken or not allowed")                            \
    X(DOCUMENT_NAME, 2001, "The name of a document is not valid")                                  \
    X(DOCUMENT_BODY, 2002, "The body of a document is not valid")                                  \
    X(DOCUMENT_TOO_LARGE, 2003, "A document is too large")                                         \
    X(DOCUMENT_NOT_FOUND, 2004, "There is no document of that name")                               \
    X(DOCUMENT_CONFLICT, 2005, "The document was changed by somebody else")                        \
    X(COLLECTION_NOT_FOUND, 2006, "There is no collection of that name")                           \
    X(MAPPING_MEMBER, 2101, "A mapping document has a member that is unknown, missing or wrong")   \
    X(MAPPING_DEVICE, 2102, "A device id cannot stand in an MQTT topic")                           \
    X(MAPPING_ROUTE, 2103, "A route is not a valid topic")                                         \
    X(MAPPING_ROUTE_TAKEN, 2104, "Two devices have one route")                                     \
    X(MAPPING_SUBTOPIC, 2105, "A subtopic cannot stand in an MQTT topic")                          \
    X(MAPPING_CHANNEL, 2106, "A channel is not a valid topic")                                     \
    X(MAPPING_CHANNEL_TAKEN, 2107, "Two subtopics have one channel")                               \
    X(MAPPING_OVERLAP, 2108, "A route is another's route plus one of its channels")                \
    X(MAPPING_TYPE, 2109, "A type word is not valid")                                              \
    X(MAPPING_TYPES_EQUAL, 2110, "Readings and commands have one type word")                       \
    X(MAPPING_OUTPUT_WORD, 2111, "A route or channel contains the word that marks commands")       \
    X(MAPPING_SHAPE, 2112, "A shape of topics is not valid")                                       \
    X(MAPPING_TEMPLATE, 2113, "A device names a template that is not there")                       \
    X(MAPPING_CAPTURE, 2114, "Captures of a device are not valid")                                 \
    X(MAPFILE_SYNTAX, 2201, "A line of a mapping file cannot be read")                             \
    X(MAPFILE_DUPLICATE, 2202, "A mapping file says one thing twice")                              \
    X(MAPFILE_EXPORT, 2203, "The mapping holds what the file format cannot say")                   \
    X(PASSTHROUGH_INVALID, 2301, "A rule of the passthrough is not valid")                         \
    X(INBOX_IGNORE, 2401, "A filter of topics to be ignored is not valid")                         \
    X(INBOX_TOPIC, 2402, "The inbox has no such topic")                                            \
    X(INBOX_SUGGESTION, 2403, "There is no suggestion for the topic")                              \
    X(STORE_FOREIGN, 3001, "The database file is not one of wyze")                                 \
    X(STORE_DAMAGED, 3002, "The database file is damaged")                                         \
    X(STORE_NEWER, 3003, "The database file was made by a newer wyze")                             \
    X(STORE_FULL, 3004, "There is no room left for the database")                                  \
    X(STORE_BUSY, 3005, "Another program holds the database")                                      \
    X(STORE_READ_ONLY, 3006, "The database cannot be written")                                     \
    X(STORE_ACCESS, 3007, "The database cannot be opened")                                         \
    X(STORE_IO, 3008, "Reading or writing the database failed")                                    \
    X(STREAM_LOCKED, 4001, "Another program holds the stream")                                     \
    X(STREAM_DAMAGED, 4002, "A stream holds damaged bytes")                                        \
    X(STREAM_FULL, 4003, "There is no room left for a stream")                                     \
    X(STREAM_IO, 4004, "Reading or writing a stream failed")                                       \
    X(STREAM_NOT_FOUND, 4005, "There is no stream of that name")                                   \
    X(STREAM_POSITION, 4006, "A position, time or pattern is not valid")                           \
    X(JOURNAL_NEWER, 4007, "The journal was made by a newer wyze")                                 \
    X(JOURNAL_RECORD, 4008, "The journal holds a record that cannot be read")                      \
    X(SCRIPT_INVALID, 5001, "The script is not valid")                                             \
    X(SCRIPT_FAILED, 5002, "The script failed")                                                    \
    X(SCRIPT_WORKER, 5003, "A worker cannot be started")                                           \
    X(SCRIPT_NOT_FOUND, 5004, "There is no script of that name")                                   \
    X(API_REQUEST, 6001, "The request is not valid")                                               \
    X(API_NOT_FOUND, 6002, "There is nothing at that address")                                     \
    X(API_METHOD, 6003, "The address does not know that method")                                   \
    X(API_TOO_LARGE, 6004, "The request is too large")                                             \
    X(API_BUSY, 6005, "Too much is under way")                                                     \
    X(API_PRECONDITION, 6006, "The If-Match or If-None-Match condition does not hold")             \
    X(API_UNREACHABLE, 6007, "The server cannot be reached")

enum wz_code {
#define WZ_CODE_ENUM(name, number, title) WZ_CODE_##name = (number),
    WZ_CODE_TABLE(WZ_CODE_ENUM)
#undef WZ_CODE_ENUM
};
