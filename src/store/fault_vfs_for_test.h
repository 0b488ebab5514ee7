#pragma once
// A file layer under SQLite that fails, or cuts the power, at the Nth operation. It passes everything to SQLite's own layer,
// remembers what was overwritten since the last sync of each file, and at a power cut puts that back: what was never synced
// is lost. It makes no real fsync. Process-wide, for one test at a time.

#include <cstdint>
#include <string>

namespace gantry::store::fault {

enum class Operation { kWrite, kSync, kAny };     // kWrite: writes and truncations; kAny: both, and creating and deleting files
enum class Loss { kNone, kAll, kSome };           // of unsynced writes, at a cut: kNone is kill -9, kSome drops by a seed

inline constexpr char kVfs[] = "gantry_fault";    // DatabaseOptions::vfs
void install();

// The `nth` (from 1) operation from now on fails with SQLite's `code`; with `lasting`, all after it too.
void fail(Operation operation, int64_t nth, int code, bool lasting);
// At the `nth` operation the process ends, after unsynced writes are lost.
void cut_power(int64_t nth, Loss loss, uint64_t seed);
void heal();
// Whether the planned failure has happened.
bool happened();

}  // namespace gantry::store::fault
