#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <string_view>

#include "base/url.h"

namespace gantry::bench {
namespace {

// 128 words that common tokenizers start with tokens of their own.
constexpr std::array<std::string_view, 128> kWords = {
    "Amber",   "Anchor",  "Apple",   "Arrow",   "Autumn",  "Badger",  "Bamboo",  "Beacon",  "Birch",   "Blue",    "Bottle",
    "Bridge",  "Bronze",  "Butter",  "Cabin",   "Camera",  "Candle",  "Canyon",  "Carbon",  "Castle",  "Cedar",   "Chalk",
    "Cherry",  "Circle",  "Clay",    "Clock",   "Cloud",   "Cobalt",  "Coffee",  "Copper",  "Coral",   "Cotton",  "Crane",
    "Crystal", "Dawn",    "Delta",   "Desert",  "Diamond", "Dolphin", "Dragon",  "Eagle",   "Echo",    "Elm",     "Ember",
    "Engine",  "Falcon",  "Feather", "Fern",    "Field",   "Flint",   "Forest",  "Fountain", "Fox",    "Garden",  "Ginger",
    "Glass",   "Gold",    "Granite", "Green",   "Harbor",  "Hazel",   "Heron",   "Hill",    "Honey",   "Horizon", "Ice",
    "Indigo",  "Iron",    "Island",  "Ivory",   "Jade",    "Jungle",  "Kettle",  "Lake",    "Lantern", "Laurel",  "Lemon",
    "Light",   "Lime",    "Linen",   "Lion",    "Maple",   "Marble",  "Meadow",  "Metal",   "Mint",    "Mirror",  "Moon",
    "Mountain", "Needle", "North",   "Oak",     "Ocean",   "Olive",   "Opal",    "Orange",  "Orchard", "Owl",     "Paper",
    "Pearl",   "Pepper",  "Pine",    "Planet",  "Plum",    "Pond",    "Purple",  "Quartz",  "Rain",    "Raven",   "Red",
    "River",   "Robin",   "Rose",    "Ruby",    "Sail",    "Salt",    "Sand",    "Silver",  "Sky",     "Snow",    "Spring",
    "Star",    "Stone",   "Summer",  "Sun",     "Thunder", "Timber",  "Valley"};

// Our own text; each sentence stands alone, so that it may be shuffled.
constexpr std::array<std::string_view, 18> kSentences = {
    "The harbour of the old town lies between two low hills, and every morning the fishing boats return before the sun is up.",
    "On the quay the crews sort what they caught into wooden boxes, while the buyers from the market walk up and down and say little.",
    "A narrow street leads from the water to the square, past a bakery, a shop that repairs clocks, and a school with a green door.",
    "In the year of the great storm the sea took the outer wall, and it was rebuilt with stones that came by ship from the north.",
    "People still tell how the lighthouse keeper kept the lamp burning for three nights with oil that belonged to the church.",
    "The railway came late, and for many years the only train of the day carried fish, letters and the children of the upper school.",
    "Today there is a small factory for sensors at the edge of the town, and its engineers eat lunch on the same quay as the fishermen.",
    "They measure the temperature of the water, the height of the waves and the speed of the wind, and send the figures to the capital.",
    "Last spring the council had to decide whether the empty warehouse should become a library, a hotel or a covered market.",
    "Those who wanted the library said that the winters are long and that the young people had no warm place to meet.",
    "Those who wanted the hotel counted the visitors of the summer months and the wages that new work would bring.",
    "The market had the fewest friends, but its friends were the loudest, and they came to every meeting with baskets of bread.",
    "After nine evenings of talk an old carpenter asked how much of the roof was sound, and nobody in the room could say.",
    "So the council sent two engineers with ladders and lamps, and they wrote a report of four pages with drawings.",
    "The report said that the eastern half would stand for another hundred years and that the western half should come down.",
    "In the end the eastern half became the library, and the place of the western half became a garden with benches and pear trees.",
    "The hotel was built later, in a street behind the station, by a family that had once owned three of the boats.",
    "On market days the baskets of bread stand in the garden, and the readers complain about the smell and then buy some."};

uint64_t mix(uint64_t value) {  // splitmix64's finalizer: spreads neighbouring numbers
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

// Of the sentences above ten tokens are nine words (Qwen2.5's and SmolLM2's tokenizers agree within 1 %); a lead has five tokens
// more than its words make, the task at a prompt's end has seven.
constexpr uint32_t kLeadExcess = 5;
constexpr uint32_t kTaskTokens = 7;
size_t words_for(uint32_t tokens) { return size_t{tokens} * 9 / 10; }

size_t count_words(std::string_view text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), ' ')) + 1;
}

