#include "string_rules.h"

#include <cstdio>

#include "grammar_builder.h"
#include "support/logging.h"

namespace xgrammar {
namespace {

constexpr char kMarkFormat[] = "~%ld~%ld~";
constexpr char kCharacter[] = R"([\x20-\x21\x23-\x5b\x5d-\u{d7ff}\u{e000}-\u{10ffff}])";
constexpr char kEscape[] = R"(["\x5c/bfnrt]|u([0-9a-cA-Ce-fE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}))";

std::string RegexOf(GrammarBuilder* builder, const Grammar::Impl::Rule& rule) {
  const auto body = builder->GetGrammarExpr(rule.body_expr_id);
  std::string text;
  if (body.type == Grammar::Impl::GrammarExprType::kRegex) {
    for (int32_t i = 1; i < body.size(); ++i) {  // the first says whether it is within a JSON string
      text.push_back(static_cast<char>(body[i]));
    }
  }
  return text;
}

}  // namespace

std::string LengthMark(int64_t min, int64_t max) {
  char text[64];
  std::snprintf(text, sizeof text, kMarkFormat, static_cast<long>(min), static_cast<long>(max));
  return text;
}

Grammar WithStrictStrings(const Grammar& grammar) {
  GrammarBuilder builder(grammar);
  builder.UpdateRuleBody("basic_escape", builder.AddRegex(kEscape));
  const std::string content = std::string("(") + kCharacter + R"(|\x5c()" + kEscape + "))*";
  for (int32_t rule = 0; rule < builder.NumRules(); ++rule) {
    const std::string regex = RegexOf(&builder, builder.GetRule(rule));
    long min = 0;
    long max = -1;
    if (regex.empty() || regex[0] != '~') {
      continue;
    }
    XGRAMMAR_CHECK(std::sscanf(regex.c_str(), kMarkFormat, &min, &max) == 2) << "A mark of a length is broken: " << regex;
    const std::string first = min > 0 ? kCharacter + ("{" + std::to_string(min) + "}") : std::string();
    builder.UpdateRuleBody(rule, builder.AddRegex(first + content));
    builder.UpdateMaxChars(rule, static_cast<int32_t>(max));
  }
  return builder.Get(grammar->GetRootRuleId());
}

}  // namespace xgrammar
