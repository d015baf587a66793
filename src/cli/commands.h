// SPDX-License-Identifier: Apache-2.0
// What the commands of the table do. Each returns an exit code, with the cli's problem filled when
// it failed.
#pragma once

#include "cli/cli.h"

// pub.c, sub.c: a message in, messages out.
int wz_cmd_pub(struct wz_cli *cli);
int wz_cmd_sub(struct wz_cli *cli);

// map.c: the mapping as text and by entries.
int wz_cmd_map_export(struct wz_cli *cli);
int wz_cmd_map_import(struct wz_cli *cli);
int wz_cmd_map_ls(struct wz_cli *cli);
int wz_cmd_export(struct wz_cli *cli);
int wz_cmd_import(struct wz_cli *cli);
int wz_cmd_map_set(struct wz_cli *cli);
int wz_cmd_map_test(struct wz_cli *cli);
int wz_cmd_map_rm(struct wz_cli *cli);

// inbox.c: messages that no rule maps.
int wz_cmd_inbox_ls(struct wz_cli *cli);
int wz_cmd_inbox_show(struct wz_cli *cli);
int wz_cmd_inbox_accept(struct wz_cli *cli);
int wz_cmd_inbox_ignore(struct wz_cli *cli);
int wz_cmd_inbox_forget(struct wz_cli *cli);
int wz_cmd_inbox_reenter(struct wz_cli *cli);

// device.c: devices.
int wz_cmd_device_ls(struct wz_cli *cli);
int wz_cmd_device_get(struct wz_cli *cli);
int wz_cmd_device_set(struct wz_cli *cli);
int wz_cmd_device_rm(struct wz_cli *cli);

// document.c: documents of every collection.
int wz_cmd_document_ls(struct wz_cli *cli);
int wz_cmd_document_get(struct wz_cli *cli);
int wz_cmd_document_set(struct wz_cli *cli);
int wz_cmd_document_rm(struct wz_cli *cli);

// template.c: templates.
int wz_cmd_template_ls(struct wz_cli *cli);
int wz_cmd_template_get(struct wz_cli *cli);
int wz_cmd_template_set(struct wz_cli *cli);
int wz_cmd_template_rm(struct wz_cli *cli);

// passthrough.c: the rules by which records pass from raw to processed.
int wz_cmd_passthrough_ls(struct wz_cli *cli);
int wz_cmd_passthrough_get(struct wz_cli *cli);
int wz_cmd_passthrough_set(struct wz_cli *cli);
int wz_cmd_passthrough_rm(struct wz_cli *cli);

// quarantine.c: what the engine keeps of a script.
int wz_cmd_quarantine_ls(struct wz_cli *cli);
int wz_cmd_quarantine_show(struct wz_cli *cli);
int wz_cmd_quarantine_retry(struct wz_cli *cli);
int wz_cmd_quarantine_drop(struct wz_cli *cli);
int wz_cmd_script_state(struct wz_cli *cli);
int wz_cmd_script_restart(struct wz_cli *cli);

// script.c, script_check.c, script_run.c, script_pytest.c: scripts.
int wz_cmd_script_ls(struct wz_cli *cli);
int wz_cmd_script_get(struct wz_cli *cli);
int wz_cmd_script_deploy(struct wz_cli *cli);
int wz_cmd_script_rm(struct wz_cli *cli);
int wz_cmd_script_start(struct wz_cli *cli);
int wz_cmd_script_stop(struct wz_cli *cli);
int wz_cmd_script_logs(struct wz_cli *cli); // sub.c
int wz_cmd_script_check(struct wz_cli *cli);
int wz_cmd_script_run(struct wz_cli *cli);
int wz_cmd_script_test(struct wz_cli *cli);

// versions.c: what scripts' documents were before.
int wz_cmd_script_log(struct wz_cli *cli);
int wz_cmd_script_rollback(struct wz_cli *cli);

// log.c: the streams' files.
int wz_cmd_log_info(struct wz_cli *cli);
int wz_cmd_log_verify(struct wz_cli *cli);
int wz_cmd_log_trim(struct wz_cli *cli); // trim.c

// status.c: how the server is.
int wz_cmd_status(struct wz_cli *cli);
int wz_cmd_ready(struct wz_cli *cli);
int wz_cmd_version(struct wz_cli *cli);
