#pragma once
// The real machine behind Tools (prober.h): programs run as children without a shell, with a deadline, in this process's group, so that
// whoever ends a prober that hangs ends its tool with it.

#include <chrono>

#include "devices/prober.h"

namespace gantry::devices {

class MachineTools final : public Tools {
public:
    explicit MachineTools(std::chrono::milliseconds deadline = std::chrono::seconds(10)) : deadline_(deadline) {}
    Result<Output> run(const std::vector<std::string>& argv) override;
    Result<std::string> read(const std::string& path) override;
    std::vector<std::string> list(const std::string& folder) override;
    bool has_program(const std::string& name) override;

private:
    const std::chrono::milliseconds deadline_;   // of each program
};

}  // namespace gantry::devices
