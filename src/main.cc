// Wiring only: the roles and verbs are in cli/.

#include "cli/cli.h"

int main(int argc, char** argv) { return gantry::cli::main(argc, argv); }
