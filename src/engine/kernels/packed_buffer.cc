#include "engine/kernels/packed_buffer.h"

#include <fcntl.h>
#include <ggml-backend-impl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "base/assert.h"
#include "base/log.h"
#include "base/platform/memory.h"
#include "base/platform/process.h"
#include "engine/kernels/matmul_packing.h"

namespace gantry::engine::kernels {
namespace {

constexpr int64_t kPackersMax = 16;
constexpr size_t kWorthPackers = 1u << 20;   // bytes of a matrix
constexpr size_t kWorthKeeping = 16u << 20;  // of a buffer: less is packed in no time

thread_local PackedLoad* current = nullptr;

// A matrix of weights, and where it is packed to.
struct Weights {
    Weights(const ggml_tensor& tensor, const void* from)
        : type(tensor.type), data(static_cast<const char*>(from)), row_bytes(tensor.nb[1]), rows(static_cast<size_t>(tensor.ne[1])),
          values(static_cast<size_t>(tensor.ne[0])), groups((rows + kGroupRows - 1) / kGroupRows),
          group_bytes(packing_of(type).group_bytes(values / kBlockValues)), out(static_cast<char*>(tensor.data)) {}
    ggml_type type;
    const char* data;
    size_t row_bytes, rows, values, groups, group_bytes;
    char* out;

    void pack(size_t group, char* to) const { pack_group(type, data, row_bytes, rows, values, group, to); }
};

// Each group is packed for itself, so every core takes some.
void pack(const Weights& weights) {
    std::atomic<size_t> next{0};
    const auto some = [&] {
        for (size_t group = next++; group < weights.groups; group = next++) {
            weights.pack(group, weights.out + group * weights.group_bytes);
        }
    };
    std::vector<std::jthread> others;
    const int64_t cores = weights.rows * weights.row_bytes < kWorthPackers ? 1 : std::min<int64_t>(platform::usable_cores(), kPackersMax);
    for (int64_t i = 1; i < cores; ++i) {
        others.emplace_back(some);
    }
    some();
}

// As far as the first group, the last and the middle one tell.
bool is_packed(const Weights& weights) {
    std::vector<char> packed(weights.group_bytes);
    return std::ranges::all_of(std::initializer_list<size_t>{0, weights.groups / 2, weights.groups - 1}, [&](size_t group) {
        weights.pack(group, packed.data());
        return std::memcmp(packed.data(), weights.out + group * weights.group_bytes, weights.group_bytes) == 0;
    });
}

// Address space that begins with a large page, and nothing in it yet.
class Reserved {
public:
    explicit Reserved(size_t bytes) : bytes_(bytes + platform::kHugePage) {
        all_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    ~Reserved() {
        if (valid()) ::munmap(all_, bytes_);
    }
    Reserved(const Reserved&) = delete;
    Reserved& operator=(const Reserved&) = delete;

    bool valid() const { return all_ != MAP_FAILED; }
    char* begin() const {
        const auto first = reinterpret_cast<uintptr_t>(all_);
        return reinterpret_cast<char*>((first + platform::kHugePage - 1) / platform::kHugePage * platform::kHugePage);
    }

private:
    size_t bytes_;
    void* all_;
};

}  // namespace

class PackedBuffer {
public:
    explicit PackedBuffer(size_t size) : size_(size), memory_(size) {
        if (!memory_.valid()) {
            return;
        }
        platform::wish_huge_pages(memory_.begin(), size_);
        if (current == nullptr || current->options_.folder.empty() || size < kWorthKeeping) {
            return;
        }
        options_ = current->options_;
        path_ = packed_path(options_, current->identity_, static_cast<uint32_t>(current->buffers_.size()), size_);
        current->buffers_.push_back(this);
        kept_ = open_packed(path_, size_);
        // Private, so that a weight that is not the file's can be packed over it.
        if (kept_ && kept_->in_memory) {
            mapped_ = ::mmap(memory_.begin(), size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, kept_->file.get(),
                             static_cast<off_t>(kept_->begin)) != MAP_FAILED;
            lost_ = !mapped_;
        }
    }
    PackedBuffer(const PackedBuffer&) = delete;
    PackedBuffer& operator=(const PackedBuffer&) = delete;

    bool valid() const { return memory_.valid() && !lost_; }
    char* begin() const { return memory_.begin(); }