// Sentences in an order of the seed's own, until there are `words` of them; the last one is cut.
std::string filler(uint64_t seed, size_t words) {
    std::mt19937_64 random(seed);
    std::array<size_t, kSentences.size()> order{};
    std::iota(order.begin(), order.end(), size_t{0});
    std::string text;
    size_t have = 0;
    while (have < words) {
        std::shuffle(order.begin(), order.end(), random);
        for (const size_t at : order) {
            if (have >= words) {
                break;
            }
            std::string_view sentence = kSentences[at];
            const size_t wanted = words - have;
            if (count_words(sentence) > wanted) {
                size_t end = 0;
                for (size_t i = 0; i < wanted; ++i) {
                    end = sentence.find(' ', end + 1);
                }
                sentence = sentence.substr(0, end);
            }
            text += text.empty() ? "" : " ";
            text += sentence;
            have += count_words(sentence);
        }
    }
    return text;
}

// A lead and filler behind it, together of about `tokens` tokens.
std::string led_text(std::string lead, uint64_t seed, uint32_t tokens) {
    const size_t words = words_for(std::max(tokens, kLeadExcess) - kLeadExcess);
    const size_t in_lead = count_words(lead);
    return words > in_lead ? lead + " " + filler(seed, words - in_lead) : lead;
}

}  // namespace

std::string lead_sentence(uint64_t nonce, uint32_t index) {
    const uint64_t key = mix(nonce);
    const size_t first = (key + index) % kWords.size();
    const size_t second = (mix(key) + index / kWords.size()) % kWords.size();
    return fmt::format("{} {} is the name of note {:04x}.", kWords[first], kWords[second], mix(key + index) & 0xffff);
}

std::string compare_prompt(uint64_t nonce, uint32_t round) {
    std::string text = lead_sentence(nonce, round);
    for (size_t i = 0; i < 13; ++i) {
        text += ' ';
        text += kSentences[i];
    }
    text += "\n\nWrite a short story about what happened next in this town, in plain words, and name at least three people.";
    return text;
}

std::string own_text(uint64_t nonce, uint32_t index, uint32_t tokens) {
    return led_text(lead_sentence(nonce, index), mix(nonce) + index, std::max(tokens, kTaskTokens) - kTaskTokens) + "\n\nGo on with the story.";
}

std::string shared_text(uint64_t nonce, uint32_t tokens) {
    return tokens > 0 ? led_text(lead_sentence(mix(nonce ^ 0x5a), 0), nonce, tokens) + "\n\n" : std::string();
}

Status set_url(Target& target, const std::string& url) {
    target.url = url;
    if (url.starts_with("unix:")) {
        target.endpoint = url;
        target.base_path = "/v1";
        return Ok{};
    }
    const auto parsed = parse_url(url);
    if (!parsed) {
        return invalid_argument(
            fmt::format("\"{}\" is not a URL that can be measured: it {}; write it as http://HOST:PORT or https://HOST:PORT/v1", url,
                        parsed.error().message));
    }
    target.endpoint = parsed->endpoint();
    target.base_path = parsed->path;
    while (!target.base_path.empty() && target.base_path.back() == '/') {
        target.base_path.pop_back();
    }
    if (target.base_path.empty()) {
        target.base_path = "/v1";
    }
    return Ok{};
}

Result<Target> parse_target(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        return invalid_argument(fmt::format("--target \"{}\": write it as NAME=URL,model=M,key=K", without_key(text)));
    }
    Target target;
    target.name = text.substr(0, equals);
    target.backend = "openai";
    std::string url;
    size_t at = equals + 1;
    while (at <= text.size()) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string part = text.substr(at, comma - at);
        if (at == equals + 1) {
            url = part;
        } else if (part.starts_with("model=")) {
            target.model = part.substr(6);
        } else if (part.starts_with("key=")) {
            target.api_key = part.substr(4);
        } else if (part.starts_with("backend=")) {
            target.backend = part.substr(8);
        } else if (part.starts_with("version=")) {
            target.version = part.substr(8);
        } else if (part.starts_with("flags=")) {
            target.flags = part.substr(6);
        } else {
            return invalid_argument(
                fmt::format("--target {}: \"{}\" is none of model=, key=, backend=, version=, flags=", target.name, part));
        }
        at = comma + 1;
    }
    GANTRY_TRY(set_url(target, url));
    if (target.model.empty()) {
        target.model = target.name;
    }
    return target;
}

std::string without_key(const std::string& target_text) {
    const size_t at = target_text.find(",key=");
    if (at == std::string::npos) {
        return target_text;
    }
    const size_t end = std::min(target_text.find(',', at + 1), target_text.size());
    return target_text.substr(0, at) + ",key=***" + target_text.substr(end);
}

}  // namespace gantry::bench
