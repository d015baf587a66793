// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli), the checksum of Kafka's record batches (RFC 3720, appendix B.4).
#pragma once

#include "base/slice.h"

// The checksum of LEN bytes at PTR, going on from CRC (0 to begin with). Uses the processor's own
// instruction where there is one.
uint32_t wz_crc32c(uint32_t crc, const void *ptr, size_t len);