    void set(const ggml_tensor& tensor, const void* data) {
        const Weights weights(tensor, data);
        PackedTensor described{.name = tensor.name, .type = static_cast<uint32_t>(tensor.type), .values = tensor.ne[0], .rows = tensor.ne[1],
                               .offset = static_cast<uint64_t>(weights.out - begin())};
        if (!mapped_ || std::ranges::find(kept_->tensors, described) == kept_->tensors.end() || !is_packed(weights)) {
            pack(weights);
            differs_ = differs_ || mapped_;
        }
        tensors_.push_back(std::move(described));
        if (current != nullptr) {
            current->let_go({weights.data, weights.rows * weights.row_bytes});
        }
    }

    void keep() {
        keeper_ = std::jthread([this](const std::stop_token& stop) {
            std::mutex mutex;
            std::condition_variable_any stopped;
            std::unique_lock lock(mutex);
            if (stopped.wait_for(lock, stop, std::chrono::milliseconds(options_.wait_ms), [] { return false; }); stop.stop_requested()) {
                return;
            }
            platform::run_when_idle();
            try {
                keep_now(stop);
            } catch (const std::exception& e) {
                log::info("packed weights are not kept: {}", e.what());
            }
        });
    }

private:
    void keep_now(const std::stop_token& stop) {
        if (mapped_ && !differs_) {
            mark_used(*kept_);
            platform::move_to_huge_pages(begin(), size_, stop);
        } else if (kept_ && !mapped_ && kept_->tensors == tensors_) {
            // This start packed sooner than it would have read; the next may not.
            mark_used(*kept_);
            if (platform::memory_figures().available_bytes > 2 * size_) read_ahead(*kept_, size_, stop);
        } else if (const Status done = write_packed(options_, path_, tensors_, {begin(), size_}, stop); done) {
            log::info("packed weights are kept in {} ({} MiB): the next start maps them", path_, size_ >> 20);
        } else if (!stop.stop_requested()) {
            log::info("{}", done.error().message);
        }
        kept_.reset();   // so that it takes no room once it is deleted
    }

    size_t size_;
    Reserved memory_;
    PackedCacheOptions options_;
    std::string path_;
    std::optional<PackedFile> kept_;
    bool mapped_ = false;      // its memory is the file's
    bool differs_ = false;     // but for some of it
    bool lost_ = false;        // neither the file's nor new: no memory for it
    std::vector<PackedTensor> tensors_;
    std::jthread keeper_;      // the last: it ends before what it uses
};

PackedLoad::PackedLoad(PackedCacheOptions options, std::string model_path)
    : options_(std::move(options)), model_path_(std::move(model_path)), identity_(model_identity(model_path_)) {
    GANTRY_ASSERT(current == nullptr, "one model at a time");
    current = this;
}

PackedLoad::~PackedLoad() { current = nullptr; }

void PackedLoad::let_go(std::span<const char> weights) {
    const auto inside = [&] { return weights.data() >= mapped_.data() && weights.data() + weights.size() <= mapped_.data() + mapped_.size(); };
    if (!inside()) {
        mapped_ = platform::mapped_file_around(weights.data());   // a file in parts has several
    }
    if (inside()) {
        platform::let_go_of_file(weights);
    }
}

void PackedLoad::done() {
    if (model_identity(model_path_) != identity_) {
        return;   // replaced meanwhile: whose weights these are nobody knows
    }
    for (PackedBuffer* buffer : buffers_) {
        buffer->keep();
    }
}

ggml_backend_buffer_t alloc_packed_buffer(ggml_backend_buffer_type_t type, size_t size) {
    auto made = std::make_unique<PackedBuffer>(size);
    if (!made->valid()) {
        return nullptr;
    }
    ggml_backend_buffer_i iface{};
    iface.free_buffer = [](ggml_backend_buffer_t buffer) { delete static_cast<PackedBuffer*>(buffer->context); };
    iface.get_base = [](ggml_backend_buffer_t buffer) -> void* { return static_cast<PackedBuffer*>(buffer->context)->begin(); };
    iface.set_tensor = [](ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, size_t offset, size_t bytes) {
        GGML_ASSERT(offset == 0 && bytes == ggml_nbytes(tensor));
        static_cast<PackedBuffer*>(buffer->context)->set(*tensor, data);
    };
    iface.clear = [](ggml_backend_buffer_t buffer, uint8_t value) {
        std::fill_n(static_cast<PackedBuffer*>(buffer->context)->begin(), buffer->size, static_cast<char>(value));
    };
    return ggml_backend_buffer_init(type, iface, made.release(), size);
}

}  // namespace gantry::engine::kernels
