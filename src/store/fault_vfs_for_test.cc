#include "store/fault_vfs_for_test.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <vector>

#include "base/assert.h"

namespace gantry::store::fault {
namespace {

struct Undo {
    int64_t offset;
    std::vector<char> before;   // what was there; shorter than the write where the file ended before
    size_t written;             // bytes written there
    int64_t size_before;
};

struct Plan {
    std::mutex mutex;
    Operation operation = Operation::kAny;
    int64_t countdown = 0;      // 0: nothing planned
    int code = 0;
    bool lasting = false;
    bool failing = false;       // a lasting failure has begun
    bool happened = false;
    bool cut = false;
    Loss loss = Loss::kNone;
    uint64_t seed = 0;
    bool tracking = false;
    bool honest = true;
    std::map<std::string, std::vector<Undo>> unsynced;   // by path; only while a cut is planned, or all the time
};
Plan& plan() {
    static Plan instance;
    return instance;
}

sqlite3_vfs* real_vfs() { return static_cast<sqlite3_vfs*>(sqlite3_vfs_find("unix")); }

struct FaultFile {
    sqlite3_file base;
    std::string* path;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
FaultFile* self(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file); }
sqlite3_file* real(sqlite3_file* file) { return self(file)->real(); }

// Puts back what was there before, latest first. Opens the file anew: which handle wrote it does not matter.
void lose_unsynced(Plan& p) {
    std::mt19937_64 random(p.seed);
    for (auto& [path, undos] : p.unsynced) {
        std::FILE* file = std::fopen(path.c_str(), "r+b");
        if (file == nullptr) continue;
        for (auto undo = undos.rbegin(); undo != undos.rend(); ++undo) {
            if (p.loss == Loss::kSome && random() % 2 == 0) continue;
            std::vector<char> back = undo->before;
            back.resize(undo->written, '\0');
            std::fseek(file, undo->offset, SEEK_SET);
            if (!back.empty()) std::fwrite(back.data(), 1, back.size(), file);
            std::fflush(file);
            if (p.loss == Loss::kAll && ::ftruncate(::fileno(file), undo->size_before) != 0) std::abort();
        }
        std::fclose(file);
    }
}

// What the operation at hand is to answer; SQLITE_OK: go on.
int verdict(Operation operation) {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    if (p.operation != Operation::kAny && p.operation != operation) return SQLITE_OK;
    if (p.failing) return p.code;
    if (p.countdown == 0 || --p.countdown != 0) return SQLITE_OK;
    p.happened = true;
    if (p.cut) {
        if (p.loss != Loss::kNone) lose_unsynced(p);
        ::_exit(0);
    }
    p.failing = p.lasting;
    return p.code;
}

void remember(sqlite3_file* file, int64_t offset, size_t written, bool truncation) {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    if (!p.tracking && (!p.cut || p.loss == Loss::kNone)) return;
    Undo undo{offset, {}, written, 0};
    sqlite3_int64 size = 0;
    real(file)->pMethods->xFileSize(real(file), &size);
    undo.size_before = size;
    if (truncation) undo.written = static_cast<size_t>(std::max<int64_t>(size - offset, 0));
    const int64_t there = std::min<int64_t>(static_cast<int64_t>(undo.written), std::max<int64_t>(size - offset, 0));
    undo.before.resize(static_cast<size_t>(there));
    if (there > 0) real(file)->pMethods->xRead(real(file), undo.before.data(), static_cast<int>(there), offset);
    p.unsynced[*self(file)->path].push_back(std::move(undo));
}

int on_close(sqlite3_file* file) {
    const int code = real(file)->pMethods->xClose(real(file));
    delete self(file)->path;
    return code;
}
int on_read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), to, bytes, offset);
}
int on_write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 offset) {
    if (const int code = verdict(Operation::kWrite); code != SQLITE_OK) return code;
    remember(file, offset, static_cast<size_t>(bytes), false);
    return real(file)->pMethods->xWrite(real(file), from, bytes, offset);
}
int on_truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (const int code = verdict(Operation::kWrite); code != SQLITE_OK) return code;
    remember(file, size, 0, true);
    return real(file)->pMethods->xTruncate(real(file), size);
}
int on_sync(sqlite3_file* file, int) {
    if (const int code = verdict(Operation::kSync); code != SQLITE_OK) return code;
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    if (p.honest) p.unsynced.erase(*self(file)->path);
    return SQLITE_OK;
}
int on_file_size(sqlite3_file* file, sqlite3_int64* size) { return real(file)->pMethods->xFileSize(real(file), size); }
int on_lock(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
int on_unlock(sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
int on_check_lock(sqlite3_file* file, int* out) { return real(file)->pMethods->xCheckReservedLock(real(file), out); }
int on_control(sqlite3_file* file, int operation, void* argument) {
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}
int on_sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
// The real device's promises (power-safe overwrite) are not the shim's: SQLite must assume the worst it ever does.
int on_characteristics(sqlite3_file*) { return 0; }
int on_shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    return real(file)->pMethods->xShmMap(real(file), region, size, extend, out);
}
int on_shm_lock(sqlite3_file* file, int offset, int n, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}
void on_shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
int on_shm_unmap(sqlite3_file* file, int remove) { return real(file)->pMethods->xShmUnmap(real(file), remove); }

const sqlite3_io_methods kMethods = {2,          on_close,        on_read,      on_write,          on_truncate,
                                     on_sync,    on_file_size,    on_lock,      on_unlock,         on_check_lock,
                                     on_control, on_sector_size,  on_characteristics, on_shm_map,  on_shm_lock,
                                     on_shm_barrier, on_shm_unmap, nullptr,     nullptr};

int on_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    FaultFile* made = self(file);
    made->base.pMethods = nullptr;
    if ((flags & SQLITE_OPEN_WAL) != 0) {
        if (const int code = verdict(Operation::kAny); code != SQLITE_OK) return SQLITE_CANTOPEN;
    }
    const int code = real_vfs()->xOpen(real_vfs(), name, made->real(), flags, out_flags);
    if (made->real()->pMethods == nullptr) return code;
    made->path = new std::string(name == nullptr ? "" : name);
    made->base.pMethods = &kMethods;
    return code;
}
int on_delete(sqlite3_vfs*, const char* name, int sync_folder) {
    if (const int code = verdict(Operation::kAny); code != SQLITE_OK) return SQLITE_IOERR_DELETE;
    Plan& p = plan();
    {
        std::lock_guard lock(p.mutex);
        p.unsynced.erase(name);
    }
    return real_vfs()->xDelete(real_vfs(), name, sync_folder);
}

}  // namespace

