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
// Nothing fails any more; what is tracked stays.
void heal();
// Remembers, from now on or no longer, what was overwritten since each file's last sync. Begins with nothing remembered. Not
// `honest`: a disk that says of each sync that it is done, and does nothing.
void track(bool on, bool honest = true);
// Puts back what was never synced, in the files as they are now: for a process that plays the end of another (tests/sim), and goes
// on with copies of them. REQUIRES: track(true)
void lose_power(Loss loss, uint64_t seed);
// Whether the planned failure has happened.
bool happened();

}  // namespace gantry::store::fault
