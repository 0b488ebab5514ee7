#pragma once
// The config.json of MindIE's service, whole: what mindieservice_daemon reads instead of a command line.
//
// Fields, ranges and what is mandatory: docs/zh/user_guide/user_manual/service_parameter_configuration.md and
// src/server/conf/config.json of MindIE-LLM (gitcode.com/Ascend/MindIE-LLM, 3.0.0 to master of 2026-05-30), and
// "Configuration Parameters (Service-Specific)" of MindIE 2.3.0 and 1.0.RC3 (hiascend.com). Certificates are left out: they
// count only with HTTPS, which is off on loopback.

#include <cstdint>
#include <string>
#include <vector>

#include "backends/flags.h"

namespace gantry::backends {

struct MindieConfig {
    std::string model_name;
    std::string model_path;
    uint16_t port = 0;
    std::string address = "127.0.0.1";   // where it listens
    uint16_t nodes_port = 0;             // of the leading worker, for the others; 0: it is alone
    uint32_t ranks = 1;                  // of this worker
    uint32_t context_tokens = 0;
    uint32_t sequences = 0;
    std::vector<GivenFlag> flags{};   // of extra_args, checked
};

// The flags that extra_args may have, each a field: "--max-prefill-tokens 8192" is ScheduleConfig.maxPrefillTokens.
extern const FlagRules kMindieRules;

std::string mindie_config_json(const MindieConfig& config);

}  // namespace gantry::backends
