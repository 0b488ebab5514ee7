#include "engine_server/grammar/json_schema_check.h"

#include <gtest/gtest.h>

namespace gantry::engine_server {
namespace {

std::string repeated(const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) {
        out += text;
    }
    return out;
}

// "p0","p1",...
std::string names(int count) {
    std::string out;
    for (int i = 0; i < count; ++i) {
        out += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + '"';
    }
    return out;
}

std::string properties(int count, const std::string& schema) {
    std::string out;
    for (int i = 0; i < count; ++i) {
        out += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + "\":" + schema;
    }
    return out;
}

// Definitions d0..d15, each a choice of 60 times the next: 60^16 ways to `leaf`.
std::string choices_of_choices(const std::string& leaf) {
    std::string out;
    for (int i = 0; i < 15; ++i) {
        const std::string next = R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
        out += "\"d" + std::to_string(i) + R"(":{"anyOf":[)" + repeated(next + ",", 59) + next + "]},";
    }
    return out + "\"d15\":" + leaf;
}

Result<CheckedSchema> check(const std::string& schema) {
    Result<json::value> parsed = parse_json(schema);
    EXPECT_TRUE(parsed.ok()) << schema;
    return check_schema(*parsed, "S");
}

// The first definition: the root.
std::string root_of(const std::string& schema) {
    const Result<CheckedSchema> checked = check(schema);
    if (!checked) {
        return checked.error().param + ": " + checked.error().message;
    }
    return json::serialize(parse_json(checked->text)->at("$defs").at("0"));
}

struct Refused {
    std::string schema;
    std::string param;
    std::string reason = "unsupported_schema";
};

class RefusedSchema : public testing::TestWithParam<Refused> {};

TEST_P(RefusedSchema, ByItsPath) {
    const Result<CheckedSchema> checked = check(GetParam().schema);
    ASSERT_FALSE(checked.ok()) << GetParam().schema << " became " << checked->text;
    EXPECT_EQ(checked.error().param, GetParam().param) << checked.error().message;
    EXPECT_EQ(checked.error().reason, GetParam().reason);
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
}

// Keywords that XGrammar skips, takes for something wider, or takes only without others beside them.
INSTANTIATE_TEST_SUITE_P(
    Keywords, RefusedSchema,
    testing::Values(
        Refused{R"({"not":{"type":"string"}})", "S.not"}, Refused{R"({"if":{}})", "S.if"},
        Refused{R"({"type":"object","patternProperties":{"a":{}}})", "S.patternProperties"},
        Refused{R"({"type":"object","propertyNames":{}})", "S.propertyNames"},
        Refused{R"({"type":"object","minProperties":1})", "S.minProperties"},
        Refused{R"({"type":"object","dependentRequired":{}})", "S.dependentRequired"},
        Refused{R"({"type":"object","unevaluatedProperties":false})", "S.unevaluatedProperties"},
        Refused{R"({"type":"array","uniqueItems":true})", "S.uniqueItems"},
        Refused{R"({"type":"array","contains":{}})", "S.contains"},
        Refused{R"({"type":"string","nullable":true})", "S.nullable"},
        Refused{R"({"type":"string","contentEncoding":"base64"})", "S.contentEncoding"},
        Refused{R"({"type":"object","properties":{"a":{"type":"object","properties":{"b":{"not":{}}}}}})", "S.properties.a.properties.b.not"},
        Refused{R"({"type":"array","items":{"$dynamicRef":"#a"}})", "S.items.$dynamicRef"},
        Refused{R"({"type":"string","minimum":1})", "S.minimum"},
        Refused{R"({"type":"string","pattern":"a","minLength":1})", "S.pattern"},
        Refused{R"({"type":"string","format":"date","maxLength":9})", "S.format"},
        Refused{R"({"type":"string","format":"uri"})", "S.format"},
        Refused{R"({"type":"string","pattern":"(?=a)b"})", "S.pattern"},
        Refused{R"({"type":"number","multipleOf":0.5})", "S.multipleOf"},
        Refused{R"({"type":"integer","multipleOf":101})", "S.multipleOf"},
        Refused{R"({"type":"integer","multipleOf":2,"minimum":0})", "S.multipleOf"},
        Refused{R"({"type":"integer","minimum":0.5})", "S.minimum"},
        Refused{R"({"type":"integer","maximum":1e30})", "S.maximum"},
        Refused{R"({"type":"number","minimum":1e-9})", "S.minimum"},
        Refused{R"({"type":"number","maximum":1e300})", "S.maximum"},
        Refused{R"({"anyOf":[{"type":"string"}],"type":"string"})", "S.type"},
        Refused{R"({"anyOf":[{"type":"string"}],"oneOf":[{"type":"string"}]})", "S.oneOf"},
        Refused{R"({"$ref":"#/$defs/a","minimum":1,"$defs":{"a":{}}})", "S.minimum"},
        Refused{R"({"enum":["a"],"minLength":1})", "S.minLength"},
        Refused{R"({"enum":["a"],"const":"a"})", "S.enum"},
        Refused{R"({"allOf":[{},{}]})", "S.allOf"},
        Refused{R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "S.oneOf"},
        Refused{R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}}},{"type":"object","properties":{"k":{"const":"b"}},
                   "required":["k"]}]})", "S.oneOf"},
        Refused{R"({"oneOf":[{"const":1},{"const":1.0}]})", "S.oneOf"},
        Refused{R"({"properties":{"a":{}},"additionalProperties":{"type":"string"}})", "S.additionalProperties"},
        Refused{R"({"properties":{"a":{}},"required":["b"]})", "S.required[0]"},
        Refused{R"({"type":"object","required":["b"]})", "S.required"},
        Refused{R"({"$ref":"https://example.com/x"})", "S.$ref"}, Refused{R"({"$ref":"#a"})", "S.$ref", "invalid_schema"},
        Refused{R"({"$ref":"#/%24defs"})", "S.$ref"},
        Refused{R"({"items":{"$id":"x"}})", "S.items.$id"},
        Refused{R"({"enum":[18446744073709551615]})", "S.enum[0]"},
        Refused{R"({"const":{"a":[18446744073709551615]}})", "S.const"}));

