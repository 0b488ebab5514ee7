// Stands in for XGrammar 0.2.8's FSMWithStartEnd::MergeEquivalentStates (cmake/XGrammar.cmake says how). The original merges states
// that are reached alike and states that go on alike in one step; where a state is in both, strings get in that the expression does
// not allow: (a|a{1,3}) accepts aaaa. Each kind alone is sound, so this does one after the other, each in one pass.

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "fsm.h"

namespace xgrammar {
namespace {

using Label = std::pair<int32_t, int32_t>;
using Edge = std::tuple<int32_t, int32_t, int32_t>;  // label, then target

// By state, its class; classes are numbered from 0.
struct Partition {
  explicit Partition(int states) : of_state(states, -1) {}
  int Add(int state) { return of_state[state] = count++; }
  std::vector<int> of_state;
  int count = 0;
};

// By the invariant of FSMs such a state has no other edges.
bool HasRepeatEdge(const FSM& fsm, int state) {
  const auto& edges = fsm.GetEdges(state);
  return std::any_of(edges.begin(), edges.end(), [](const FSMEdge& edge) { return edge.IsRepeatRef(); });
}

// States that can be reached from one class only, by the same labels, are reached by the same strings. Classes are looked at from
// the start on, each once: only the one before it could have joined states to it.
Partition ReachedAlike(const FSMWithStartEnd& automaton) {
  const FSM& fsm = automaton.GetFsm();
  const int states = automaton.NumStates();
  std::vector<int> edges_in(states, 0);
  for (int state = 0; state < states; ++state) {
    for (const auto& edge : fsm.GetEdges(state)) {
      ++edges_in[edge.target];
    }
  }
  Partition classes(states);
  std::vector<std::vector<int>> members;
  const auto add = [&](std::vector<int> joined) {
    const int number = classes.Add(joined.front());
    for (int state : joined) {
      classes.of_state[state] = number;
    }
    members.push_back(std::move(joined));
  };
  add({automaton.GetStart()});
  for (size_t next = 0; next < members.size(); ++next) {
    const std::vector<int> sources = members[next];
    std::map<int, std::vector<Label>> labels_to;
    std::map<int, int> edges_to;
    for (int source : sources) {
      for (const auto& edge : fsm.GetEdges(source)) {
        labels_to[edge.target].emplace_back(edge.min, edge.max);
        ++edges_to[edge.target];
      }
    }
    std::map<std::vector<Label>, std::vector<int>> alike;
    for (auto& [target, labels] : labels_to) {
      if (classes.of_state[target] >= 0) {
        continue;
      }
      if (edges_to[target] != edges_in[target] || HasRepeatEdge(fsm, target)) {
        add({target});
        continue;
      }
      std::sort(labels.begin(), labels.end());
      labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
      alike[std::move(labels)].push_back(target);
    }
    for (auto& [labels, targets] : alike) {
      add(std::move(targets));
    }
  }
  return classes;
}

// States with the same edges to the same classes that both end or both don't go on by the same strings. Targets come first; where a
// cycle leads to a state that is not done yet, that state stands for itself.
Partition GoesOnAlike(const FSMWithStartEnd& automaton) {
  const FSM& fsm = automaton.GetFsm();
  Partition classes(automaton.NumStates());
  std::map<std::pair<bool, std::vector<Edge>>, int> known;
  std::vector<std::pair<int, size_t>> path = {{automaton.GetStart(), 0}};
  std::vector<bool> seen(automaton.NumStates(), false);
  seen[automaton.GetStart()] = true;
  while (!path.empty()) {
    auto& [state, next] = path.back();
    const auto& edges = fsm.GetEdges(state);
    if (next < edges.size()) {
      const int target = edges[next++].target;
      if (!seen[target]) {
        seen[target] = true;
        path.emplace_back(target, 0);
      }
      continue;
    }
    std::vector<Edge> signature;
    for (const auto& edge : edges) {
      const int done = classes.of_state[edge.target];
      signature.emplace_back(edge.min, edge.max, done >= 0 ? done : -1 - edge.target);
    }
    std::sort(signature.begin(), signature.end());
    signature.erase(std::unique(signature.begin(), signature.end()), signature.end());
    const auto [found, fresh] = known.try_emplace({automaton.IsEndState(state), std::move(signature)}, classes.count);
    classes.of_state[state] = found->second;
    classes.count += fresh ? 1 : 0;
    path.pop_back();
  }
  return classes;
}

FSMWithStartEnd Merged(const FSMWithStartEnd& automaton, Partition classes) {
  for (int state = 0; state < automaton.NumStates(); ++state) {
    if (classes.of_state[state] < 0) {
      classes.Add(state);  // not reachable
    }
  }
  return automaton.RebuildWithMapping(classes.of_state, classes.count);
}

}  // namespace

FSMWithStartEnd FSMWithStartEnd::MergeEquivalentStates(int max_result_num_states) const {
  if (NumStates() > max_result_num_states) {
    return *this;
  }
  const FSMWithStartEnd forward = Merged(*this, ReachedAlike(*this));
  return Merged(forward, GoesOnAlike(forward));
}

}  // namespace xgrammar
