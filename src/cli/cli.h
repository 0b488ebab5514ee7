#pragma once
// The command line: a file a verb (cli/<verb>.cc), wired in cli.cc. Exit status 0 done, 1 failed, 2 wrong usage.

namespace gantry::cli {
int main(int argc, char** argv);
}