INSTANTIATE_TEST_SUITE_P(
    Invalid, RefusedSchema,
    testing::Values(Refused{"5", "S", "invalid_schema"}, Refused{"false", "S", "invalid_schema"},
                    Refused{R"({"type":"str"})", "S.type", "invalid_schema"}, Refused{R"({"type":[]})", "S.type", "invalid_schema"},
                    Refused{R"({"type":["string",1]})", "S.type", "invalid_schema"}, Refused{R"({"enum":[]})", "S.enum", "invalid_schema"},
                    Refused{R"({"enum":["a",1],"type":"string"})", "S.enum[1]", "invalid_schema"},
                    Refused{R"({"anyOf":[]})", "S.anyOf", "invalid_schema"}, Refused{R"({"anyOf":[{},3]})", "S.anyOf[1]", "invalid_schema"},
                    Refused{R"({"$ref":"#/$defs/none"})", "S.$ref", "invalid_schema"},
                    Refused{R"({"type":"string","pattern":1})", "S.pattern", "invalid_schema"},
                    Refused{R"({"minLength":2,"maxLength":1})", "S.minLength", "invalid_schema"},
                    Refused{R"({"minLength":-1})", "S.minLength", "invalid_schema"},
                    Refused{R"({"minItems":2,"maxItems":1})", "S.minItems", "invalid_schema"},
                    Refused{R"({"minItems":1,"items":false})", "S.minItems", "invalid_schema"},
                    Refused{R"({"type":"integer","minimum":3,"exclusiveMaximum":3})", "S", "invalid_schema"},
                    Refused{R"({"type":"integer","minimum":5,"maximum":6,"multipleOf":7})", "S", "invalid_schema"},
                    Refused{R"({"type":"number","minimum":1,"exclusiveMaximum":1.000001})", "S", "invalid_schema"},
                    Refused{R"({"properties":[]})", "S.properties", "invalid_schema"},
                    Refused{R"({"properties":{"a":{}},"required":"a"})", "S.required", "invalid_schema"},
                    Refused{R"({"items":4})", "S.items", "invalid_schema"}, Refused{R"({"prefixItems":{}})", "S.prefixItems", "invalid_schema"},
                    Refused{R"({"$ref":"#"})", "S", "invalid_schema"},
                    Refused{R"({"anyOf":[{"type":"string"},{"$ref":"#"}]})", "S", "invalid_schema"},
                    Refused{R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})", "S.$ref", "invalid_schema"},
                    Refused{R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "S", "invalid_schema"},
                    Refused{R"({"items":{"$ref":"#"},"minItems":1})", "S", "invalid_schema"}));

INSTANTIATE_TEST_SUITE_P(
    Bombs, RefusedSchema,
    testing::Values(Refused{R"({"const":")" + std::string(kSchemaBytesMax, 'a') + "\"}", "S"},
                    Refused{R"({"prefixItems":[)" + repeated(R"({"type":"string","pattern":"[a-z]{100}"},)", 5) + "{}]}", "S.prefixItems[3]"},
                    Refused{repeated(R"({"items":)", 40) + "{}" + repeated("}", 40), "S" + repeated(".items", 33)},
                    Refused{R"({"anyOf":[)" + repeated("{},", 100) + "{}]}", "S.anyOf"},
                    Refused{R"({"prefixItems":[)" + repeated("{},", 1'000) + "{}]}", "S.prefixItems[999]"},
                    Refused{R"({"enum":[)" + repeated("1,", 1'000) + "1]}", "S.enum[1000]"},
                    Refused{R"({"type":"string","pattern":"((a{100}){100}){100}"})", "S.pattern"},
                    Refused{R"({"type":"string","pattern":"(a|b)*a((a|b){128}){128}"})", "S.pattern"},
                    Refused{R"({"type":"string","pattern":"([一-鿿]{128}){35}"})", "S.pattern"},
                    Refused{R"({"type":"string","pattern":"([!#-/:-@]{128}){128}"})", "S.pattern"},
                    Refused{R"({"anyOf":[)" + repeated(R"({"type":"string","maxLength":1},)", 60) + "{}]}", "S.anyOf"},
                    // Thousands of values against each other for each property, none of which tells the branches apart.
                    Refused{R"({"oneOf":[)" + repeated("{\"properties\":{" + properties(100, R"({"$ref":"#/$defs/e"})") + "},\"required\":[" +
                                                           names(100) + "]},", 7) +
                                R"({"type":"null"}],"$defs":{"e":{"enum":[)" + names(900) + "]}}}", "S.oneOf"},
                    Refused{R"({"anyOf":[{"$ref":"#/$defs/d0"},{}],"$defs":{)" + choices_of_choices(R"({"type":"string","maxLength":3})") + "}}",
                            "S.anyOf"},
                    Refused{"{\"properties\":{" + properties(140, "{}") + "},\"required\":[" + names(11) + "]}", "S.properties"},
                    Refused{R"({"type":"string","minLength":129})", "S.minLength"},
                    Refused{R"({"type":"string","pattern":"(ab){1000}"})", "S.pattern"},
                    Refused{R"({"type":"string","maxLength":1000000000})", "S.maxLength"},
                    Refused{R"({"type":"array","items":{},"minItems":1000000000})", "S.minItems"},
                    Refused{R"({"properties":{)" + [] {
                                std::string out;
                                for (int i = 0; i < 257; ++i) {
                                    out += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":{}";
                                }
                                return out;
                            }() + "}}", "S.properties"}));

TEST(JsonSchemaCheck, WritesWhatItUnderstood) {
    EXPECT_EQ(root_of("true"), "{}");
    EXPECT_EQ(root_of(R"({"title":"t","description":"d","x-order":3,"$schema":"s","$id":"i"})"), "{}");
    EXPECT_EQ(root_of(R"({"type":["string","null"]})"), R"({"anyOf":[{"type":"null"},{"type":"string"}]})");
    EXPECT_EQ(root_of(R"({"type":["integer","number"],"minimum":2})"), R"({"type":"number","minimum":2E0})");
    EXPECT_EQ(root_of(R"({"type":"integer","minimum":1,"exclusiveMinimum":4.0,"exclusiveMaximum":10})"),
              R"({"type":"integer","minimum":5,"maximum":9})");
    EXPECT_EQ(root_of(R"({"const":"a"})"), R"({"enum":["a"]})");
    EXPECT_EQ(root_of(R"({"allOf":[{"type":"string"}],"description":"d"})"), R"({"type":"string"})");
    EXPECT_EQ(root_of(R"({"minItems":1})"), R"({"type":"array","items":{},"minItems":1})") << "keywords of one type mean it";
    EXPECT_EQ(root_of(R"({"type":"array"})"), R"({"type":"array","items":{}})");
    EXPECT_EQ(root_of(R"({"prefixItems":[{"type":"null"},{}]})"), R"({"type":"array","prefixItems":[{"type":"null"},{}],"items":false})");
    EXPECT_EQ(root_of(R"({"prefixItems":[{},{}],"minItems":3})"), R"({"type":"array","prefixItems":[{},{}],"items":{},"minItems":3})");
    EXPECT_EQ(root_of(R"({"type":"string","minLength":2,"maxLength":3})"), R"({"type":"string","pattern":"~2~3~"})");
    EXPECT_EQ(root_of(R"({"type":"string","pattern":"~2~3~"})"), R"({"type":"string","pattern":"\\x7e2\\x7e3\\x7e"})") << "no mark";
    EXPECT_EQ(root_of(R"({"type":"object"})"), R"({"type":"object"})");
    EXPECT_EQ(root_of(R"({"type":"object","additionalProperties":{"type":"null"}})"),
              R"({"type":"object","additionalProperties":{"type":"null"}})");
    EXPECT_EQ(root_of(R"({"properties":{"b":{},"title":{"type":"null"}},"required":["b"]})"),
              R"({"type":"object","properties":{"b":{},"title":{"type":"null"}},"additionalProperties":false,"required":["b"],"!mark":1})");
}

TEST(JsonSchemaCheck, ProofsTakeEachDefinitionOnce) {
    EXPECT_TRUE(check(R"({"oneOf":[{"$ref":"#/$defs/d0"},{"type":"null"}],"$defs":{)" + choices_of_choices(R"({"type":"string"})") + "}}").ok());
    EXPECT_TRUE(check("{\"properties\":{" + properties(140, "{}") + "},\"required\":[" + names(12) + "]}").ok());
    EXPECT_TRUE(check(R"({"anyOf":[)" + repeated(R"({"type":"string","maxLength":9},)", 4) + "{}]}").ok());
    EXPECT_EQ(root_of(R"({"properties":{"b":{},"a":{}},"required":[)" + repeated(R"("b","a",)", 5'000) + "\"a\"]}"),
              R"({"type":"object","properties":{"b":{},"a":{}},"additionalProperties":false,"required":["a","b"],"!mark":1})");
}

TEST(JsonSchemaCheck, FollowsReferences) {
    const Result<CheckedSchema> list = check(
        R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},
            "required":["next"]},"unused":{"not":{}}}})");
    ASSERT_TRUE(list.ok()) << list.error().message;
    const json::value written = *parse_json(list->text);
    EXPECT_EQ(written.at("$defs").as_object().size(), 2U);
    EXPECT_EQ(written.at("$defs").at("0"), *parse_json(R"({"$ref":"#/$defs/1"})"));
    EXPECT_EQ(written.at("$defs").at("1").at("properties").at("next").at("anyOf").at(0), *parse_json(R"({"$ref":"#/$defs/1"})"));
    EXPECT_TRUE(check(R"({"properties":{"a/b":{"$ref":"#/properties/c~1d"},"c/d":{"type":"null"}}})").ok());
    EXPECT_TRUE(check(R"({"type":"array","items":{"$ref":"#"}})").ok());
}

TEST(JsonSchemaCheck, TakesBranchesThatExcludeEachOther) {
    EXPECT_TRUE(check(R"({"oneOf":[{"type":"integer"},{"type":["string","null"]},{"type":"object"}]})").ok());
    EXPECT_TRUE(check(R"({"oneOf":[{"const":1},{"const":2},{"const":"1"}]})").ok());
    EXPECT_TRUE(check(R"({"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"discriminator":{"propertyName":"k"},"$defs":{
        "a":{"properties":{"k":{"const":"a"}},"required":["k"]},"b":{"properties":{"x":{},"k":{"enum":["b","c"]}},"required":["k","x"]}}})")
                    .ok());
}

// Pydantic's and OpenAI's examples.
TEST(JsonSchemaCheck, TakesWhatClientsSend) {
    const char* taken[] = {
        R"({"type":"object","properties":{"steps":{"type":"array","items":{"type":"object","properties":{"explanation":{"type":"string"},
            "output":{"type":"string"}},"required":["explanation","output"],"additionalProperties":false}},"final_answer":{"type":"string"}},
            "required":["steps","final_answer"],"additionalProperties":false})",
        R"({"$defs":{"Color":{"enum":["red","green"],"title":"Color","type":"string"},"Item":{"properties":{"name":{"maxLength":20,
            "minLength":1,"title":"Name","type":"string"},"price":{"exclusiveMinimum":0,"title":"Price","type":"number"},"tags":{
            "additionalProperties":{"type":"integer"},"default":{},"title":"Tags","type":"object"}},"required":["name","price"],
            "title":"Item","type":"object"}},"properties":{"color":{"$ref":"#/$defs/Color"},"items":{"items":{"$ref":"#/$defs/Item"},
            "maxItems":5,"title":"Items","type":"array"},"note":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,
            "title":"Note"},"pair":{"maxItems":2,"minItems":2,"prefixItems":[{"type":"integer"},{"type":"string"}],"title":"Pair",
            "type":"array"},"when":{"format":"date-time","title":"When","type":"string"}},"required":["color","items","pair","when"],
            "title":"Order","type":"object"})",
    };
    for (const char* schema : taken) {
        const Result<CheckedSchema> checked = check(schema);
        EXPECT_TRUE(checked.ok()) << checked.error().message;
    }
}

TEST(JsonSchemaCheck, PathsStayShort) {
    const std::string name = repeated("é", 500);
    const Result<CheckedSchema> checked = check(R"({"properties":{")" + name + R"(":{"not":{}}}})");
    ASSERT_FALSE(checked.ok());
    EXPECT_LT(checked.error().message.size(), 300U);
    EXPECT_TRUE(parse_json("\"" + checked.error().param + "\"").ok()) << "whole characters";
}

}  // namespace
}  // namespace gantry::engine_server
