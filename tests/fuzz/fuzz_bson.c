/* Documents of MongoDB. What is one can be walked, written as JSON, and put together again from its members: the same
 * bytes, but for a regex' options, which come in order, each once; what is none has a place within it. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
#define AIO_MONGO_IMPLEMENTATION
#include "../../examples/mongo/aio_mongo.h"

static aio_bson *fuzz_bson_again(const aio_bson *document)
{
    size_t position = 0;
    bool has_regex = false;
    const char *name;
    aio_bson_value value;
    aio_bson *made = aio_bson_make("{}");
    while (aio_bson_next(document, &position, &name, &value)) {
        aio_bson_append_value(made, name, &value);
        aio_bson_get(document, name);
        has_regex = has_regex || value.type == AIO_BSON_REGEX;
    }
    if (aio_bson_error(made)) abort();
    bool same = made->length == document->length && !memcmp(made->data, document->data, made->length);
    if (!same && !has_regex) abort();
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aio_bson document;
    aio_input_error error;
    aio_text json;
    aio_json *parsed;
    if (aio_bson_parse(&document, data, size, &error)) {
        if (!*error.reason || error.offset > size) abort();
        return 0;
    }
    aio_bson *once = fuzz_bson_again(&document), *twice = fuzz_bson_again(once);
    if (once->length != twice->length || memcmp(once->data, twice->data, once->length) != 0) abort();
    aio_bson_free(once);
    aio_bson_free(twice);
    aio_bson_int(&document, "a.b.0", 0);
    aio_bson_string(&document, "a.0.c", "");
    if (aio_bson_to_json(&document, &json)) abort();
    parsed = aio_json_parse(json.data, json.length, &error, .max_depth = 1000);
    if (!parsed) abort();
    aio_json_free(parsed);
    aio_text_clear(&json);
    return 0;
}
