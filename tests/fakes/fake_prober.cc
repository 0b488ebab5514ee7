// Plays `gantry probe VENDOR`: does what the file beside it, named by GANTRY_FAKE_PROBER_ANSWER, says: "hang", "crash", or an answer.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

int main() {
    const char* path = std::getenv("GANTRY_FAKE_PROBER_ANSWER");
    std::ostringstream text;
    text << std::ifstream(path != nullptr ? path : "").rdbuf();
    if (text.str() == "hang") {
        while (true) pause();
    }
    if (text.str() == "crash") {
        std::signal(SIGABRT, SIG_DFL);
        std::abort();
    }
    std::fputs(text.str().c_str(), stdout);
    return 0;
}
