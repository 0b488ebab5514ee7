#pragma once
// How much goes wrong, and which bug of ours is planted.

#include <string_view>

namespace gantry::sim {

// Chances of the engines' part; the network, disks and processes are the storm's (storm.h). All 0: nothing goes wrong any more.
struct EngineFaults {
    double spawn_fails = 0;       // of a spawn
    double dies_loading = 0;      // of a start
    double hangs_loading = 0;
    double ignores_terminate = 0; // ends by SIGKILL only
    bool slow = false;            // loads for up to a minute instead of some seconds
};

// A bug that somebody might write. Each is named after what is wrong in the code, and there is an invariant that sees it.
enum class Bug {
    kNone,
    kPlacementIgnoresClaims,     // the planner sees instances without what is booked for them
    kWorkerIgnoresFencing,       // the worker never stops what is no longer in its assignment
    kWorkerForgetsEngines,       // a restarted worker does not find what runs
    kStoreLosesWrites,           // commits are not synced, and the power fails
    kPlannerForgetsDeployment,   // one deployment is passed over
    kPlannerCreatesDoubles,      // every missing replica twice, and nobody looks for twins
    kPlannerNeverRestoresReplicas,   // creates no instance beside another: what is lost stays lost
    kPlannerHurries,             // by another clock than that of the states
    kIdsRepeat,                  // a restarted server draws the same ids again
    kGatewayKeepsOldRoutes,      // its tables are never replaced
    kDiskTearsFiles,             // a crash cuts the database file
};

}  // namespace gantry::sim
