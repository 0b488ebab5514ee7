#include "domain/model_files.h"

namespace gantry {

const char* to_string(ModelFilesState state) {
    switch (state) {
        case ModelFilesState::kWaiting: return "waiting";
        case ModelFilesState::kDownloading: return "downloading";
        case ModelFilesState::kPaused: return "paused";
        case ModelFilesState::kReady: return "ready";
        case ModelFilesState::kFailed: return "failed";
    }
    return "unknown";
}

}  // namespace gantry
