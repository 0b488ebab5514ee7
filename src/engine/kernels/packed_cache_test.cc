// Packed weights between starts: files that are whole or not used, and models that come out the same from memory, packing and files.
#include "engine/kernels/packed_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "engine/kernels/matmul_fixture.h"
#include "engine/kernels/matmul_packing.h"
#include "engine/kernels/packed_buffer.h"

namespace gantry::engine::kernels {
namespace {

namespace fs = std::filesystem;

class PackedCacheTest : public testing::Test {
protected:
    PackedCacheTest() {
        char name[] = "/tmp/gantry-packed-XXXXXX";
        folder = ::mkdtemp(name);
        options = {.folder = folder + "/kept", .bytes_max = 1u << 30, .wait_ms = 0};
        buffer.assign(300'000, 'w');
        buffer[299'999] = 'z';
        write_model("a model");
    }
    ~PackedCacheTest() override { fs::remove_all(folder); }

    std::string model() const { return folder + "/model.gguf"; }
    void write_model(const std::string& text) const { std::ofstream(model()) << text; }
    std::string path(uint32_t index = 0) const { return packed_path(options, model_identity(model()), index, buffer.size()); }
    Status write(const std::string& to) const { return write_packed(options, to, tensors, buffer, {}); }
    std::string content(const std::string& of) const { return (std::ostringstream() << std::ifstream(of).rdbuf()).str(); }
    void overwrite(const std::string& text) const { std::ofstream(path(), std::ios::trunc) << text; }
    size_t files() const {
        return static_cast<size_t>(std::distance(fs::directory_iterator(options.folder), fs::directory_iterator{}));
    }
    // What a thread of its own will have done. Fails after a time that no machine needs.
    template <class Done>
    static testing::AssertionResult eventually(Done done) {
        for (int i = 0; i < 6'000; ++i) {
            if (done()) return testing::AssertionSuccess();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return testing::AssertionFailure() << "not within a minute";
    }

    std::string folder;
    PackedCacheOptions options;
    std::vector<PackedTensor> tensors{{.name = "blk.0.attn_q.weight", .type = 6, .values = 896, .rows = 128, .offset = 0},
                                      {.name = std::string(63, 'n'), .type = 8, .values = 32, .rows = 1, .offset = 4096}};
    std::vector<char> buffer;
};

TEST_F(PackedCacheTest, AFileIsWhatWasWritten) {
    EXPECT_FALSE(open_packed(path(), buffer.size()));
    ASSERT_TRUE(write(path()).ok());
    const auto found = open_packed(path(), buffer.size());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tensors, tensors);
    EXPECT_TRUE(found->in_memory);   // it was just written
    std::vector<char> read(buffer.size());
    ASSERT_EQ(::pread(found->file.get(), read.data(), read.size(), static_cast<off_t>(found->begin)), static_cast<ssize_t>(read.size()));
    EXPECT_EQ(read, buffer);
    struct stat info {};
    ASSERT_EQ(::stat(path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(PackedCacheTest, AnotherModelHasAnotherName) {
    const std::string before = path();
    EXPECT_NE(path(1), before);
    write_model("a longer model");
    EXPECT_NE(path(), before);
    const std::string longer = path();
    EXPECT_NE(packed_path(options, model_identity(model()), 0, buffer.size() + 1), longer);
    fs::last_write_time(model(), fs::file_time_type::clock::now() + std::chrono::seconds(5));
    EXPECT_NE(path(), longer);
}

TEST_F(PackedCacheTest, WhatIsNotWholeIsNotUsed) {
    ASSERT_TRUE(write(path()).ok());
    const std::string whole = content(path());
    EXPECT_FALSE(open_packed(path(), buffer.size() - 1));
    for (const size_t size : {size_t{0}, size_t{7}, size_t{64}, size_t{100}, whole.size() - 1}) {
        overwrite(whole.substr(0, size));
        EXPECT_FALSE(open_packed(path(), buffer.size())) << size;
    }
    overwrite(whole + "x");
    EXPECT_FALSE(open_packed(path(), buffer.size()));
    // Each byte of the header and of the table.
    for (size_t at = 0; at < 64 + 2 * 96; ++at) {
        std::string changed = whole;
        changed[at] = static_cast<char>(~changed[at]);
        overwrite(changed);
        EXPECT_FALSE(open_packed(path(), buffer.size())) << at;
    }
    overwrite(whole);
    EXPECT_TRUE(open_packed(path(), buffer.size()));
}

TEST_F(PackedCacheTest, OnlyAFileIsOne) {
    ASSERT_TRUE(write(path()).ok());
    fs::rename(path(), folder + "/elsewhere");
    fs::create_symlink(folder + "/elsewhere", path());
    EXPECT_FALSE(open_packed(path(), buffer.size()));
    fs::remove(path());
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    EXPECT_FALSE(open_packed(path(), buffer.size()));   // and does not wait for a writer
    fs::remove(path());
    fs::create_directory(path());
    EXPECT_FALSE(open_packed(path(), buffer.size()));
    EXPECT_FALSE(write(path()).ok());
    EXPECT_EQ(files(), 1U);
}

TEST_F(PackedCacheTest, TheLongestUnusedGoesFirst) {
    options.bytes_max = 1'000'000;   // three of 300,000, and their tables
    for (const uint32_t i : {0, 1, 2}) {
        ASSERT_TRUE(write(path(i)).ok());
        fs::last_write_time(path(i), fs::file_time_type::clock::now() - std::chrono::hours(10 - i));
    }
    mark_used(*open_packed(path(0), buffer.size()));
    ASSERT_TRUE(write(path(3)).ok());
    EXPECT_TRUE(fs::exists(path(0)));
    EXPECT_FALSE(fs::exists(path(1)));
    EXPECT_TRUE(fs::exists(path(2)));
    EXPECT_TRUE(fs::exists(path(3)));
}

TEST_F(PackedCacheTest, WhatIsNotAllowedIsNotWritten) {
    options.bytes_max = buffer.size() - 1;
    const Status large = write(path());
    ASSERT_FALSE(large.ok());
    EXPECT_EQ(large.error().reason, "packed_cache");
    EXPECT_EQ(files(), 0U);

    options.bytes_max = 1u << 30;
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(write_packed(options, path(), tensors, buffer, stop.get_token()).ok());
    EXPECT_EQ(files(), 0U);

    // Somebody else writes it, or did and was killed.
    const std::string part = path() + ".part";
    std::ofstream(part) << "half";
    EXPECT_FALSE(write(path()).ok());
    EXPECT_TRUE(fs::exists(part));
    fs::last_write_time(part, fs::file_time_type::clock::now() - std::chrono::hours(2));
    EXPECT_TRUE(write(path()).ok());
    EXPECT_FALSE(fs::exists(part));
}

TEST_F(PackedCacheTest, WhatIsNotOursIsLeftAlone) {
    ASSERT_TRUE(write(path()).ok());
    ASSERT_EQ(::chmod(path().c_str(), 0622), 0);
    EXPECT_FALSE(open_packed(path(), buffer.size()));   // somebody else may have written it
    ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
    EXPECT_TRUE(open_packed(path(), buffer.size()));
    std::ofstream(options.folder + "/of somebody.packed") << std::string(2'000, 'x');
    options.bytes_max = buffer.size();
    ASSERT_TRUE(write(path(1)).ok());
    EXPECT_TRUE(fs::exists(options.folder + "/of somebody.packed"));
    EXPECT_FALSE(fs::exists(path()));
}

TEST_F(PackedCacheTest, WhatIsInTheWayIsNotWaitedFor) {
    ASSERT_TRUE(write(path(1)).ok());
    ASSERT_EQ(::mkfifo((path() + ".part").c_str(), 0600), 0);
    EXPECT_FALSE(write(path()).ok());
}

// Of more than what is worth keeping.
class PackedLoadTest : public PackedCacheTest {
protected:
    void SetUp() override {
        if (install_matmul() == MatmulKernel::kNone) GTEST_SKIP() << "nothing is packed on this CPU";
        buffer.resize(packed_bytes(packing_of(matrix.type), matrix.rows, matrix.values));   // what path() is of
    }
    Product load(const Matrix& from, bool done = true) const {
        PackedLoad loading(options, model());
        Product made(from);
        if (done) loading.done();
        return made;
    }
    std::vector<float> product_of(const Product& of) const { return of.compute(input, 2, 2); }
    static bool maps(const std::string& file) {
        return (std::ostringstream() << std::ifstream("/proc/self/maps").rdbuf()).str().find(file) != std::string::npos;
    }

    Matrix matrix = make_matrix(GGML_TYPE_Q5_0, 26'000, 1'024, 1);
    std::vector<float> input = normal_numbers(2 * 1'024, 2);
};

TEST_F(PackedLoadTest, TheNextStartMapsWhatTheFirstPacked) {
    std::vector<float> first;
    {
        const Product packed = load(matrix);
        first = product_of(packed);
        ASSERT_TRUE(eventually([&] { return fs::exists(path()); }));
    }
    // Of other weights than those at the beginning, in the middle and at the end nothing is looked at: it is the file that is used.
    Matrix other = matrix;
    const size_t some = 1'000 * matrix.row_bytes();
    std::fill_n(other.data.begin() + static_cast<std::ptrdiff_t>(some), some, '\1');
    {
        const Product mapped = load(other, false);
        EXPECT_TRUE(maps(path()));
        EXPECT_EQ(product_of(mapped), first);
    }
    // Moved to large pages while it is used.
    {
        const Product mapped = load(other);
        EXPECT_TRUE(eventually([&] {
            EXPECT_EQ(product_of(mapped), first);
            return !maps(path()) || testing::Test::HasFailure();
        }));
        EXPECT_EQ(product_of(mapped), first);
    }
    // Weights that are seen to be others are packed over it.
    EXPECT_NE(product_of(load(make_matrix(GGML_TYPE_Q5_0, 26'000, 1'024, 3), false)), first);
    // Another model is packed.
    write_model("another model");
    EXPECT_NE(product_of(load(other)), first);
}

TEST_F(PackedLoadTest, WeightsThatTheFileDoesNotDescribeArePackedOverIt) {
    const Product reference(matrix);
    const Product packed = load(matrix);
    ASSERT_TRUE(eventually([&] { return fs::exists(path()); }));
    auto found = open_packed(path(), buffer.size());
    ASSERT_TRUE(found);
    const std::vector<char> other(buffer.size(), 1);
    ASSERT_EQ(found->tensors.size(), 1U);
    found->tensors[0].name = "another";
    ASSERT_TRUE(write_packed(options, path(), found->tensors, other, {}).ok());
    const fs::file_time_type before = fs::last_write_time(path());
    const Product over = load(matrix);
    EXPECT_EQ(product_of(over), product_of(reference));
    // And the file is made anew.
    EXPECT_TRUE(eventually([&] {
        const auto now = open_packed(path(), other.size());
        return now && now->tensors[0].name != "another";
    }));
    EXPECT_GE(fs::last_write_time(path()), before);
}

TEST_F(PackedLoadTest, AModelThatIsReplacedMeanwhileIsNotKept) {
    {
        PackedLoad loading(options, model());
        const Product packed(matrix);
        write_model("another model");
        loading.done();
    }
    EXPECT_FALSE(fs::exists(options.folder));
}

TEST_F(PackedLoadTest, WhatDoesNotWorkOutIsOnlySlower) {
    options.folder = folder + "/model.gguf/no/folder";
    const Product packed = load(matrix);
    EXPECT_EQ(product_of(packed), product_of(Product(matrix)));
    options.folder.clear();
    EXPECT_EQ(product_of(load(matrix)), product_of(Product(matrix)));
}

}  // namespace
}  // namespace gantry::engine::kernels
