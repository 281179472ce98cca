/* JSON. What parses is written again, plain and pretty, and parses to the same; what does not has a place within it.
 * Each string ends in a NUL. Each member and element is at its path; strings are paths, too, if of nothing. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

/* The number of an element counts from both ends. */
static void fuzz_json_path(const aio_json *value, aio_text name, size_t index, const aio_json *item)
{
    char path[64];
    if (name.data) {
        if (name.length > 50 || strlen(name.data) != name.length || strstr(name.data, "\"]")) return;
        snprintf(path, sizeof path, "[\"%s\"]", name.data);
        if (aio_json_get(value, path) != aio_json_member(value, name.data, name.length)) abort();
    } else {
        snprintf(path, sizeof path, "[%zu]", index);
        if (aio_json_get(value, path) != item) abort();
        snprintf(path, sizeof path, "[-%zu]", aio_json_count(value) - index);
        if (aio_json_get(value, path) != item) abort();
    }
    aio_text text = aio_json_string(item, NULL, NULL);
    const aio_json *found = aio_json_get(value, text.data);
    if (found && (found < value || found >= value + value->as.span)) abort();
}

static void fuzz_json_walk(const aio_json *value)
{
    size_t position = 0, count = 0;
    const aio_json *item;
    aio_text name, text = aio_json_string(value, NULL, NULL);
    if (text.data && text.data[text.length]) abort();
    while (aio_json_next(value, &position, &name, &item)) {
        if (name.data && name.data[name.length]) abort();
        if (name.data && !aio_json_member(value, name.data, name.length)) abort();
        if (!name.data && aio_json_element(value, count) != item) abort();
        if (count < 50) fuzz_json_path(value, name, count, item);
        if (++count < 50) fuzz_json_walk(item);
    }
    if (count != aio_json_count(value)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aio_input_error error;
    aio_text plain, pretty, again;
    aio_json *root = aio_json_parse((const char *)data, size, &error, .max_depth = 100);
    if (!root) {
        if (!*error.reason || error.offset > size || !error.line || !error.column) abort();
        return 0;
    }
    fuzz_json_walk(root);
    if (aio_json_dump(root, &plain) || aio_json_dump(root, &pretty, .indent = 1)) abort();
    aio_json_free(root);
    root = aio_json_parse(pretty.data, pretty.length, &error);
    if (!root || aio_json_dump(root, &again)) abort();
    if (plain.length != again.length || memcmp(plain.data, again.data, plain.length) != 0) abort();
    aio_json_free(root);
    aio_text_clear(&plain);
    aio_text_clear(&pretty);
    aio_text_clear(&again);
    return 0;
}
