"""Values by a JSON schema, for Hypothesis: as much of JSON Schema as src/gateway/openapi.json uses. Small on purpose: what is long or large is
test_hostile.py's. A schema that says more than is read here (`not`, a condition beside properties) gives values that the caller filters."""
from hypothesis import strategies as st

ANY = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
                   lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=4)
LONGER = 2   # than the least that a list or a text must have


def values(schema, named):
    """`named`: the schemas that "$ref" means by the last part of its path."""
    if "$ref" in schema:
        return st.deferred(lambda: values(named[schema["$ref"].rsplit("/", 1)[1]], named))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema and "properties" not in schema:
        return st.one_of([values(option, named) for option in schema["anyOf"]])
    kinds = schema.get("type", "object" if "properties" in schema else None)
    if kinds is None:
        return ANY
    if isinstance(kinds, list):
        return st.one_of([values({**schema, "type": kind}, named) for kind in kinds])
    return KINDS[kinds](schema, named)


def numbers(schema, named):
    least, most = schema["minimum"], schema["maximum"]
    return st.floats(least, most) | st.sampled_from([least, most])


def integers(schema, named):
    least, most = schema.get("minimum", -9), schema.get("maximum", 9)
    return st.integers(least, min(most, least + 9)) | st.integers(least, most)


def texts(schema, named):
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(codec="ascii"))
    least = schema.get("minLength", 0)
    return st.text(min_size=least, max_size=least + 8)


def lists(schema, named):
    least = schema.get("minItems", 0)
    return st.lists(values(schema["items"], named), min_size=least, max_size=min(schema.get("maxItems", least + LONGER), least + LONGER))


def objects(schema, named):
    if "propertyNames" in schema:
        return st.dictionaries(st.integers(0, 100).map(str), values(schema["additionalProperties"], named), max_size=LONGER)
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=8), ANY, max_size=LONGER)
    parts = [fields(schema["properties"], schema.get("required", []), named)]
    parts += [values(part, named) for part in schema.get("allOf", [])]
    return st.tuples(*parts).map(lambda drawn: {key: value for part in drawn for key, value in part.items()})


@st.composite
def fields(draw, properties, required, named):
    """Those that must be there, a few of the others, and now and then one that nobody knows."""
    optional = sorted(set(properties) - set(required))
    chosen = draw(st.lists(st.sampled_from(optional), max_size=4, unique=True)) if optional else []
    out = {name: draw(values(properties[name], named)) for name in [*required, *chosen]}
    if draw(st.integers(0, 4)) == 0:
        out["x_" + draw(st.text(max_size=4))] = draw(ANY)
    return out


KINDS = {"object": objects, "array": lists, "string": texts, "integer": integers, "number": numbers,
         "boolean": lambda schema, named: st.booleans(), "null": lambda schema, named: st.none()}