void install() {
    static sqlite3_vfs vfs = [] {
        sqlite3_vfs made = *real_vfs();
        made.zName = kVfs;
        made.pNext = nullptr;
        made.szOsFile = static_cast<int>(sizeof(FaultFile)) + real_vfs()->szOsFile;
        made.xOpen = on_open;
        made.xDelete = on_delete;
        return made;
    }();
    GANTRY_ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK, "SQLite takes no file layer");
}

void fail(Operation operation, int64_t nth, int code, bool lasting) {
    heal();
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    p.operation = operation;
    p.countdown = nth;
    p.code = code;
    p.lasting = lasting;
}

void cut_power(int64_t nth, Loss loss, uint64_t seed) {
    heal();
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    p.operation = Operation::kAny;
    p.countdown = nth;
    p.cut = true;
    p.loss = loss;
    p.seed = seed;
}

void heal() {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    p.countdown = 0;
    p.failing = p.happened = p.cut = p.lasting = false;
    if (!p.tracking) p.unsynced.clear();
}

void track(bool on, bool honest) {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    p.tracking = on;
    p.honest = honest;
    p.unsynced.clear();
}

void lose_power(Loss loss, uint64_t seed) {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    GANTRY_ASSERT(p.tracking, "what was not synced is known only where it was tracked");
    p.loss = loss;
    p.seed = seed;
    if (loss != Loss::kNone) lose_unsynced(p);
}

bool happened() {
    Plan& p = plan();
    std::lock_guard lock(p.mutex);
    return p.happened;
}

}  // namespace gantry::store::fault
