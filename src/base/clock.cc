#include "base/clock.h"

#include <cstdio>
#include <ctime>

namespace gantry {

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string to_rfc3339(WallTime time) {
    const int64_t ms = to_unix_ms(time);
    const int64_t second = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
    const auto seconds = static_cast<std::time_t>(second);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(ms - second * 1000));
    return text;
}

WallTime from_rfc3339(const std::string& text) {
    std::tm parts{};
    int ms = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                    &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &ms) < 6) {
        return WallTime{};
    }
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    return from_unix_ms(static_cast<int64_t>(timegm(&parts)) * 1000 + ms);
}

}  // namespace gantry
