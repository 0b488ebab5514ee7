#pragma once
// Bounds what a call into XGrammar may do, which nothing else can interrupt. A unit is one state of the parser looked at, some
// 35 ns; cmake/XGrammar.cmake says where they are counted. A count, not a time: what is refused is refused on every machine.

#include <cstdint>
#include <stdexcept>

namespace xgrammar {

struct OutOfWork : std::runtime_error {
  OutOfWork() : std::runtime_error("it is too ambiguous, and would take too long or too much memory") {}
};

struct Work {
  int64_t units = 0;
  int64_t bytes = 0;  // of states that a parser stored, those it has taken back since included
};

inline thread_local Work work_left{INT64_MAX, INT64_MAX};

// Throws OutOfWork; the matcher or compiler it comes out of must not be used again.
inline void SpendWork(int64_t units, int64_t bytes = 0) {
  work_left.units -= units;
  work_left.bytes -= bytes;
  if (work_left.units < 0 || work_left.bytes < 0) {
    throw OutOfWork();
  }
}

// For the calls of this thread while it lives; not nested.
class WorkBudget {
 public:
  explicit WorkBudget(const Work& most) : most_(most) { work_left = most; }
  ~WorkBudget() { work_left = {INT64_MAX, INT64_MAX}; }
  WorkBudget(const WorkBudget&) = delete;
  WorkBudget& operator=(const WorkBudget&) = delete;
  Work Spent() const { return {most_.units - work_left.units, most_.bytes - work_left.bytes}; }

 private:
  Work most_;
};

}  // namespace xgrammar
