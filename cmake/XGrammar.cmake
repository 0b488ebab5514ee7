# XGrammar: compiles JSON schemas to automata over a vocabulary (docs/adr/0006-xgrammar.md). Its own CMake wants tvm_ffi, for Python
# only, so the library is declared here, over its source (third_party/sources.txt) but for what third_party/xgrammar says why:
# - the name under which MergeEquivalentStates is defined in fsm.cc is another, and ours stands in for it;
# - the parser counts what it does, and one function of the matcher is ours: those two files are copied, a few lines changed.
include(SourcePackage)
gantry_source_package(GANTRY_XGRAMMAR_DIR xgrammar-0.2.8 cpp/grammar_compiler.cc)

file(GLOB_RECURSE xgrammar_sources ${GANTRY_XGRAMMAR_DIR}/cpp/*.cc)
list(FILTER xgrammar_sources EXCLUDE REGEX "/cpp/(tvm_ffi/|earley_parser.cc|grammar_matcher.cc)")
set(xgrammar_ours ${CMAKE_CURRENT_SOURCE_DIR}/third_party/xgrammar)
set(xgrammar_changed ${CMAKE_CURRENT_BINARY_DIR}/xgrammar)

# In the variable `text`, writes `by` for what stands from the first `from` up to the next `to`, both of which must be there.
function(xgrammar_replace from to by)
  string(FIND "${text}" "${from}" first)
  if(first LESS 0)
    message(FATAL_ERROR "XGrammar's source is another than third_party/sources.txt names: '${from}' is not in it")
  endif()
  string(SUBSTRING "${text}" 0 ${first} before)
  string(SUBSTRING "${text}" ${first} -1 after)
  string(FIND "${after}" "${to}" last)
  if(last LESS 0)
    message(FATAL_ERROR "XGrammar's source is another than third_party/sources.txt names: '${to}' is not in it")
  endif()
  string(SUBSTRING "${after}" ${last} -1 after)
  set(text "${before}${by}${after}" PARENT_SCOPE)
endfunction()

file(READ ${GANTRY_XGRAMMAR_DIR}/cpp/earley_parser.cc text)
# The first lines of Predict and Scan, the loop of Complete, and where Advance keeps what it found.
function(xgrammar_count before units)
  xgrammar_replace("${before}" "${before}" "  SpendWork(${units});\n")
  set(text "${text}" PARENT_SCOPE)
endfunction()
xgrammar_count("  // Check if the rule has a corresponding FSM." "1")
xgrammar_count("  XGRAMMAR_DCHECK(state.rule_id == -1 || grammar_->per_rule_fsms[state.rule_id].has_value());" "1")
xgrammar_count("  for (const auto& [ref_id, parent_state] : parent_states_map) {" "parent_states_map.size() / 8")
xgrammar_count("  scanable_state_history_.PushBack(tmp_states_to_be_added_);\n  if (has_char_budget_rules_) {\n    char_budget_entry"
  "1, sizeof(ParserState) * (tmp_states_to_be_added_.size() + rule_id_to_completable_states_.Back().size())")
file(CONFIGURE OUTPUT ${xgrammar_changed}/earley_parser.cc CONTENT "#include <work_budget.h>\n@text@" @ONLY)

file(READ ${GANTRY_XGRAMMAR_DIR}/cpp/grammar_matcher.cc text)
xgrammar_replace("void GrammarMatcher::Impl::FillBitmaskForCharBudgetBoundary(" "void GrammarMatcher::Impl::FillBitmaskForStates("
  "#include <char_budget_boundary.inc>\n")
file(CONFIGURE OUTPUT ${xgrammar_changed}/grammar_matcher.cc CONTENT "#include <work_budget.h>\n@text@" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${GANTRY_XGRAMMAR_DIR}/cpp/earley_parser.cc
  ${GANTRY_XGRAMMAR_DIR}/cpp/grammar_matcher.cc)

add_library(xgrammar STATIC EXCLUDE_FROM_ALL ${xgrammar_sources} ${xgrammar_changed}/earley_parser.cc
  ${xgrammar_changed}/grammar_matcher.cc ${xgrammar_ours}/merge_equivalent_states.cc ${xgrammar_ours}/string_rules.cc)
set_source_files_properties(${GANTRY_XGRAMMAR_DIR}/cpp/fsm.cc
  PROPERTIES COMPILE_DEFINITIONS MergeEquivalentStates=MergeEquivalentStatesOfXGrammar)
# picojson and dlpack are seen by its source, and dlpack by its public headers too.
target_include_directories(xgrammar SYSTEM PUBLIC ${xgrammar_ours} ${GANTRY_XGRAMMAR_DIR}/include ${GANTRY_XGRAMMAR_DIR}/3rdparty/dlpack/include)
target_include_directories(xgrammar SYSTEM PRIVATE ${GANTRY_XGRAMMAR_DIR}/cpp ${GANTRY_XGRAMMAR_DIR}/3rdparty/picojson)
target_compile_definitions(xgrammar PRIVATE XGRAMMAR_ENABLE_CPPTRACE=0 XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
target_compile_features(xgrammar PRIVATE cxx_std_17)
target_compile_options(xgrammar PRIVATE -w -ffunction-sections -fdata-sections)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
