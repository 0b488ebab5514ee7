#pragma once
// The environment of CANN, which Ascend's documents get by sourcing set_env.sh in a shell. Here no shell runs: the same
// variables are derived from where the packages are installed.
//
// Sources: what /usr/local/Ascend/ascend-toolkit/set_env.sh and nnal/atb/set_env.sh export, as written out in vllm-ascend's
// Dockerfiles and in Ascend's PaddleOCR and MindIE images (CANN 8.0 to 8.5, NNAL the same). Not tested on hardware.

#include <map>
#include <string>

namespace gantry::backends {

inline constexpr char kAscendRoot[] = "/usr/local/Ascend";

// Empty: no CANN toolkit is installed below `root`; then the program has to bring its environment itself, as a script that
// sources set_env.sh does. `new_abi`: PyTorch beside it was built with the C++11 ABI (2.6 and later), which of ATB's two
// libraries fits.
std::map<std::string, std::string> cann_environment(const std::string& root, bool new_abi);

// True for "2.6.0", "2.10.0+cpu"; false for "2.5.1" and for what is no version.
bool has_new_abi(const std::string& torch_version);

// Puts `folders` (joined by ':') before what the variable has.
void prepend(std::map<std::string, std::string>& environment, const std::string& variable, const std::string& folders);

}  // namespace gantry::backends
