#pragma once
// Which gantrys work together as server and worker. What they say to each other has a version, and two that are one apart understand
// each other, so that a cluster is upgraded machine by machine: the server first, then its workers, none stopped for another.
//
// How that is kept:
// - A field may come at any time: who does not know it passes it over, and who misses it takes its default, which has to be what was
//   before. A field never goes, and never means something else.
// - What can't be passed over so (a new word of an enum, a new request that must be answered) takes a new version here, and is sent
//   only to who speaks that version. tests/data/worker_link/ keeps what each version said.
// - Each side says its version with each exchange and holds the other's against its own: the newer one knows what it can't do any more,
//   and the older one has to refuse whom it can't know.

#include <cstdint>

#include "base/result.h"

namespace gantry::protocol {

// 1: before versions were said. 2: instances of several workers, and this number.
inline constexpr int64_t kLinkVersion = 2;

// Ok: they are the same, or one apart. 0 of either: it said none, which is version 1. kConflict otherwise, reason "worker_too_old" or
// "worker_too_new", with what to do.
Status check_link_versions(int64_t worker, int64_t server);

}  // namespace gantry::protocol
